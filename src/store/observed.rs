//! How attempts of requests ended and how long they took, for whoever watches over a server.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use super::{RequestKind, StoreError, StoreErrorKind};

/// The upper ends of the classes of times, in seconds: from a store beside us to one that is in trouble.
pub const TIME_CLASSES: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// The attempts of all kinds that have ended.
pub type Observed = BTreeMap<RequestKind, ObservedKind>;

/// The attempts of one kind that have ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ObservedKind {
    /// How many ended how: `ok`, or what went wrong.
    pub statuses: BTreeMap<Cow<'static, str>, u64>,
    /// How many took no longer than the end of each class, shorter ones aside.
    pub times: [u64; TIME_CLASSES.len()],
    /// The seconds of all together.
    pub seconds: f64,
}

impl ObservedKind {
    pub(super) fn add<T>(&mut self, outcome: &Result<T, StoreError>, elapsed: Duration) {
        let status = outcome
            .as_ref()
            .err()
            .map_or("ok".into(), |error| status_of(&error.kind));
        *self.statuses.entry(status).or_default() += 1;
        let seconds = elapsed.as_secs_f64();
        self.seconds += seconds;
        if let Some(class) = TIME_CLASSES.iter().position(|end| seconds <= *end) {
            self.times[class] += 1;
        }
    }

    /// All attempts that have ended.
    pub fn count(&self) -> u64 {
        self.statuses.values().sum()
    }
}

/// One word for what went wrong. Stores use several HTTP statuses for one thing, and one for several.
fn status_of(kind: &StoreErrorKind) -> Cow<'static, str> {
    let word = match kind {
        StoreErrorKind::NotFound => "not-found",
        StoreErrorKind::NoSuchBucket => "no-such-bucket",
        StoreErrorKind::NoSuchUpload => "no-such-upload",
        StoreErrorKind::ConditionFailed => "condition-failed",
        StoreErrorKind::Conflict => "conflict",
        StoreErrorKind::Denied => "denied",
        StoreErrorKind::BadCredentials | StoreErrorKind::NoCredentials | StoreErrorKind::ExpiredCredentials => {
            "credentials"
        }
        StoreErrorKind::ClockSkew => "clock-skew",
        StoreErrorKind::WrongRegion { .. } => "wrong-region",
        StoreErrorKind::Throttled => "throttled",
        StoreErrorKind::Unavailable => "unavailable",
        StoreErrorKind::BadDigest => "bad-digest",
        StoreErrorKind::NotSupported => "not-supported",
        StoreErrorKind::Unreachable => "unreachable",
        StoreErrorKind::NoReply => "no-reply",
        StoreErrorKind::LeaseLost => "lease-lost",
        StoreErrorKind::Unclear { answer, .. } => return status_of(answer),
        StoreErrorKind::Refused { status, .. } => return status.to_string().into(),
    };
    word.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(kind: StoreErrorKind) -> Result<(), StoreError> {
        Err(StoreError {
            request: RequestKind::Get,
            place: "s3://b/k".to_owned(),
            kind,
            detail: None,
            cause: None,
        })
    }

    #[test]
    fn each_attempt_is_in_one_class_of_times_and_has_one_status() {
        let mut observed = ObservedKind::default();
        observed.add(&Ok(()), Duration::from_millis(5));
        observed.add(&Ok(()), Duration::from_millis(6));
        observed.add(&failed(StoreErrorKind::Throttled), Duration::from_millis(30_000));
        let refused = StoreErrorKind::Refused {
            status: 418,
            code: "Teapot".to_owned(),
        };
        observed.add(&failed(refused), Duration::from_secs(31));
        assert_eq!(observed.times, [1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        let statuses: Vec<_> = observed
            .statuses
            .iter()
            .map(|(status, count)| (&**status, *count))
            .collect();
        assert_eq!(statuses, [("418", 1), ("ok", 2), ("throttled", 1)]);
        assert_eq!(observed.count(), 4);
        assert!((observed.seconds - 61.011).abs() < 1e-9);
    }
}
