//! One request in the making.

use std::borrow::Cow;
use std::collections::HashMap;
use std::marker::PhantomData;

use aws_sdk_s3::types::{Delete, MetadataDirective, RequestPayer, TaggingDirective};
use bytes::Bytes;
use http::Method;

use super::super::error::Failure;
use super::super::object::LONG_TO_HASH;
use super::super::reply::{ContentMd5, ReplyDate};
use super::super::text::{encoded_key, encoded_value};
use super::reply::{ReadReply, header};
use super::signer::{SHA256_OF_NOTHING, UNSIGNED_PAYLOAD, sha256_hex};
use super::{LeanClient, xml};
use crate::store::checksum::checksum_base64;
use crate::store::{Checksum, RequestKind, StoreErrorKind};

/// Names in lower case.
pub(super) type Headers = Vec<(Cow<'static, str>, String)>;

/// One request; its setters have the names that they have in the SDK.
pub(in crate::store::s3) struct Call<R> {
    client: LeanClient,
    request: RequestKind,
    outgoing: Outgoing,
    date: Option<ReplyDate>,
    reply: PhantomData<fn() -> R>,
}

/// A request but for what signing adds.
pub(super) struct Outgoing {
    pub(super) method: Method,
    /// The key, encoded; empty for requests to the bucket.
    pub(super) path: String,
    /// Encoded, and in the order in which it is signed.
    pub(super) query: String,
    pub(super) headers: Headers,
    pub(super) body: Bytes,
    is_unsigned: bool,
}

impl Outgoing {
    /// What the signature says of the body.
    pub(super) async fn payload(&self) -> Cow<'static, str> {
        if self.is_unsigned {
            return UNSIGNED_PAYLOAD.into();
        }
        match self.body.len() {
            0 => SHA256_OF_NOTHING.into(),
            LONG_TO_HASH.. => {
                let shared = self.body.clone();
                let hashed = tokio::task::spawn_blocking(move || sha256_hex(&shared)).await;
                // It fails only while the runtime shuts down; then it does not matter who waits.
                hashed.unwrap_or_else(|_| sha256_hex(&self.body)).into()
            }
            _ => sha256_hex(&self.body).into(),
        }
    }
}

/// The bytes of a request, where the SDK has a stream: each client makes its own of them.
pub(in crate::store::s3) struct Payload(Bytes);

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

/// What the SDK calls an interceptor.
pub(in crate::store::s3) trait Hook {
    /// Takes its place in a request.
    fn hook<R>(self, call: &mut Call<R>);
}

impl Hook for ReplyDate {
    fn hook<R>(self, call: &mut Call<R>) {
        call.date = Some(self);
    }
}

impl Hook for ContentMd5 {
    fn hook<R>(self, call: &mut Call<R>) {
        let digest = checksum_base64(Checksum::Md5, &call.outgoing.body);
        call.outgoing
            .headers
            .extend(digest.map(|digest| ("content-md5".into(), digest)));
    }
}

/// Setters that each set one header.
macro_rules! headers {
    ($($setter:ident: $name:literal,)*) => {
        $(
            pub(in crate::store::s3) fn $setter(self, value: Option<String>) -> Self {
                self.header($name, value)
            }
        )*
    };
}

impl<R: ReadReply> Call<R> {
    pub(super) fn new(client: &LeanClient, method: Method, request: RequestKind) -> Self {
        Self {
            client: client.clone(),
            request,
            outgoing: Outgoing {
                method,
                path: String::new(),
                query: match request {
                    RequestKind::DeleteMany => "delete=".to_owned(),
                    _ => format!("x-id={}", request.s3_name()),
                },
                headers: Vec::with_capacity(24),
                body: Bytes::new(),
                is_unsigned: false,
            },
            date: None,
            reply: PhantomData,
        }
    }

    fn header(mut self, name: &'static str, value: Option<String>) -> Self {
        self.outgoing.headers.extend(value.map(|value| (name.into(), value)));
        self
    }

    headers! {
        set_acl: "x-amz-acl",
        set_cache_control: "cache-control",
        set_content_disposition: "content-disposition",
        set_content_encoding: "content-encoding",
        set_content_language: "content-language",
        set_content_type: "content-type",
        set_copy_source_if_match: "x-amz-copy-source-if-match",
        set_copy_source_range: "x-amz-copy-source-range",
        set_expected_bucket_owner: "x-amz-expected-bucket-owner",
        set_if_match: "if-match",
        set_if_none_match: "if-none-match",
        set_range: "range",
        set_server_side_encryption: "x-amz-server-side-encryption",
        set_ssekms_key_id: "x-amz-server-side-encryption-aws-kms-key-id",
        set_storage_class: "x-amz-storage-class",
        set_tagging: "x-amz-tagging",
    }

    /// Nothing to set: the client is for one bucket.
    pub(in crate::store::s3) fn bucket(self, _: &str) -> Self {
        self
    }

    pub(in crate::store::s3) fn key(mut self, key: &str) -> Self {
        self.outgoing.path = encoded_key(key);
        self
    }

    pub(in crate::store::s3) fn set_metadata(mut self, metadata: Option<HashMap<String, String>>) -> Self {
        let headers = metadata.into_iter().flatten();
        let named = headers.map(|(name, value)| (format!("x-amz-meta-{}", name.to_ascii_lowercase()).into(), value));
        self.outgoing.headers.extend(named);
        self
    }

    pub(in crate::store::s3) fn set_request_payer(self, payer: Option<RequestPayer>) -> Self {
        self.header("x-amz-request-payer", payer.map(|payer| payer.as_str().to_owned()))
    }

    pub(in crate::store::s3) fn checksum_crc64_nvme(self, text: String) -> Self {
        self.header("x-amz-checksum-crc64nvme", Some(text))
    }

    pub(in crate::store::s3) fn checksum_crc32_c(self, text: String) -> Self {
        self.header("x-amz-checksum-crc32c", Some(text))
    }

    pub(in crate::store::s3) fn checksum_crc32(self, text: String) -> Self {
        self.header("x-amz-checksum-crc32", Some(text))
    }

    pub(in crate::store::s3) fn checksum_sha256(self, text: String) -> Self {
        self.header("x-amz-checksum-sha256", Some(text))
    }

    pub(in crate::store::s3) fn content_md5(self, text: String) -> Self {
        self.header("content-md5", Some(text))
    }

    pub(in crate::store::s3) fn copy_source(self, source: String) -> Self {
        self.header("x-amz-copy-source", Some(source))
    }

    #[expect(clippy::needless_pass_by_value, reason = "so the SDK's setter takes it")]
    pub(in crate::store::s3) fn metadata_directive(self, directive: MetadataDirective) -> Self {
        self.header("x-amz-metadata-directive", Some(directive.as_str().to_owned()))
    }

    pub(in crate::store::s3) fn set_tagging_directive(self, directive: Option<TaggingDirective>) -> Self {
        let directive = directive.map(|directive| directive.as_str().to_owned());
        self.header("x-amz-tagging-directive", directive)
    }

    // The signature wants the parts of a query in the order of their names: partNumber, uploadId, x-id.

    pub(in crate::store::s3) fn upload_id(mut self, id: &str) -> Self {
        let query = &self.outgoing.query;
        self.outgoing.query = format!("uploadId={}&{query}", encoded_value(id));
        self
    }

    pub(in crate::store::s3) fn part_number(mut self, number: i32) -> Self {
        let query = &self.outgoing.query;
        self.outgoing.query = format!("partNumber={number}&{query}");
        self
    }

    pub(in crate::store::s3) fn body(mut self, body: Payload) -> Self {
        self.outgoing.body = body.0;
        self
    }

    #[expect(clippy::needless_pass_by_value, reason = "so the SDK's setter takes it")]
    pub(in crate::store::s3) fn delete(self, batch: Delete) -> Self {
        self.header("content-type", Some("application/xml".to_owned()))
            .body(Bytes::from(xml::batch(&batch)).into())
    }

    /// Nothing to do: what the SDK has behind this is here, too.
    pub(in crate::store::s3) fn customize(self) -> Self {
        self
    }

    pub(in crate::store::s3) fn interceptor(mut self, hook: impl Hook) -> Self {
        hook.hook(&mut self);
        self
    }

    pub(in crate::store::s3) fn disable_payload_signing(mut self) -> Self {
        self.outgoing.is_unsigned = true;
        self
    }

    pub(in crate::store::s3) async fn send(mut self) -> Result<R, Failure> {
        if matches!(
            self.request,
            RequestKind::Put | RequestKind::UploadPart | RequestKind::DeleteMany
        ) {
            let length = self.outgoing.body.len().to_string();
            self.outgoing.headers.push(("content-length".into(), length));
        }
        let client = self.client;
        let identity = client.identity().await?;
        let (head, body) = client.exchange(&identity, self.outgoing).await?.into_parts();
        if let (Some(date), Some(text)) = (&self.date, header(&head, "date")) {
            date.note(text);
        }
        let read = if head.status.is_success() {
            R::read(self.request, head, body).await
        } else {
            let bytes = body.collect().await?;
            Err(xml::refusal(self.request, &head, &bytes))
        };
        read.inspect_err(|failure| {
            if matches!(
                failure.kind,
                StoreErrorKind::BadCredentials | StoreErrorKind::ExpiredCredentials
            ) {
                client.doubt(&identity);
            }
        })
    }
}
