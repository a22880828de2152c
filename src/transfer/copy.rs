//! Has the store copy what it holds already, where that can be guarded.

use std::ops::Range;

use crate::model::{ETag, Entry};
use crate::plan::Origin;
use crate::store::{Condition, CopySource};
use crate::switches::{Switch, is_out};

use super::Transfer;
use super::multipart::{COPY_PART_BYTES, PartUpload, part_length_bytes};
use super::outside::OutsideCopies;
use super::put::{ObjectError, Sent};

/// Above this a copy goes in parts: a single one of that length may outlive the lease, and cannot be
/// fenced by an abort.
const LARGEST_SINGLE_COPY_BYTES: u64 = 256 << 20;

/// The least that a part other than the last may be, so the least that is worth a copy in parts: below,
/// three requests cost more than sending the bytes.
pub const SMALLEST_PART_COPY_BYTES: u64 = 5 << 20;

impl Transfer {
    /// The object to copy from, where the origin names one and the store can copy it under guard.
    pub(super) fn copy_source(&self, entry: &Entry, origin: &Origin) -> Option<CopySource> {
        let (bucket, key, etag) = match origin {
            Origin::Stream => return None,
            Origin::Outside => {
                let from = entry.origin.as_deref()?;
                let is_tried = match self.outside_copies {
                    OutsideCopies::Tried => !self.outside.is_closed(&from.bucket),
                    OutsideCopies::Only => true,
                    OutsideCopies::Never => false,
                };
                if !is_tried {
                    return None;
                }
                (from.bucket.clone(), from.key.clone(), from.etag.clone())
            }
            Origin::Object { path, etag } => (self.store.bucket().clone(), self.key(path), Some(etag.clone())),
            Origin::Twin { path } => {
                // A twin that failed or is not there yet: the bytes are sent again.
                let twins = self.twins.lock().expect("nobody panics while holding it");
                let etag = twins.get(path).cloned()?;
                (self.store.bucket().clone(), self.key(path), Some(etag))
            }
        };
        let capable = &self.capabilities;
        let whole = self.copies_whole(etag.as_ref());
        let parts = capable.part_copy && capable.complete_absent && capable.complete_matches;
        let fits = if entry.size <= LARGEST_SINGLE_COPY_BYTES && whole {
            true
        } else {
            parts && entry.size > SMALLEST_PART_COPY_BYTES
        };
        fits.then_some(CopySource {
            bucket,
            key,
            etag,
            size: entry.size,
        })
    }

    /// Whether the store guards a copy in one request, of a source that must have this etag.
    fn copies_whole(&self, etag: Option<&ETag>) -> bool {
        let capable = &self.capabilities;
        (capable.copy_source_matches || etag.is_none()) && capable.copy_absent && capable.copy_matches
    }

    pub(super) async fn copy(
        &self,
        entry: &Entry,
        from: &CopySource,
        condition: &Condition,
    ) -> Result<Sent, ObjectError> {
        let mut from = from.clone();
        if is_out(Switch::CopySourceMatches) {
            let standing = self.store.head(&from.key).await?;
            (from.etag, from.size) = (Some(standing.etag), standing.size);
        }
        let from = &from;
        let whole = self.copies_whole(from.etag.as_ref());
        let written = if entry.size <= LARGEST_SINGLE_COPY_BYTES && whole {
            self.store
                .copy(from, &self.key(&entry.path), condition, &self.object_headers(entry))
                .await?
        } else {
            self.copy_in_parts(entry, from, condition).await?
        };
        self.progress.moved(entry.size);
        Ok(Sent {
            written,
            content: entry.content,
        })
    }

    async fn copy_in_parts(
        &self,
        entry: &Entry,
        from: &CopySource,
        condition: &Condition,
    ) -> Result<crate::store::Written, ObjectError> {
        let mut upload = PartUpload::begin(self, entry).await?;
        for part in parts_of(entry.size) {
            upload.copy_part(from.clone(), part).await?;
        }
        upload.complete(condition).await
    }
}

/// The parts in which an object of a length is copied.
fn parts_of(size: u64) -> impl Iterator<Item = Range<u64>> {
    let length = part_length_bytes(size, COPY_PART_BYTES);
    let count = size.div_ceil(length);
    (0..count).map(move |part| part * length..size.min((part + 1) * length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_of_any_length_is_copied_whole_in_as_many_parts_as_s3_takes() {
        const GIB: u64 = 1 << 30;
        for (size, parts) in [(1, 1), (6 * GIB, 48), (1_250 * GIB, 10_000), (50_000 * GIB, 10_000)] {
            let mut end = 0;
            let mut count = 0;
            for part in parts_of(size) {
                assert_eq!(part.start, end);
                assert!(part.end - part.start <= 5 * GIB);
                (end, count) = (part.end, count + 1);
            }
            assert_eq!((end, count), (size, parts));
        }
    }
}
