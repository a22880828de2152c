//! Reads status files as any reader would: the newest name, its head, its records.

use futures::StreamExt as _;

use crate::ledger::StatusName;
use crate::model::{Bucket, ETag, ObjectKey, Prefix};
use crate::store::{Store, StoreError, StoreErrorKind, list_objects};

use super::StatusError;
use super::head::StatusHead;
use super::record::{HEAD_BYTES, StatusRecord};

/// The longest line that is read: a path of 1,024 bytes, all escaped, and the rest.
const LONGEST_LINE_BYTES: usize = 1 << 20;

/// The newest status file.
#[derive(Clone, Debug)]
pub struct Newest {
    /// Its name.
    pub name: StatusName,
    /// Its key.
    pub key: ObjectKey,
    /// The etag it was seen with.
    pub etag: ETag,
    /// What it says.
    pub head: StatusHead,
}

/// Finds the newest status file below a prefix and reads its head.
pub async fn read_newest(store: &dyn Store, prefix: &Prefix) -> Result<Option<Newest>, StatusError> {
    // A file that vanished since it was listed was pruned, and so was not the newest any more: a second look sees a
    // newer one.
    for _ in 0..2 {
        let Some(name) = list_names(store, prefix).await?.pop() else {
            return Ok(None);
        };
        let key = prefix.join(&name.to_string());
        if let Some((head, etag)) = read_head(store, &key).await? {
            return Ok(Some(Newest { name, key, etag, head }));
        }
    }
    Ok(None)
}

/// Lists the names of all status files below a prefix, oldest first.
pub async fn list_names(store: &dyn Store, prefix: &Prefix) -> Result<Vec<StatusName>, StoreError> {
    let start = prefix.join(StatusName::PREFIX);
    let mut objects = list_objects(store, start.as_str());
    let mut names = Vec::new();
    while let Some(object) = objects.next().await.transpose()? {
        let name = object.key.as_str().strip_prefix(prefix.as_str());
        names.extend(name.and_then(|name| name.parse::<StatusName>().ok()));
    }
    names.sort();
    Ok(names)
}

/// Reads the head of one status file; `None` where there is none.
pub async fn read_head(store: &dyn Store, key: &ObjectKey) -> Result<Option<(StatusHead, ETag)>, StatusError> {
    let fetched = match store.get(key, Some(0..HEAD_BYTES as u64)).await {
        Ok(fetched) => fetched,
        Err(error) if error.kind == StoreErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let (meta, bytes) = fetched.bytes().await?;
    let head = StatusHead::parse(&bytes).map_err(|why| damaged(store.bucket(), key, 1, why))?;
    Ok(Some((head, meta.etag)))
}

/// Reads the whole of a status file, giving each record to `each`; returns the head and the etag that was read.
pub async fn read_records(
    store: &dyn Store,
    key: &ObjectKey,
    mut each: impl FnMut(StatusRecord),
) -> Result<(StatusHead, ETag), StatusError> {
    let mut fetched = store.get(key, None).await?;
    let mut head: Option<StatusHead> = None;
    let mut buffer: Vec<u8> = Vec::new();
    let mut number = 0;
    loop {
        let chunk = fetched.body.next().await.transpose()?;
        let ended = chunk.is_none();
        buffer.extend_from_slice(&chunk.unwrap_or_default());
        let mut start = 0;
        while let Some(length) = buffer[start..].iter().position(|byte| *byte == b'\n') {
            let line = &buffer[start..start + length];
            start += length + 1;
            number += 1;
            if head.is_none() {
                let parsed = StatusHead::parse(line).map_err(|why| damaged(store.bucket(), key, number, why))?;
                head = Some(parsed);
            } else {
                let record = serde_json::from_slice(line)
                    .map_err(|why| damaged(store.bucket(), key, number, why.to_string()))?;
                each(record);
            }
        }
        buffer.drain(..start);
        if ended && buffer.is_empty() {
            break;
        }
        if ended || (buffer.len() > LONGEST_LINE_BYTES && head.is_some()) {
            return Err(damaged(
                store.bucket(),
                key,
                number + 1,
                "the line has no end".to_owned(),
            ));
        }
    }
    let head = head.ok_or_else(|| damaged(store.bucket(), key, 1, "the file is empty".to_owned()))?;
    Ok((head, fetched.meta.etag))
}

fn damaged(bucket: &Bucket, key: &ObjectKey, line: u64, why: String) -> StatusError {
    StatusError::Damaged {
        file: format!("s3://{bucket}/{key}"),
        line,
        why,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::store::faulty::{Call, Fault, FaultyStore, Script};
    use crate::store::memory::MemoryStore;
    use crate::store::{Capabilities, RequestKind};

    #[tokio::test]
    async fn a_status_file_that_is_pruned_while_it_is_read_gives_way_to_the_newer_one() {
        let store = MemoryStore::new("bucket".parse().unwrap(), Capabilities::ALL);
        let prefix = Prefix::new("out/");
        let file = |store: &MemoryStore, name: &str, commit: &str| {
            let line = format!("{{\"status\":\"success\",\"commit\":\"{commit}\"}}\n");
            store.foreign_put(&prefix.join(name), line);
        };
        let (old, new) = ("_STATUS_20261122T071422.123Z.json", "_STATUS_20261122T071423.123Z.json");
        file(&store, old, "old");
        file(&store, "_STATUS_notes.json", "none");
        let (other, done) = (store.clone(), AtomicBool::new(false));
        let old_key = prefix.join(old);
        let new_line = "{\"status\":\"success\",\"commit\":\"new\"}\n";
        let new_key = prefix.join(new);
        let script = Script(move |call: &Call| {
            if call.kind == RequestKind::Get && !done.swap(true, Ordering::Relaxed) {
                other.foreign_put(&new_key, new_line);
                other.foreign_delete(&old_key);
            }
            Fault::None
        });
        let store = FaultyStore::new(Arc::new(store), script);
        let newest = read_newest(&store, &prefix).await.unwrap().unwrap();
        assert_eq!(
            (newest.name.to_string().as_str(), newest.head.commit.as_str()),
            (new, "new")
        );
    }
}
