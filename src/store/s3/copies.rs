//! The requests by which the store copies.

use std::ops::Range;

use aws_sdk_s3::types::{MetadataDirective, TaggingDirective};

use super::S3Store;
use super::object::{preconditions, with_headers};
use super::requests::{by_either, paid};
use super::text::copy_source;
use crate::model::{ETag, ObjectKey};
use crate::store::{Checksum, Condition, CopySource, ObjectHeaders, Part, RequestKind, StoreError, Upload, Written};

impl S3Store {
    /// CopyObject.
    pub(super) async fn copy_object(
        &self,
        from: &CopySource,
        to: &ObjectKey,
        condition: &Condition,
        headers: &ObjectHeaders,
    ) -> Result<Written, StoreError> {
        self.check_headers(RequestKind::Copy, to, headers)?;
        let (if_none_match, if_match) = preconditions(condition);
        let retagged = headers.class.as_ref().is_some_and(|class| class.tagging.is_some());
        by_either!(
            self,
            RequestKind::Copy,
            Some(to),
            |client, reply| {
                let request = with_headers!(paid!(self, client.copy_object()), headers, self.config())
                    .key(to.as_str())
                    .copy_source(copy_source(from))
                    .set_copy_source_if_match(from.etag.as_ref().map(ETag::quoted))
                    .metadata_directive(MetadataDirective::Replace)
                    .set_tagging_directive(retagged.then_some(TaggingDirective::Replace))
                    .set_if_none_match(if_none_match)
                    .set_if_match(if_match);
                request.customize().interceptor(reply).send()
            },
            |sent| {
                let (output, date) = sent?;
                let etag = output.copy_object_result().and_then(|result| result.e_tag());
                self.written(RequestKind::Copy, to, etag, output.version_id(), date)
            }
        )
    }

    /// UploadPartCopy.
    pub(super) async fn copy_part(
        &self,
        upload: &Upload,
        number: u16,
        from: &CopySource,
        range: Range<u64>,
    ) -> Result<Part, StoreError> {
        // S3 takes no range of a source of under 5 MiB, so all of it is asked for without one.
        let part = (range != (0..from.size)).then(|| format!("bytes={}-{}", range.start, range.end.saturating_sub(1)));
        by_either!(
            self,
            RequestKind::UploadPartCopy,
            Some(&upload.key),
            |client, reply| {
                let request = paid!(self, client.upload_part_copy())
                    .key(upload.key.as_str())
                    .upload_id(&upload.id)
                    .part_number(i32::from(number))
                    .copy_source(copy_source(from))
                    .set_copy_source_if_match(from.etag.as_ref().map(ETag::quoted))
                    .set_copy_source_range(part);
                request.customize().interceptor(reply).send()
            },
            |sent| {
                let (output, _) = sent?;
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
        )
    }
}
