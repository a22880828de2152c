//! The requests whose replies take some reading: ranges, pages, batches, the bucket's settings.

use std::collections::BTreeMap;
use std::ops::Range;

use aws_sdk_s3::operation::list_multipart_uploads::ListMultipartUploadsOutput;
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::types::{
    BucketVersioningStatus, Delete, EncodingType, ExpirationStatus, LifecycleRule, ObjectIdentifier,
};
use futures::StreamExt as _;
use futures::stream;

use super::S3Store;
use super::error::{kind, plain};
use super::object::object_meta;
use super::reply::ContentMd5;
use super::requests::{for_bucket, paid};
use super::text::{decoded_key, store_time, whole_length};
use crate::model::{ETag, ObjectKey};
use crate::store::{
    BucketFacts, Fetched, Listed, Listing, RequestKind, Store as _, StoreError, StoreErrorKind, StoreTime, Upload,
    UploadListing, Versioning,
};

impl S3Store {
    /// GetObject. A range that starts at or past the end reads nothing, which S3 would call an error.
    pub(super) async fn get_object(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<Fetched, StoreError> {
        if range.as_ref().is_some_and(Range::is_empty) {
            return self.nothing_of(key).await;
        }
        let header = range.as_ref().map(|range| match range.end {
            u64::MAX => format!("bytes={}-", range.start),
            end => format!("bytes={}-{}", range.start, end - 1),
        });
        let sent = self
            .send(RequestKind::Get, Some(key), |client, reply| {
                let request = paid!(self, client.get_object()).key(key.as_str()).set_range(header);
                request.customize().interceptor(reply).send()
            })
            .await;
        let (output, date) = match sent {
            Err(error) if matches!(error.kind, StoreErrorKind::Refused { status: 416, .. }) => {
                return self.nothing_of(key).await;
            }
            sent => sent?,
        };
        let sent_bytes = output.content_length().and_then(|size| u64::try_from(size).ok());
        let size = output.content_range().and_then(whole_length).or(sent_bytes);
        let unasked = |range: &Range<u64>| {
            output.content_range().is_none() && (range.start > 0 || sent_bytes.is_none_or(|sent| sent > range.end))
        };
        if range.as_ref().is_some_and(unasked) {
            let why = "the store ignores Range".to_owned();
            return Err(self.error_of(RequestKind::Get, Some(key), StoreErrorKind::NotSupported, why));
        }
        let meta = object_meta!(output, size.unwrap_or_default(), date);
        Ok(Fetched {
            meta,
            body: self.body(key, output.body),
        })
    }

    async fn nothing_of(&self, key: &ObjectKey) -> Result<Fetched, StoreError> {
        Ok(Fetched {
            meta: self.head(key).await?,
            body: stream::empty().boxed(),
        })
    }

    /// A page of a listing.
    pub(super) fn listing(&self, output: &ListObjectsV2Output, date: Option<StoreTime>) -> Result<Listing, StoreError> {
        let encoded = output.encoding_type() == Some(&EncodingType::Url);
        let mut objects = Vec::with_capacity(output.contents().len());
        for object in output.contents() {
            objects.push(Listed {
                key: self.listed_key(RequestKind::List, object.key(), encoded)?,
                size: object
                    .size()
                    .and_then(|size| u64::try_from(size).ok())
                    .unwrap_or_default(),
                etag: ETag::new(object.e_tag().unwrap_or_default()),
                last_modified: object.last_modified().and_then(store_time),
            });
        }
        let next = output.next_continuation_token().filter(|token| !token.is_empty());
        let next = match (output.is_truncated(), next) {
            (Some(true), None) => return Err(self.cut_short(RequestKind::List)),
            (Some(true), Some(token)) => Some(token.to_owned()),
            _ => None,
        };
        Ok(Listing { objects, next, date })
    }

    /// A page of uploads; the token is the upload's id, a line end, and the key, which may hold anything.
    pub(super) fn upload_listing(&self, output: &ListMultipartUploadsOutput) -> Result<UploadListing, StoreError> {
        let encoded = output.encoding_type() == Some(&EncodingType::Url);
        let mut uploads = Vec::with_capacity(output.uploads().len());
        for upload in output.uploads() {
            uploads.push(Upload {
                key: self.listed_key(RequestKind::ListUploads, upload.key(), encoded)?,
                id: upload.upload_id().unwrap_or_default().to_owned(),
                initiated: upload.initiated().and_then(store_time),
            });
        }
        let next = match (output.is_truncated(), output.next_key_marker()) {
            (Some(true), None | Some("")) => return Err(self.cut_short(RequestKind::ListUploads)),
            (Some(true), marker) => {
                let key = self.listed_key(RequestKind::ListUploads, marker, encoded)?;
                let id = output.next_upload_id_marker().unwrap_or_default();
                Some(format!("{id}\n{}", key.as_str()))
            }
            _ => None,
        };
        Ok(UploadListing { uploads, next })
    }

    fn listed_key(&self, request: RequestKind, key: Option<&str>, encoded: bool) -> Result<ObjectKey, StoreError> {
        let decoded = match key {
            Some(key) if encoded => decoded_key(key),
            Some(key) => Some(ObjectKey::new(key)),
            None => None,
        };
        decoded.ok_or_else(|| {
            let why = "a listed key is missing or is not UTF-8".to_owned();
            self.error_of(request, None, StoreErrorKind::NotSupported, why)
        })
    }

    /// A page that is not the last and says not how to go on: to stop here would pass for the whole listing.
    fn cut_short(&self, request: RequestKind) -> StoreError {
        let why = "a page says that more follow, but not from where".to_owned();
        self.error_of(request, None, StoreErrorKind::NotSupported, why)
    }

    /// DeleteObjects. What is not among the errors is deleted: some stores leave `Deleted` out.
    pub(super) async fn delete_objects(
        &self,
        keys: &[(ObjectKey, Option<ETag>)],
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let objects = keys.iter().map(|(key, etag)| {
            ObjectIdentifier::builder()
                .key(key.as_str())
                .set_e_tag(etag.as_ref().map(ETag::quoted))
                .build()
                .expect("the key is set")
        });
        let batch = Delete::builder()
            .set_objects(Some(objects.collect()))
            .quiet(true)
            .build()
            .expect("the objects are set");
        let (output, _) = self
            .send(RequestKind::DeleteMany, None, |client, reply| {
                let request = paid!(self, client.delete_objects()).delete(batch);
                request.customize().interceptor(reply).interceptor(ContentMd5).send()
            })
            .await?;
        let mut errors: BTreeMap<&str, (&str, &str)> = BTreeMap::new();
        for error in output.errors() {
            let told = (error.code().unwrap_or_default(), error.message().unwrap_or_default());
            let key = error.key().unwrap_or_default();
            if !keys.iter().any(|(asked, _)| asked.as_str() == key) {
                // It is about one of ours, but nobody knows which: none may count as deleted.
                let why = format!("an error for a key that was not asked for: {} {}", told.0, told.1);
                let kind = kind(RequestKind::DeleteMany, 200, told.0, None);
                return Err(self.error_of(RequestKind::DeleteMany, None, kind, plain(&why)));
            }
            errors.insert(key, told);
        }
        let outcome = |key: &ObjectKey| match errors.get(key.as_str()) {
            None | Some(("NoSuchKey", _)) => Ok(()),
            Some((code, message)) => {
                let kind = kind(RequestKind::DeleteMany, 200, code, None);
                let why = plain(&format!("{code}: {message}"));
                Err(self.error_of(RequestKind::DeleteMany, Some(key), kind, why))
            }
        };
        Ok(keys.iter().map(|(key, _)| outcome(key)).collect())
    }

    /// The bucket's settings, each as far as the store and the rights tell it.
    pub(super) async fn facts(&self) -> Result<BucketFacts, StoreError> {
        let versioning = self.send(RequestKind::BucketFacts, None, |client, reply| {
            let request = for_bucket!(self, client.get_bucket_versioning());
            request.customize().interceptor(reply).send()
        });
        let versioning = told(versioning.await)?.map(|(output, _)| match output.status() {
            Some(BucketVersioningStatus::Enabled) => Versioning::Enabled,
            Some(BucketVersioningStatus::Suspended) => Versioning::Suspended,
            _ => Versioning::Off,
        });
        let rules = self.send(RequestKind::BucketFacts, None, |client, reply| {
            let request = for_bucket!(self, client.get_bucket_lifecycle_configuration());
            request.customize().interceptor(reply).send()
        });
        let abort_uploads_after_days = match rules.await {
            Ok((output, _)) => Some(output.rules().iter().filter_map(abort_days).min()),
            Err(error) if is_code(&error, "NoSuchLifecycleConfiguration") => Some(None),
            Err(error) => told::<()>(Err(error))?.map(|()| None),
        };
        let location = self.send(RequestKind::BucketFacts, None, |client, reply| {
            let request = for_bucket!(self, client.get_bucket_location());
            request.customize().interceptor(reply).send()
        });
        let region = told(location.await)?.map(|(output, _)| {
            match output.location_constraint().map(|place| place.as_str()) {
                // The oldest region and the oldest name of another.
                None | Some("") => "us-east-1".to_owned(),
                Some("EU") => "eu-west-1".to_owned(),
                Some(region) => region.to_owned(),
            }
        });
        Ok(BucketFacts {
            versioning,
            abort_uploads_after_days,
            region,
        })
    }
}

/// A refusal to tell is an answer, too; what would make any other request fail is not.
fn told<T>(sent: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match sent {
        Ok(output) => Ok(Some(output)),
        Err(error) if error.kind.is_fatal() || error.kind.is_transient() => Err(error),
        Err(_) => Ok(None),
    }
}

fn is_code(error: &StoreError, wanted: &str) -> bool {
    error.detail.as_deref().is_some_and(|detail| detail.contains(wanted))
}

/// After how many days a rule aborts any upload in the bucket.
fn abort_days(rule: &LifecycleRule) -> Option<u32> {
    #[expect(deprecated, reason = "old rules have their prefix there")]
    let prefix = rule.prefix();
    let narrow = rule.filter().is_some_and(|filter| {
        filter.prefix().is_some_and(|prefix| !prefix.is_empty())
            || filter.tag().is_some()
            || filter.and().is_some()
            || filter.object_size_greater_than().is_some()
            || filter.object_size_less_than().is_some()
    });
    if narrow || prefix.is_some_and(|prefix| !prefix.is_empty()) || rule.status() != &ExpirationStatus::Enabled {
        return None;
    }
    let days = rule.abort_incomplete_multipart_upload()?.days_after_initiation()?;
    u32::try_from(days).ok()
}
