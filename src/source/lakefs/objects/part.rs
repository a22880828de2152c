//! Parts of objects, for who looks into a file here and there.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::{Objects, RESUMES, if_match};
use crate::model::{CommitId, Entry};
use crate::source::SourceError;
use crate::source::lakefs::client::{ByteSpan, BytesParams, Delivery, PresignedUrl};
use crate::source::lakefs::error::LakeFsErrorKind as Kind;

/// So long a URL is used again: lakeFS makes them for 15 minutes, unless it is told otherwise.
const LIFE: Duration = Duration::from_secs(300);

/// So many URLs are remembered: those of the files that are open.
const MOST: usize = 256;

/// The pre-signed URLs of objects that are read in parts.
#[derive(Default)]
pub(super) struct Urls {
    /// The newest is at the end.
    known: Mutex<VecDeque<Known>>,
}

struct Known {
    commit: CommitId,
    key: String,
    url: PresignedUrl,
    asked: Instant,
}

impl Known {
    fn is_of(&self, commit: &CommitId, key: &str) -> bool {
        self.key == key && self.commit == *commit
    }
}

impl Urls {
    fn get(&self, commit: &CommitId, key: &str) -> Option<PresignedUrl> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|known| known.asked.elapsed() < LIFE);
        let found = known.iter().find(|known| known.is_of(commit, key));
        found.map(|known| known.url.clone())
    }

    fn put(&self, commit: &CommitId, key: &str, url: PresignedUrl) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|known| !known.is_of(commit, key));
        if known.len() == MOST {
            known.pop_front();
        }
        known.push_back(Known {
            commit: commit.clone(),
            key: key.to_owned(),
            url,
            asked: Instant::now(),
        });
    }

    fn forget(&self, commit: &CommitId, key: &str) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|known| !known.is_of(commit, key));
    }
}

impl Objects {
    /// Reads a part of an object, which is not empty and lies within it; a part that breaks off is read anew.
    pub(in super::super) async fn read_part(
        &self,
        repository: &str,
        commit: &CommitId,
        key: &str,
        entry: &Entry,
        range: Range<u64>,
    ) -> Result<Bytes, SourceError> {
        let params = self.client.object_bytes(repository, commit.as_str(), key);
        let wanted = range.end - range.start;
        let mut broken = 0;
        loop {
            match self.begin_part(&params, commit, key, entry, &range).await {
                Ok(bytes) if bytes.len() as u64 == wanted => return Ok(bytes),
                Ok(_) => return Err(self.otherwise(&params, entry)),
                Err(SourceError::LakeFs(error)) if error.kind.is_passing() && broken < RESUMES => {
                    tracing::debug!(%error, "a part broke off; reading it anew");
                    broken += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn begin_part(
        &self,
        params: &BytesParams,
        commit: &CommitId,
        key: &str,
        entry: &Entry,
        range: &Range<u64>,
    ) -> Result<Bytes, SourceError> {
        let span = ByteSpan::of(range);
        let most_bytes = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        let if_match = if_match(entry);
        let mut renewed = false;
        while self.client.may_read_store() && self.client.may_presign() {
            let url = match self.urls.get(commit, key) {
                Some(url) => url,
                None => match self.client.presign(params).await? {
                    // All bytes are on their way, of which a part is wanted.
                    Delivery::Bytes(_) => break,
                    Delivery::Elsewhere(url) => {
                        self.urls.put(commit, key, url.clone());
                        url
                    }
                },
            };
            match self.client.read_presigned(params, &url, span, if_match.as_ref()).await {
                Ok(stream) => return Ok(stream.whole(most_bytes).await?),
                Err(error) if error.kind == Kind::BytesChanged => return Err(self.otherwise(params, entry)),
                Err(error) => {
                    self.urls.forget(commit, key);
                    if error.kind == Kind::Denied && !renewed {
                        renewed = true;
                        continue;
                    }
                    self.client.note_store(&error);
                    tracing::debug!(path = %entry.path, %error, "lakeFS is asked for the bytes themselves");
                    break;
                }
            }
        }
        Ok(self.client.read(params, span).await?.whole(most_bytes).await?)
    }
}
