//! What comes back; the getters have the names that they have in the SDK.

use std::collections::HashMap;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};
use bytes::Bytes;
use http::response::Parts;
use hyper::body::{Body as _, Incoming};

use super::super::error::{Cause, Failure};
use super::super::object::Chunks;
use super::connection::Connection;
use super::connections::Connections;
use super::xml;
use crate::store::RequestKind;

/// How long a body may give no byte, as for the SDK.
const STALLED: Duration = Duration::from_secs(20);

/// More than any reply without an object has: a batch of 1,000 errors with keys of 1,024 bytes, all escaped.
const MOST_COLLECTED_BYTES: usize = 16 << 20;

/// How a body ended before its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    /// The connection broke.
    #[error("the connection broke")]
    Broken(#[source] hyper::Error),
    /// Nothing came for a while.
    #[error("no byte within {} s", STALLED.as_secs())]
    Stalled,
    /// It has no end.
    #[error("over {MOST_COLLECTED_BYTES} bytes")]
    TooLong,
}

/// The body of a reply, with the connection that it comes over.
pub(in crate::store::s3) struct ReplyBody {
    incoming: Incoming,
    connection: Option<Box<Connection>>,
    /// Where the connection goes once the body has ended.
    kept: Arc<Connections>,
}

impl ReplyBody {
    pub(super) fn new(incoming: Incoming, connection: Box<Connection>, kept: Arc<Connections>) -> Self {
        Self {
            incoming,
            connection: Some(connection),
            kept,
        }
    }

    /// The next bytes; `None` at the end.
    async fn next(&mut self) -> Option<Result<Bytes, BodyError>> {
        loop {
            let frame = std::future::poll_fn(|context| {
                let mut incoming = std::pin::Pin::new(&mut self.incoming);
                match incoming.as_mut().poll_frame(context) {
                    Poll::Pending => {}
                    ready => return ready,
                }
                if let Some(connection) = &mut self.connection {
                    connection.drive(context);
                }
                incoming.poll_frame(context)
            });
            match tokio::time::timeout(STALLED, frame).await {
                Err(_) => return Some(Err(BodyError::Stalled)),
                Ok(Some(Err(error))) => return Some(Err(BodyError::Broken(error))),
                // Trailers are nothing to us.
                Ok(Some(Ok(frame))) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Some(Ok(bytes));
                    }
                }
                Ok(None) => {
                    if let Some(connection) = self.connection.take() {
                        self.kept.give_back(connection);
                    }
                    return None;
                }
            }
        }
    }

    /// All of a body that is no object.
    pub(super) async fn collect(mut self) -> Result<Bytes, Failure> {
        let read = async {
            let Some(first) = self.next().await.transpose()? else {
                return Ok(Bytes::new());
            };
            let Some(second) = self.next().await.transpose()? else {
                return Ok(first);
            };
            let mut all = Vec::from(first);
            all.extend_from_slice(&second);
            while let Some(more) = self.next().await.transpose()? {
                if all.len() + more.len() > MOST_COLLECTED_BYTES {
                    return Err(BodyError::TooLong);
                }
                all.extend_from_slice(&more);
            }
            Ok(Bytes::from(all))
        };
        read.await.map_err(|error: BodyError| Failure::of_silence(&error))
    }
}

impl Chunks for ReplyBody {
    async fn chunk(&mut self) -> Option<Result<Bytes, Cause>> {
        let chunk = self.next().await?;
        Some(chunk.map_err(|error| Cause::new(&error)))
    }
}

/// The text of a header.
pub(super) fn header<'a>(head: &'a Parts, name: &str) -> Option<&'a str> {
    let value = head.headers.get(name)?;
    std::str::from_utf8(value.as_bytes()).ok()
}

/// Reads the reply to a request that the store says was done.
pub(in crate::store::s3) trait ReadReply: Sized + Send {
    fn read(request: RequestKind, head: Parts, body: ReplyBody) -> impl Future<Output = Result<Self, Failure>> + Send;
}

/// Getters that each read one header.
macro_rules! headers {
    ($($getter:ident: $name:literal,)*) => {
        $(
            pub(in crate::store::s3) fn $getter(&self) -> Option<&str> {
                header(&self.head, $name)
            }
        )*
    };
}

/// Of PutObject and UploadPart.
pub(in crate::store::s3) struct WrittenReply {
    head: Parts,
}

impl WrittenReply {
    headers! {
        e_tag: "etag",
        version_id: "x-amz-version-id",
    }
}

impl ReadReply for WrittenReply {
    async fn read(_: RequestKind, head: Parts, body: ReplyBody) -> Result<Self, Failure> {
        body.collect().await?;
        Ok(Self { head })
    }
}

/// Of CopyObject and UploadPartCopy.
pub(in crate::store::s3) struct CopyReply {
    head: Parts,
    copied: Copied,
}

/// What a copy tells in its body.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::store::s3) struct Copied {
    pub(super) texts: HashMap<String, String>,
}

impl Copied {
    fn text(&self, name: &str) -> Option<&str> {
        self.texts.get(name).map(String::as_str)
    }

    pub(in crate::store::s3) fn e_tag(&self) -> Option<&str> {
        self.text("ETag")
    }

    pub(in crate::store::s3) fn checksum_crc64_nvme(&self) -> Option<&str> {
        self.text("ChecksumCRC64NVME")
    }

    pub(in crate::store::s3) fn checksum_crc32_c(&self) -> Option<&str> {
        self.text("ChecksumCRC32C")
    }

    pub(in crate::store::s3) fn checksum_crc32(&self) -> Option<&str> {
        self.text("ChecksumCRC32")
    }

    pub(in crate::store::s3) fn checksum_sha256(&self) -> Option<&str> {
        self.text("ChecksumSHA256")
    }
}

impl CopyReply {
    headers! {
        version_id: "x-amz-version-id",
    }

    pub(in crate::store::s3) fn copy_object_result(&self) -> Option<&Copied> {
        Some(&self.copied)
    }

    pub(in crate::store::s3) fn copy_part_result(&self) -> Option<&Copied> {
        Some(&self.copied)
    }
}

impl ReadReply for CopyReply {
    async fn read(request: RequestKind, head: Parts, body: ReplyBody) -> Result<Self, Failure> {
        let bytes = body.collect().await?;
        let copied = xml::copied(request, &head, &bytes)?;
        Ok(Self { head, copied })
    }
}

/// Of GetObject.
pub(in crate::store::s3) struct ObjectReply {
    head: Parts,
    last_modified: Option<DateTime>,
    metadata: HashMap<String, String>,
    pub(in crate::store::s3) body: ReplyBody,
}

impl ObjectReply {
    headers! {
        cache_control: "cache-control",
        content_disposition: "content-disposition",
        content_encoding: "content-encoding",
        content_language: "content-language",
        content_range: "content-range",
        content_type: "content-type",
        e_tag: "etag",
        version_id: "x-amz-version-id",
    }

    pub(in crate::store::s3) fn content_length(&self) -> Option<i64> {
        header(&self.head, "content-length")?.parse().ok()
    }

    pub(in crate::store::s3) fn last_modified(&self) -> Option<&DateTime> {
        self.last_modified.as_ref()
    }

    pub(in crate::store::s3) fn metadata(&self) -> Option<&HashMap<String, String>> {
        Some(&self.metadata)
    }
}

impl ReadReply for ObjectReply {
    async fn read(_: RequestKind, head: Parts, body: ReplyBody) -> Result<Self, Failure> {
        let mut metadata = HashMap::new();
        for (name, value) in &head.headers {
            if let Some(name) = name.as_str().strip_prefix("x-amz-meta-") {
                // Leaving it out would make another object of it.
                let value = std::str::from_utf8(value.as_bytes()).map_err(|error| Failure::of_silence(&error))?;
                metadata.insert(name.to_owned(), value.to_owned());
            }
        }
        let last_modified = header(&head, "last-modified");
        let last_modified = last_modified.and_then(|text| DateTime::from_str(text, DateTimeFormat::HttpDate).ok());
        Ok(Self {
            head,
            last_modified,
            metadata,
            body,
        })
    }
}

/// Of DeleteObjects.
pub(in crate::store::s3) struct BatchReply {
    errors: Vec<BatchError>,
}

/// Why one key of a batch was not deleted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::store::s3) struct BatchError {
    pub(super) key: Option<String>,
    pub(super) code: Option<String>,
    pub(super) message: Option<String>,
}

impl BatchError {
    pub(in crate::store::s3) fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    pub(in crate::store::s3) fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    pub(in crate::store::s3) fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }
}

impl BatchReply {
    pub(in crate::store::s3) fn errors(&self) -> &[BatchError] {
        &self.errors
    }
}

impl ReadReply for BatchReply {
    async fn read(request: RequestKind, head: Parts, body: ReplyBody) -> Result<Self, Failure> {
        let bytes = body.collect().await?;
        let errors = xml::batch_errors(request, &head, &bytes)?;
        Ok(Self { errors })
    }
}
