//! Events as they happen: one stream of server-sent events for each listener, and a bound on how many listen.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, Response, StatusCode, header};
use futures::stream::unfold;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::App;
use super::api::export_list;
use super::error::{Answer, ApiError, ErrorReply};
use crate::serve::event::Frame;

/// So many may listen at once: each costs a connection, and while it is slow what it has not yet taken.
const MOST_LISTENERS: usize = 128;

/// So long may nothing be said: proxies close what is silent for a minute.
const SILENCE: Duration = Duration::from_secs(15);

/// So long may a list be told again in which nothing has changed but how long ago things were.
const LIST_LASTS: Duration = Duration::from_secs(1);

/// Places for listeners, and what they are told first.
pub struct Listeners {
    places: Arc<Semaphore>,
    list: Mutex<Option<WrittenList>>,
}

/// The list of all exports as it goes over the wire: a thousand exports are megabytes, written once for all who come
/// together, and held once however slow they are.
struct WrittenList {
    bytes: Bytes,
    /// The changes that it knows of.
    changes: u64,
    at: Instant,
}

impl Default for Listeners {
    fn default() -> Self {
        Self {
            places: Arc::new(Semaphore::new(MOST_LISTENERS)),
            list: Mutex::default(),
        }
    }
}

impl Listeners {
    /// How many listen.
    pub fn count(&self) -> usize {
        MOST_LISTENERS - self.places.available_permits()
    }

    /// The list of all exports, for who listens already: of what changes from now on it is told.
    fn list(&self, app: &App) -> Bytes {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        // Read first: a change that comes meanwhile makes the list old, not wrong.
        let changes = app.keeper.events().changes();
        let known = list.take_if(|list| list.changes == changes && list.at.elapsed() < LIST_LASTS);
        let known = known.unwrap_or_else(|| WrittenList {
            bytes: written(&Frame::new("exports", &export_list(app))),
            changes,
            at: Instant::now(),
        });
        let bytes = known.bytes.clone();
        *list = Some(known);
        bytes
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
    let place = Arc::clone(&app.listeners.places).try_acquire_owned().map_err(|_| {
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
            return Some(self.app.listeners.list(&self.app));
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
                    Some(self.app.listeners.list(&self.app))
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
