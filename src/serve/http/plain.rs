//! What is no JSON of an export: the description, health and numbers.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

use super::App;
use super::error::{Answer, ApiError, ErrorReply, json};
use crate::serve::metrics;

/// That all is well.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// `ok`.
    status: &'static str,
    /// The version of the program.
    version: &'static str,
}

const HEALTH: Health = Health {
    status: "ok",
    version: env!("CARGO_PKG_VERSION"),
};

fn with_type(body: impl Into<Body>, kind: &'static str) -> Response<Body> {
    let mut response = Response::new(body.into());
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// Describe this API
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "server",
    responses((status = 200, description = "An OpenAPI document", body = Object)))]
pub async fn describe(State(app): State<App>) -> Answer {
    Ok(with_type(app.description.to_string(), "application/json"))
}

/// Say that the process answers
#[utoipa::path(get, path = "/healthz", tag = "server",
    responses((status = 200, description = "It does", body = Health)))]
pub async fn healthz() -> Answer {
    Ok(json(StatusCode::OK, &HEALTH))
}

/// Say whether all exports that are to run were begun, and the registry can be read
#[utoipa::path(get, path = "/readyz", tag = "server",
    responses(
        (status = 200, description = "They were", body = Health),
        (status = 503, description = "Not yet, or the registry cannot be read", body = ErrorReply)))]
pub async fn readyz(State(app): State<App>) -> Answer {
    if !app.keeper.is_ready() {
        let message = "the registry is being read for the first time, or the server ends";
        return Err(ApiError::later(
            StatusCode::SERVICE_UNAVAILABLE,
            message,
            "wait a moment",
        ));
    }
    Ok(json(StatusCode::OK, &HEALTH))
}

/// Give all numbers, as Prometheus reads them
#[utoipa::path(get, path = "/metrics", tag = "server",
    responses((status = 200, description = "The text format 0.0.4", content_type = "text/plain", body = String)))]
pub async fn metrics(State(app): State<App>) -> Answer {
    let keeper = &app.keeper;
    let (measured, requests) = (keeper.measure(), keeper.requests());
    let text = metrics::text(&measured, &requests, &keeper.observed(), app.listeners.count());
    Ok(with_type(text, "text/plain; version=0.0.4; charset=utf-8"))
}
