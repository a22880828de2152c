//! Webhooks: somebody says that a branch may have moved. A hint and no more: the head is read from the source.

use axum::body::{Body, Bytes};
use axum::extract::rejection::BytesRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, Response, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::App;
use super::api::body_of;
use super::error::{Answer, ApiError, ErrorReply, json};
use crate::serve::secret::Secrets;

/// What a lakeFS action says; all but these fields are of no interest.
#[derive(Debug, Deserialize, ToSchema)]
pub struct LakeFsEvent {
    /// The repository.
    repository_id: String,
    /// The branch that was committed to or merged into.
    #[serde(default)]
    branch_id: Option<String>,
}

/// What GitHub says of a push; all but these fields are of no interest.
#[derive(Debug, Deserialize, ToSchema)]
pub struct GitHubPush {
    /// The full name of what was pushed, such as `refs/heads/main`; a ping has none.
    #[serde(rename = "ref", default)]
    reference: Option<String>,
    repository: GitHubRepository,
}

#[derive(Debug, Deserialize, ToSchema)]
pub struct GitHubRepository {
    /// Owner and name.
    full_name: String,
}

/// That a hint was taken.
#[derive(Debug, Serialize, ToSchema)]
pub struct HookReply {
    /// How many exports there are of the repository.
    exports: usize,
}

/// The secret, where the sender cannot set headers.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SecretQuery {
    /// The secret.
    secret: Option<String>,
}

fn secrets(app: &App) -> Result<&Secrets, ApiError> {
    app.hook_secrets.as_deref().ok_or_else(|| {
        ApiError::new(
            StatusCode::UNAUTHORIZED,
            "this server takes no webhooks",
            "start it with --webhook-secret-file FILE",
        )
    })
}

fn wrong_secret() -> ApiError {
    ApiError::new(
        StatusCode::UNAUTHORIZED,
        "the secret is not the server's",
        "give the sender a line of the file that --webhook-secret-file names",
    )
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn parsed<'a, T: Deserialize<'a>>(body: &'a Bytes) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| {
        ApiError::bad_request(
            format!("the body is not such an event: {error}"),
            "have it sent as JSON",
        )
    })
}

fn taken(count: usize, repository: &str) -> Result<Response<Body>, ApiError> {
    if count == 0 {
        return Err(ApiError::new(
            StatusCode::NOT_FOUND,
            format!("{repository}: no export reads this repository"),
            "create one, or remove the webhook",
        ));
    }
    Ok(json(StatusCode::ACCEPTED, &HookReply { exports: count }))
}

/// Take a hint from an action of lakeFS (post-commit, post-merge)
#[utoipa::path(post, path = "/hooks/lakefs", tag = "webhooks", request_body = LakeFsEvent,
    params(SecretQuery, ("X-Lakesync-Secret" = Option<String>, Header, description = "The secret")),
    responses(
        (status = 202, description = "The exports of that branch look at it", body = HookReply),
        (status = 400, description = "The body is no such event", body = ErrorReply),
        (status = 401, description = "The secret is wrong", body = ErrorReply),
        (status = 404, description = "No export reads this repository", body = ErrorReply),
        (status = 413, description = "The body is too long", body = ErrorReply),
        (status = 429, description = "Too many requests", body = ErrorReply)))]
pub async fn lakefs(
    State(app): State<App>,
    query: Result<Query<SecretQuery>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Answer {
    let secrets = secrets(&app)?;
    // A query that cannot be read holds no secret.
    let in_query = query.ok().and_then(|Query(query)| query.secret);
    let given = text(&headers, "x-lakesync-secret").or(in_query.as_deref());
    if !given.is_some_and(|given| secrets.holds(given)) {
        return Err(wrong_secret());
    }
    let body = body_of(body)?;
    let event: LakeFsEvent = parsed(&body)?;
    let repository = event.repository_id;
    let branch = event.branch_id.as_deref().filter(|branch| !branch.is_empty());
    let count = app.keeper.hint(
        |facts| facts.lakefs_repository.as_deref() == Some(repository.as_str()),
        branch,
    );
    taken(count, &repository)
}

/// Take a hint from a push to GitHub
#[utoipa::path(post, path = "/hooks/github", tag = "webhooks", request_body = GitHubPush,
    params(("X-Hub-Signature-256" = String, Header, description = "`sha256=` and the HMAC-SHA256 of the body, in hex")),
    responses(
        (status = 202, description = "The exports of that branch look at it", body = HookReply),
        (status = 400, description = "The body is no such event", body = ErrorReply),
        (status = 401, description = "The signature is wrong", body = ErrorReply),
        (status = 404, description = "No export reads a clone of this repository", body = ErrorReply),
        (status = 413, description = "The body is too long", body = ErrorReply),
        (status = 429, description = "Too many requests", body = ErrorReply)))]
pub async fn github(State(app): State<App>, headers: HeaderMap, body: Result<Bytes, BytesRejection>) -> Answer {
    let secrets = secrets(&app)?;
    let signature = text(&headers, "x-hub-signature-256").unwrap_or_default();
    let body = body_of(body)?;
    if !secrets.signed(&body, signature) {
        return Err(wrong_secret());
    }
    let push: GitHubPush = parsed(&body)?;
    let name = push.repository.full_name;
    let reference = push.reference.as_deref();
    let branch = reference.map(|reference| reference.strip_prefix("refs/heads/").unwrap_or(reference));
    let is_clone = |remote: &String| remote.eq_ignore_ascii_case(&name);
    let count = app.keeper.hint(|facts| facts.git_remotes.iter().any(is_clone), branch);
    taken(count, &name)
}
