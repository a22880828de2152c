//! What a store can answer instead of doing what it was asked.

use super::RequestKind;

/// Any cause that is worth showing and that nobody acts on.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A request that did not do what it should.
#[derive(Debug, thiserror::Error)]
#[error("{}", text(self))]
pub struct StoreError {
    /// What was asked.
    pub request: RequestKind,
    /// The bucket, or the bucket and the key: `s3://bucket/key`.
    pub place: String,
    /// What went wrong.
    pub kind: StoreErrorKind,
    /// The store's own words and the id of the request, where there was a reply.
    pub detail: Option<String>,
    /// The cause, where there was no reply.
    #[source]
    pub cause: Option<BoxError>,
}

/// What went wrong, as far as anybody acts on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// No object has that key (404).
    NotFound,
    /// The bucket does not exist.
    NoSuchBucket,
    /// The upload is gone: completed, aborted or never there.
    NoSuchUpload,
    /// The condition of the write does not hold (412).
    ConditionFailed,
    /// Something stands in the way: a file where a folder must be, or a second writer (409).
    Conflict,
    /// The credentials do not allow it (403).
    Denied,
    /// The credentials are not known, or the signature does not fit them.
    BadCredentials,
    /// No credentials were found.
    NoCredentials,
    /// The credentials have expired.
    ExpiredCredentials,
    /// This machine's clock and the store's differ too much.
    ClockSkew,
    /// The bucket is in another region.
    WrongRegion {
        /// The right one, where the store says it.
        region: Option<String>,
    },
    /// The store asks to go slower (503 SlowDown, 429).
    Throttled,
    /// The store failed (500, 502, 503, 504).
    Unavailable,
    /// The bytes did not arrive as they were sent.
    BadDigest,
    /// The store does not know this kind of request (501), or this header.
    NotSupported,
    /// No connection could be made, so nothing was sent.
    Unreachable,
    /// The connection broke or the time ran out after the request was (perhaps) sent.
    NoReply,
    /// The lease was lost, so the request was not sent.
    LeaseLost,
    /// The probe could not tell whether the store honours a condition, as the answer was neither yes nor no.
    Unclear {
        /// The condition's header.
        guard: &'static str,
        /// What the store answered.
        answer: Box<StoreErrorKind>,
    },
    /// The store answered something else.
    Refused {
        /// The HTTP status.
        status: u16,
        /// The S3 error code.
        code: String,
    },
}

impl StoreErrorKind {
    /// Whether the same request may well succeed a little later.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Throttled | Self::Unavailable | Self::Unreachable | Self::NoReply | Self::BadDigest
        )
    }

    /// Whether the store may have done what was asked although it did not say so.
    pub fn is_ambiguous(&self) -> bool {
        matches!(self, Self::NoReply | Self::Unavailable)
    }

    /// Whether no other request will fare better, so that the run should end now.
    pub fn is_fatal(&self) -> bool {
        matches!(
            self,
            Self::NoSuchBucket
                | Self::BadCredentials
                | Self::NoCredentials
                | Self::ExpiredCredentials
                | Self::ClockSkew
                | Self::WrongRegion { .. }
                | Self::LeaseLost
        )
    }
}

fn text(error: &StoreError) -> String {
    let what = match &error.kind {
        // To a condition on an etag S3 answers so where the object is gone; to other writes no store does.
        StoreErrorKind::NotFound if error.request == RequestKind::Put => {
            "not found, by a write; has the object gone, or is --endpoint-url no S3 store?".to_owned()
        }
        StoreErrorKind::NotFound => "no such object".to_owned(),
        StoreErrorKind::NoSuchBucket => "the bucket does not exist; create it, or mend its name".to_owned(),
        StoreErrorKind::NoSuchUpload => "the multipart upload is gone".to_owned(),
        StoreErrorKind::ConditionFailed => "changed by somebody else meanwhile".to_owned(),
        StoreErrorKind::Conflict => "something stands in its way".to_owned(),
        StoreErrorKind::Denied => {
            format!("access denied; the credentials need {}", error.request.rights())
        }
        StoreErrorKind::BadCredentials => {
            "the access key or its secret is wrong; check AWS_ACCESS_KEY_ID or --profile".to_owned()
        }
        StoreErrorKind::NoCredentials => {
            "no credentials found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile of ~/.aws by \
             --profile or AWS_PROFILE"
                .to_owned()
        }
        StoreErrorKind::ExpiredCredentials => "the credentials have expired; renew them".to_owned(),
        StoreErrorKind::ClockSkew => "this machine's clock differs too much from the store's; set it (NTP)".to_owned(),
        StoreErrorKind::WrongRegion { region: Some(region) } => {
            format!("the bucket is in region {region}; pass --region {region}")
        }
        StoreErrorKind::WrongRegion { region: None } => "the bucket is in another region; pass --region".to_owned(),
        StoreErrorKind::Throttled => "the store asks to go slower".to_owned(),
        StoreErrorKind::Unavailable => "the store failed".to_owned(),
        StoreErrorKind::BadDigest => "the bytes did not arrive as they were sent".to_owned(),
        StoreErrorKind::NotSupported => "the store does not know this request".to_owned(),
        StoreErrorKind::Unreachable => "no connection to the store; check --endpoint-url and the network".to_owned(),
        StoreErrorKind::NoReply => "no reply from the store; check --endpoint-url and the network".to_owned(),
        StoreErrorKind::LeaseLost => "not sent, since the lease was lost".to_owned(),
        StoreErrorKind::Unclear { guard, answer } => unclear_text(error.request, guard, answer),
        StoreErrorKind::Refused { status, code } => format!("refused with {status} {code}"),
    };
    let detail = error
        .detail
        .as_ref()
        .map_or_else(String::new, |detail| format!(" ({detail})"));
    format!("{} {}: {what}{detail}", error.request.s3_name(), error.place)
}

/// What is to be done about a guard that the probe could not judge.
fn unclear_text(request: RequestKind, guard: &str, answer: &StoreErrorKind) -> String {
    let (why, cure) = match answer {
        StoreErrorKind::Denied => (
            "it was denied",
            // The etag of an object may be compared only by those who may read it.
            format!(
                "allow {} and s3:GetObject for all below the export path",
                request.rights()
            ),
        ),
        StoreErrorKind::NoReply => ("no reply came, again and again", PASSING.to_owned()),
        _ => ("the store failed, again and again", PASSING.to_owned()),
    };
    format!("cannot tell whether the store honours {guard}, since {why}; {cure}")
}

const PASSING: &str = "run again when the store is well; `lakesync doctor` says what it can do";
