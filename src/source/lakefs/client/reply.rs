//! From an HTTP answer to what it means.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use reqwest::{Response, StatusCode, Url};
use serde::de::DeserializeOwned;

use super::super::error::{LakeFsError, LakeFsErrorKind as Kind, one_line};
use super::answers::ErrorAnswer;
use super::attempts::Failure;
use super::guard::RefusedAddress;
use super::{Ask, LakeFsClient, LakeFsRequest};
use crate::causes::links;

/// No page of a listing is near this; a server that sends more is no lakeFS.
const MOST_JSON_BYTES: usize = 64 << 20;

/// An error's message is one line, mostly; of a page for people the beginning is enough, too.
const MOST_ERROR_BYTES: usize = 64 << 10;

impl LakeFsClient {
    /// Reads the JSON of an answer.
    pub(super) async fn json<T: DeserializeOwned>(&self, ask: &Ask, response: Response) -> Result<T, Failure> {
        let response = self.good(ask, response).await?;
        if !is_json(&response) {
            return Err(self.error(ask, Kind::WebPage).into());
        }
        let Some(body) = self.whole(ask, response, MOST_JSON_BYTES).await? else {
            let problem = "its answer has no end";
            return Err(self.error(ask, Kind::BadAnswer { problem }).into());
        };
        serde_json::from_slice(&body).map_err(|error| {
            let problem = "its JSON is not what was asked for";
            LakeFsError {
                cause: Some(error.into()),
                ..self.error(ask, Kind::BadAnswer { problem })
            }
            .into()
        })
    }

    /// Passes an answer that says yes.
    pub(super) async fn good(&self, ask: &Ask, response: Response) -> Result<Response, Failure> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        if status.is_redirection() {
            // Scheme and port are told, too: often they are all that differs. The rest can be a signature.
            let at = location(&response).map(|url| url.origin().ascii_serialization());
            let at = at.unwrap_or_else(|| "nowhere".to_owned());
            return Err(self.error(ask, Kind::Redirected { at }).into());
        }
        let retry_after = retry_after(&response);
        let is_page = is_page(&response);
        // What cannot be read of an error does not matter beside the error.
        let body = self.whole(ask, response, MOST_ERROR_BYTES).await.ok().flatten();
        let body = body.unwrap_or_default();
        let message = serde_json::from_slice::<ErrorAnswer>(&body).map(|answer| answer.message);
        let said = match message {
            // Whoever stands before a store may repeat the URL, which is a key.
            _ if ask.kind == LakeFsRequest::ReadStore => None,
            Ok(message) => one_line(&message),
            Err(_) if is_page => None,
            Err(_) => std::str::from_utf8(&body).ok().and_then(one_line),
        };
        let kind = kind_of(ask, status, is_page, said.as_deref().unwrap_or_default());
        let error = LakeFsError {
            said: said.filter(|_| is_news(&kind)),
            ..self.error(ask, kind)
        };
        Err(Failure {
            error: Box::new(error),
            retry_after,
        })
    }

    /// Reads a body to its end; `None` where it is longer than that.
    pub(super) async fn whole(
        &self,
        ask: &Ask,
        mut response: Response,
        most_bytes: usize,
    ) -> Result<Option<Bytes>, Failure> {
        let mut all = BytesMut::new();
        while let Some(chunk) = self.chunk(ask, &mut response).await? {
            if all.len() + chunk.len() > most_bytes {
                return Ok(None);
            }
            all.extend_from_slice(&chunk);
        }
        Ok(Some(all.freeze()))
    }

    /// Reads the next bytes of a body, which must not take longer than bytes may fail to come.
    pub(super) async fn chunk(&self, ask: &Ask, response: &mut Response) -> Result<Option<Bytes>, LakeFsError> {
        let chunk = match tokio::time::timeout(self.inner.config.idle_timeout, response.chunk()).await {
            Ok(Ok(chunk)) => chunk,
            Ok(Err(error)) => return Err(self.transport(ask, error, Kind::CutOff)),
            Err(_) => return Err(self.error(ask, Kind::TimedOut)),
        };
        if let Some(chunk) = &chunk {
            self.inner.counts.received(chunk.len());
        }
        Ok(chunk)
    }

    /// Says what happened below HTTP; the URL, which can be a pre-signed one, stays out.
    pub(super) fn transport(&self, ask: &Ask, error: reqwest::Error, otherwise: Kind) -> LakeFsError {
        let error = error.without_url();
        let kind = if is_refused_address(&error) {
            let why = "its name leads to this machine or to its own network link";
            Kind::RefusedAddress { why }
        } else if error.is_timeout() && !error.is_connect() {
            Kind::TimedOut
        } else if error.is_connect() {
            Kind::Unreachable
        } else {
            otherwise
        };
        LakeFsError {
            cause: Some(error.into()),
            ..self.error(ask, kind)
        }
    }

    /// Makes an error about what was asked.
    pub(super) fn error(&self, ask: &Ask, kind: Kind) -> LakeFsError {
        LakeFsError {
            request: ask.kind,
            place: ask.place.clone(),
            endpoint: self.inner.config.endpoint.to_string(),
            kind,
            said: None,
            cause: None,
        }
    }
}

/// Where an answer leads; what it is relative to is the request.
pub(super) fn location(response: &Response) -> Option<Url> {
    let text = response.headers().get(LOCATION)?.to_str().ok()?;
    response.url().join(text).ok()
}

fn is_json(response: &Response) -> bool {
    has_type(response, "application/json")
}

/// Whether an answer is a page for people.
pub(super) fn is_page(response: &Response) -> bool {
    has_type(response, "text/html")
}

fn has_type(response: &Response, wanted: &str) -> bool {
    let found = response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    found.is_some_and(|found| {
        let (essence, _) = found.split_once(';').unwrap_or((found, ""));
        essence.trim().eq_ignore_ascii_case(wanted)
    })
}

fn retry_after(response: &Response) -> Option<Duration> {
    let value = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    value.trim().parse().ok().map(Duration::from_secs)
}

/// The one table from a status to what it means.
fn kind_of(ask: &Ask, status: StatusCode, is_page: bool, said: &str) -> Kind {
    if ask.kind == LakeFsRequest::ReadStore {
        return store_kind(status);
    }
    match status.as_u16() {
        // 502 and 504 come from balancers, whose server was not there: as good as a connection that broke.
        429 => Kind::Throttled,
        status @ (500 | 502 | 503 | 504) => Kind::Unavailable { status },
        // Whoever answers with a page is not the API, save where a balancer says in HTML that it is in trouble.
        _ if is_page => Kind::WebPage,
        400 => Kind::BadRequest,
        401 if said.contains("insufficient permissions") => Kind::Denied,
        401 if said.contains("authenticat") => Kind::BadKeys,
        401 => Kind::BadKeysOrDenied,
        403 => Kind::Denied,
        404 if said.contains("invalid API endpoint") => Kind::NotOffered,
        404 if said.contains("repository not found") => Kind::NoSuchRepository,
        404 => Kind::NotFound,
        410 if ask.kind.is_about_names() || said.contains("deletion") => Kind::RepositoryDeleting,
        410 => Kind::DataGone,
        405 | 501 => Kind::NotOffered,
        status if status >= 500 => Kind::Unavailable { status },
        _ => Kind::BadAnswer {
            problem: "its status is none that lakeFS has for this",
        },
    }
}

/// What a store behind lakeFS means by a status.
fn store_kind(status: StatusCode) -> Kind {
    match status.as_u16() {
        401 | 403 => Kind::Denied,
        404 | 410 => Kind::NotFound,
        412 => Kind::BytesChanged,
        429 => Kind::Throttled,
        status if status >= 500 => Kind::Unavailable { status },
        _ => Kind::BadRequest,
    }
}

/// Whether what the server says says more than the kind does.
fn is_news(kind: &Kind) -> bool {
    !matches!(
        kind,
        Kind::BadKeys | Kind::Denied | Kind::NoSuchRepository | Kind::WebPage
    )
}

fn is_refused_address(error: &reqwest::Error) -> bool {
    links(error).any(|link| link.is::<RefusedAddress>())
}
