//! What the ledger's tests share.

use std::sync::Arc;

use super::{HeadersDigest, LedgerFolder, RangeRef, Record, Root, State, StatusPlace};
use crate::model::{CommitId, ContentId, ETag, Prefix, RelPath, RunId, S3Url};
use crate::store::memory::MemoryStore;
use crate::store::{Capabilities, Store};

/// An empty bucket that can do all.
pub(super) fn bucket() -> MemoryStore {
    MemoryStore::new("bucket".parse().unwrap(), Capabilities::ALL)
}

pub(super) fn shared(store: &MemoryStore) -> Arc<dyn Store> {
    Arc::new(store.clone())
}

pub(super) fn folder() -> LedgerFolder {
    LedgerFolder::of(&Prefix::new("export/"))
}

/// The n-th run.
pub(super) fn run(number: u64) -> RunId {
    RunId::from_parts(number, number.into())
}

/// A record whose other fields follow from the size, so that two sizes are two states of the path.
pub(super) fn record(path: &str, size: u64) -> Record {
    Record {
        path: RelPath::new(path).unwrap(),
        etag: ETag::new(&format!("{size:032x}")),
        size,
        content: ContentId::Blake3([(size % 256) as u8; 32]).into(),
        headers: HeadersDigest(1),
        version_id: None,
    }
}

/// A clean root of that generation.
pub(super) fn root(generation: u64) -> Root {
    let export_path = S3Url {
        bucket: "bucket".parse().unwrap(),
        prefix: Prefix::new("export/"),
    };
    Root {
        generation,
        export_path: export_path.clone(),
        source: "git:repo".to_owned(),
        commit: Some(CommitId::new("c0ffee")),
        fingerprint: "f".to_owned(),
        store: Capabilities::ALL,
        status: StatusPlace {
            path: export_path,
            names: Vec::new(),
            newest_success: None,
        },
        ranges: vec![RangeRef {
            name: "name".to_owned(),
            first: RelPath::new("a").unwrap(),
            last: RelPath::new("b").unwrap(),
            count: 2,
            object_bytes: 3,
            file_bytes: 4,
            status_bytes: 5,
        }],
        state: State::Clean,
        unsettled: Vec::new(),
    }
}
