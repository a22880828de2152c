//! What goes to a store and what comes back.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};

use super::StoreError;
use crate::model::{Bucket, ETag, Mark, ObjectKey};

/// A moment on the store's clock; HTTP dates have whole seconds.
pub type StoreTime = jiff::Timestamp;

/// Under which condition a write may happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Always.
    Always,
    /// Only where no object has the key (`If-None-Match: *`).
    Absent,
    /// Only where the object has this etag (`If-Match`).
    Matches(ETag),
}

/// Which checksum goes with the bytes, for the store to verify.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Checksum {
    /// CRC-64/NVME: the fastest and the strongest of the CRCs.
    Crc64Nvme,
    /// CRC-32C.
    Crc32c,
    /// CRC-32.
    Crc32,
    /// SHA-256.
    Sha256,
    /// `Content-MD5`, which nearly every store knows.
    Md5,
    /// None.
    #[default]
    None,
}

impl Checksum {
    /// All that are one, the best first: the fastest, and MD5 before the slow SHA-256.
    pub const BEST_FIRST: [Self; 5] = [Self::Crc64Nvme, Self::Crc32c, Self::Crc32, Self::Md5, Self::Sha256];
}

/// The headers and metadata of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectHeaders {
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Cache-Control`.
    pub cache_control: Option<String>,
    /// `Content-Disposition`.
    pub content_disposition: Option<String>,
    /// `Content-Encoding`.
    pub content_encoding: Option<String>,
    /// `Content-Language`.
    pub content_language: Option<String>,
    /// User metadata without the mark, keys in lower case.
    pub metadata: BTreeMap<String, String>,
    /// Whose object it is; ledger and status files have none.
    pub mark: Option<Mark>,
    /// How data objects are kept; ledger and status files have none.
    pub class: Option<Arc<WriteClass>>,
}

/// What a user asks for all data objects of an export.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct WriteClass {
    /// `--storage-class`.
    pub storage_class: Option<String>,
    /// `--acl`.
    pub acl: Option<String>,
    /// `--tagging`, as `key=value&key=value`.
    pub tagging: Option<String>,
}

/// A whole object to be written.
#[derive(Clone, Debug)]
pub struct Put {
    /// Its bytes.
    pub body: Bytes,
    /// Its headers.
    pub headers: ObjectHeaders,
    /// When it may be written.
    pub condition: Condition,
    /// Which checksum to send.
    pub checksum: Checksum,
    /// Its value as it goes into the header (base64), where the caller has it already; a store computes it
    /// otherwise, and never doubts the one given.
    pub checksum_value: Option<String>,
}

impl Put {
    /// A small object of ours: ledger, lease, status.
    pub fn new(body: impl Into<Bytes>, condition: Condition) -> Self {
        Self {
            body: body.into(),
            headers: ObjectHeaders::default(),
            condition,
            checksum: Checksum::None,
            checksum_value: None,
        }
    }
}

/// An object that a store is to copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopySource {
    /// Its bucket.
    pub bucket: Bucket,
    /// Its key.
    pub key: ObjectKey,
    /// The etag it must still have; `None` where it is written once and never again.
    pub etag: Option<ETag>,
    /// How long it is.
    pub size: u64,
}

/// The outcome of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The etag of the new object.
    pub etag: ETag,
    /// Its version, on a versioned bucket.
    pub version_id: Option<String>,
    /// The store's clock.
    pub date: Option<StoreTime>,
}

/// What is known of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectMeta {
    /// Its length.
    pub size: u64,
    /// Its etag.
    pub etag: ETag,
    /// Its version, on a versioned bucket.
    pub version_id: Option<String>,
    /// When it was written, on the store's clock.
    pub last_modified: Option<StoreTime>,
    /// The store's clock when it answered.
    pub date: Option<StoreTime>,
    /// Its headers and metadata; `class` is never filled.
    pub headers: ObjectHeaders,
}

/// An object being read.
pub struct Fetched {
    /// What is known of it; for a part of an object, `size` is that of the whole.
    pub meta: ObjectMeta,
    /// Its bytes.
    pub body: BoxStream<'static, Result<Bytes, StoreError>>,
}

impl std::fmt::Debug for Fetched {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Fetched")
            .field("meta", &self.meta)
            .finish_non_exhaustive()
    }
}

impl Fetched {
    /// Reads all bytes into memory; for what is known to be small.
    pub async fn bytes(mut self) -> Result<(ObjectMeta, Bytes), StoreError> {
        let Some(first) = self.body.next().await.transpose()? else {
            return Ok((self.meta, Bytes::new()));
        };
        let Some(second) = self.body.next().await.transpose()? else {
            return Ok((self.meta, first));
        };
        let mut all = Vec::from(first);
        all.extend_from_slice(&second);
        while let Some(chunk) = self.body.next().await.transpose()? {
            all.extend_from_slice(&chunk);
        }
        Ok((self.meta, all.into()))
    }
}

/// One row of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The key.
    pub key: ObjectKey,
    /// The length.
    pub size: u64,
    /// The etag.
    pub etag: ETag,
    /// When it was written, on the store's clock.
    pub last_modified: Option<StoreTime>,
}

/// One page of a listing. Stores need not sort as bytes do: who relies on order checks it.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// The objects.
    pub objects: Vec<Listed>,
    /// Where the next page starts; `None` on the last.
    pub next: Option<String>,
    /// The store's clock when it answered.
    pub date: Option<StoreTime>,
}

/// An upload in parts that is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// The key it will have.
    pub key: ObjectKey,
    /// The store's id of it.
    pub id: String,
    /// When it began, on the store's clock; known from a listing only.
    pub initiated: Option<StoreTime>,
}

/// One page of uploads under way.
#[derive(Clone, Debug, Default)]
pub struct UploadListing {
    /// The uploads.
    pub uploads: Vec<Upload>,
    /// Where the next page starts; `None` on the last.
    pub next: Option<String>,
}

/// A part that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its number, from 1.
    pub number: u16,
    /// Its etag.
    pub etag: ETag,
    /// The checksum that was sent with it, base64, for the final request to repeat.
    pub checksum: Option<(Checksum, String)>,
}

/// What is set for a bucket as a whole; `None` where the store or the rights do not tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BucketFacts {
    /// Whether versions are kept.
    pub versioning: Option<Versioning>,
    /// After how many days a rule aborts stale uploads; `Some(None)`: there is no such rule.
    pub abort_uploads_after_days: Option<Option<u32>>,
    /// The region, where the store says one.
    pub region: Option<String>,
}

/// Whether a bucket keeps versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Versioning {
    /// It never did.
    Off,
    /// It does.
    Enabled,
    /// It did.
    Suspended,
}

/// The kinds of request, for counts and messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RequestKind {
    /// GetObject.
    Get,
    /// HeadObject.
    Head,
    /// ListObjectsV2.
    List,
    /// PutObject.
    Put,
    /// CopyObject.
    Copy,
    /// CreateMultipartUpload.
    CreateUpload,
    /// UploadPart.
    UploadPart,
    /// UploadPartCopy.
    UploadPartCopy,
    /// CompleteMultipartUpload.
    CompleteUpload,
    /// AbortMultipartUpload.
    AbortUpload,
    /// ListMultipartUploads.
    ListUploads,
    /// DeleteObject.
    Delete,
    /// DeleteObjects.
    DeleteMany,
    /// GetBucketVersioning, GetBucketLifecycleConfiguration, GetBucketLocation.
    BucketFacts,
}

impl RequestKind {
    /// Whether it changes something in the bucket.
    pub fn is_write(self) -> bool {
        !matches!(
            self,
            Self::Get | Self::Head | Self::List | Self::ListUploads | Self::BucketFacts
        )
    }

    /// The name that S3 gives it.
    pub fn s3_name(self) -> &'static str {
        match self {
            Self::Get => "GetObject",
            Self::Head => "HeadObject",
            Self::List => "ListObjectsV2",
            Self::Put => "PutObject",
            Self::Copy => "CopyObject",
            Self::CreateUpload => "CreateMultipartUpload",
            Self::UploadPart => "UploadPart",
            Self::UploadPartCopy => "UploadPartCopy",
            Self::CompleteUpload => "CompleteMultipartUpload",
            Self::AbortUpload => "AbortMultipartUpload",
            Self::ListUploads => "ListMultipartUploads",
            Self::Delete => "DeleteObject",
            Self::DeleteMany => "DeleteObjects",
            Self::BucketFacts => "GetBucketVersioning",
        }
    }

    /// Names the rights that it needs, as policies call them.
    pub fn rights(self) -> &'static str {
        match self {
            // Without the second S3 says 403 of what does not exist.
            Self::Get | Self::Head => "s3:GetObject and s3:ListBucket",
            Self::List => "s3:ListBucket",
            Self::Put | Self::CreateUpload | Self::UploadPart | Self::CompleteUpload => "s3:PutObject",
            Self::Copy | Self::UploadPartCopy => "s3:GetObject and s3:PutObject",
            Self::AbortUpload => "s3:AbortMultipartUpload",
            Self::ListUploads => "s3:ListBucketMultipartUploads",
            Self::Delete | Self::DeleteMany => "s3:DeleteObject",
            Self::BucketFacts => "s3:GetBucketVersioning",
        }
    }
}
