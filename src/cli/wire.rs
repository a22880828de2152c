//! From jobs to the rooms of the library.

use std::num::NonZeroU64;
use std::sync::Arc;

use async_trait::async_trait;

use super::error::CliError;
use super::flags::{self, LeaseArgs};
use super::job::{ExportJob, StoreJob, TargetJob};
use super::opened::{self, Opened};
use super::origins::OriginBuckets;
use super::ui::Ui;
use crate::clock::BootClock;
use crate::disk_cache::DiskCacheConfig;
use crate::export::{BucketError, Buckets, Exporter, Rebuild};
use crate::ledger::Holder;
use crate::limits::Bandwidth;
use crate::model::Bucket;
use crate::progress::Progress;
use crate::source::Source;
use crate::store::{Addressing, Limiter, RequestCounts, RetryConfig, Retrying, S3Config, S3Store, Store};

/// So many requests at once are enough for commands that read a few small files.
pub const FEW_REQUESTS: usize = 8;

/// Opens what an export reads.
pub async fn open_exported(ui: &Ui, job: &ExportJob) -> Result<Opened, CliError> {
    let direct = OriginBuckets::of(&job.source_bytes, &job.store);
    opened::open(ui, job.source.clone(), direct).await
}

/// Puts together what runs on one export path need.
pub async fn exporter(
    source: Arc<dyn Source>,
    job: ExportJob,
    progress: Arc<dyn Progress>,
    counts: Arc<RequestCounts>,
) -> Result<Exporter, CliError> {
    let data = connect(&job.store, &job.config.export_path.bucket).await?;
    let status = if job.config.status_path.bucket == job.config.export_path.bucket {
        Arc::clone(&data)
    } else {
        connect(&job.store, &job.config.status_path.bucket).await?
    };
    Ok(exporter_on(Stores { data, status }, source, job, progress, counts))
}

/// Puts together what runs on one export path need, with stores that are open, for single requests.
pub fn exporter_on(
    stores: Stores,
    source: Arc<dyn Source>,
    job: ExportJob,
    progress: Arc<dyn Progress>,
    counts: Arc<RequestCounts>,
) -> Exporter {
    let config = job.config;
    Exporter {
        source,
        store: stores.data,
        status_store: stores.status,
        buckets: Arc::new(OtherBuckets(job.store)),
        retry: RetryConfig::default(),
        counts,
        limiter: Arc::new(Limiter::new(config.concurrency.get())),
        bandwidth: job
            .bandwidth
            .and_then(NonZeroU64::new)
            .map(|rate| Arc::new(Bandwidth::new(rate))),
        holder: Holder::this_process(),
        clock: Arc::new(BootClock),
        progress,
        config,
    }
}

/// Opens other buckets with the flags of an export.
struct OtherBuckets(StoreJob);

#[async_trait]
impl Buckets for OtherBuckets {
    async fn open(&self, bucket: &Bucket) -> Result<Arc<dyn Store>, BucketError> {
        Ok(connect(&self.0, bucket).await?)
    }
}

/// Puts together what `ledger rebuild` needs.
pub async fn rebuild(
    target: &TargetJob,
    lease: &LeaseArgs,
    cache: Option<DiskCacheConfig>,
) -> Result<Rebuild, CliError> {
    let store = connect(&target.store, &target.export_path.bucket).await?;
    let status_store = if target.status_path().bucket == target.export_path.bucket {
        Arc::clone(&store)
    } else {
        connect(&target.store, &target.status_path().bucket).await?
    };
    Ok(Rebuild {
        store,
        status_store,
        export_path: target.export_path.clone(),
        status_path: target.status_path().clone(),
        lease_ttl: lease.lease_ttl,
        lock_wait: lease.lock_wait,
        holder: Holder::this_process(),
        clock: Arc::new(BootClock),
        retry: RetryConfig::default(),
        counts: Arc::default(),
        cache,
    })
}

/// The stores of an export path and of its status path; often the same.
pub struct Stores {
    pub data: Arc<dyn Store>,
    pub status: Arc<dyn Store>,
}

/// Sets up the way to what a command looks at; requests that fail are sent again.
pub async fn connect_both(target: &TargetJob) -> Result<Stores, CliError> {
    let data = connect_retrying(&target.store, &target.export_path.bucket).await?;
    let status_bucket = &target.status_path().bucket;
    let status = if *status_bucket == target.export_path.bucket {
        Arc::clone(&data)
    } else {
        connect_retrying(&target.store, status_bucket).await?
    };
    Ok(Stores { data, status })
}

/// Sets up the way to a bucket; requests that fail are sent again.
pub async fn connect_retrying(job: &StoreJob, bucket: &Bucket) -> Result<Arc<dyn Store>, CliError> {
    let limiter = Arc::new(Limiter::new(job.concurrency));
    Ok(Arc::new(Retrying::new(
        connect(job, bucket).await?,
        Some(limiter),
        Arc::default(),
    )))
}

/// Sets up the way to a bucket, for single requests.
pub async fn connect(job: &StoreJob, bucket: &Bucket) -> Result<Arc<dyn Store>, CliError> {
    let args = &job.args;
    let config = S3Config {
        region: args.region.clone(),
        profile: args.profile.clone(),
        endpoint_url: args.endpoint_url.clone(),
        addressing: match args.addressing {
            flags::Addressing::Auto => Addressing::Auto,
            flags::Addressing::Path => Addressing::Path,
            flags::Addressing::Virtual => Addressing::Virtual,
        },
        request_payer: args.request_payer,
        expected_bucket_owner: args.expected_bucket_owner.clone(),
        sse: args.sse.clone(),
        sse_kms_key_id: args.sse_kms_key_id.clone(),
        concurrency: job.concurrency,
        network: job.network.clone(),
        ..S3Config::new(bucket.clone())
    };
    Ok(Arc::new(S3Store::connect(config).await?))
}
