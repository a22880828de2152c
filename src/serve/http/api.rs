//! The exports, over HTTP.

use std::str::FromStr;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::App;
use super::error::{Answer, ApiError, ErrorReply, json};
use crate::serve::log::LogLine;
use crate::serve::name::ExportName;
use crate::serve::records::RecordsPage;
use crate::serve::view::{ExportRequest, ExportView, RunView};

/// So many runs, lines of a log, and records come at once where nothing was said, and at most.
const RUNS: (usize, usize) = (50, 200);
const LINES: (usize, usize) = (200, 200);
const RECORDS: (usize, usize) = (200, 1_000);

/// All exports.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExportList {
    exports: Vec<ExportView>,
    /// Why the registry could not be read the last time, if so.
    registry_error: Option<String>,
}

/// The runs of an export.
#[derive(Debug, Serialize, ToSchema)]
pub struct RunList {
    /// Newest first.
    runs: Vec<RunView>,
}

/// The log of an export.
#[derive(Debug, Serialize, ToSchema)]
pub struct LogLines {
    /// Oldest first; the last ones since the server began.
    lines: Vec<LogLine>,
}

/// Which runs.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RunQuery {
    /// At most so many; 50 unless given, at most 200.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
}

/// Which lines.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LogQuery {
    /// The newest so many; 200 unless given, which is the most.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
}

/// Which records.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RecordQuery {
    /// `next` of the page before.
    after: Option<String>,
    /// At most so many; 200 unless given, at most 1,000.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// The whole of a list of exports, for the API and for whoever begins to listen.
pub fn export_list(app: &App) -> ExportList {
    ExportList {
        exports: app.keeper.list(),
        registry_error: app.keeper.trouble(),
    }
}

/// What stands in a path where a name should; bytes that are no text, too.
type NamePath = Result<Path<String>, PathRejection>;

/// Reads a name out of a path.
fn name_of(path: NamePath) -> Result<ExportName, ApiError> {
    let unknown = |message: String| ApiError::new(StatusCode::NOT_FOUND, message, "no export has such a name");
    let Path(text) = path.map_err(|error| unknown(error.body_text()))?;
    ExportName::from_str(&text).map_err(|error| unknown(error.to_string()))
}

fn query_of<T>(query: Result<Query<T>, QueryRejection>) -> Result<T, ApiError> {
    match query {
        Ok(Query(query)) => Ok(query),
        Err(error) => Err(ApiError::bad_request(
            error.body_text(),
            "see /api/v1/openapi.json for what may be asked",
        )),
    }
}

fn limit_of(limit: Option<usize>, (usual, most): (usize, usize)) -> Result<usize, ApiError> {
    match limit.unwrap_or(usual) {
        limit if (1..=most).contains(&limit) => Ok(limit),
        _ => Err(ApiError::bad_request(
            format!("`limit` is not between 1 and {most}"),
            "ask for less, and page by page",
        )),
    }
}

/// The bytes of a body, or why there are none.
pub fn body_of(body: Result<Bytes, BytesRejection>) -> Result<Bytes, ApiError> {
    body.map_err(|error| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the body is too long",
            "send what is asked for and nothing else",
        ),
        status => ApiError::new(status, error.body_text(), "send the request again"),
    })
}

/// Reads a JSON body. A form of another page cannot send this content type.
fn json_of<T: DeserializeOwned>(headers: &HeaderMap, body: &Bytes) -> Result<T, ApiError> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).map(str::trim);
    if !kind.is_some_and(|kind| kind.eq_ignore_ascii_case("application/json")) {
        return Err(ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the body is not said to be JSON",
            "send Content-Type: application/json",
        ));
    }
    serde_json::from_slice(body).map_err(|error| {
        ApiError::bad_request(
            format!("the body is not what it should be: {error}"),
            "see /api/v1/openapi.json",
        )
    })
}

/// List all exports
#[utoipa::path(get, path = "/api/v1/exports", tag = "exports",
    responses((status = 200, description = "All of them", body = ExportList)))]
pub async fn list_exports(State(app): State<App>) -> Answer {
    Ok(json(StatusCode::OK, &export_list(&app)))
}

/// Create an export; an equal one that is there already is as good
#[utoipa::path(post, path = "/api/v1/exports", tag = "exports", request_body = ExportRequest,
    responses(
        (status = 201, description = "It is new", body = ExportView),
        (status = 200, description = "It was there, with equal options", body = ExportView),
        (status = 400, description = "The body is not what it should be", body = ErrorReply),
        (status = 403, description = "An option runs programs", body = ErrorReply),
        (status = 409, description = "It is there with other options", body = ErrorReply),
        (status = 413, description = "The body is too long", body = ErrorReply),
        (status = 415, description = "The body is not said to be JSON", body = ErrorReply),
        (status = 422, description = "The options make no export", body = ErrorReply),
        (status = 429, description = "Too many requests", body = ErrorReply),
        (status = 507, description = "The registry cannot be written", body = ErrorReply)))]
pub async fn create_export(State(app): State<App>, headers: HeaderMap, body: Result<Bytes, BytesRejection>) -> Answer {
    let request: ExportRequest = json_of(&headers, &body_of(body)?)?;
    let (is_new, view) = app.keeper.create(request).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    let mut response = json(status, &view);
    if is_new {
        let place = format!("/api/v1/exports/{}", view.name);
        let place = HeaderValue::from_str(&place).expect("a name is letters, digits and three signs");
        response.headers_mut().insert(header::LOCATION, place);
    }
    Ok(response)
}

/// Show one export
#[utoipa::path(get, path = "/api/v1/exports/{name}", tag = "exports",
    params(("name" = String, Path, description = "The name of the export", example = "data-main")),
    responses(
        (status = 200, description = "The export", body = ExportView),
        (status = 404, description = "No such export", body = ErrorReply)))]
pub async fn get_export(State(app): State<App>, name: NamePath) -> Answer {
    Ok(json(StatusCode::OK, &app.keeper.get(&name_of(name)?)?))
}

/// Take an export out of the registry; its objects, ledger and status files stay as they are
#[utoipa::path(delete, path = "/api/v1/exports/{name}", tag = "exports",
    params(("name" = String, Path, description = "The name of the export", example = "data-main")),
    responses(
        (status = 204, description = "It is gone"),
        (status = 404, description = "No such export", body = ErrorReply),
        (status = 429, description = "Too many requests", body = ErrorReply),
        (status = 507, description = "The registry cannot be written", body = ErrorReply)))]
pub async fn delete_export(State(app): State<App>, name: NamePath) -> Answer {
    app.keeper.delete(&name_of(name)?).await?;
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

/// Switch an export on
#[utoipa::path(post, path = "/api/v1/exports/{name}/start", tag = "exports",
    params(("name" = String, Path, description = "The name of the export", example = "data-main")),
    responses(
        (status = 200, description = "It has begun, or had before", body = ExportView),
        (status = 404, description = "No such export", body = ErrorReply),
        (status = 409, description = "Its file cannot be used", body = ErrorReply),
        (status = 429, description = "Too many requests", body = ErrorReply),
        (status = 507, description = "The registry cannot be written", body = ErrorReply)))]
pub async fn start_export(State(app): State<App>, name: NamePath) -> Answer {
    Ok(json(StatusCode::OK, &app.keeper.start(&name_of(name)?).await?))
}

/// Switch an export off; waits until its run has ended in good order
#[utoipa::path(post, path = "/api/v1/exports/{name}/stop", tag = "exports",
    params(("name" = String, Path, description = "The name of the export", example = "data-main")),
    responses(
        (status = 200, description = "It has ended, or is `stopping` where that takes longer", body = ExportView),
        (status = 404, description = "No such export", body = ErrorReply),
        (status = 409, description = "Its file cannot be used", body = ErrorReply),
        (status = 429, description = "Too many requests", body = ErrorReply),
        (status = 507, description = "The registry cannot be written", body = ErrorReply)))]
pub async fn stop_export(State(app): State<App>, name: NamePath) -> Answer {
    Ok(json(StatusCode::OK, &app.keeper.stop(&name_of(name)?).await?))
}

/// Look at source and store afresh, also where the next try is not yet due
#[utoipa::path(post, path = "/api/v1/exports/{name}/run", tag = "exports",
    params(("name" = String, Path, description = "The name of the export", example = "data-main")),
    responses(
        (status = 202, description = "It was told to", body = ExportView),
        (status = 404, description = "No such export", body = ErrorReply),
        (status = 409, description = "It is not running", body = ErrorReply),
        (status = 429, description = "Too many requests", body = ErrorReply)))]
pub async fn run_export(State(app): State<App>, name: NamePath) -> Answer {
    Ok(json(StatusCode::ACCEPTED, &app.keeper.run_now(&name_of(name)?)?))
}

/// List the runs of an export that are over, newest first
#[utoipa::path(get, path = "/api/v1/exports/{name}/runs", tag = "exports",
    params(("name" = String, Path, description = "The name of the export", example = "data-main"), RunQuery),
    responses(
        (status = 200, description = "The runs", body = RunList),
        (status = 400, description = "The question is not what it should be", body = ErrorReply),
        (status = 404, description = "No such export", body = ErrorReply),
        (status = 502, description = "The bucket cannot be read", body = ErrorReply)))]
pub async fn list_runs(
    State(app): State<App>,
    name: NamePath,
    query: Result<Query<RunQuery>, QueryRejection>,
) -> Answer {
    let limit = limit_of(query_of(query)?.limit, RUNS)?;
    let runs = app.keeper.runs(&name_of(name)?, limit).await?;
    Ok(json(StatusCode::OK, &RunList { runs }))
}

/// List what the runs of an export said since the server began, oldest first
#[utoipa::path(get, path = "/api/v1/exports/{name}/log", tag = "exports",
    params(("name" = String, Path, description = "The name of the export", example = "data-main"), LogQuery),
    responses(
        (status = 200, description = "The newest lines", body = LogLines),
        (status = 400, description = "The question is not what it should be", body = ErrorReply),
        (status = 404, description = "No such export", body = ErrorReply)))]
pub async fn show_log(
    State(app): State<App>,
    name: NamePath,
    query: Result<Query<LogQuery>, QueryRejection>,
) -> Answer {
    let limit = limit_of(query_of(query)?.limit, LINES)?;
    let lines = app.keeper.log(&name_of(name)?, limit)?;
    Ok(json(StatusCode::OK, &LogLines { lines }))
}

/// List the records of the newest status file, page by page
#[utoipa::path(get, path = "/api/v1/exports/{name}/records", tag = "exports",
    params(("name" = String, Path, description = "The name of the export", example = "data-main"), RecordQuery),
    responses(
        (status = 200, description = "A page of records", body = RecordsPage),
        (status = 400, description = "The question is not what it should be", body = ErrorReply),
        (status = 404, description = "No such export, or no status file yet", body = ErrorReply),
        (status = 409, description = "It is not running, or the file changed between two pages", body = ErrorReply),
        (status = 502, description = "The bucket cannot be read", body = ErrorReply)))]
pub async fn list_records(
    State(app): State<App>,
    name: NamePath,
    query: Result<Query<RecordQuery>, QueryRejection>,
) -> Answer {
    let query = query_of(query)?;
    let limit = limit_of(query.limit, RECORDS)?;
    let page = app
        .keeper
        .records(&name_of(name)?, query.after.as_deref(), limit)
        .await?;
    Ok(json(StatusCode::OK, &page))
}
