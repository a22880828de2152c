//! What can be wrong with a table.

use std::fmt;

use super::id::{TableId, TableKind};
use super::protobuf::MessageFault;

/// A table that cannot be read: what is wrong, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{part} at byte {at}: {fault}")]
pub struct TableError {
    /// What is wrong.
    pub fault: TableFault,
    /// In which part of the table.
    pub part: TablePart,
    /// Where that part begins.
    pub at: u64,
}

/// The parts of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TablePart {
    /// The last bytes, which say where the rest is.
    Footer,
    /// The block that says where the properties are.
    Metaindex,
    /// The block of properties.
    Properties,
    /// A block of the index, of either level.
    Index,
    /// A block of records.
    Data,
    /// All of it.
    Whole,
}

impl fmt::Display for TablePart {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Footer => "footer",
            Self::Metaindex => "metaindex",
            Self::Properties => "properties",
            Self::Index => "index block",
            Self::Data => "data block",
            Self::Whole => "table",
        })
    }
}

/// What can be wrong with a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableFault {
    /// It is shorter than a footer.
    #[error("is too short for a table")]
    TooShort,
    /// The last bytes are not those of a table.
    #[error("does not end as a table does")]
    Magic,
    /// The format has a version that is not known here.
    #[error("has the format version {0}, and only 2 is known")]
    Version(u32),
    /// The checksums are of a type that is not known here.
    #[error("has checksums of type {0}, and only 1 is known")]
    ChecksumType(u8),
    /// The index is of a type that is not known here.
    #[error("has an index of type {0}, and only 0 and 2 are known")]
    IndexType(u32),
    /// A block is packed in a way that is not known here.
    #[error("is packed with method {0}, and only 0 and 1 are known")]
    Packing(u8),
    /// The keys are in an order that is not known here.
    #[error("has keys in an order other than that of their bytes")]
    Comparator,
    /// A place in the table cannot be read, or lies outside of it.
    #[error("names a block that is not within the table")]
    Handle,
    /// A block begins before the end of the last one of its level.
    #[error("begins before the last one ends")]
    BlockOrder,
    /// The checksum is not that of the bytes.
    #[error("does not have its checksum")]
    Checksum,
    /// The packed bytes cannot be unpacked.
    #[error("cannot be unpacked")]
    Snappy,
    /// A block says that it is longer, unpacked, than it can be.
    #[error("would be {0} bytes unpacked, which it cannot be")]
    Unpacked(u64),
    /// The end of a block does not say where its records end.
    #[error("does not say where its records end")]
    Restarts,
    /// A record does not fit into its block.
    #[error("has a record that does not fit into it")]
    Record,
    /// A key does not end as keys do here.
    #[error("has a key with another sequence number or kind than lakeFS writes")]
    KeyTrailer,
    /// A key is not greater than the one before it.
    #[error("has a key that is not greater than the one before it")]
    KeyOrder,
    /// A value is not an identity and a message.
    #[error("has a value that is not an identity and a message")]
    Value,
    /// An identity is not what this kind of table has.
    #[error("has an identity that is not that of its kind of record")]
    Identity,
    /// A message cannot be decoded.
    #[error("has a message that {0}")]
    Message(MessageFault),
    /// Something that every table has is missing.
    #[error("does not have {0}")]
    Missing(&'static str),
    /// The table is not of the kind that was asked for.
    #[error("is not a table of {}", .0.property())]
    Kind(TableKind),
    /// The number of records is not the one that the table says.
    #[error("has {found} records and says that it has {told}")]
    Count {
        /// What the table says.
        told: u64,
        /// How many there are.
        found: u64,
    },
    /// The records are not those of the id.
    #[error("holds the records of {found}")]
    Id {
        /// The id of the records that were found.
        found: TableId,
    },
    /// The ranges of a metarange overlap, or one begins behind its own end.
    #[error("has ranges that are not one behind the other")]
    RangeOrder,
    /// A range has a key that its metarange does not say it has.
    #[error("has a key outside of the bounds that the metarange says")]
    Bounds,
}

impl TableFault {
    /// Whether it is a format that is not known here, rather than damage.
    pub fn is_unknown_format(&self) -> bool {
        matches!(
            self,
            Self::Version(_) | Self::ChecksumType(_) | Self::IndexType(_) | Self::Packing(_) | Self::Comparator
        )
    }

    pub(super) fn at(self, part: TablePart, at: u64) -> TableError {
        TableError { fault: self, part, at }
    }
}

/// A table of a repository that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{} {table} of lakeFS is {}; run again, and with `--listing pages` if that does not help", table.kind(), self.what())]
pub struct UnusableTable {
    /// Which table.
    pub table: TableId,
    /// Why.
    pub source: TableError,
}

impl UnusableTable {
    fn what(&self) -> &'static str {
        if self.source.fault.is_unknown_format() {
            "in a format that is not known here"
        } else {
            "damaged"
        }
    }
}
