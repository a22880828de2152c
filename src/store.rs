//! Where objects live: the seam behind which S3 and its doubles stand.
//!
//! A store is one bucket seen through one set of credentials. Its methods are single requests; what is
//! sent again, when, and whether it may be sent at all is said by the wrappers around it:
//! `Retrying` (again, later) around `Fenced` (only under a living lease) around the store itself.

mod capabilities;
mod checksum;
mod counts;
pub mod doctor;
mod error;
mod fenced;
#[cfg(any(test, feature = "testing"))]
pub mod faulty;
#[cfg(any(test, feature = "testing"))]
pub mod memory;
mod limiter;
mod observed;
mod pages;
pub mod probe;
mod request;
mod retry;
mod s3;

pub use capabilities::Capabilities;
pub use checksum::checksum_base64;
pub use counts::{RequestCounts, RequestTotals};
pub use error::{StoreError, StoreErrorKind};
pub use fenced::{Fenced, LeaseIsLost, LeaseWatch};
pub use limiter::{Limiter, Place};
pub use observed::{Observed, ObservedKind, TIME_CLASSES};
pub use pages::{list_objects, list_uploads};
pub use request::{
    BucketFacts, Checksum, Condition, CopySource, Fetched, Listed, Listing, ObjectHeaders, ObjectMeta, Part, Put,
    RequestKind, StoreTime, Upload, UploadListing, Versioning, WriteClass, Written,
};
pub use retry::{RetryConfig, Retrying};
pub use s3::{Addressing, Keys, S3Config, S3ConfigError, S3Store};

use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;

use crate::model::{Bucket, ETag, ObjectKey};

/// One bucket.
///
/// No method has a default body, so that a wrapper that forgets one does not build.
#[async_trait]
pub trait Store: Send + Sync {
    /// The bucket.
    fn bucket(&self) -> &Bucket;

    /// Reads an object, or a part of it; an open end goes past the object's without an error.
    async fn get(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<Fetched, StoreError>;

    /// Reads what is known of an object.
    async fn head(&self, key: &ObjectKey) -> Result<ObjectMeta, StoreError>;

    /// Lists keys that start with `prefix`, up to `limit` (at most 1,000), from `token` on.
    async fn list(&self, prefix: &str, token: Option<&str>, limit: u16) -> Result<Listing, StoreError>;

    /// Writes a whole object.
    async fn put(&self, key: &ObjectKey, put: Put) -> Result<Written, StoreError>;

    /// Has the store copy an object; `from` must be as it was seen, and the new one gets `headers` alone.
    async fn copy(
        &self,
        from: &CopySource,
        to: &ObjectKey,
        condition: &Condition,
        headers: &ObjectHeaders,
    ) -> Result<Written, StoreError>;

    /// Begins an upload in parts.
    async fn create_upload(
        &self,
        key: &ObjectKey,
        headers: &ObjectHeaders,
        checksum: Checksum,
    ) -> Result<Upload, StoreError>;

    /// Sends a part; numbers start at 1. `checksum_value` is as in [`Put`].
    async fn upload_part(
        &self,
        upload: &Upload,
        number: u16,
        body: Bytes,
        checksum: Checksum,
        checksum_value: Option<String>,
    ) -> Result<Part, StoreError>;

    /// Has the store copy a part from an object.
    async fn upload_part_copy(
        &self,
        upload: &Upload,
        number: u16,
        from: &CopySource,
        range: Range<u64>,
    ) -> Result<Part, StoreError>;

    /// Makes the object of its parts.
    async fn complete_upload(
        &self,
        upload: &Upload,
        parts: &[Part],
        condition: &Condition,
    ) -> Result<Written, StoreError>;

    /// Gives up an upload; one that is gone already counts as given up.
    async fn abort_upload(&self, upload: &Upload) -> Result<(), StoreError>;

    /// Lists uploads under way whose keys start with `prefix`.
    async fn list_uploads(&self, prefix: &str, token: Option<&str>) -> Result<UploadListing, StoreError>;

    /// Deletes an object; without a condition, one that is gone already counts as deleted.
    async fn delete(&self, key: &ObjectKey, condition: &Condition) -> Result<(), StoreError>;

    /// Deletes up to 1,000 objects in one request, each only with the etag given, if one is; the outcomes
    /// come in the order of the keys.
    async fn delete_many(&self, keys: &[(ObjectKey, Option<ETag>)]) -> Result<Vec<Result<(), StoreError>>, StoreError>;

    /// Asks what is set for the bucket as a whole.
    async fn bucket_facts(&self) -> Result<BucketFacts, StoreError>;
}
