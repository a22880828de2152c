//! Ranges and metaranges in the format of lakeFS.

use std::sync::Arc;

use bytes::Bytes;
use lakesync::source::lakefs::ranges::writer::TableWriter;
use lakesync::source::lakefs::ranges::{RangeRef, TableKind};

use super::leaf::{Leaf, Records};

/// The range of some records, which are not none.
pub fn range(records: Records) -> Leaf {
    let mut writer = TableWriter::new(TableKind::Range);
    for place in 0..records.len() {
        let record = records.get(place);
        writer.push(record.key, record.identity, record.data);
    }
    let estimated_size = writer.estimated_size_bytes();
    let (id, table) = writer.finish();
    Leaf::new(id, table, estimated_size, records)
}

/// The metarange of some ranges: its id and its bytes.
pub fn metarange(leaves: &[Arc<Leaf>]) -> (String, Bytes) {
    let mut writer = TableWriter::new(TableKind::MetaRange);
    for leaf in leaves {
        let reference = RangeRef {
            id: leaf.id.parse().expect("the writer gave it"),
            min_key: leaf.min().to_vec(),
            max_key: leaf.max().to_vec(),
            count: leaf.len() as u64,
            estimated_size_bytes: leaf.estimated_size,
        };
        writer.push(leaf.max(), leaf.id.as_bytes(), &reference.encode());
    }
    writer.finish()
}
