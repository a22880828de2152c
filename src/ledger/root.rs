//! The root: one small file whose swap is the commit point of every run.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::RangeRef;
use crate::model::{CommitId, RunId, S3Url};
use crate::store::{Capabilities, StoreTime};

/// The state of an export path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    /// One more on each write, so that no etag ever returns.
    pub generation: u64,
    /// The export path that this is the root of.
    pub export_path: S3Url,
    /// The branch, as its source names it.
    pub source: String,
    /// The commit that the ranges hold wholly; none after a run that failed.
    pub commit: Option<CommitId>,
    /// A hash of filters and header rules.
    pub fingerprint: String,
    /// What the probe of the store found.
    pub store: Capabilities,
    /// Where status files go, and which there are.
    pub status: StatusPlace,
    /// The ranges, in the order of their paths.
    pub ranges: Vec<RangeRef>,
    /// Whether anything is under way.
    pub state: State,
    /// Runs whose last requests may still land.
    pub unsettled: Vec<Unsettled>,
}

/// Whether the ranges tell all that is under the export path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// They do.
    Clean,
    /// These runs may have changed what the ranges say, in this order; the last one is under way or died.
    /// None: a run failed in good order, the ranges are right, and no commit is whole.
    Dirty(Vec<RunRef>),
}

/// A run that was begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRef {
    /// Its id.
    pub run: RunId,
    /// Where it went.
    pub commit: CommitId,
    /// Its status file.
    pub status: StatusName,
    /// When it took the lease, on the store's clock: its multipart uploads are not older.
    pub lease_taken: StoreTime,
}

/// A run that is over and whose last requests may still land.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsettled {
    /// The run.
    pub run: RunRef,
    /// When nothing of it can land any more, on the store's clock.
    pub until: StoreTime,
}

/// Where status files go, and which there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusPlace {
    /// The status path.
    pub path: S3Url,
    /// Every status file of ours there, oldest first.
    pub names: Vec<StatusName>,
    /// The newest one that says `success`.
    pub newest_success: Option<StatusName>,
}

/// The name of a status file: `_STATUS_20261122T071422.123Z.json`; names sort by time.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StatusName(StoreTime);

impl StatusName {
    /// What every status file's name begins with.
    pub const PREFIX: &'static str = "_STATUS_";

    /// Makes the name of a run that begins at `now`, later than the last one whoever's clock is wrong.
    pub fn next(now: StoreTime, last: Option<&Self>) -> Self {
        let floor = |at: StoreTime| StoreTime::from_millisecond(at.as_millisecond()).unwrap_or(at);
        let now = floor(now);
        match last {
            Some(last) if last.0 >= now => Self(last.0 + std::time::Duration::from_millis(1)),
            _ => Self(now),
        }
    }
}

impl fmt::Display for StatusName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}{}.json", Self::PREFIX, self.0.strftime("%Y%m%dT%H%M%S.%3fZ"))
    }
}

impl fmt::Debug for StatusName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "StatusName({self})")
    }
}

/// The text is no name of a status file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the name of a status file")]
pub struct StatusNameError(String);

impl FromStr for StatusName {
    type Err = StatusNameError;

    fn from_str(text: &str) -> Result<Self, StatusNameError> {
        let bad = || StatusNameError(text.to_owned());
        let stamp = text
            .strip_prefix(Self::PREFIX)
            .and_then(|rest| rest.strip_suffix("Z.json"))
            .ok_or_else(bad)?;
        let civil = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%S.%f", stamp).map_err(|_| bad())?;
        let name = Self(civil.to_zoned(jiff::tz::TimeZone::UTC).map_err(|_| bad())?.timestamp());
        // Only what we would write ourselves: a name that does not read back would sort wrongly.
        if name.to_string() == text { Ok(name) } else { Err(bad()) }
    }
}

impl Serialize for StatusName {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for StatusName {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_only_grow_whoevers_clock_is_wrong() {
        let now: StoreTime = "2026-11-22T07:14:22.123Z".parse().unwrap();
        let first = StatusName::next(now, None);
        assert_eq!(first.to_string(), "_STATUS_20261122T071422.123Z.json");
        assert_eq!(first.to_string().parse::<StatusName>().unwrap(), first);
        let earlier: StoreTime = "2026-11-22T06:00:00Z".parse().unwrap();
        let second = StatusName::next(earlier, Some(&first));
        assert_eq!(second.to_string(), "_STATUS_20261122T071422.124Z.json");
        assert!(second > first && second.to_string() > first.to_string());
    }

    #[test]
    fn other_names_are_not_taken_for_status_files() {
        for bad in [
            "_STATUS_.json",
            "_STATUS_20261122T071422Z.json",
            "_STATUS_x.json",
            "a.json",
            "_STATUS_20261122T071422.1Z.json",
        ] {
            bad.parse::<StatusName>().unwrap_err();
        }
    }
}
