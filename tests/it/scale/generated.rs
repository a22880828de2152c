//! A tree of any size that is made while it is read, and the ledger of it, for runs of which the cost counts.

use std::num::NonZeroUsize;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use lakesync::export::{ExportConfig, Exporter, StatusRecords, testing};
use lakesync::ledger::{LedgerFolder, RangeWriter, Record, Root, State, StatusPlace, load_root, swap_root};
use lakesync::model::{Attributes, Change, CommitId, ContentId, ContentIds, ETag, Entry, RelPath, RunId};
use lakesync::source::{Body, EntryStream, Item, Source, SourceError, Stream, channel};
use lakesync::status::record_bytes;
use lakesync::store::memory::MemoryStore;
use lakesync::store::{Capabilities, Checksum, Condition, Put, Store};

/// Which files of the newer commit differ from the older one.
#[derive(Clone, Copy, Debug)]
pub enum Spread {
    /// Neighbours.
    Clustered,
    /// Far from each other.
    Scattered,
}

/// A branch of two commits, `old` and `new`, of `files` files; `changed` of them differ.
#[derive(Clone)]
pub struct Generated {
    pub files: u64,
    pub changed: u64,
    pub spread: Spread,
    /// Whether it can tell changes, as Git can and a directory cannot.
    pub tells_changes: bool,
}

impl Generated {
    fn is_changed(&self, number: u64) -> bool {
        match self.spread {
            Spread::Clustered => (self.files / 2..self.files / 2 + self.changed).contains(&number),
            Spread::Scattered => number.is_multiple_of(self.files / self.changed),
        }
    }

    fn bytes(&self, number: u64, at: &CommitId) -> Bytes {
        let version = if at.as_str() == "new" && self.is_changed(number) {
            2
        } else {
            1
        };
        Bytes::from(format!("file {number} version {version}"))
    }

    fn entry(&self, number: u64, at: &CommitId) -> Entry {
        let bytes = self.bytes(number, at);
        let content = ContentIds::from(ContentId::Blake3(*blake3::hash(&bytes).as_bytes()));
        let path = RelPath::new(format!("table/day={:04}/part-{number:09}.parquet", number / 1000)).unwrap();
        Entry {
            path,
            size: bytes.len() as u64,
            content,
            origin: None,
            attributes: Attributes::default(),
        }
    }

    fn number(path: &RelPath) -> u64 {
        let name = std::str::from_utf8(path.file_name()).unwrap();
        name.trim_start_matches("part-")
            .trim_end_matches(".parquet")
            .parse()
            .unwrap()
    }
}

#[async_trait]
impl Source for Generated {
    fn name(&self) -> &'static str {
        "generated:main"
    }

    async fn head(&self) -> Result<CommitId, SourceError> {
        Ok(CommitId::new("new"))
    }

    async fn contains(&self, _: &CommitId) -> Result<bool, SourceError> {
        Ok(true)
    }

    async fn tree(&self, at: &CommitId) -> Result<EntryStream, SourceError> {
        let (mut sink, stream) = channel();
        let (source, at) = (self.clone(), at.clone());
        std::thread::spawn(move || {
            for number in 0..source.files {
                if sink.send_blocking(Item::Entry(source.entry(number, &at))).is_err() {
                    return;
                }
            }
            sink.finish_blocking(Ok(()));
        });
        Ok(stream)
    }

    async fn changes(&self, _: &CommitId, to: &CommitId) -> Result<Option<Stream<Item<Change>>>, SourceError> {
        let changes = (0..self.files).filter(|number| self.is_changed(*number));
        let changes = changes
            .map(|number| Item::Entry(Change::Put(self.entry(number, to))))
            .collect();
        Ok(self.tells_changes.then(|| Stream::ready(changes)))
    }

    async fn open(&self, at: &CommitId, entry: &Entry) -> Result<Body, SourceError> {
        Ok(Body::Whole(self.bytes(Self::number(&entry.path), at)))
    }

    fn parallelism(&self) -> NonZeroUsize {
        NonZeroUsize::new(8).unwrap()
    }
}

/// A bucket whose ledger says that `old` is exported; of the objects only those that differ are there, since
/// nothing else of them is ever asked for.
pub async fn exported(source: &Generated) -> MemoryStore {
    let store = empty();
    let exporter = exporter(source.clone(), &store);
    let old = CommitId::new("old");
    for number in (0..source.files).filter(|number| source.is_changed(*number)) {
        let entry = source.entry(number, &old);
        let key = exporter.config.export_path.prefix.key(&entry.path).unwrap();
        let put = Put::new(source.bytes(number, &old), Condition::Absent);
        store.put(&key, put).await.unwrap();
    }
    write_ledger(&exporter, &store, old).await;
    store
}

/// A bucket that holds nothing and lets everything be written.
pub fn empty() -> MemoryStore {
    let store = MemoryStore::new("bucket".parse().unwrap(), Capabilities::ALL);
    store.allow_unconditional(|_| true);
    store
}

/// Makes the ledger say that `commit` is exported, whatever objects there are.
pub async fn write_ledger(exporter: &Exporter, store: &MemoryStore, commit: CommitId) {
    let shared: Arc<dyn Store> = Arc::new(store.clone());
    let folder = LedgerFolder::of(&exporter.config.export_path.prefix);
    let mut writer = RangeWriter::new(
        shared.clone(),
        folder.clone(),
        RunId::generate(),
        Checksum::None,
        record_bytes,
    );
    let mut entries = exporter.source.tree(&commit).await.unwrap();
    let mut number = 0;
    while let Some(item) = entries.next().await.unwrap() {
        let Item::Entry(entry) = item else {
            panic!("the tree is whole")
        };
        let key = exporter.config.export_path.prefix.key(&entry.path).unwrap();
        let etag = match store.object(&key) {
            Some(object) => object.meta.etag,
            None => ETag::new(&format!("{number:032x}")),
        };
        number += 1;
        let headers = exporter.config.headers.entry_digest(&entry);
        let (path, size, content) = (entry.path, entry.size, entry.content);
        writer
            .push(&Record {
                path,
                etag,
                size,
                content,
                headers,
                version_id: None,
            })
            .await
            .unwrap();
    }
    let root = Root {
        generation: 1,
        export_path: exporter.config.export_path.clone(),
        source: exporter.source.name().to_owned(),
        commit: Some(commit),
        fingerprint: exporter.fingerprint(),
        store: Capabilities::ALL,
        status: StatusPlace {
            path: exporter.config.status_path.clone(),
            names: Vec::new(),
            newest_success: None,
        },
        ranges: writer.finish().await.unwrap(),
        state: State::Clean,
        unsettled: Vec::new(),
    };
    swap_root(store, &folder, &root, None).await.unwrap();
    store.clear_log();
}

/// An exporter to the bucket.
pub fn exporter(source: impl Source + 'static, store: &MemoryStore) -> Exporter {
    let config = ExportConfig {
        status_records: StatusRecords::Changed,
        ..testing::config(&"s3://bucket/out/".parse().unwrap())
    };
    testing::exporter(source, Arc::new(store.clone()), config)
}

/// How many ranges the ledger has.
pub async fn ranges(store: &MemoryStore) -> usize {
    let folder = LedgerFolder::of(&lakesync::model::Prefix::new("out/"));
    load_root(store, &folder).await.unwrap().unwrap().root.ranges.len()
}
