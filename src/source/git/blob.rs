//! The bytes of blobs, within a memory budget.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::source::Body;

/// Up to here a blob is given whole and without a permit: as much as one part of a multipart upload, so that
/// what is held is bounded by how many are open at once.
const SMALL_BYTES: u64 = 8 << 20;

/// What all larger blobs that are open may hold together; one that needs more is open alone. Packed blobs
/// are put together from deltas, which takes up to twice their size while they are decoded: two blobs of
/// 32 MiB go together, and one above 64 MiB goes alone.
const BUDGET_BYTES: u64 = 128 << 20;

/// One permit stands for so much, since a semaphore cannot count bytes beyond 4 GiB.
const PERMIT_BYTES: u64 = 1 << 20;

const BUDGET_PERMITS: u32 = (BUDGET_BYTES / PERMIT_BYTES) as u32;

/// How long the slices of a large blob are.
const CHUNK_BYTES: usize = 1 << 20;

/// Who may hold a large blob in memory.
pub(super) struct Blobs {
    budget: Arc<Semaphore>,
}

/// The right to hold one blob in memory, given back on drop.
pub(super) type Permit = Option<OwnedSemaphorePermit>;

impl Blobs {
    pub(super) fn new() -> Self {
        Self {
            budget: Arc::new(Semaphore::new(BUDGET_PERMITS as usize)),
        }
    }

    /// Waits until a blob of this size may be read.
    pub(super) async fn admit(&self, size: u64) -> Permit {
        if size <= SMALL_BYTES {
            return None;
        }
        let wanted = size.saturating_mul(2).div_ceil(PERMIT_BYTES);
        let permits = u32::try_from(wanted).unwrap_or(u32::MAX).min(BUDGET_PERMITS);
        let budget = Arc::clone(&self.budget);
        Some(
            budget
                .acquire_many_owned(permits)
                .await
                .expect("the semaphore is never closed"),
        )
    }
}

/// A buffer whose permit lives as long as the last slice of it.
struct Held {
    bytes: Vec<u8>,
    _permit: Permit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Makes a body of a blob's bytes: slices of the one buffer, no copy.
pub(super) fn body(bytes: Vec<u8>, size: u64, permit: Permit) -> Body {
    if size <= SMALL_BYTES {
        return Body::Whole(Bytes::from(bytes));
    }
    let mut rest = Bytes::from_owner(Held { bytes, _permit: permit });
    // All slices fit into the channel, so that nobody has to stay behind to fill it.
    let (sender, chunks) = mpsc::channel(rest.len().div_ceil(CHUNK_BYTES).max(1));
    while !rest.is_empty() {
        let chunk = rest.split_to(rest.len().min(CHUNK_BYTES));
        sender
            .try_send(Ok(chunk))
            .expect("the channel has room for every slice");
    }
    Body::Chunks(chunks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_blob_above_64_mib_is_open_alone_until_its_last_slice_is_gone() {
        let blobs = Blobs::new();
        let permit = blobs.admit((64 << 20) + 1).await;
        let mut opened = body(vec![7; (8 << 20) + 1], (8 << 20) + 1, permit);
        let last = opened.next_chunk().await.unwrap().unwrap();
        assert!(blobs.admit(SMALL_BYTES).await.is_none(), "small ones never wait");
        drop(opened);
        assert_eq!(blobs.budget.available_permits(), 0);
        drop(last);
        assert_eq!(blobs.budget.available_permits(), BUDGET_PERMITS as usize);
        let (_one, _other) = (blobs.admit(32 << 20).await, blobs.admit(32 << 20).await);
    }

    #[tokio::test]
    async fn the_slices_of_a_large_blob_are_its_bytes_in_order() {
        let bytes: Vec<u8> = (0..(9_usize << 20) + 5).map(|at| (at % 251) as u8).collect();
        let mut opened = body(bytes.clone(), bytes.len() as u64, None);
        let mut read = Vec::new();
        while let Some(chunk) = opened.next_chunk().await.unwrap() {
            read.extend_from_slice(&chunk);
        }
        assert!(read == bytes);
    }
}
