//! The tables in which lakeFS keeps a committed tree: metaranges and ranges, read and checked.

mod address;
mod ahead;
mod block;
mod changes;
mod entry;
mod error;
mod folder;
mod format;
mod id;
mod ident;
mod metarange;
mod protobuf;
mod reader;
mod recent;
mod span;
mod table;
mod tables;
#[cfg(test)]
mod tests;
mod tree;
mod varint;
#[cfg(any(test, feature = "testing"))]
pub mod writer;

pub use address::{DATA_FOLDER, PhysicalAddress, is_written_by_lakefs, physical_address};
pub use changes::{RangeChange, read_changes};
pub use entry::{AddressType, MetadataRef, RangeEntry, RangeEntryRef};
pub use error::{TableError, TableFault, TablePart, UnusableTable};
pub use folder::{RangeChild, find_entry, has_prefix, ranges_across_folders, read_folder};
pub use id::{IdError, MetaRangeId, RangeId, TableId, TableKind};
pub use metarange::{MetaRange, RangeRef};
pub use protobuf::MessageFault;
pub use reader::{Record, TableReader};
pub use span::KeySpan;
pub use table::{Properties, Table, VerifiedTable};
pub use tables::{TableCache, TableCounts, TableFetch, Tables};
pub use tree::read_tree;
