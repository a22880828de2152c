//! The bytes of objects straight from the store behind lakeFS, with credentials of our own.

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use tokio::sync::mpsc;

use super::objects::{CHUNKS_AHEAD, WHOLE_BYTES};
use crate::model::{CommitId, ETag, Entry, OriginObject};
use crate::source::{Body, BoxError, SourceError};

/// Reads the store behind lakeFS: this room knows no stores, so somebody else brings one.
#[async_trait]
pub trait OriginRead: Send + Sync {
    /// Begins to read an object.
    async fn read(&self, origin: &OriginObject) -> Result<OriginBytes, BoxError>;
}

/// An object of the store behind lakeFS, as it is now.
pub struct OriginBytes {
    /// Its length.
    pub size: u64,
    /// Its etag.
    pub etag: ETag,
    /// Its bytes.
    pub chunks: BoxStream<'static, Result<Bytes, BoxError>>,
}

/// Gives the bytes of an entry as they come, where they are as many as there should be.
pub(super) async fn body_of(bytes: OriginBytes, at: &CommitId, entry: &Entry) -> Result<Body, SourceError> {
    let broken = {
        let (path, commit) = (entry.path.to_string(), at.clone());
        move |source| SourceError::Object {
            path: path.clone(),
            commit: commit.clone(),
            source,
        }
    };
    let mut chunks = bytes.chunks.map_err(broken);
    if entry.size <= WHOLE_BYTES {
        let mut all = BytesMut::new();
        while let Some(chunk) = chunks.try_next().await? {
            all.extend_from_slice(&chunk);
        }
        return Ok(Body::Whole(all.freeze()));
    }
    let (sender, body) = mpsc::channel(CHUNKS_AHEAD);
    // Left alone on purpose: it ends when the object or its reader does. That there are as many bytes as there should
    // be is for the reader to see.
    tokio::spawn(async move {
        while let Some(chunk) = chunks.next().await {
            let failed = chunk.is_err();
            if sender.send(chunk).await.is_err() || failed {
                return;
            }
        }
    });
    Ok(Body::Chunks(body))
}
