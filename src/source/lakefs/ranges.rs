//! The tables in which lakeFS keeps a committed tree: metaranges and ranges, read and checked.

mod entry;
mod format;
mod id;
mod ident;
mod metarange;
mod protobuf;
mod varint;
#[cfg(any(test, feature = "testing"))]
pub mod writer;

pub use entry::{AddressType, MetadataRef, RangeEntry, RangeEntryRef};
pub use id::{IdError, MetaRangeId, RangeId, TableId, TableKind};
pub use metarange::RangeRef;
pub use protobuf::MessageFault;
