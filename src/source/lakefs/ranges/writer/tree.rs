//! A whole tree: its entries cut into ranges, and the metarange over them.

use bytes::Bytes;

use super::super::entry::RangeEntry;
use super::super::id::{MetaRangeId, RangeId, TableKind};
use super::super::metarange::RangeRef;
use super::TableWriter;

/// Where a range ends and the next begins.
#[derive(Clone, Copy, Debug)]
pub struct SplitParams {
    /// A range ends at each key whose hash can be divided by it.
    pub modulus: u64,
    /// A range ends once it is about so large.
    pub max_bytes: u64,
}

/// What lakeFS does unless told otherwise.
impl Default for SplitParams {
    fn default() -> Self {
        Self {
            modulus: 50_000,
            max_bytes: 20 << 20,
        }
    }
}

impl SplitParams {
    /// Whether a range ends with this key.
    pub fn ends_at(&self, key: &[u8], range_bytes: u64) -> bool {
        range_bytes >= self.max_bytes || fnv1a(key).is_multiple_of(self.modulus)
    }
}

/// The tables of one tree.
#[derive(Clone, Debug)]
pub struct TreeTables {
    /// The id of the metarange.
    pub metarange: MetaRangeId,
    /// The metarange, byte for byte.
    pub metarange_bytes: Bytes,
    /// The ranges in the order of their keys, each with its bytes.
    pub ranges: Vec<(RangeRef, Bytes)>,
}

/// Writes all tables of a tree. The entries come in the order of their keys.
pub fn write_tree<'a>(entries: impl IntoIterator<Item = &'a RangeEntry>, split: SplitParams) -> TreeTables {
    let ranges = write_ranges(entries, split);
    let (metarange, metarange_bytes) = write_metarange(ranges.iter().map(|(range, _)| range));
    TreeTables {
        metarange,
        metarange_bytes,
        ranges,
    }
}

/// Writes the ranges of a tree. The entries come in the order of their keys.
pub fn write_ranges<'a>(
    entries: impl IntoIterator<Item = &'a RangeEntry>,
    split: SplitParams,
) -> Vec<(RangeRef, Bytes)> {
    let mut ranges = Vec::new();
    let mut open: Option<TableWriter> = None;
    for entry in entries {
        let mut writer = open.take().unwrap_or_else(|| TableWriter::new(TableKind::Range));
        let (identity, data) = entry.encode();
        writer.push(&entry.key, &identity, &data);
        if split.ends_at(&entry.key, writer.estimated_size_bytes()) {
            ranges.push(end_range(writer));
        } else {
            open = Some(writer);
        }
    }
    ranges.extend(open.map(end_range));
    ranges
}

/// Writes the metarange over ranges, which come in the order of their keys.
pub fn write_metarange<'a>(ranges: impl IntoIterator<Item = &'a RangeRef>) -> (MetaRangeId, Bytes) {
    let mut writer = TableWriter::new(TableKind::MetaRange);
    for range in ranges {
        writer.push(&range.max_key, range.id.to_string().as_bytes(), &range.encode());
    }
    let (id, bytes) = writer.finish_table();
    (MetaRangeId::from_hash(*id.hash()), bytes)
}

fn end_range(writer: TableWriter) -> (RangeRef, Bytes) {
    let mut range = RangeRef {
        id: RangeId::from_hash([0; 32]),
        min_key: writer.min_key.clone(),
        max_key: writer.max_key.clone(),
        count: writer.records,
        estimated_size_bytes: writer.estimated_size_bytes(),
    };
    let (id, bytes) = writer.finish_table();
    range.id = RangeId::from_hash(*id.hash());
    (range, bytes)
}

/// The 64-bit FNV-1a hash.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_its_published_examples() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
