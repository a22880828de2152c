//! Buckets that nobody named on the command line.

use std::sync::Arc;

use async_trait::async_trait;

use crate::model::Bucket;
use crate::store::Store;

/// Why a bucket could not be opened; shown, and nobody acts on it.
pub type BucketError = Box<dyn std::error::Error + Send + Sync>;

/// Opens buckets that only the ledger names, as that of a status path that is left.
#[async_trait]
pub trait Buckets: Send + Sync {
    /// Sets up the way to a bucket as to that of the export path, for single requests.
    async fn open(&self, bucket: &Bucket) -> Result<Arc<dyn Store>, BucketError>;
}
