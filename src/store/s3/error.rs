//! From what the SDK reports to what anybody acts on.

use std::error::Error;
use std::sync::LazyLock;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::RequestId as _;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use regex::Regex;

use crate::causes::links;
use crate::store::{RequestKind, StoreErrorKind};

/// How much of a store's own words goes into a message.
const LONGEST_WORDS: usize = 300;

/// What went wrong, in our words; where it went wrong is added by the caller.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) kind: StoreErrorKind,
    pub(super) detail: Option<String>,
    pub(super) cause: Option<Cause>,
}

/// The chain of causes of a failed connection as one line. The SDK's own errors are not kept, since nobody
/// can say what their `Debug` shows.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Cause(String);

impl Cause {
    /// Writes down a chain of errors.
    pub(super) fn new(error: &(dyn Error + 'static)) -> Self {
        Self(plain(&chain_text(error)))
    }
}

/// Says what an error of the SDK means for a request.
pub(super) fn failure<E>(request: RequestKind, error: &SdkError<E, HttpResponse>) -> Failure
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let Some(response) = error.raw_response() else {
        return without_reply(error);
    };
    let status = response.status().as_u16();
    let body = response.body().bytes().unwrap_or_default();
    let code = error.code().unwrap_or_default();
    let region = response
        .headers()
        .get("x-amz-bucket-region")
        .map(str::to_owned)
        .or_else(|| element(body, "Region"));
    let kind = if matches!(error, SdkError::ResponseError(_)) && (200..300).contains(&status) {
        // The request was done, but the reply broke off or cannot be read.
        StoreErrorKind::NoReply
    } else {
        kind(request, status, code, region)
    };
    let mut detail = format!("{status} {code}").trim_end().to_owned();
    if let Some(message) = error.message().filter(|message| !message.is_empty()) {
        detail.push_str(": ");
        detail.push_str(message);
    }
    let id = response
        .request_id()
        .map(str::to_owned)
        .or_else(|| element(body, "RequestId"));
    if let Some(id) = id {
        detail.push_str("; request id ");
        detail.push_str(&id);
    }
    Failure {
        cause: matches!(kind, StoreErrorKind::NoReply).then(|| Cause::new(error)),
        kind,
        detail: Some(plain(&detail)),
    }
}

/// Which kind a reply is: by S3's code first, since stores agree on codes better than on statuses.
pub(super) fn kind(request: RequestKind, status: u16, code: &str, region: Option<String>) -> StoreErrorKind {
    use StoreErrorKind as Kind;
    match code {
        "NoSuchKey" | "NoSuchVersion" => Kind::NotFound,
        "NoSuchBucket" => Kind::NoSuchBucket,
        "NoSuchUpload" => Kind::NoSuchUpload,
        "PreconditionFailed" => Kind::ConditionFailed,
        "ConditionalRequestConflict" | "OperationAborted" => Kind::Conflict,
        "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "InvalidToken" | "InvalidSecurity" => Kind::BadCredentials,
        "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" | "RequestExpired" => {
            Kind::ExpiredCredentials
        }
        "RequestTimeTooSkewed" => Kind::ClockSkew,
        "AuthorizationHeaderMalformed" if region.is_none() => Kind::BadCredentials,
        "AuthorizationHeaderMalformed"
        | "PermanentRedirect"
        | "TemporaryRedirect"
        | "Redirect"
        | "IllegalLocationConstraintException"
        | "IncorrectEndpoint" => Kind::WrongRegion { region },
        "SlowDown"
        | "Throttling"
        | "ThrottlingException"
        | "RequestThrottled"
        | "RequestLimitExceeded"
        | "TooManyRequests"
        | "TooManyRequestsException"
        | "BandwidthLimitExceeded"
        | "ReduceYourRequestRate" => Kind::Throttled,
        "InternalError" | "ServiceUnavailable" | "RequestTimeout" => Kind::Unavailable,
        "BadDigest"
        | "InvalidDigest"
        | "IncompleteBody"
        | "ChecksumMismatch"
        | "XAmzContentSHA256Mismatch"
        | "XAmzContentChecksumMismatch" => Kind::BadDigest,
        "NotImplemented" | "MethodNotAllowed" => Kind::NotSupported,
        "AccessDenied" | "AllAccessDisabled" | "AccountProblem" | "NotSignedUp" => Kind::Denied,
        "" | "NotFound" | "Forbidden" | "BadRequest" => by_status(request, status, code, region),
        // A code that we do not know may still come with a status that says enough; but no code of its own
        // is ever "denied": `InvalidObjectState` (an archived object) is a 403, too.
        _ if status == 403 => Kind::Refused {
            status,
            code: plain(code),
        },
        _ => by_status(request, status, code, region),
    }
}

/// Which kind a reply without a known code is; that of a HEAD never has one.
fn by_status(request: RequestKind, status: u16, code: &str, region: Option<String>) -> StoreErrorKind {
    use RequestKind as Request;
    use StoreErrorKind as Kind;
    match status {
        301 | 307 => Kind::WrongRegion { region },
        // A HEAD to the wrong region gets 400 and the right one's name.
        400 if code.is_empty() && region.is_some() => Kind::WrongRegion { region },
        401 | 403 => Kind::Denied,
        404 => match request {
            Request::UploadPart | Request::CompleteUpload | Request::AbortUpload => Kind::NoSuchUpload,
            Request::List
            | Request::CreateUpload
            | Request::ListUploads
            | Request::DeleteMany
            | Request::BucketFacts => Kind::NoSuchBucket,
            Request::Get | Request::Head | Request::Put | Request::Copy | Request::UploadPartCopy | Request::Delete => {
                Kind::NotFound
            }
        },
        405 | 501 => Kind::NotSupported,
        408 => Kind::Unavailable,
        409 => Kind::Conflict,
        412 => Kind::ConditionFailed,
        429 => Kind::Throttled,
        // A gateway that had no reply itself: the request may have been done, or be done later.
        502 | 504 => Kind::NoReply,
        500..=599 => Kind::Unavailable,
        _ => Kind::Refused {
            status,
            code: plain(code),
        },
    }
}

/// A failure that came without any reply.
fn without_reply<E>(error: &SdkError<E, HttpResponse>) -> Failure
where
    E: Error + 'static,
{
    let text = chain_text(error);
    let credentials = links(error).find_map(|link| link.downcast_ref::<CredentialsError>());
    let kind = if credentials.is_some() {
        if text.to_ascii_lowercase().contains("expired") {
            StoreErrorKind::ExpiredCredentials
        } else {
            StoreErrorKind::NoCredentials
        }
    } else if matches!(error, SdkError::ConstructionFailure(_)) {
        StoreErrorKind::NotSupported
    } else if never_connected(error) {
        StoreErrorKind::Unreachable
    } else {
        StoreErrorKind::NoReply
    };
    let detail = text
        .contains("invalid peer certificate")
        .then(|| "the certificate is not trusted; name the file of the authority's in AWS_CA_BUNDLE".to_owned());
    // The list of all places that were looked at says less than the message, in ten times the words.
    let says_nothing = kind == StoreErrorKind::NoCredentials && text.contains("no credentials found in chain");
    Failure {
        kind,
        detail,
        cause: (!says_nothing).then(|| Cause::new(error)),
    }
}

/// Whether there never was a connection that the request could have gone out on.
fn never_connected(error: &(dyn Error + 'static)) -> bool {
    links(error).any(|link| {
        link.downcast_ref::<hyper_util::client::legacy::Error>()
            .is_some_and(hyper_util::client::legacy::Error::is_connect)
    })
}

/// All texts of a chain, but for the SDK's own outermost ones, which say nothing.
fn chain_text(error: &(dyn Error + 'static)) -> String {
    let mut texts: Vec<String> = Vec::new();
    for link in links(error) {
        let text = link.to_string();
        let says_nothing = matches!(
            text.as_str(),
            "dispatch failure" | "io error" | "other" | "response error"
        );
        // Wrappers often repeat the text of what they wrap.
        if !says_nothing && !texts.iter().any(|earlier| earlier.contains(&text)) {
            texts.push(text);
        }
    }
    texts.join(": ")
}

/// The text of an element in a short reply; replies are too small, and too often not XML, for a parser.
fn element(body: &[u8], name: &str) -> Option<String> {
    let body = std::str::from_utf8(body).ok()?;
    let start = body.find(&format!("<{name}>"))? + name.len() + 2;
    let length = body[start..].find("</")?;
    let text = &body[start..start + length];
    let plausible = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.+/=".contains(&byte);
    (!text.is_empty() && text.len() <= 128 && text.bytes().all(plausible)).then(|| text.to_owned())
}

/// Makes a store's words fit to print: one line, not too long, without anything that opens a door.
pub(super) fn plain(text: &str) -> String {
    static SECRETS: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(
            r#"(?i)(x-amz-signature|x-amz-credential|x-amz-security-token|proxy-authorization|authorization|aws_secret_access_key|(?:^|\W)signature|(?:^|\W)credential)(["']?\s*[=:]\s*["']?)(?:(?:AWS4-HMAC-SHA256|Basic|Bearer)\s+)?[^\s"'&,;<>]+"#,
        )
        .expect("the pattern is a constant, and a test uses it")
    });
    let line: String = text
        .split_whitespace()
        .flat_map(|word| [" ", word])
        .skip(1)
        .collect::<String>()
        .chars()
        .filter(|letter| !letter.is_control())
        .collect();
    let line = SECRETS.replace_all(&line, "$1$2[hidden]");
    let line = user_of_url(&line);
    match line.char_indices().nth(LONGEST_WORDS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// Takes user and password out of URLs.
fn user_of_url(text: &str) -> String {
    static USER: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"://[^/\s@]+@").expect("the pattern is a constant, and a test uses it"));
    USER.replace_all(text, "://").into_owned()
}

#[cfg(test)]
mod tests;
