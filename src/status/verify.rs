//! Checks a bucket against its newest `success`; never writes.

use std::collections::BTreeMap;

use futures::StreamExt as _;
use serde::Serialize;

use crate::model::{CommitId, ContentHasher, ContentId, ContentIds, ETag, Prefix, RelPath};
use crate::plan::is_own_file;
use crate::store::{ObjectMeta, Store, StoreError, StoreErrorKind, list_objects};

use super::head::{ExportState, RecordsListed};
use super::read::{Newest, read_newest, read_records};
use super::{StatusError, StatusRecord};

/// How closely to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Keys, lengths and etags of one listing.
    List,
    /// And a HEAD of each object.
    Head,
    /// And its bytes, against the content id in its mark.
    Bytes,
}

/// One way in which the bucket is not as the status file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "difference", rename_all = "kebab-case")]
pub enum Difference {
    /// The status file lists it, and it is not there.
    Missing {
        /// Where.
        path: RelPath,
    },
    /// It is there, and the status file does not list it.
    Extra {
        /// Where.
        path: RelPath,
    },
    /// It is there, and otherwise.
    Changed {
        /// Where.
        path: RelPath,
        /// What the status file says.
        expected: String,
        /// What was found.
        found: String,
    },
}

/// What came of a check.
#[derive(Clone, Debug, Serialize)]
pub struct Verified {
    /// The status file.
    pub file: String,
    /// Its commit.
    pub commit: CommitId,
    /// How many objects were checked.
    pub checked: u64,
    /// How many bytes were read and hashed.
    pub hashed_bytes: u64,
    /// How many objects bear no mark with a content id of their bytes, so that only length and etag could be compared.
    pub unhashed: u64,
    /// What is not as it should be, in the order of paths.
    pub differences: Vec<Difference>,
    /// Whether the status file was replaced meanwhile, so that the check proves nothing.
    pub overtaken: bool,
}

/// Checks the objects under an export path against the newest status file of its status path.
///
/// Holds one line for each object, some 200 bytes: stores need not list in the order of bytes.
pub async fn verify(
    store: &dyn Store,
    prefix: &Prefix,
    status_store: &dyn Store,
    status_prefix: &Prefix,
    level: Level,
    at_once: usize,
) -> Result<Verified, StatusError> {
    let (newest, expected) = match read_success(status_store, status_prefix).await {
        // Pruned while it was read, so there is a newer one.
        Err(StatusError::Store(error)) if error.kind == StoreErrorKind::NotFound => {
            read_success(status_store, status_prefix).await?
        }
        outcome => outcome?,
    };
    let mut verified = Verified {
        file: newest.name.to_string(),
        commit: CommitId::new(newest.head.commit.as_str()),
        checked: expected.len() as u64,
        hashed_bytes: 0,
        unhashed: 0,
        differences: Vec::new(),
        overtaken: false,
    };
    let found = list_all(store, prefix).await?;
    compare(&expected, &found, newest.head.records, &mut verified);
    if level != Level::List {
        let there: Vec<&StatusRecord> = expected
            .values()
            .filter(|record| found.contains_key(&record.path))
            .collect();
        let mut looks = futures::stream::iter(there)
            .map(|record| async move { (record, look(store, prefix, record, level).await) })
            .buffered(at_once.max(1));
        while let Some((record, looked)) = looks.next().await {
            let looked = looked?;
            verified.hashed_bytes += looked.hashed_bytes;
            verified.unhashed += u64::from(looked.unhashed);
            let known = |path: &RelPath| verified.differences.iter().any(|known| path_of(known) == path);
            if let Some(found) = looked.difference
                && !known(&record.path)
            {
                let path = record.path.clone();
                verified.differences.push(Difference::Changed {
                    path,
                    expected: describe(record),
                    found,
                });
            }
        }
    }
    verified
        .differences
        .sort_by(|left, right| path_of(left).cmp(path_of(right)));
    let after = read_newest(status_store, status_prefix).await?;
    verified.overtaken = after.is_none_or(|after| after.name != newest.name || after.etag != newest.etag);
    Ok(verified)
}

/// Reads the newest status file, which must say `success`, with its records.
async fn read_success(
    store: &dyn Store,
    prefix: &Prefix,
) -> Result<(Newest, BTreeMap<RelPath, StatusRecord>), StatusError> {
    let mut newest = read_newest(store, prefix).await?.ok_or_else(|| StatusError::None {
        path: format!("s3://{}/{prefix}", store.bucket()),
    })?;
    if newest.head.status != ExportState::Success {
        return Err(StatusError::NotWhole {
            file: newest.name.to_string(),
            state: newest.head.status.to_string(),
        });
    }
    let mut records = BTreeMap::new();
    let read = read_records(store, &newest.key, |record| {
        records.insert(record.path.clone(), record);
    });
    (newest.head, newest.etag) = read.await?;
    Ok((newest, records))
}

fn path_of(difference: &Difference) -> &RelPath {
    match difference {
        Difference::Missing { path } | Difference::Extra { path } | Difference::Changed { path, .. } => path,
    }
}

fn compare(
    expected: &BTreeMap<RelPath, StatusRecord>,
    found: &BTreeMap<RelPath, (ETag, u64)>,
    listed: RecordsListed,
    verified: &mut Verified,
) {
    for (path, record) in expected {
        match found.get(path) {
            None => verified.differences.push(Difference::Missing { path: path.clone() }),
            Some((etag, size)) if *etag != record.etag || record.size.is_some_and(|expected| expected != *size) => {
                let (path, found) = (path.clone(), format!("etag {etag}, {size} bytes"));
                verified.differences.push(Difference::Changed {
                    path,
                    expected: describe(record),
                    found,
                });
            }
            Some(_) => {}
        }
    }
    if listed == RecordsListed::All {
        let extra = found.keys().filter(|path| !expected.contains_key(*path));
        verified
            .differences
            .extend(extra.map(|path| Difference::Extra { path: path.clone() }));
    }
}

fn describe(record: &StatusRecord) -> String {
    match record.size {
        Some(size) => format!("etag {}, {size} bytes", record.etag),
        None => format!("etag {}", record.etag),
    }
}

async fn list_all(store: &dyn Store, prefix: &Prefix) -> Result<BTreeMap<RelPath, (ETag, u64)>, StoreError> {
    let mut found = BTreeMap::new();
    let mut objects = list_objects(store, prefix.as_str());
    while let Some(object) = objects.next().await.transpose()? {
        if let Some(path) = object.key.below(prefix).filter(|path| !is_own_file(path)) {
            found.insert(path, (object.etag, object.size));
        }
    }
    Ok(found)
}

/// What one object says.
#[derive(Default)]
struct Looked {
    difference: Option<String>,
    hashed_bytes: u64,
    unhashed: bool,
}

async fn look(store: &dyn Store, prefix: &Prefix, record: &StatusRecord, level: Level) -> Result<Looked, StoreError> {
    let Some(key) = prefix.key(&record.path) else {
        return Ok(Looked::default());
    };
    let gone = || {
        Ok(Looked {
            difference: Some("nothing".to_owned()),
            ..Looked::default()
        })
    };
    if level == Level::Head {
        return match store.head(&key).await {
            Ok(meta) => Ok(Looked {
                difference: differs(record, &meta),
                ..Looked::default()
            }),
            Err(error) if error.kind == StoreErrorKind::NotFound => gone(),
            Err(error) => Err(error),
        };
    }
    let mut fetched = match store.get(&key, None).await {
        Ok(fetched) => fetched,
        Err(error) if error.kind == StoreErrorKind::NotFound => return gone(),
        Err(error) => return Err(error),
    };
    let mark = fetched.meta.headers.mark.as_ref().map(|mark| mark.content);
    let known = mark.filter(|content| !matches!(content, ContentId::Address(_)));
    let mut hasher = known.map(|content| ContentHasher::new(ContentIds::from(content), fetched.meta.size));
    let mut looked = Looked {
        unhashed: known.is_none(),
        ..Looked::default()
    };
    while let Some(chunk) = fetched.body.next().await.transpose()? {
        looked.hashed_bytes += chunk.len() as u64;
        if let Some(hasher) = &mut hasher {
            hasher.update(&chunk);
        }
    }
    looked.difference = differs(record, &fetched.meta);
    if looked.hashed_bytes != fetched.meta.size {
        looked.difference = Some(format!("{} bytes of {}", looked.hashed_bytes, fetched.meta.size));
    } else if hasher.is_some_and(|hasher| hasher.finish().is_none()) {
        looked.difference = Some("bytes that do not have the content id of their mark".to_owned());
    }
    Ok(looked)
}

fn differs(record: &StatusRecord, meta: &ObjectMeta) -> Option<String> {
    let same = meta.etag == record.etag && record.size.is_none_or(|size| size == meta.size);
    (!same).then(|| format!("etag {}, {} bytes", meta.etag, meta.size))
}
