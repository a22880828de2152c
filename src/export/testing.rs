//! What most tests of whole runs begin with; each changes what it is about.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{BucketError, Buckets, ExportConfig, Exporter, Guards, Hooks, LeasePolicy, StatusRecords};
use crate::clock::BootClock;
use crate::ledger::Holder;
use crate::model::{Bucket, S3Url};
use crate::plan::{HeaderRules, LastRules, OddKeys};
use crate::progress::Silent;
use crate::source::Source;
use crate::store::{Limiter, RequestCounts, RetryConfig, Store};
use crate::transfer::OutsideCopies;

/// The settings of a run that asks for nothing special; status files go to the export path.
pub fn config(export_path: &S3Url) -> ExportConfig {
    ExportConfig {
        export_path: export_path.clone(),
        status_path: export_path.clone(),
        last: Arc::default(),
        prefix_regex: None,
        headers: Arc::default(),
        class: Arc::default(),
        selection: Vec::new(),
        guards: Guards::default(),
        hooks: Hooks::default(),
        odd_keys: OddKeys::Error,
        concurrency: NonZeroUsize::new(16).expect("sixteen is not zero"),
        part_size_bytes: 8 << 20,
        outside_copies: OutsideCopies::default(),
        checksum: None,
        lease_ttl: Duration::from_secs(60),
        lock_wait: Duration::ZERO,
        lease: LeasePolicy::Auto,
        keep_status: 20,
        status_records: StatusRecords::All,
        cache: None,
    }
}

/// The rules of `--header`, in order.
///
/// # Panics
///
/// Where one is none.
pub fn headers(rules: &[&str]) -> Arc<HeaderRules> {
    let rules: Vec<String> = rules.iter().map(ToString::to_string).collect();
    Arc::new(HeaderRules::new(&rules, false, false).expect("the rules of a test are rules"))
}

/// The globs of `--last`, in order.
///
/// # Panics
///
/// Where one is none.
pub fn last(globs: &[&str]) -> Arc<LastRules> {
    let globs: Vec<String> = globs.iter().map(ToString::to_string).collect();
    Arc::new(LastRules::new(&globs).expect("the globs of a test are globs"))
}

/// Opens none.
struct NoBuckets;

#[async_trait]
impl Buckets for NoBuckets {
    async fn open(&self, bucket: &Bucket) -> Result<Arc<dyn Store>, BucketError> {
        Err(format!("{bucket} is not open to this test").into())
    }
}

/// An exporter of this process whose status files go to the same bucket.
pub fn exporter(source: impl Source + 'static, store: Arc<dyn Store>, config: ExportConfig) -> Exporter {
    Exporter {
        source: Arc::new(source),
        status_store: Arc::clone(&store),
        store,
        retry: RetryConfig::default(),
        counts: Arc::new(RequestCounts::default()),
        limiter: Arc::new(Limiter::new(config.concurrency.get())),
        config,
        buckets: Arc::new(NoBuckets),
        bandwidth: None,
        holder: Holder::this_process(),
        clock: Arc::new(BootClock),
        progress: Arc::new(Silent),
    }
}
