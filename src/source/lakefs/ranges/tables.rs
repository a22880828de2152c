//! The tables of one repository: fetched once, checked, kept on disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;

use super::error::{TableError, UnusableTable};
use super::id::{MetaRangeId, RangeId, TableId};
use super::metarange::MetaRange;
use super::recent::Recent;
use super::table::{Table, VerifiedTable};
use crate::disk_cache::{DiskCache, DiskCacheConfig};
use crate::source::SourceError;

/// Fetches whole tables of one repository.
#[async_trait]
pub trait TableFetch: Send + Sync {
    /// Fetches a table. What it gives is checked by the caller.
    async fn fetch(&self, table: TableId) -> Result<Bytes, SourceError>;
}

/// Tables on the local disk, by their ids.
#[derive(Debug)]
pub struct TableCache(DiskCache);

/// So many metaranges are kept in memory for who looks into a tree here and there: those of a few commits.
const RECENT_METARANGES: usize = 4;

/// So many ranges are. One has 50,000 entries and takes some MiB; 20 at most.
const RECENT_RANGES: usize = 16;

/// What the names of cached tables begin with; the id follows.
const CACHED: &str = "lakefs-";

impl TableCache {
    /// Keeps tables in a folder.
    pub fn new(config: DiskCacheConfig) -> Self {
        Self(DiskCache::new(config, is_cached_table))
    }

    fn name(table: TableId) -> String {
        format!("{CACHED}{table}")
    }
}

fn is_cached_table(name: &str) -> bool {
    name.strip_prefix(CACHED)
        .is_some_and(|id| RangeId::from_hex(id.as_bytes()).is_ok())
}

/// What reading tables took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableCounts {
    /// How many tables were fetched.
    pub fetched: u64,
    /// The bytes of those.
    pub fetched_bytes: u64,
    /// How many tables were read from the cache.
    pub cached: u64,
    /// The bytes of those.
    pub cached_bytes: u64,
    /// How many files of the cache were not what their names say.
    pub rejected: u64,
}

/// The tables of one repository. Clones share their cache and their counts.
#[derive(Clone)]
pub struct Tables {
    shared: Arc<Shared>,
}

struct Shared {
    fetch: Arc<dyn TableFetch>,
    cache: Option<TableCache>,
    recent_metaranges: Recent<MetaRangeId, Arc<MetaRange>>,
    recent_ranges: Recent<RangeId, VerifiedTable>,
    fetched: AtomicU64,
    fetched_bytes: AtomicU64,
    cached: AtomicU64,
    cached_bytes: AtomicU64,
    rejected: AtomicU64,
}

impl Tables {
    /// Reads tables with `fetch`, and keeps them in `cache`.
    pub fn new(fetch: Arc<dyn TableFetch>, cache: Option<TableCache>) -> Self {
        Self {
            shared: Arc::new(Shared {
                fetch,
                cache,
                recent_metaranges: Recent::new(RECENT_METARANGES),
                recent_ranges: Recent::new(RECENT_RANGES),
                fetched: AtomicU64::new(0),
                fetched_bytes: AtomicU64::new(0),
                cached: AtomicU64::new(0),
                cached_bytes: AtomicU64::new(0),
                rejected: AtomicU64::new(0),
            }),
        }
    }

    /// What reading took so far.
    pub fn counts(&self) -> TableCounts {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let shared = &*self.shared;
        TableCounts {
            fetched: read(&shared.fetched),
            fetched_bytes: read(&shared.fetched_bytes),
            cached: read(&shared.cached),
            cached_bytes: read(&shared.cached_bytes),
            rejected: read(&shared.rejected),
        }
    }

    /// Reads a metarange, from the cache where it is there.
    pub async fn metarange(&self, id: MetaRangeId) -> Result<MetaRange, SourceError> {
        let table = self.load(id).await?;
        let read = move || table.read().and_then(|reader| MetaRange::collect(reader, id));
        Ok(blocking(read).await?.map_err(unusable(id))?)
    }

    /// Gives a metarange that is looked into again and again.
    pub async fn recent_metarange(&self, id: MetaRangeId) -> Result<Arc<MetaRange>, SourceError> {
        let load = async { Ok(Arc::new(self.metarange(id).await?)) };
        self.shared.recent_metaranges.get(id, load).await
    }

    /// Gives a range that is looked into again and again.
    pub(super) async fn recent_range(&self, id: RangeId) -> Result<VerifiedTable, SourceError> {
        self.shared.recent_ranges.get(id, self.load(id)).await
    }

    /// Reads a table, from the cache where it is there, and all of it once, so that no record of a damaged table is
    /// ever handed out.
    pub async fn load(&self, id: impl Into<TableId>) -> Result<VerifiedTable, SourceError> {
        let id = id.into();
        let shared = Arc::clone(&self.shared);
        if let Some(table) = blocking(move || shared.read_cache(id)).await? {
            return Ok(table);
        }
        let bytes = self.shared.fetch.fetch(id).await?;
        add(&self.shared.fetched, 1);
        add(&self.shared.fetched_bytes, bytes.len() as u64);
        let shared = Arc::clone(&self.shared);
        let check = move || {
            let table = verify(bytes.clone(), id)?;
            if let Some(cache) = &shared.cache {
                cache.0.put(&TableCache::name(id), &bytes);
            }
            Ok(table)
        };
        Ok(blocking(check).await?.map_err(unusable(id))?)
    }
}

impl Shared {
    fn read_cache(&self, id: TableId) -> Option<VerifiedTable> {
        let cache = &self.cache.as_ref()?.0;
        let name = TableCache::name(id);
        let table = verify(cache.get(&name)?, id);
        match table {
            Ok(table) => {
                add(&self.cached, 1);
                add(&self.cached_bytes, table.table_bytes());
                Some(table)
            }
            Err(error) => {
                tracing::debug!(%error, file = name, "a cached table is damaged");
                add(&self.rejected, 1);
                cache.reject(&name);
                None
            }
        }
    }
}

fn verify(bytes: Bytes, id: TableId) -> Result<VerifiedTable, TableError> {
    Table::open(bytes)?.verify(id)
}

fn add(count: &AtomicU64, more: u64) {
    count.fetch_add(more, Ordering::Relaxed);
}

/// Says which table it is that cannot be used.
pub(super) fn unusable(id: impl Into<TableId>) -> impl FnOnce(TableError) -> UnusableTable {
    let table = id.into();
    move |source| UnusableTable { table, source }
}

/// Runs what computes or waits for a disk where it keeps no task waiting.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, SourceError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| SourceError::Interrupted)
}
