//! Reads the records of ranges, from the local cache or from the bucket.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use tokio_util::task::AbortOnDropHandle;

use super::cache::RangeCache;
use super::file::read_file;
use super::folder::place;
use super::range_file::hash_in_name;
use super::{LedgerError, LedgerFolder, RangeRecords, RangeRef, Record};
use crate::disk_cache::DiskCacheConfig;
use crate::store::Store;

/// How many ranges are under way or wait, beside the one being read: enough to hide a request behind the
/// decoding of a range, at some 2 MiB each.
const AHEAD: usize = 2;

/// Reads ranges; clones share their cache.
#[derive(Clone)]
pub struct LedgerReader {
    store: Arc<dyn Store>,
    folder: LedgerFolder,
    pub(super) cache: Option<Arc<RangeCache>>,
}

impl std::fmt::Debug for LedgerReader {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("LedgerReader")
            .field("folder", &self.folder)
            .field("cache", &self.cache)
            .finish_non_exhaustive()
    }
}

impl LedgerReader {
    /// Reads the ranges of one ledger; `cache` is a folder on the local disk that keeps some of them.
    pub fn new(store: Arc<dyn Store>, folder: LedgerFolder, cache: Option<DiskCacheConfig>) -> Self {
        Self {
            store,
            folder,
            cache: cache.map(|config| Arc::new(RangeCache::new(config))),
        }
    }

    /// Reads one range. Its records are decoded as they are taken.
    ///
    /// # Errors
    ///
    /// [`LedgerError::RangeGone`]: the root may have been replaced; read it again, once.
    pub async fn read_range(&self, range: &RangeRef) -> Result<RangeRecords, LedgerError> {
        let bytes = self.fetch(range).await?;
        self.open(range, &bytes)
    }

    /// Streams the records of some ranges in the order given, while the next two ranges are fetched.
    pub fn records(&self, ranges: Vec<RangeRef>) -> BoxStream<'static, Result<Record, LedgerError>> {
        let reader = self.clone();
        let fetcher = self.clone();
        stream::iter(ranges)
            .map(move |range| {
                let fetcher = fetcher.clone();
                // A task of its own, so that it goes on while nobody polls the stream.
                let fetch = AbortOnDropHandle::new(tokio::spawn(async move {
                    let bytes = fetcher.fetch(&range).await;
                    (range, bytes)
                }));
                async {
                    fetch
                        .await
                        .expect("fetching neither panics nor is it aborted while awaited")
                }
            })
            .buffered(AHEAD + 1)
            .flat_map(move |(range, bytes)| {
                let (records, error) = match bytes.and_then(|bytes| reader.open(&range, &bytes)) {
                    Ok(records) => (Some(records), None),
                    Err(error) => (None, Some(Err(error))),
                };
                stream::iter(records.into_iter().flatten().chain(error))
            })
            .boxed()
    }

    /// Gets the bytes of a range, which are those that its name says.
    async fn fetch(&self, range: &RangeRef) -> Result<Bytes, LedgerError> {
        let key = self.folder.range(&range.name);
        let file = || place(self.store.bucket(), &key);
        let hash =
            hash_in_name(&range.name).ok_or_else(|| LedgerError::damaged(&file(), "no range has such a name"))?;
        if let Some(cache) = &self.cache {
            let (cache, name) = (Arc::clone(cache), range.name.clone());
            if let Some(bytes) = off_the_runtime(move || cache.get(&name)).await {
                return Ok(bytes);
            }
        }
        let (_, bytes) = read_file(&*self.store, &key)
            .await?
            .ok_or_else(|| LedgerError::RangeGone { file: file() })?;
        if blake3::hash(&bytes) != hash {
            return Err(LedgerError::damaged(
                &file(),
                "its bytes do not have the hash in its name",
            ));
        }
        if let Some(cache) = &self.cache {
            let (cache, name, bytes) = (Arc::clone(cache), range.name.clone(), bytes.clone());
            off_the_runtime(move || cache.put(&name, &bytes)).await;
        }
        Ok(bytes)
    }

    fn open(&self, range: &RangeRef, bytes: &[u8]) -> Result<RangeRecords, LedgerError> {
        let file = place(self.store.bucket(), &self.folder.range(&range.name));
        let records = RangeRecords::open(&file, bytes)?;
        if records.total() != range.count {
            let why = format!("it has {} records, and the root says {}", records.total(), range.count);
            return Err(LedgerError::damaged(&file, why));
        }
        Ok(records)
    }
}

/// Does what waits for the local disk where it keeps nobody else waiting.
pub(super) async fn off_the_runtime<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work)
        .await
        .expect("the cache does not panic, and blocking tasks are not aborted once they run")
}
