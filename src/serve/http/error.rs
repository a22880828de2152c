//! What a request gets that cannot be answered: `{"error": {"message", "cure"}}` and the right status.

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::response::IntoResponse;
use serde::Serialize;
use utoipa::ToSchema;

use crate::causes::with_causes;
use crate::serve::definition::Complaint;
use crate::serve::keeper::KeepError;
use crate::serve::view::Difference;

/// An answer of the API.
pub type Answer = Result<Response<Body>, ApiError>;

/// Why a request was not answered.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    body: ErrorBody,
    retry_after_seconds: Option<u32>,
}

/// The body of every reply that is no success.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorReply {
    /// What is wrong.
    error: ErrorBody,
}

/// What is wrong with a request.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ErrorBody {
    /// What is wrong, in one line.
    message: String,
    /// The way out, where the message does not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    cure: Option<String>,
    /// What differs from the export of that name that there is already.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    difference: Vec<Difference>,
}

impl ApiError {
    pub fn new(status: StatusCode, message: impl Into<String>, cure: impl Into<String>) -> Self {
        Self {
            status,
            body: ErrorBody {
                message: message.into(),
                cure: Some(cure.into()),
                difference: Vec::new(),
            },
            retry_after_seconds: None,
        }
    }

    pub fn bad_request(message: impl Into<String>, cure: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message, cure)
    }

    /// Asks the client to come back a little later.
    pub fn later(status: StatusCode, message: impl Into<String>, cure: impl Into<String>) -> Self {
        Self {
            retry_after_seconds: Some(1),
            ..Self::new(status, message, cure)
        }
    }

    fn of_complaint(status: StatusCode, complaint: Complaint) -> Self {
        Self {
            status,
            body: ErrorBody {
                message: complaint.message,
                cure: complaint.cure,
                difference: Vec::new(),
            },
            retry_after_seconds: None,
        }
    }
}

impl From<KeepError> for ApiError {
    fn from(error: KeepError) -> Self {
        let message = error.to_string();
        match error {
            KeepError::Unknown { .. } => Self::new(
                StatusCode::NOT_FOUND,
                message,
                "GET /api/v1/exports lists those there are",
            ),
            KeepError::Differs { difference, .. } => {
                let cure = "stop and delete it first, or give this one another name";
                let mut error = Self::new(StatusCode::CONFLICT, message, cure);
                error.body.difference = difference;
                error
            }
            KeepError::Options(complaint) => Self::of_complaint(StatusCode::UNPROCESSABLE_ENTITY, complaint),
            KeepError::OnlyFromFiles { .. } => {
                let cure = "write it into the export's file in the registry, on the server";
                Self::new(StatusCode::FORBIDDEN, message, cure)
            }
            KeepError::Broken { complaint, .. } => {
                let cure = complaint
                    .cure
                    .unwrap_or_else(|| "mend its file in the registry".to_owned());
                Self::new(StatusCode::CONFLICT, message, cure)
            }
            KeepError::NotRunning { .. } => Self::new(StatusCode::CONFLICT, message, "start it first"),
            KeepError::Registry(error) => {
                let message = with_causes(&error);
                let cure = "look at the registry's folder on the server, and try again";
                Self::new(StatusCode::INSUFFICIENT_STORAGE, message, cure)
            }
            KeepError::Status(_) => Self::new(
                StatusCode::BAD_GATEWAY,
                message,
                "see the export's own error, and try again",
            ),
            KeepError::NoStatus { .. } => {
                Self::new(StatusCode::NOT_FOUND, message, "wait until its first run has begun")
            }
            KeepError::Moved => Self::new(StatusCode::CONFLICT, message, "begin again without `after`"),
            KeepError::BadCursor => Self::bad_request(message, "pass `next` of the page before, unchanged"),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response<Body> {
        let mut response = json(self.status, &ErrorReply { error: self.body });
        if let Some(seconds) = self.retry_after_seconds {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let bearer = HeaderValue::from_static("Bearer realm=\"lakesync\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, bearer);
        }
        response
    }
}

/// A reply with a JSON body.
pub fn json(status: StatusCode, body: &impl Serialize) -> Response<Body> {
    let bytes = serde_json::to_vec(body).expect("views are plain data");
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
