//! Is everything under an export path as it should be after a clean run? Asked of the bucket itself, of the
//! ledger, and of a reader of the status file that shares no code with lakesync.

pub mod python;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use futures::{StreamExt as _, TryStreamExt as _};
use lakesync::ledger::{LedgerFolder, LedgerReader, Record, Root, State, load_root};
use lakesync::model::S3Url;
use lakesync::status::{ExportState, read_head};
use lakesync::store::Store as _;

use crate::servers::{Server, TestBucket};

/// More contents than this are not fetched one by one; names, lengths and etags are compared of all.
const CONTENTS_UP_TO: usize = 300;

/// What should be there.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// Our objects by their paths.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Objects of others below the export path.
    pub foreign: BTreeMap<String, Vec<u8>>,
    /// Keys of uploads of others.
    pub uploads: Vec<String>,
    /// Whether files of the ledger that nothing names may lie there: a run that died while it cleaned up, and no
    /// run with anything to do since.
    pub unswept: bool,
}

/// One export path to look at.
pub struct Audit {
    pub server: &'static Server,
    pub export_path: S3Url,
    pub status_path: S3Url,
}

impl Audit {
    /// Fails where anything is not as it should be.
    pub async fn check(&self, expected: &Expected) {
        self.check_objects(expected).await;
        let root = self.check_ledger(expected).await;
        self.check_status_files(&root).await;
        python::agrees(self, expected);
    }

    fn bucket(&self) -> TestBucket {
        TestBucket {
            bucket: self.export_path.bucket.clone(),
            server: self.server,
        }
    }

    /// The objects below the export path that readers see, by path, with length and etag.
    async fn listed(&self) -> BTreeMap<String, (u64, String)> {
        let client = self.server.client();
        let prefix = self.export_path.prefix.as_str();
        let mut found = BTreeMap::new();
        let mut pages = client
            .list_objects_v2()
            .bucket(self.export_path.bucket.as_str())
            .prefix(prefix)
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            for object in page.unwrap().contents() {
                let path = object.key().unwrap().strip_prefix(prefix).unwrap();
                if !path.starts_with("_lakesync/") && !path.starts_with("_STATUS_") {
                    let size = u64::try_from(object.size().unwrap()).unwrap();
                    let etag = object.e_tag().unwrap().trim_matches('"').to_owned();
                    found.insert(path.to_owned(), (size, etag));
                }
            }
        }
        found
    }

    async fn check_objects(&self, expected: &Expected) {
        let name = self.server.name;
        let all: BTreeMap<&String, &Vec<u8>> = expected.files.iter().chain(&expected.foreign).collect();
        let listed = self.listed().await;
        let (there, wanted): (BTreeSet<_>, BTreeSet<_>) = (listed.keys().collect(), all.keys().copied().collect());
        let missing: Vec<_> = wanted.difference(&there).take(5).collect();
        let extra: Vec<_> = there.difference(&wanted).take(5).collect();
        assert!(
            missing.is_empty() && extra.is_empty(),
            "{name}: missing {missing:?}, too many {extra:?}"
        );
        let bucket = self.bucket();
        let every = all.len().div_ceil(CONTENTS_UP_TO).max(1);
        let looks = all.iter().step_by(every).map(|(path, bytes)| {
            let key = format!("{}{path}", self.export_path.prefix);
            let bucket = &bucket;
            async move { (bucket.read(&key).await == **bytes, key) }
        });
        let looked: Vec<_> = futures::stream::iter(looks).buffer_unordered(16).collect().await;
        for (same, key) in looked {
            assert!(same, "{name}: {key} has other bytes");
        }
        for (path, (size, _)) in &listed {
            assert_eq!(*size, all[path].len() as u64, "{name}: {path}");
        }
        assert_eq!(
            bucket.uploads().await,
            expected.uploads,
            "{name}: uploads that nobody ended"
        );
    }

    async fn check_ledger(&self, expected: &Expected) -> Root {
        let name = self.server.name;
        let store = std::sync::Arc::new(self.bucket().store_at(&self.server.endpoint).await);
        let folder = LedgerFolder::of(&self.export_path.prefix);
        let root = load_root(&*store, &folder).await.unwrap().expect("a root").root;
        assert_eq!(root.state, State::Clean, "{name}");
        assert!(root.commit.is_some(), "{name}");
        let reader = LedgerReader::new(store.clone(), folder.clone(), None);
        let records: Vec<Record> = reader.records(root.ranges.clone()).try_collect().await.unwrap();
        let mut listed = self.listed().await;
        listed.retain(|path, _| expected.files.contains_key(path));
        let known: BTreeMap<String, (u64, String)> = records
            .iter()
            .map(|record| {
                let path = record.path.to_str().unwrap().to_owned();
                (path, (record.size, record.etag.as_str().to_owned()))
            })
            .collect();
        assert_eq!(known.len(), records.len(), "{name}: a path is in the ledger twice");
        assert!(
            known == listed,
            "{name}: the ledger is not the bucket: {}",
            difference(&known, &listed)
        );
        let page = store.list(folder.prefix().as_str(), None, 1000).await.unwrap();
        let ranges: BTreeSet<String> = root
            .ranges
            .iter()
            .map(|range| format!("ranges/{}", range.name))
            .collect();
        for object in page.objects {
            let file = object.key.as_str().strip_prefix(folder.prefix().as_str()).unwrap();
            let of_unsettled = |run: &str| root.unsettled.iter().any(|one| one.run.run.to_string() == run);
            let is_known = match file.split_once('/') {
                Some(("ranges", _)) => ranges.contains(file),
                Some(("runs", rest)) => rest.split_once('/').is_some_and(|(run, _)| of_unsettled(run)),
                Some(_) => false,
                None => matches!(file, "root.json" | "lease.json"),
            };
            assert!(
                is_known || expected.unswept,
                "{name}: {file} is left in the ledger's folder"
            );
        }
        root
    }

    /// Nobody is said to be at work, and the newest file that there is says `success`.
    async fn check_status_files(&self, root: &Root) {
        let store = TestBucket {
            bucket: self.status_path.bucket.clone(),
            server: self.server,
        }
        .store_at(&self.server.endpoint)
        .await;
        let prefix = &self.status_path.prefix;
        let page = store.list(prefix.join("_STATUS_").as_str(), None, 1000).await.unwrap();
        let mut names: Vec<String> = Vec::new();
        for object in &page.objects {
            let (head, _) = read_head(&store, &object.key).await.unwrap().unwrap();
            assert!(
                matches!(head.status, ExportState::Success | ExportState::Failure),
                "{}: {} says {}",
                self.server.name,
                object.key,
                head.status
            );
            names.push(object.key.as_str().strip_prefix(prefix.as_str()).unwrap().to_owned());
        }
        names.sort();
        let known: Vec<String> = root.status.names.iter().map(ToString::to_string).collect();
        // Files of a status path that was left, or of a ledger that was lost, may lie there, too.
        for name in &known {
            assert!(names.contains(name), "{}: {name} is gone", self.server.name);
        }
        assert_eq!(names.last(), known.last(), "{}", self.server.name);
    }
}

fn difference(left: &BTreeMap<String, (u64, String)>, right: &BTreeMap<String, (u64, String)>) -> String {
    let paths: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    let differing = paths.into_iter().filter(|path| left.get(*path) != right.get(*path));
    let lines = differing
        .take(5)
        .map(|path| format!("{path}: {:?} and {:?}", left.get(path), right.get(path)));
    lines.collect::<Vec<_>>().join("; ")
}

/// The files below a folder by their paths; what Git keeps for itself is left out.
pub fn files_below(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(next) = waiting.pop() {
        for entry in std::fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if !path.ends_with(".git") {
                    waiting.push(path);
                }
                continue;
            }
            let below = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
            found.insert(below, std::fs::read(&path).unwrap());
        }
    }
    found
}
