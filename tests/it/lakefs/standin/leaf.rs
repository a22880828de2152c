//! One range: its records, close together, and the table that holds them.

use bytes::Bytes;

use super::entry::Entry;

/// A range, as long as any commit names it.
pub struct Leaf {
    /// Its id.
    pub id: String,
    /// The table, byte for byte as it is served.
    pub table: Bytes,
    /// What the metarange says of its size.
    pub estimated_size: u64,
    records: Records,
}

/// One record of a range.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    /// The path of the object.
    pub key: &'a [u8],
    /// See [`Entry::identity`].
    pub identity: &'a [u8],
    /// The entry, encoded.
    pub data: &'a [u8],
}

impl Record<'_> {
    /// The entry itself.
    pub fn entry(&self) -> Entry {
        Entry::decode(self.data)
    }
}

/// Records in one piece of memory: a million of them are three allocations, not millions.
#[derive(Default)]
pub struct Records {
    bytes: Vec<u8>,
    /// Where each begins.
    starts: Vec<u32>,
}

const IDENTITY_BYTES: usize = 32;

impl Records {
    /// Adds one behind the others.
    pub fn push(&mut self, record: Record<'_>) {
        assert_eq!(record.identity.len(), IDENTITY_BYTES);
        let start = u32::try_from(self.bytes.len()).expect("a range is far below 4 GiB");
        self.starts.push(start);
        let length = u16::try_from(record.key.len()).expect("a path has at most 1,024 bytes");
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(record.key);
        self.bytes.extend_from_slice(record.identity);
        self.bytes.extend_from_slice(record.data);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// The one at a place.
    pub fn get(&self, place: usize) -> Record<'_> {
        let start = self.starts[place] as usize;
        let end = self.starts.get(place + 1).map_or(self.bytes.len(), |end| *end as usize);
        let (length, rest) = self.bytes[start..end].split_at(2);
        let length = usize::from(u16::from_le_bytes([length[0], length[1]]));
        let (key, rest) = rest.split_at(length);
        let (identity, data) = rest.split_at(IDENTITY_BYTES);
        Record { key, identity, data }
    }

    /// The place of the first key that is not below `key`.
    fn place_of(&self, key: &[u8]) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            if self.get(middle).key < key {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}

impl Leaf {
    /// A range of records that are sorted and not none.
    pub fn new(id: String, table: Bytes, estimated_size: u64, mut records: Records) -> Self {
        assert!(records.len() > 0, "no range is empty");
        records.bytes.shrink_to_fit();
        records.starts.shrink_to_fit();
        Self {
            id,
            table,
            estimated_size,
            records,
        }
    }

    /// How many records it has.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// The record at a place.
    pub fn get(&self, place: usize) -> Record<'_> {
        self.records.get(place)
    }

    /// Its first key.
    pub fn min(&self) -> &[u8] {
        self.get(0).key
    }

    /// Its last key.
    pub fn max(&self) -> &[u8] {
        self.get(self.len() - 1).key
    }

    /// The place of the first key that is not below `key`.
    pub fn place_of(&self, key: &[u8]) -> usize {
        self.records.place_of(key)
    }
}
