//! Bodies on their way to the store.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures::task::AtomicWaker;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

/// How long to wait for a store to say that it wants a body: many never say so.
const ASK_FOR: Duration = Duration::from_secs(1);

/// The bytes of one request, as they are in memory.
pub(super) struct SentBody {
    bytes: Bytes,
    /// What holds them back.
    asked: Option<Asked>,
}

/// The store was asked whether it wants a body; the timer runs from when the head has gone out.
type Asked = (Arc<Expected>, Option<Pin<Box<Sleep>>>);

/// Whether the store has said that it wants the body.
#[derive(Default)]
pub(super) struct Expected {
    is_wanted: AtomicBool,
    waker: AtomicWaker,
}

impl Expected {
    /// Lets the body go.
    pub(super) fn is_wanted(&self) {
        self.is_wanted.store(true, Ordering::Release);
        self.waker.wake();
    }
}

impl SentBody {
    pub(super) fn new(bytes: Bytes) -> Self {
        Self { bytes, asked: None }
    }

    /// One that waits until it is wanted, for as long as that may take.
    pub(super) fn asking(bytes: Bytes) -> (Self, Option<Arc<Expected>>) {
        let expected = Arc::new(Expected::default());
        let body = Self {
            bytes,
            asked: Some((Arc::clone(&expected), None)),
        };
        (body, Some(expected))
    }
}

impl Body for SentBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some((expected, timer)) = &mut self.asked {
            expected.waker.register(context.waker());
            if !expected.is_wanted.load(Ordering::Acquire) {
                // It runs from when the head has gone out, not from before there was a connection.
                let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(ASK_FOR)));
                ready!(timer.as_mut().poll(context));
            }
            self.asked = None;
        }
        let bytes = std::mem::take(&mut self.bytes);
        Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}
