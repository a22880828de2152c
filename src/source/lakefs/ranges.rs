//! The tables in which lakeFS keeps a committed tree: metaranges and ranges, read and checked.

mod block;
mod entry;
mod error;
mod format;
mod id;
mod ident;
mod metarange;
mod protobuf;
mod reader;
mod table;
mod varint;
#[cfg(any(test, feature = "testing"))]
pub mod writer;

pub use entry::{AddressType, MetadataRef, RangeEntry, RangeEntryRef};
pub use error::{TableError, TableFault, TablePart, UnusableTable};
pub use id::{IdError, MetaRangeId, RangeId, TableId, TableKind};
pub use metarange::{MetaRange, RangeRef};
pub use protobuf::MessageFault;
pub use reader::{Record, TableReader};
pub use table::{Properties, Table, VerifiedTable};
