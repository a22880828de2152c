//! A metarange: which ranges make up a tree.

use bytes::Bytes;

use super::error::{TableError, TableFault};
use super::id::{MetaRangeId, RangeId};
use super::protobuf::{Message, MessageFault, Tag};
use super::reader::{Record, TableReader};
use super::table::Table;

/// The ranges that make up a tree, in the order of their keys; no two overlap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetaRange {
    id: MetaRangeId,
    ranges: Vec<RangeRef>,
}

/// What a metarange says of one range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeRef {
    /// Which range it is.
    pub id: RangeId,
    /// The first key in it.
    pub min_key: Vec<u8>,
    /// The last key in it.
    pub max_key: Vec<u8>,
    /// How many entries it has.
    pub count: u64,
    /// About how large its table is.
    pub estimated_size_bytes: u64,
}

/// The fields of a range.
mod field {
    use super::Tag;

    pub(super) const MIN_KEY: Tag = Tag::bytes(1);
    pub(super) const MAX_KEY: Tag = Tag::bytes(2);
    pub(super) const ESTIMATED_SIZE: Tag = Tag::number(3);
    pub(super) const COUNT: Tag = Tag::number(4);
    /// Up to which number they are known.
    pub(super) const KNOWN: u64 = 4;
}

impl MetaRange {
    /// Reads a whole metarange and checks all of it.
    pub fn read(bytes: Bytes, id: MetaRangeId) -> Result<Self, TableError> {
        Self::collect(Table::open(bytes)?.read(id.into())?, id)
    }

    pub(super) fn collect(mut reader: TableReader, id: MetaRangeId) -> Result<Self, TableError> {
        let mut ranges: Vec<RangeRef> = Vec::new();
        while reader.advance()? {
            let record = reader.record().expect("the reader has just stepped to it");
            let range = RangeRef::decode(record).map_err(|fault| reader.fault(fault))?;
            let last = ranges.last().map(|last| &last.max_key);
            if range.min_key > range.max_key || last.is_some_and(|last| *last >= range.min_key) {
                return Err(reader.fault(TableFault::RangeOrder));
            }
            ranges.push(range);
        }
        Ok(Self { id, ranges })
    }

    /// Which metarange it is.
    pub fn id(&self) -> MetaRangeId {
        self.id
    }

    /// The ranges in the order of their keys.
    pub fn ranges(&self) -> &[RangeRef] {
        &self.ranges
    }

    /// How many entries the tree has, as the metarange says.
    pub fn count(&self) -> u64 {
        self.ranges.iter().map(|range| range.count).fold(0, u64::saturating_add)
    }
}

impl RangeRef {
    /// Decodes one record of a metarange: its key is the last of the range, its identity the id of the range.
    fn decode(record: Record<'_>) -> Result<Self, TableFault> {
        let mut range = Self {
            id: RangeId::from_hex(record.identity).map_err(|_| TableFault::Identity)?,
            min_key: Vec::new(),
            max_key: Vec::new(),
            count: 0,
            estimated_size_bytes: 0,
        };
        range.fill(record.data).map_err(TableFault::Message)?;
        if range.max_key != record.key {
            return Err(TableFault::RangeOrder);
        }
        Ok(range)
    }

    fn fill(&mut self, message: &[u8]) -> Result<(), MessageFault> {
        let mut fields = Message::of(message);
        while let Some(tag) = fields.tag()? {
            match tag {
                field::MIN_KEY => self.min_key = fields.bytes()?.to_vec(),
                field::MAX_KEY => self.max_key = fields.bytes()?.to_vec(),
                field::ESTIMATED_SIZE => self.estimated_size_bytes = fields.natural(tag)?,
                field::COUNT => self.count = fields.natural(tag)?,
                other => fields.skip(other, field::KNOWN)?,
            }
        }
        Ok(())
    }
}

#[cfg(any(test, feature = "testing"))]
impl RangeRef {
    /// Gives the message of the range, as lakeFS writes it.
    pub fn encode(&self) -> Vec<u8> {
        use super::protobuf::write;

        let mut data = Vec::new();
        write::bytes(field::MIN_KEY, &self.min_key, &mut data);
        write::bytes(field::MAX_KEY, &self.max_key, &mut data);
        write::number(field::ESTIMATED_SIZE, self.estimated_size_bytes, &mut data);
        write::number(field::COUNT, self.count, &mut data);
        data
    }
}
