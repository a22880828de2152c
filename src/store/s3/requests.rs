//! The requests of the seam as S3 knows them.

use std::ops::Range;

use async_trait::async_trait;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart, EncodingType, MetadataDirective, RequestPayer,
    TaggingDirective,
};
use bytes::Bytes;

use super::S3Store;
use super::object::{checksum_of, object_meta, preconditions, version, with_checksum, with_headers};
use super::text::{copy_source, unsendable};
use crate::model::{Bucket, ETag, ObjectKey};
use crate::store::{
    BucketFacts, Checksum, Condition, CopySource, Fetched, Listing, ObjectHeaders, ObjectMeta, Part, Put, RequestKind,
    Store, StoreError, StoreErrorKind, StoreTime, Upload, UploadListing, Written,
};

/// The parts of a request that are the same for all of them.
macro_rules! for_bucket {
    ($store:expr, $builder:expr) => {
        $builder
            .bucket($store.config().bucket.as_str())
            .set_expected_bucket_owner($store.config().expected_bucket_owner.clone())
    };
}

macro_rules! paid {
    ($store:expr, $builder:expr) => {
        $crate::store::s3::requests::for_bucket!($store, $builder).set_request_payer($store.payer())
    };
}

pub(super) use {for_bucket, paid};

impl S3Store {
    pub(super) fn payer(&self) -> Option<RequestPayer> {
        self.config().request_payer.then_some(RequestPayer::Requester)
    }

    fn check_headers(&self, request: RequestKind, key: &ObjectKey, headers: &ObjectHeaders) -> Result<(), StoreError> {
        match unsendable(headers) {
            Some(why) => Err(self.error_of(request, Some(key), StoreErrorKind::NotSupported, why)),
            None => Ok(()),
        }
    }

    /// The etag of a reply; without it nothing could be guarded later.
    fn etag(&self, request: RequestKind, key: &ObjectKey, etag: Option<&str>) -> Result<ETag, StoreError> {
        match etag {
            Some(etag) if !etag.is_empty() => Ok(ETag::new(etag)),
            _ => {
                let why = "the store answered without an etag".to_owned();
                Err(self.error_of(request, Some(key), StoreErrorKind::NotSupported, why))
            }
        }
    }

    fn written(
        &self,
        request: RequestKind,
        key: &ObjectKey,
        etag: Option<&str>,
        version_id: Option<&str>,
        date: Option<StoreTime>,
    ) -> Result<Written, StoreError> {
        Ok(Written {
            etag: self.etag(request, key, etag)?,
            version_id: version(version_id),
            date,
        })
    }
}

#[async_trait]
impl Store for S3Store {
    fn bucket(&self) -> &Bucket {
        &self.config().bucket
    }

    async fn get(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<Fetched, StoreError> {
        self.get_object(key, range).await
    }

    async fn head(&self, key: &ObjectKey) -> Result<ObjectMeta, StoreError> {
        let (output, date) = self
            .send(RequestKind::Head, Some(key), |client, reply| {
                let request = paid!(self, client.head_object()).key(key.as_str());
                request.customize().interceptor(reply).send()
            })
            .await?;
        let size = output.content_length().and_then(|size| u64::try_from(size).ok());
        let meta = object_meta!(output, size.unwrap_or_default(), date);
        self.etag(RequestKind::Head, key, output.e_tag())?;
        Ok(meta)
    }

    async fn list(&self, prefix: &str, token: Option<&str>, limit: u16) -> Result<Listing, StoreError> {
        let (output, date) = self
            .send(RequestKind::List, None, |client, reply| {
                let request = paid!(self, client.list_objects_v2())
                    .prefix(prefix)
                    .encoding_type(EncodingType::Url)
                    .max_keys(i32::from(limit))
                    .set_continuation_token(token.map(str::to_owned));
                request.customize().interceptor(reply).send()
            })
            .await?;
        self.listing(&output, date)
    }

    async fn put(&self, key: &ObjectKey, put: Put) -> Result<Written, StoreError> {
        self.check_headers(RequestKind::Put, key, &put.headers)?;
        let checksum = match put.checksum_value {
            Some(known) => Some(known),
            None => checksum_of(put.checksum, &put.body).await,
        };
        let (if_none_match, if_match) = preconditions(&put.condition);
        let (output, date) = self
            .send(RequestKind::Put, Some(key), |client, reply| {
                // A checksum says that the bytes arrived; hashing them once more for the signature is waste.
                let checked = checksum.is_some();
                let request = with_headers!(paid!(self, client.put_object()), &put.headers, self.config());
                let request = with_checksum!(request, put.checksum, checksum)
                    .key(key.as_str())
                    .set_if_none_match(if_none_match)
                    .set_if_match(if_match)
                    .body(put.body.into());
                let request = request.customize().interceptor(reply);
                if checked {
                    request.disable_payload_signing().send()
                } else {
                    request.send()
                }
            })
            .await?;
        self.written(RequestKind::Put, key, output.e_tag(), output.version_id(), date)
    }

    async fn copy(
        &self,
        from: &CopySource,
        to: &ObjectKey,
        condition: &Condition,
        headers: &ObjectHeaders,
    ) -> Result<Written, StoreError> {
        self.check_headers(RequestKind::Copy, to, headers)?;
        let (if_none_match, if_match) = preconditions(condition);
        let retagged = headers.class.as_ref().is_some_and(|class| class.tagging.is_some());
        let (output, date) = self
            .send(RequestKind::Copy, Some(to), |client, reply| {
                let request = with_headers!(paid!(self, client.copy_object()), headers, self.config())
                    .key(to.as_str())
                    .copy_source(copy_source(from))
                    .set_copy_source_if_match(from.etag.as_ref().map(ETag::quoted))
                    .metadata_directive(MetadataDirective::Replace)
                    .set_tagging_directive(retagged.then_some(TaggingDirective::Replace))
                    .set_if_none_match(if_none_match)
                    .set_if_match(if_match);
                request.customize().interceptor(reply).send()
            })
            .await?;
        let etag = output.copy_object_result().and_then(|result| result.e_tag());
        self.written(RequestKind::Copy, to, etag, output.version_id(), date)
    }

    async fn create_upload(
        &self,
        key: &ObjectKey,
        headers: &ObjectHeaders,
        checksum: Checksum,
    ) -> Result<Upload, StoreError> {
        self.check_headers(RequestKind::CreateUpload, key, headers)?;
        let algorithm = match checksum {
            Checksum::Crc64Nvme => Some(ChecksumAlgorithm::Crc64Nvme),
            Checksum::Crc32c => Some(ChecksumAlgorithm::Crc32C),
            Checksum::Crc32 => Some(ChecksumAlgorithm::Crc32),
            Checksum::Sha256 => Some(ChecksumAlgorithm::Sha256),
            Checksum::Md5 | Checksum::None => None,
        };
        let (output, _) = self
            .send(RequestKind::CreateUpload, Some(key), |client, reply| {
                let builder = paid!(self, client.create_multipart_upload());
                let request = with_headers!(builder, headers, self.config())
                    .key(key.as_str())
                    .set_checksum_algorithm(algorithm);
                request.customize().interceptor(reply).send()
            })
            .await?;
        match output.upload_id() {
            Some(id) if !id.is_empty() => Ok(Upload {
                key: key.clone(),
                id: id.to_owned(),
                initiated: None,
            }),
            _ => {
                let why = "the store began an upload without an id".to_owned();
                Err(self.error_of(RequestKind::CreateUpload, Some(key), StoreErrorKind::NotSupported, why))
            }
        }
    }

    async fn upload_part(
        &self,
        upload: &Upload,
        number: u16,
        body: Bytes,
        checksum: Checksum,
        checksum_value: Option<String>,
    ) -> Result<Part, StoreError> {
        let text = match checksum_value {
            Some(known) => Some(known),
            None => checksum_of(checksum, &body).await,
        };
        let repeated = match checksum {
            Checksum::Md5 | Checksum::None => None,
            _ => text.clone().map(|text| (checksum, text)),
        };
        let (output, _) = self
            .send(RequestKind::UploadPart, Some(&upload.key), |client, reply| {
                let checked = text.is_some();
                let request = with_checksum!(paid!(self, client.upload_part()), checksum, text)
                    .key(upload.key.as_str())
                    .upload_id(&upload.id)
                    .part_number(i32::from(number))
                    .body(body.into());
                let request = request.customize().interceptor(reply);
                if checked {
                    request.disable_payload_signing().send()
                } else {
                    request.send()
                }
            })
            .await?;
        Ok(Part {
            number,
            etag: self.etag(RequestKind::UploadPart, &upload.key, output.e_tag())?,
            checksum: repeated,
        })
    }

    async fn upload_part_copy(
        &self,
        upload: &Upload,
        number: u16,
        from: &CopySource,
        range: Range<u64>,
    ) -> Result<Part, StoreError> {
        // S3 takes no range of a source of under 5 MiB, so all of it is asked for without one.
        let part = (range != (0..from.size)).then(|| format!("bytes={}-{}", range.start, range.end.saturating_sub(1)));
        let (output, _) = self
            .send(RequestKind::UploadPartCopy, Some(&upload.key), |client, reply| {
                let request = paid!(self, client.upload_part_copy())
                    .key(upload.key.as_str())
                    .upload_id(&upload.id)
                    .part_number(i32::from(number))
                    .copy_source(copy_source(from))
                    .set_copy_source_if_match(from.etag.as_ref().map(ETag::quoted))
                    .set_copy_source_range(part);
                request.customize().interceptor(reply).send()
            })
            .await?;
        let result = output.copy_part_result();
        let checksum = result.and_then(|part| {
            let named = [
                (Checksum::Crc64Nvme, part.checksum_crc64_nvme()),
                (Checksum::Crc32c, part.checksum_crc32_c()),
                (Checksum::Crc32, part.checksum_crc32()),
                (Checksum::Sha256, part.checksum_sha256()),
            ];
            named
                .into_iter()
                .find_map(|(kind, text)| Some((kind, text?.to_owned())))
        });
        let etag = result.and_then(|part| part.e_tag());
        Ok(Part {
            number,
            etag: self.etag(RequestKind::UploadPartCopy, &upload.key, etag)?,
            checksum,
        })
    }

    async fn complete_upload(
        &self,
        upload: &Upload,
        parts: &[Part],
        condition: &Condition,
    ) -> Result<Written, StoreError> {
        let (if_none_match, if_match) = preconditions(condition);
        let parts = parts.iter().map(|part| {
            let (kind, text) = part.checksum.clone().unzip();
            let sent = CompletedPart::builder()
                .part_number(i32::from(part.number))
                .e_tag(part.etag.quoted());
            match kind {
                Some(Checksum::Crc64Nvme) => sent.set_checksum_crc64_nvme(text),
                Some(Checksum::Crc32c) => sent.set_checksum_crc32_c(text),
                Some(Checksum::Crc32) => sent.set_checksum_crc32(text),
                Some(Checksum::Sha256) => sent.set_checksum_sha256(text),
                Some(Checksum::Md5 | Checksum::None) | None => sent,
            }
            .build()
        });
        let parts = CompletedMultipartUpload::builder()
            .set_parts(Some(parts.collect()))
            .build();
        let (output, date) = self
            .send(RequestKind::CompleteUpload, Some(&upload.key), |client, reply| {
                let request = paid!(self, client.complete_multipart_upload())
                    .key(upload.key.as_str())
                    .upload_id(&upload.id)
                    .multipart_upload(parts)
                    .set_if_none_match(if_none_match)
                    .set_if_match(if_match);
                request.customize().interceptor(reply).send()
            })
            .await?;
        let (etag, version_id) = (output.e_tag(), output.version_id());
        self.written(RequestKind::CompleteUpload, &upload.key, etag, version_id, date)
    }

    async fn abort_upload(&self, upload: &Upload) -> Result<(), StoreError> {
        let sent = self
            .send(RequestKind::AbortUpload, Some(&upload.key), |client, reply| {
                let request = paid!(self, client.abort_multipart_upload())
                    .key(upload.key.as_str())
                    .upload_id(&upload.id);
                request.customize().interceptor(reply).send()
            })
            .await;
        match sent {
            Err(error) if error.kind != StoreErrorKind::NoSuchUpload => Err(error),
            _ => Ok(()),
        }
    }

    async fn list_uploads(&self, prefix: &str, token: Option<&str>) -> Result<UploadListing, StoreError> {
        let (id, key) = token.and_then(|token| token.split_once('\n')).unzip();
        let (output, _) = self
            .send(RequestKind::ListUploads, None, |client, reply| {
                let request = paid!(self, client.list_multipart_uploads())
                    .prefix(prefix)
                    .encoding_type(EncodingType::Url)
                    .set_key_marker(key.map(str::to_owned))
                    .set_upload_id_marker(id.map(str::to_owned));
                request.customize().interceptor(reply).send()
            })
            .await?;
        self.upload_listing(&output)
    }

    async fn delete(&self, key: &ObjectKey, condition: &Condition) -> Result<(), StoreError> {
        let if_match = match condition {
            Condition::Always => None,
            Condition::Matches(etag) => Some(etag.quoted()),
            Condition::Absent => {
                let why = "what is absent cannot be deleted".to_owned();
                return Err(self.error_of(RequestKind::Delete, Some(key), StoreErrorKind::NotSupported, why));
            }
        };
        let guarded = if_match.is_some();
        let sent = self
            .send(RequestKind::Delete, Some(key), |client, reply| {
                let request = paid!(self, client.delete_object())
                    .key(key.as_str())
                    .set_if_match(if_match);
                request.customize().interceptor(reply).send()
            })
            .await;
        match sent {
            Err(error) if guarded || error.kind != StoreErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    async fn delete_many(&self, keys: &[(ObjectKey, Option<ETag>)]) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        self.delete_objects(keys).await
    }

    async fn bucket_facts(&self) -> Result<BucketFacts, StoreError> {
        self.facts().await
    }
}
