//! Uploads in parts: bounded in memory, several parts under way, never left behind.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;

use crate::model::{ContentHasher, Entry, ObjectKey};
use crate::source::{Body, SourceError};
use crate::store::{Condition, CopySource, Part, Store, StoreError, StoreErrorKind, Upload, Written, list_uploads};

use super::Transfer;
use super::put::{ObjectError, Sent, changed};

/// The most parts that S3 takes.
const MOST_PARTS: u64 = 10_000;

/// Parts of one object under way at once; the byte budget of all objects bounds them further.
const PARTS_AT_ONCE: usize = 8;

/// A part that the store copies: large, since no byte of it passes here, and far below the 5 GiB limit, so
/// that it ends within the lease.
pub(super) const COPY_PART_BYTES: u64 = 128 << 20;

const MIB: u64 = 1 << 20;

/// How long the parts of an object are: all equal but the last, since some stores refuse others.
pub(super) fn part_length_bytes(size: u64, wanted: u64) -> u64 {
    wanted.max(size.div_ceil(MOST_PARTS).div_ceil(MIB) * MIB)
}

impl Transfer {
    pub(super) async fn stream_in_parts(&self, entry: &Entry, condition: &Condition) -> Result<Sent, ObjectError> {
        let part_length = part_length_bytes(entry.size, self.part_size_bytes);
        let mut body = self.open(entry).await?;
        let mut upload = PartUpload::begin(self, entry).await?;
        let mut hasher = ContentHasher::new(entry.content, entry.size);
        let mut left = entry.size;
        let mut rest = Bytes::new();
        while left > 0 {
            if self.cancel.is_cancelled() {
                return Err(SourceError::Interrupted.into());
            }
            let length = usize::try_from(part_length.min(left)).expect("at most a part");
            let room = self.budget.take(length as u64).await;
            let bytes = next_part(entry, &mut body, &mut rest, length).await?;
            left -= length as u64;
            // Hashing a part takes milliseconds: off the threads that talk to the network.
            let (hashed, bytes) = tokio::task::spawn_blocking(move || {
                hasher.update(&bytes);
                (hasher, bytes)
            })
            .await
            .expect("hashing does not panic");
            hasher = hashed;
            self.spend(bytes.len() as u64).await;
            upload.send_part(bytes, room).await?;
        }
        if !rest.is_empty() || body.next_chunk().await?.is_some() {
            return Err(changed(entry));
        }
        let content = hasher.finish().ok_or_else(|| changed(entry))?;
        let written = upload.complete(condition).await?;
        Ok(Sent { written, content })
    }
}

/// Takes exactly `length` bytes; what a chunk has beyond stays in `rest`. A chunk that holds a whole part (a
/// source that gives whole objects) is cut, not copied.
async fn next_part(entry: &Entry, body: &mut Body, rest: &mut Bytes, length: usize) -> Result<Bytes, ObjectError> {
    if rest.is_empty() {
        *rest = body.next_chunk().await?.ok_or_else(|| changed(entry))?;
    }
    if rest.len() >= length {
        return Ok(rest.split_to(length));
    }
    let mut part = BytesMut::with_capacity(length);
    loop {
        part.extend_from_slice(&rest.split_to(rest.len().min(length - part.len())));
        if part.len() == length {
            return Ok(part.freeze());
        }
        *rest = body.next_chunk().await?.ok_or_else(|| changed(entry))?;
    }
}

/// One upload under way. Dropped before it is complete, it spawns its own abort.
pub(super) struct PartUpload<'a> {
    transfer: &'a Transfer,
    entry: &'a Entry,
    upload: Arc<Upload>,
    sending: JoinSet<Result<Part, StoreError>>,
    sent: Vec<Part>,
    next: u16,
    guard: AbortGuard,
}

/// Aborts an upload when dropped; a drop must not block, so the abort is a task of its own, which the run waits
/// for before it gives its lease back.
struct AbortGuard {
    store: Arc<dyn Store>,
    upload: Option<Arc<Upload>>,
    aborts: TaskTracker,
    left: Arc<AtomicBool>,
}

impl Drop for AbortGuard {
    fn drop(&mut self) {
        let Some(upload) = self.upload.take() else { return };
        if tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        let (store, left) = (self.store.clone(), self.left.clone());
        self.aborts.spawn(async move {
            if let Err(error) = store.abort_upload(&upload).await {
                left.store(true, Ordering::Relaxed);
                tracing::warn!(key = %upload.key, %error, "a multipart upload could not be aborted; a later run does it");
            }
        });
    }
}

impl<'a> PartUpload<'a> {
    pub(super) async fn begin(transfer: &'a Transfer, entry: &'a Entry) -> Result<Self, ObjectError> {
        let key = transfer.key(&entry.path);
        let headers = transfer.object_headers(entry);
        let upload = match transfer.store.create_upload(&key, &headers, transfer.checksum).await {
            Ok(upload) => upload,
            Err(error) if error.kind.is_ambiguous() => {
                // The reply was lost: an upload of ours may be there whose id nobody knows.
                transfer.abort_unknown_uploads(&key).await?;
                transfer.store.create_upload(&key, &headers, transfer.checksum).await?
            }
            Err(error) => return Err(error.into()),
        };
        let upload = Arc::new(upload);
        let guard = AbortGuard {
            store: transfer.store.clone(),
            upload: Some(upload.clone()),
            aborts: transfer.aborts.clone(),
            left: transfer.left_uploads.clone(),
        };
        Ok(Self {
            transfer,
            entry,
            upload,
            sending: JoinSet::new(),
            sent: Vec::new(),
            next: 1,
            guard,
        })
    }

    /// Sends a part; waits while too many are under way. `room` is given back when the part has arrived.
    pub(super) async fn send_part(&mut self, bytes: Bytes, room: impl Send + 'static) -> Result<(), ObjectError> {
        let number = self.number().await?;
        let (store, upload) = (self.transfer.store.clone(), self.upload.clone());
        let (checksum, progress) = (self.transfer.checksum, self.transfer.progress.clone());
        self.sending.spawn(async move {
            let length = bytes.len() as u64;
            let part = store.upload_part(&upload, number, bytes, checksum, None).await;
            drop(room);
            if part.is_ok() {
                progress.moved(length);
            }
            part
        });
        Ok(())
    }

    /// Has the store copy a part; waits while too many are under way.
    pub(super) async fn copy_part(&mut self, from: CopySource, range: Range<u64>) -> Result<(), ObjectError> {
        let number = self.number().await?;
        let (store, upload) = (self.transfer.store.clone(), self.upload.clone());
        self.sending
            .spawn(async move { store.upload_part_copy(&upload, number, &from, range).await });
        Ok(())
    }

    async fn number(&mut self) -> Result<u16, ObjectError> {
        while self.sending.len() >= PARTS_AT_ONCE {
            self.join_one().await?;
        }
        let number = self.next;
        self.next += 1;
        Ok(number)
    }

    async fn join_one(&mut self) -> Result<bool, ObjectError> {
        let Some(joined) = self.sending.join_next().await else {
            return Ok(false);
        };
        self.sent.push(joined.expect("sending a part does not panic")?);
        Ok(true)
    }

    /// Makes the object of its parts.
    pub(super) async fn complete(mut self, condition: &Condition) -> Result<Written, ObjectError> {
        while self.join_one().await? {}
        self.sent.sort_by_key(|part| part.number);
        let honoured = &self.transfer.capabilities;
        let condition = self
            .transfer
            .effective_condition(
                &self.entry.path,
                condition,
                honoured.complete_absent,
                honoured.complete_matches,
            )
            .await?;
        match self
            .transfer
            .store
            .complete_upload(&self.upload, &self.sent, &condition)
            .await
        {
            Ok(written) => {
                self.guard.upload = None;
                Ok(written)
            }
            // A retry after a lost reply finds no upload: whether the object is there, one look tells.
            Err(mut error) if error.kind == StoreErrorKind::NoSuchUpload => {
                self.guard.upload = None;
                error.kind = StoreErrorKind::NotFound;
                Err(error.into())
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl Transfer {
    /// Aborts uploads of a key that began since the lease was taken.
    async fn abort_unknown_uploads(&self, key: &ObjectKey) -> Result<(), StoreError> {
        let mut uploads = list_uploads(&*self.store, key.as_str());
        while let Some(upload) = uploads.next().await.transpose()? {
            if upload.key == *key && upload.initiated.is_some_and(|began| began >= self.lease_taken) {
                self.store.abort_upload(&upload).await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_as_long_as_the_most_parts_ask_for() {
        let wanted = 8 * MIB;
        assert_eq!(part_length_bytes(100 * MIB, wanted), wanted);
        assert_eq!(part_length_bytes(80_000 * MIB, wanted), wanted);
        let tera = part_length_bytes(1 << 40, wanted);
        assert_eq!(tera, 105 * MIB);
        assert!((1u64 << 40).div_ceil(tera) <= MOST_PARTS);
    }
}
