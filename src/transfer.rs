//! Carries a plan out: sends, has the store copy, deletes; each write under its guard.

mod copy;
mod look;
mod multipart;
mod outside;
mod outcome;
mod put;
mod remove;
mod turns;

pub use copy::SMALLEST_PART_COPY_BYTES;
pub use look::Owners;
pub use outcome::{Outcome, Outcomes};
pub use outside::{OutsideBuckets, OutsideCopies};
pub use turns::{OutcomeSink, TransferError, carry_out};

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::limits::{Bandwidth, ByteBudget};
use crate::model::{CommitId, ETag, Entry, Mark, Prefix, RelPath};
use crate::plan::HeaderRules;
use crate::progress::Progress;
use crate::source::Source;
use crate::store::{Capabilities, Checksum, Condition, ObjectHeaders, Store, StoreError, StoreTime, WriteClass};

/// Everything that the steps of one run share.
pub struct Transfer {
    /// Where bytes come from.
    pub source: Arc<dyn Source>,
    /// The commit they are of.
    pub commit: CommitId,
    /// Where they go; fenced by the lease, and retrying.
    pub store: Arc<dyn Store>,
    /// The export path's prefix.
    pub prefix: Prefix,
    /// Whose objects are whose.
    pub owners: Owners,
    /// What the store can do.
    pub capabilities: Capabilities,
    /// Which headers an object gets.
    pub headers: Arc<HeaderRules>,
    /// How data objects are kept.
    pub class: Arc<WriteClass>,
    /// What goes with the bytes.
    pub checksum: Checksum,
    /// How many steps go side by side.
    pub concurrency: NonZeroUsize,
    /// Above this an object goes in parts of at least this length.
    pub part_size_bytes: u64,
    /// `--overwrite`.
    pub overwrite: bool,
    /// When the lease was taken: uploads under way that began earlier are not this run's.
    pub lease_taken: StoreTime,
    /// Bytes of bodies in memory.
    pub budget: ByteBudget,
    /// Bytes on the wire for each second.
    pub bandwidth: Option<Arc<Bandwidth>>,
    /// Whom to tell.
    pub progress: Arc<dyn Progress>,
    /// Stops new steps; those under way end.
    pub cancel: CancellationToken,
    /// Uploads that are being given up.
    pub aborts: TaskTracker,
    /// Whether one of them could not be given up.
    pub left_uploads: Arc<AtomicBool>,
    /// What is known of buckets that entries can be copied from.
    pub outside: OutsideBuckets,
    /// Whether the store is asked to copy from there.
    pub outside_copies: OutsideCopies,
    /// Etags of objects of this run that others are copied from, by their paths.
    pub twins: Mutex<HashMap<RelPath, ETag>>,
}

impl Transfer {
    /// The headers of an entry's object, mark and class included.
    fn object_headers(&self, entry: &Entry) -> ObjectHeaders {
        let mut headers = self.headers.headers(entry);
        headers.mark = entry.content.primary().map(|content| Mark {
            run: self.owners.run,
            content,
        });
        headers.class = Some(self.class.clone());
        headers
    }

    /// Turns a condition that the store would ignore into one look and no condition: the best there is.
    async fn effective_condition(
        &self,
        path: &RelPath,
        condition: &Condition,
        absent_honoured: bool,
        matches_honoured: bool,
    ) -> Result<Condition, StoreError> {
        match condition {
            Condition::Absent if !absent_honoured => self.expect_standing(path, None).await,
            Condition::Matches(etag) if !matches_honoured => self.expect_standing(path, Some(etag)).await,
            honoured => Ok(honoured.clone()),
        }
    }
}
