//! Events as they happen: one stream of server-sent events for each listener, and a bound on how many listen.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, Response, StatusCode, header};
use futures::stream::unfold;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::App;
use super::api::export_list;
use super::error::{Answer, ApiError, ErrorReply};
use crate::serve::event::Frame;

/// So many may listen at once: each costs a connection and some 100 KiB while it is slow.
const MOST_LISTENERS: usize = 128;

/// So long may nothing be said: proxies close what is silent for a minute.
const SILENCE: Duration = Duration::from_secs(15);

/// Places for listeners.
pub struct Listeners(Arc<Semaphore>);

impl Default for Listeners {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MOST_LISTENERS)))
    }
}

impl Listeners {
    /// How many listen.
    pub fn count(&self) -> usize {
        MOST_LISTENERS - self.0.available_permits()
    }
}

struct Listener {
    app: App,
    frames: Receiver<Frame>,
    stop: CancellationToken,
    /// Whether everything is to be said anew.
    is_behind: bool,
    _place: OwnedSemaphorePermit,
}

/// Listen to what happens, as server-sent events
///
/// `exports` holds all exports and comes first, and again where a slow listener has missed something; `export` holds
/// one that has changed; `progress` says how far a run is; `gone` names one that is no more.
#[utoipa::path(get, path = "/api/v1/events", tag = "events",
    responses(
        (status = 200, description = "A stream without an end", content_type = "text/event-stream", body = String),
        (status = 503, description = "Too many listen already", body = ErrorReply)))]
pub async fn events(State(app): State<App>) -> Answer {
    let place = Arc::clone(&app.listeners.0).try_acquire_owned().map_err(|_| {
        ApiError::later(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many clients listen already",
            "close some pages, or ask for /api/v1/exports now and then",
        )
    })?;
    let listener = Listener {
        frames: app.keeper.events().listen(),
        stop: app.stop.clone(),
        is_behind: true,
        app,
        _place: place,
    };
    let stream = unfold(listener, |mut listener| async move {
        let chunk = listener.next().await?;
        Some((Ok::<_, std::convert::Infallible>(chunk), listener))
    });
    let mut response = Response::new(Body::from_stream(stream));
    let kind = HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}

impl Listener {
    /// What comes next; nothing more once the server ends.
    async fn next(&mut self) -> Option<Bytes> {
        if std::mem::take(&mut self.is_behind) {
            return Some(written(&Frame::new("exports", &export_list(&self.app))));
        }
        tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            frame = self.frames.recv() => match frame {
                Ok(frame) => Some(written(&frame)),
                Err(RecvError::Closed) => None,
                Err(RecvError::Lagged(_)) => {
                    // What waits is older than the list that is to come.
                    self.frames = self.frames.resubscribe();
                    Some(written(&Frame::new("exports", &export_list(&self.app))))
                }
            },
            () = tokio::time::sleep(SILENCE) => Some(Bytes::from_static(b": still here\n\n")),
        }
    }
}

/// As it goes over the wire. JSON holds no line ends of its own.
fn written(frame: &Frame) -> Bytes {
    format!("event: {}\ndata: {}\n\n", frame.kind, frame.data).into()
}
