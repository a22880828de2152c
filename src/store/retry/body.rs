//! A body that goes on where it broke off.

use std::ops::Range;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use tokio::time::Instant;

use super::{Patience, Retrying};
use crate::model::{ETag, ObjectKey};
use crate::store::{Fetched, RequestKind, StoreError, StoreErrorKind};

/// An object that is being read.
struct Reading {
    retrying: Retrying,
    key: ObjectKey,
    etag: ETag,
    /// What is still to come.
    left: Range<u64>,
    body: BoxStream<'static, Result<Bytes, StoreError>>,
    patience: Patience,
}

/// Lets the body of a reply go on after it broke off: the rest is asked for as a request that failed would be,
/// as often and as late. Each piece that comes makes the patience new, since a body of gigabytes may break often.
///
/// The rest must be of the same object. Where it was replaced meanwhile the error stands, since half of each is
/// neither.
pub(super) fn going_on(retrying: Retrying, key: ObjectKey, range: Option<Range<u64>>, fetched: Fetched) -> Fetched {
    let Fetched { meta, body } = fetched;
    let range = range.unwrap_or(0..meta.size);
    let reading = Reading {
        patience: Patience::new(retrying.config),
        retrying,
        key,
        etag: meta.etag.clone(),
        left: range.start..range.end.min(meta.size),
        body,
    };
    let body = stream::unfold(Some(reading), |reading| async move {
        let mut reading = reading?;
        match reading.chunk().await? {
            Ok(chunk) => Some((Ok(chunk), Some(reading))),
            Err(error) => Some((Err(error), None)),
        }
    });
    Fetched {
        meta,
        body: body.boxed(),
    }
}

impl Reading {
    async fn chunk(&mut self) -> Option<Result<Bytes, StoreError>> {
        loop {
            let begun = Instant::now();
            let error = match self.body.next().await? {
                Ok(chunk) => {
                    if !chunk.is_empty() {
                        self.patience = Patience::new(self.retrying.config);
                    }
                    self.left.start += chunk.len() as u64;
                    return Some(Ok(chunk));
                }
                Err(error) => error,
            };
            if !self.can_go_on(&error) || !self.retrying.wait(&mut self.patience, begun, &error).await {
                return Some(Err(error));
            }
            let (inner, key, left) = (&self.retrying.store, &self.key, &self.left);
            let rest = self
                .retrying
                .again(RequestKind::Get, 0, || inner.get(key, Some(left.clone())))
                .await;
            match rest {
                Ok(rest) if rest.meta.etag == self.etag => self.body = rest.body,
                // The first error says what happened to this body; the other is about another request.
                Ok(_) | Err(_) => return Some(Err(error)),
            }
        }
    }

    /// Bytes that were handed out cannot be taken back, so those that are found wrong at the end cannot be mended.
    fn can_go_on(&self, error: &StoreError) -> bool {
        error.kind != StoreErrorKind::BadDigest && !self.left.is_empty()
    }
}
