//! What a real lakeFS server answered, and its tables byte for byte.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value;

use super::super::writer::TreeTables;
use super::super::{MetaRangeId, RangeEntry, Table, TableError, TableFetch, TableId};
use crate::source::SourceError;

/// Where the recording's repository keeps its objects.
pub(super) const NAMESPACE: &str = "s3://lakefs-store/s3-store2";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/lakefs")
}

/// All recorded tables.
pub(super) fn recorded_tables() -> BTreeMap<TableId, Bytes> {
    let mut tables = BTreeMap::new();
    for file in std::fs::read_dir(folder().join("tables")).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let id = match name.rsplit_once('-').unwrap() {
            ("range", id) => TableId::Range(id.parse().unwrap()),
            ("meta_range", id) => TableId::MetaRange(id.parse().unwrap()),
            other => panic!("{other:?}"),
        };
        tables.insert(id, std::fs::read(&path).unwrap().into());
    }
    assert_eq!(tables.len(), 10);
    tables
}

/// All recorded exchanges, in order.
pub(super) fn exchanges() -> Vec<Value> {
    let text = std::fs::read_to_string(folder().join("s3-store.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The metarange of each recorded commit; `None` is the tree without files.
pub(super) fn metaranges() -> HashMap<String, Option<MetaRangeId>> {
    let of_commit = |exchange: Value| {
        let commit = exchange["body"]["id"].as_str()?.to_owned();
        let metarange = exchange["body"]["meta_range_id"].as_str()?;
        Some((commit, (!metarange.is_empty()).then(|| metarange.parse().unwrap())))
    };
    exchanges().into_iter().filter_map(of_commit).collect()
}

/// The recorded answer with this note.
pub(super) fn answer(note: &str) -> (Vec<String>, Value) {
    let exchange = exchanges().into_iter().find(|exchange| exchange["note"] == note);
    let exchange = exchange.unwrap_or_else(|| panic!("no exchange {note:?}"));
    let path = exchange["path"].as_str().unwrap();
    (path.split('/').map(str::to_owned).collect(), exchange["body"].clone())
}

/// All entries of a range.
pub(super) fn entries(bytes: &Bytes, id: TableId) -> Result<Vec<RangeEntry>, TableError> {
    let mut reader = Table::open(bytes.clone())?.read(id)?;
    let mut entries = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        entries.push(entry.to_owned());
    }
    Ok(entries)
}

/// Tables in memory, which counts what was asked for.
#[derive(Default)]
pub(super) struct MemoryTables {
    pub(super) tables: BTreeMap<TableId, Bytes>,
    pub(super) asked: Mutex<Vec<TableId>>,
}

impl MemoryTables {
    pub(super) fn add(&mut self, tree: &TreeTables) {
        self.tables.insert(tree.metarange.into(), tree.metarange_bytes.clone());
        let ranges = tree.ranges.iter();
        self.tables
            .extend(ranges.map(|(range, bytes)| (range.id.into(), bytes.clone())));
    }
}

#[async_trait]
impl TableFetch for MemoryTables {
    async fn fetch(&self, table: TableId) -> Result<Bytes, SourceError> {
        self.asked.lock().unwrap().push(table);
        self.tables.get(&table).cloned().ok_or(SourceError::Injected)
    }
}
