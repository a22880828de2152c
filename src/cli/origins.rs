//! Reads the store behind lakeFS with the credentials of `--source-endpoint-url` and `--source-profile`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _};
use tokio::sync::OnceCell;

use super::error::CliError;
use super::job::{SourceBytesJob, StoreJob};
use super::wire;
use crate::model::{Bucket, OriginObject};
use crate::source::BoxError;
use crate::source::lakefs::{OriginBytes, OriginRead};
use crate::store::Store;

/// A bucket that is opened once.
type Opened = Arc<OnceCell<Arc<dyn Store>>>;

/// The buckets behind lakeFS, each opened when it is first read.
pub struct OriginBuckets {
    job: StoreJob,
    opened: Mutex<HashMap<Bucket, Opened>>,
}

impl OriginBuckets {
    /// Where the flags ask for it.
    pub fn of(job: &SourceBytesJob, store: &StoreJob) -> Option<Arc<dyn OriginRead>> {
        Some(Arc::new(Self {
            job: Self::store_of(job, store)?,
            opened: Mutex::default(),
        }))
    }

    /// How the store behind lakeFS is reached. What the flags do not say is as for the export's own store: a profile
    /// alone reads the same server as somebody else.
    pub(super) fn store_of(job: &SourceBytesJob, store: &StoreJob) -> Option<StoreJob> {
        if job.endpoint_url.is_none() && job.profile.is_none() {
            return None;
        }
        let mut store = store.clone();
        if let Some(endpoint_url) = &job.endpoint_url {
            store.args.endpoint_url = Some(endpoint_url.clone());
            // What was said of the export's server need not be so of another.
            store.args.region = None;
        }
        if let Some(profile) = &job.profile {
            store.args.profile = Some(profile.clone());
        }
        // The buckets behind lakeFS are others than the one whose owner was named.
        store.args.expected_bucket_owner = None;
        Some(store)
    }

    async fn bucket(&self, bucket: &Bucket) -> Result<Arc<dyn Store>, CliError> {
        let cell = {
            let mut opened = self.opened.lock().expect("nobody panics while holding it");
            Arc::clone(opened.entry(bucket.clone()).or_default())
        };
        let store = cell
            .get_or_try_init(|| wire::connect_retrying(&self.job, bucket))
            .await?;
        Ok(Arc::clone(store))
    }
}

#[async_trait]
impl OriginRead for OriginBuckets {
    async fn read(&self, origin: &OriginObject) -> Result<OriginBytes, BoxError> {
        let fetched = self.bucket(&origin.bucket).await?.get(&origin.key, None).await?;
        Ok(OriginBytes {
            size: fetched.meta.size,
            etag: fetched.meta.etag,
            chunks: fetched.body.map_err(BoxError::from).boxed(),
        })
    }
}
