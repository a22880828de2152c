//! One table: where its blocks are, and what it says of itself.

use bytes::Bytes;

use super::block::{Block, Checksums, Handle};
use super::error::{TableError, TableFault, TablePart};
use super::format::{
    BYTEWISE, CHECKSUM_CRC32C, COMPARATOR, FOOTER_BYTES, HANDLES_END, INDEX_TYPE, MAGIC, PROPERTIES, VERSION,
};
use super::id::{TableId, TableKind};
use super::reader::TableReader;

/// A table whose footer and properties have been read, and whose records have not.
#[derive(Clone, Debug)]
pub struct Table {
    bytes: Bytes,
    index: Handle,
    index_levels: IndexLevels,
    properties: Properties,
}

/// How many blocks lie between the footer and a data block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IndexLevels {
    One,
    Two,
}

/// What a table says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    /// What kind of table it is, where it is one that is known here.
    pub kind: Option<TableKind>,
    /// The first key, as the table says; old tables hold nonsense here.
    pub min_key: Vec<u8>,
    /// The last key, as the table says.
    pub max_key: Vec<u8>,
    /// How many records it has, where it says so.
    pub count: Option<u64>,
    /// About how large it is, where it says so.
    pub estimated_size_bytes: Option<u64>,
}

impl Table {
    /// Reads the footer and the properties of a whole table.
    pub fn open(bytes: Bytes) -> Result<Self, TableError> {
        let footer = Footer::read(&bytes)?;
        let mut metaindex = Block::new(TablePart::Metaindex);
        metaindex.load(&bytes, footer.metaindex, Checksums::Compared)?;
        let mut place = None;
        metaindex.pairs(|name, value| {
            if name == PROPERTIES {
                place = Some(Handle::from_value(value));
            }
        })?;
        let place = place.ok_or_else(|| metaindex.fault(TableFault::Missing("properties")))?;
        let place = place.ok_or_else(|| metaindex.fault(TableFault::Handle))?;

        let mut block = Block::new(TablePart::Properties);
        block.load(&bytes, place, Checksums::Compared)?;
        let mut properties = Properties::default();
        let mut index_type = 0;
        let mut bytewise = true;
        block.pairs(|name, value| match name {
            b"type" => {
                let mut kinds = [TableKind::Range, TableKind::MetaRange].into_iter();
                properties.kind = kinds.find(|kind| kind.property().as_bytes() == value);
            }
            b"min_key" => properties.min_key = value.to_vec(),
            b"max_key" => properties.max_key = value.to_vec(),
            b"count" => properties.count = decimal(value),
            b"estimated_size_bytes" => properties.estimated_size_bytes = decimal(value),
            INDEX_TYPE => index_type = value.try_into().map_or(u32::MAX, u32::from_le_bytes),
            COMPARATOR => bytewise = value == BYTEWISE,
            _ => {}
        })?;
        if !bytewise {
            return Err(block.fault(TableFault::Comparator));
        }
        let index_levels = match index_type {
            0 => IndexLevels::One,
            2 => IndexLevels::Two,
            other => return Err(block.fault(TableFault::IndexType(other))),
        };
        Ok(Self {
            bytes,
            index: footer.index,
            index_levels,
            properties,
        })
    }

    /// What the table says of itself.
    pub fn properties(&self) -> &Properties {
        &self.properties
    }

    /// Begins to read the records. The reader compares every checksum, the order of the keys, the number of the
    /// records and, at its end, the id.
    pub fn read(&self, id: TableId) -> Result<TableReader, TableError> {
        self.check_kind(id)?;
        TableReader::checked(self.clone(), id)
    }

    /// Reads all records, to see whether the table is what its id says.
    pub fn verify(self, id: TableId) -> Result<VerifiedTable, TableError> {
        let mut reader = self.read(id)?;
        while reader.next_record()?.is_some() {}
        let records = reader.records();
        Ok(VerifiedTable {
            table: self,
            id,
            records,
        })
    }

    /// Where every block of the table is, without its trailer: metaindex, properties, index, data.
    #[cfg(any(test, feature = "testing"))]
    pub fn blocks(&self) -> Result<Vec<std::ops::Range<usize>>, TableError> {
        let handles = |block: Handle| {
            let mut loaded = Block::new(TablePart::Index);
            loaded.load(&self.bytes, block, Checksums::Compared)?;
            let mut found = Vec::new();
            loaded.pairs(|_, value| found.extend(Handle::from_value(value)))?;
            Ok(found)
        };
        let metaindex = Footer::read(&self.bytes)?.metaindex;
        let mut all = vec![metaindex];
        all.extend(handles(metaindex)?);
        let mut lower = vec![self.index];
        if self.index_levels == IndexLevels::Two {
            all.push(self.index);
            lower = handles(self.index)?;
        }
        for index in lower {
            all.push(index);
            all.extend(handles(index)?);
        }
        let range = |block: Handle| block.at as usize..(block.at + block.length) as usize;
        Ok(all.into_iter().map(range).collect())
    }

    fn check_kind(&self, id: TableId) -> Result<(), TableError> {
        if self.properties.kind == Some(id.kind()) {
            Ok(())
        } else {
            Err(TableFault::Kind(id.kind()).at(TablePart::Whole, 0))
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn index(&self) -> (Handle, IndexLevels) {
        (self.index, self.index_levels)
    }
}

/// A table that holds the records of its id.
#[derive(Clone, Debug)]
pub struct VerifiedTable {
    table: Table,
    id: TableId,
    records: u64,
}

impl VerifiedTable {
    /// Which table it is.
    pub fn id(&self) -> TableId {
        self.id
    }

    /// How many records it has.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// The length of the table in bytes.
    pub fn table_bytes(&self) -> u64 {
        self.table.bytes.len() as u64
    }

    /// Begins to read the records; neither checksums nor the id are computed again.
    pub fn read(&self) -> Result<TableReader, TableError> {
        TableReader::known_good(self.table.clone())
    }

    /// Begins at the first record whose key is not less than `key`; `None` where there is none.
    pub fn read_from(&self, key: &[u8]) -> Result<Option<TableReader>, TableError> {
        TableReader::known_good_from(self.table.clone(), key)
    }
}

/// The last bytes of a table.
pub(super) struct Footer {
    pub(super) metaindex: Handle,
    pub(super) index: Handle,
}

impl Footer {
    pub(super) fn read(table: &[u8]) -> Result<Self, TableError> {
        let short = || TableFault::TooShort.at(TablePart::Whole, 0);
        let (rest, footer) = table.split_last_chunk::<FOOTER_BYTES>().ok_or_else(short)?;
        let fault = |fault: TableFault| fault.at(TablePart::Footer, rest.len() as u64);
        let (handles, ending) = footer.split_at(HANDLES_END);
        let (version, magic) = ending.split_at(4);
        if magic != MAGIC {
            return Err(fault(TableFault::Magic));
        }
        let version = u32::from_le_bytes(version.try_into().expect("four bytes"));
        if version != VERSION {
            return Err(fault(TableFault::Version(version)));
        }
        let (checksum_type, mut handles) = handles.split_first().expect("41 bytes");
        if *checksum_type != CHECKSUM_CRC32C {
            return Err(fault(TableFault::ChecksumType(*checksum_type)));
        }
        let metaindex = Handle::take(&mut handles).ok_or_else(|| fault(TableFault::Handle))?;
        let index = Handle::take(&mut handles).ok_or_else(|| fault(TableFault::Handle))?;
        Ok(Self { metaindex, index })
    }
}

fn decimal(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}
