//! Reads what stands in the bucket: the ledger as lakesync does, status files as anybody would.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::TryStreamExt as _;
use lakesync::ledger::{LedgerFolder, LedgerReader, Loaded, Record, load_root};
use lakesync::model::{ETag, ObjectKey, RelPath};
use lakesync::plan::MARKER_NAME;
use lakesync::store::memory::StoredObject;

use super::env::{Env, Tree, is_left_out};
use super::world::Asked;

type Verdict<T = ()> = Result<T, String>;

/// Root and records as they stand in the bucket.
pub struct Ledger {
    pub loaded: Loaded,
    pub records: BTreeMap<RelPath, Record>,
}

/// A status file, read as a reader would that knows nothing of lakesync.
pub struct Status {
    pub name: String,
    pub state: String,
    pub commit: String,
    pub records: BTreeMap<RelPath, ETag>,
}

/// What the bucket must hold for a tree: filters applied, markers added.
pub fn wanted(tree: &Tree, asked: &Asked) -> Tree {
    let mut wanted: Tree = tree
        .iter()
        .filter(|(path, _)| !is_left_out(asked.exclude.as_ref(), path))
        .map(|(path, bytes)| (path.clone(), bytes.clone()))
        .collect();
    if asked.markers {
        let folders: BTreeSet<Vec<u8>> = wanted
            .keys()
            .flat_map(|path| path.folders().map(<[u8]>::to_vec).collect::<Vec<_>>())
            .collect();
        for folder in folders
            .iter()
            .filter(|folder| [&b"t"[..], b"d/e"].contains(&&folder[..]))
        {
            let path = RelPath::new([folder, &b"/"[..], MARKER_NAME.as_bytes()].concat()).unwrap();
            wanted.entry(path).or_default();
        }
    }
    wanted
}

/// The ledger; `None` where there never was one.
pub async fn read_ledger(env: &Env) -> Verdict<Option<Ledger>> {
    let folder = LedgerFolder::of(&env.prefix);
    let loaded = load_root(&env.store, &folder)
        .await
        .map_err(|error| format!("the root: {error}"))?;
    let Some(loaded) = loaded else { return Ok(None) };
    let reader = LedgerReader::new(Arc::new(env.store.clone()), folder, None);
    let records: Vec<Record> = reader
        .records(loaded.root.ranges.clone())
        .try_collect()
        .await
        .map_err(|error| format!("the root names ranges that cannot be read: {error}"))?;
    let records = records
        .into_iter()
        .map(|record| (record.path.clone(), record))
        .collect();
    Ok(Some(Ledger { loaded, records }))
}

/// All status files, oldest first.
pub fn read_statuses(objects: &BTreeMap<ObjectKey, StoredObject>) -> Verdict<Vec<Status>> {
    let mut statuses = Vec::new();
    for (key, object) in objects {
        let Some(name) = key
            .as_str()
            .strip_prefix("out/")
            .filter(|name| name.starts_with("_STATUS_"))
        else {
            continue;
        };
        let text = std::str::from_utf8(&object.bytes).map_err(|error| format!("{name}: {error}"))?;
        let mut lines = text.lines();
        let line = |line: &str| -> Verdict<serde_json::Value> {
            serde_json::from_str(line).map_err(|error| format!("{name}: {error}"))
        };
        let head = line(lines.next().unwrap_or_default())?;
        let mut records = BTreeMap::new();
        for record in lines {
            let record = line(record)?;
            let text = |field: &str| record[field].as_str().unwrap_or_default().to_owned();
            records.insert(
                RelPath::new(text("path").into_bytes()).unwrap(),
                ETag::new(&text("etag")),
            );
        }
        let text = |field: &str| head[field].as_str().unwrap_or_default().to_owned();
        statuses.push(Status {
            name: name.to_owned(),
            state: text("status"),
            commit: text("commit"),
            records,
        });
    }
    Ok(statuses)
}
