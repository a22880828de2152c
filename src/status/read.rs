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
    let Some(name) = list_names(store, prefix).await?.pop() else {
        return Ok(None);
    };
    let key = prefix.join(&name.to_string());
    // A file that vanished since was pruned, and so was not the newest: whoever asks again sees a newer one.
    Ok(read_head(store, &key)
        .await?
        .map(|(head, etag)| Newest { name, key, etag, head }))
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
