//! A first export onto a prefix that holds objects: which of them are equal to what the head wants.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::StreamExt as _;
use md5::Digest as _;

use crate::ledger::{HeadersDigest, Record};
use crate::model::{CommitId, ContentHasher, ContentIds, ETag, Entry, Prefix, RelPath};
use crate::plan::{HeaderRules, Markers, is_own_file};
use crate::source::{Item, Source, SourceError};
use crate::spool::Spool;
use crate::store::{Store, StoreError, list_objects};

use super::ExportError;
use super::known::{Found, FoundObject};

/// Finds one object under the prefix that is none of lakesync's own files.
pub(super) async fn first_object(store: &dyn Store, prefix: &Prefix) -> Result<Option<RelPath>, StoreError> {
    let mut objects = list_objects(store, prefix.as_str());
    while let Some(object) = objects.next().await.transpose()? {
        let foreign = object.key.below(prefix).filter(|path| !is_own_file(path));
        if foreign.is_some() {
            return Ok(foreign);
        }
    }
    Ok(None)
}

/// What the head wants, for a comparison.
pub(super) struct Wanted<'a> {
    pub(super) source: &'a dyn Source,
    pub(super) head: &'a CommitId,
    pub(super) headers: &'a HeaderRules,
    pub(super) markers: Option<regex::bytes::Regex>,
}

/// Lists what is there, sorted by path, and, where `compare` is given, takes equal objects as ours.
///
/// Holds one line for each object, some 150 bytes: stores need not list in the order of bytes, and this is done
/// once in the life of an export path.
pub(super) async fn find_objects(
    store: &Arc<dyn Store>,
    prefix: &Prefix,
    compare: Option<Wanted<'_>>,
) -> Result<Spool<Found>, ExportError> {
    let mut there: BTreeMap<RelPath, FoundObject> = BTreeMap::new();
    let mut objects = list_objects(&**store, prefix.as_str());
    while let Some(object) = objects.next().await.transpose()? {
        if let Some(path) = object.key.below(prefix).filter(|path| !is_own_file(path)) {
            let found = FoundObject::Object {
                etag: object.etag,
                size: object.size,
                version_id: None,
                mark: None,
            };
            there.insert(path, found);
        }
    }
    if let Some(wanted) = compare {
        let mut tree = wanted.source.tree(wanted.head).await?;
        let mut markers = Markers::new(wanted.markers.clone());
        let mut ended = false;
        while !ended {
            let entries = match tree.next().await? {
                Some(Item::Entry(entry)) => markers.push(Some(entry)),
                Some(Item::Notice(_)) => continue,
                Some(Item::Failed { path, .. }) => markers.before(&path),
                None => {
                    ended = true;
                    markers.push(None)
                }
            };
            for entry in entries {
                let Some(FoundObject::Object { etag, size, .. }) = there.get(&entry.path) else {
                    continue;
                };
                if *size == entry.size && wanted.is_equal(store, prefix, &entry, etag).await? {
                    let digest = wanted.headers.entry_digest(&entry);
                    let record = adopted(&entry, etag.clone(), digest);
                    there.insert(entry.path, FoundObject::Adopted(record));
                }
            }
        }
    }
    let mut found = Spool::new(None);
    for (path, object) in there {
        found.push(&Found {
            path,
            object,
            intended: Vec::new(),
        })?;
    }
    Ok(found)
}

/// An adopted object keeps the headers it has: they count as those that were asked for.
fn adopted(entry: &Entry, etag: ETag, headers: HeadersDigest) -> Record {
    Record {
        path: entry.path.clone(),
        etag,
        size: entry.size,
        content: entry.content,
        headers,
        version_id: None,
    }
}

impl Wanted<'_> {
    /// Compares the object's etag with the MD5 of the file, and where that does not settle it, its bytes.
    async fn is_equal(
        &self,
        store: &Arc<dyn Store>,
        prefix: &Prefix,
        entry: &Entry,
        etag: &ETag,
    ) -> Result<bool, ExportError> {
        if entry.size == 0 {
            return Ok(true);
        }
        let mut body = match self.source.open(self.head, entry).await {
            Ok(body) => body,
            Err(error) if error.is_about_one_file() => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        let mut md5 = md5::Md5::new();
        let mut hasher = ContentHasher::new(entry.content, entry.size);
        loop {
            match body.next_chunk().await {
                Ok(Some(chunk)) => {
                    md5.update(&chunk);
                    hasher.update(&chunk);
                }
                Ok(None) => break,
                Err(SourceError::Changed { .. }) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        let Some(content) = hasher.finish() else {
            return Ok(false);
        };
        if hex::encode(md5.finalize()).eq_ignore_ascii_case(etag.as_str()) {
            return Ok(true);
        }
        // An etag that is no MD5 (several parts, encryption) says nothing: only the bytes do.
        let Some(key) = prefix.key(&entry.path) else {
            return Ok(false);
        };
        let mut fetched = store.get(&key, None).await?;
        let mut there = ContentHasher::new(
            ContentIds {
                address: None,
                checksum: None,
                ..content
            },
            entry.size,
        );
        let mut length = 0;
        while let Some(chunk) = fetched.body.next().await.transpose()? {
            length += chunk.len() as u64;
            there.update(&chunk);
        }
        Ok(length == entry.size && there.finish().is_some())
    }
}
