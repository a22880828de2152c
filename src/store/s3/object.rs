//! Objects in the SDK's words and in ours.

use std::collections::HashMap;

use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};

use super::S3Store;
use super::error::{Cause, Failure};
use crate::model::{Mark, ObjectKey};
use crate::store::checksum::checksum_base64;
use crate::store::{Checksum, Condition, ObjectHeaders, RequestKind, StoreError, StoreErrorKind};

/// From this size on, a slow checksum is computed where it holds nobody up.
const LONG_TO_HASH: usize = 256 * 1024;

/// Sets headers, metadata, class and encryption on a request that makes an object.
macro_rules! with_headers {
    ($builder:expr, $headers:expr, $config:expr) => {{
        let headers: &$crate::store::ObjectHeaders = $headers;
        let config: &$crate::store::s3::S3Config = $config;
        let class = headers.class.as_deref();
        $builder
            .set_content_type(headers.content_type.clone())
            .set_cache_control(headers.cache_control.clone())
            .set_content_disposition(headers.content_disposition.clone())
            .set_content_encoding(headers.content_encoding.clone())
            .set_content_language(headers.content_language.clone())
            .set_metadata(Some($crate::store::s3::object::sent_metadata(headers)))
            .set_storage_class(class.and_then(|class| class.storage_class.as_deref()).map(Into::into))
            .set_acl(class.and_then(|class| class.acl.as_deref()).map(Into::into))
            .set_tagging(class.and_then(|class| class.tagging.clone()))
            .set_server_side_encryption(config.sse.as_deref().map(Into::into))
            .set_ssekms_key_id(config.sse_kms_key_id.clone())
    }};
}

/// Sets a checksum on a request that has a body.
macro_rules! with_checksum {
    ($builder:expr, $kind:expr, $text:expr) => {{
        use $crate::store::Checksum;
        match ($kind, $text) {
            (Checksum::Crc64Nvme, Some(text)) => $builder.checksum_crc64_nvme(text),
            (Checksum::Crc32c, Some(text)) => $builder.checksum_crc32_c(text),
            (Checksum::Crc32, Some(text)) => $builder.checksum_crc32(text),
            (Checksum::Sha256, Some(text)) => $builder.checksum_sha256(text),
            (Checksum::Md5, Some(text)) => $builder.content_md5(text),
            (Checksum::None, _) | (_, None) => $builder,
        }
    }};
}

/// Reads what HeadObject and GetObject tell alike.
macro_rules! object_meta {
    ($output:expr, $size:expr, $date:expr) => {{
        let output = &$output;
        $crate::store::ObjectMeta {
            size: $size,
            etag: $crate::model::ETag::new(output.e_tag().unwrap_or_default()),
            version_id: $crate::store::s3::object::version(output.version_id()),
            last_modified: output.last_modified().and_then($crate::store::s3::text::store_time),
            date: $date,
            headers: $crate::store::s3::object::read_metadata(
                $crate::store::ObjectHeaders {
                    content_type: output.content_type().map(str::to_owned),
                    cache_control: output.cache_control().map(str::to_owned),
                    content_disposition: output.content_disposition().map(str::to_owned),
                    content_encoding: output.content_encoding().map(str::to_owned),
                    content_language: output.content_language().map(str::to_owned),
                    ..$crate::store::ObjectHeaders::default()
                },
                output.metadata(),
            ),
        }
    }};
}

pub(super) use {object_meta, with_checksum, with_headers};

/// The user metadata of an object, its mark among it.
pub(super) fn sent_metadata(headers: &ObjectHeaders) -> HashMap<String, String> {
    let mut metadata: HashMap<String, String> = headers.metadata.clone().into_iter().collect();
    if let Some(mark) = &headers.mark {
        metadata.insert(Mark::METADATA_KEY.to_owned(), mark.to_string());
    }
    metadata
}

/// Tells a mark from other metadata; what only looks like one stays, since the object is not ours.
pub(super) fn read_metadata(mut headers: ObjectHeaders, metadata: Option<&HashMap<String, String>>) -> ObjectHeaders {
    for (name, value) in metadata.into_iter().flatten() {
        let name = name.to_ascii_lowercase();
        match value.parse() {
            Ok(mark) if name == Mark::METADATA_KEY => headers.mark = Some(mark),
            _ => {
                headers.metadata.insert(name, value.clone());
            }
        }
    }
    headers
}

/// The version of an object; `null` is what a bucket says that keeps none.
pub(super) fn version(id: Option<&str>) -> Option<String> {
    id.filter(|id| !id.is_empty() && *id != "null").map(str::to_owned)
}

/// `If-None-Match` and `If-Match`.
pub(super) fn preconditions(condition: &Condition) -> (Option<String>, Option<String>) {
    match condition {
        Condition::Always => (None, None),
        Condition::Absent => (Some("*".to_owned()), None),
        Condition::Matches(etag) => (None, Some(etag.quoted())),
    }
}

/// Computes the checksum of a body without holding up the other requests for long.
pub(super) async fn checksum_of(kind: Checksum, body: &Bytes) -> Option<String> {
    if matches!(kind, Checksum::Sha256 | Checksum::Md5) && body.len() >= LONG_TO_HASH {
        let shared = body.clone();
        let hashed = tokio::task::spawn_blocking(move || checksum_base64(kind, &shared)).await;
        // It fails only while the runtime shuts down; then it does not matter who waits.
        hashed.unwrap_or_else(|_| checksum_base64(kind, body))
    } else {
        checksum_base64(kind, body)
    }
}

impl S3Store {
    /// The bytes of an object, as they arrive.
    pub(super) fn body(&self, key: &ObjectKey, body: ByteStream) -> BoxStream<'static, Result<Bytes, StoreError>> {
        let state = (self.clone(), key.clone(), body);
        stream::unfold(Some(state), |state| async {
            let (store, key, mut body) = state?;
            match body.next().await? {
                Ok(bytes) => Some((Ok(bytes), Some((store, key, body)))),
                Err(error) => {
                    let failed = Failure {
                        kind: StoreErrorKind::NoReply,
                        detail: Some("the body broke off".to_owned()),
                        cause: Some(Cause::new(&error)),
                    };
                    Some((Err(store.error(RequestKind::Get, Some(&key), failed)), None))
                }
            }
        })
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_survives_and_what_is_no_mark_stays_plain() {
        let mark: Mark = format!("01ARZ3NDEKTSV4RRFFQ69G5FAV/b3:{}", "ab".repeat(32))
            .parse()
            .unwrap();
        let headers = ObjectHeaders {
            metadata: [("author".to_owned(), "me".to_owned())].into(),
            mark: Some(mark),
            ..ObjectHeaders::default()
        };
        let sent = sent_metadata(&headers);
        assert_eq!(sent.len(), 2);
        assert_eq!(read_metadata(ObjectHeaders::default(), Some(&sent)), headers);

        let foreign: HashMap<String, String> = [("Lakesync".to_owned(), "not ours".to_owned())].into();
        let read = read_metadata(ObjectHeaders::default(), Some(&foreign));
        assert_eq!(read.mark, None);
        assert_eq!(read.metadata["lakesync"], "not ours");
    }

    #[test]
    fn no_version_is_what_an_unversioned_bucket_says() {
        assert_eq!(version(Some("null")), None);
        assert_eq!(version(Some("")), None);
        assert_eq!(version(Some("v1")).as_deref(), Some("v1"));
    }
}
