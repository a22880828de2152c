//! What the API and the page are told of an export.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::definition::{OptionValue, Options};
use super::name::ExportName;
use crate::export::continuous::{LastError, RunFacts, RunResult};
use crate::progress::Phase;

/// What an export is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StateView {
    /// Its file cannot be used.
    Broken,
    /// It is switched off.
    Stopped,
    /// Source and store are being opened.
    Starting,
    /// The head is read.
    Looking,
    /// The export path is brought to the head.
    Running,
    /// The head is out.
    Idle,
    /// Somebody else holds the lease of the export path.
    WaitingForLease,
    /// The last try failed, and there will be another.
    Retrying,
    /// The source is gone; nothing is exported until it is back.
    Held,
    /// A run is being ended in good order.
    Stopping,
}

/// An export, as it is now.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ExportView {
    /// What it is called.
    #[schema(value_type = String)]
    pub name: ExportName,
    /// Whether it is to run.
    pub enabled: bool,
    /// What it is doing.
    pub state: StateView,
    /// The source, as it was named.
    pub source: String,
    /// The branch, where one was named.
    pub branch: Option<String>,
    /// Where it goes.
    pub export_path: String,
    /// Where its status files go, if elsewhere.
    pub status_path: Option<String>,
    /// All its options but those that go without saying.
    pub options: BTreeMap<String, OptionValue>,
    /// The head of the branch, as it was last read.
    pub head: Option<String>,
    /// The commit that is out, as far as this server knows.
    pub exported: Option<String>,
    /// Since when the head differs from what is out.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub behind_since: Option<Timestamp>,
    /// How long that is, in seconds.
    pub lag_seconds: f64,
    /// What went wrong last; none once a commit is out.
    pub error: Option<TroubleView>,
    /// When the next try is due at the latest.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_try: Option<Timestamp>,
    /// How far the run is that goes on.
    pub progress: Option<ProgressView>,
    /// What the last run warned of.
    pub warnings: Vec<String>,
    /// The newest runs since the server began, oldest first.
    pub recent: Vec<RunView>,
    /// How many runs there were since the server began.
    pub runs_total: u64,
}

/// So many runs come along with an export: a chart's worth.
pub const RECENT_RUNS: usize = 30;

/// What went wrong with an export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct TroubleView {
    /// What, in one line.
    pub message: String,
    /// The way out, where the message does not say it.
    pub cure: Option<String>,
    /// Why, from the top down.
    pub causes: Vec<String>,
    /// When it was first met.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub since: Option<Timestamp>,
    /// How often in a row.
    pub times: u32,
}

impl TroubleView {
    /// What a loop met.
    pub fn of(error: &LastError) -> Self {
        Self {
            message: error.message.clone(),
            cure: None,
            causes: error.causes.clone(),
            since: Some(error.since),
            times: error.times,
        }
    }
}

/// How far a run is.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ProgressView {
    /// Its id, once it has one.
    pub run: Option<String>,
    /// What it is doing.
    #[schema(value_type = String)]
    pub phase: Phase,
    /// Objects that are done with, failed ones too.
    pub objects: u64,
    /// Of how many, once the plan is whole.
    pub objects_total: Option<u64>,
    /// Bytes that were sent or copied, those of failed tries too.
    pub bytes: u64,
    /// Of how many, once the plan is whole.
    pub bytes_total: Option<u64>,
    /// Objects that failed.
    pub failed: u64,
    /// Since it began.
    pub seconds: f64,
}

/// One run that is over.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct RunView {
    /// Its id; a run that ended before it had one has none.
    pub run: Option<String>,
    /// The commit that it went for.
    pub commit: String,
    /// How it ended: `exported`, `failed`, `refused`, `lease-lost`, `interrupted` or `error`; of runs before
    /// this server began what their status file says.
    pub result: String,
    /// When it began.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished_at: Option<Timestamp>,
    /// How long it took.
    pub seconds: f64,
    /// Objects sent.
    pub put: u64,
    /// Objects that the store copied.
    pub copied: u64,
    /// Objects removed.
    pub deleted: u64,
    /// Objects that stayed as they were.
    pub kept: u64,
    /// Objects that failed.
    pub failed: u64,
    /// Bytes sent and copied.
    pub bytes: u64,
    /// The name of its status file.
    pub status_file: Option<String>,
    /// What went wrong, with the cure.
    pub error: Option<String>,
}

impl RunView {
    /// A run of this process.
    pub fn of(facts: &RunFacts) -> Self {
        Self {
            run: facts.run.map(|run| run.to_string()),
            commit: facts.commit.as_str().to_owned(),
            result: result_text(facts.result).to_owned(),
            started_at: Some(facts.started_at),
            finished_at: Some(facts.finished_at),
            seconds: seconds_between(facts.started_at, facts.finished_at),
            put: facts.counts.put,
            copied: facts.counts.copied,
            deleted: facts.counts.deleted,
            kept: facts.counts.kept,
            failed: facts.counts.failed,
            bytes: facts.bytes,
            status_file: facts.status_file.clone(),
            error: facts.error.clone(),
        }
    }
}

/// The time from one moment to another that should be later.
pub fn seconds_between(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64().max(0.0)
}

fn result_text(result: RunResult) -> &'static str {
    match result {
        RunResult::Exported => "exported",
        RunResult::Failed => "failed",
        RunResult::Refused => "refused",
        RunResult::LeaseLost => "lease-lost",
        RunResult::Interrupted => "interrupted",
        RunResult::Error => "error",
    }
}

/// A new export.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExportRequest {
    /// What it shall be called.
    #[schema(value_type = String, pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$", example = "data-main")]
    pub name: ExportName,
    /// Whether it runs at once; one that is there already is switched on where this is true.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// The long flags of `lakesync export`, and `source`.
    pub options: BTreeMap<String, OptionValue>,
}

fn yes() -> bool {
    true
}

/// An option of which two definitions say different things.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Difference {
    /// The option.
    pub option: String,
    /// What the export has that is there.
    pub current: Vec<String>,
    /// What was asked for.
    pub wanted: Vec<String>,
}

impl Difference {
    /// Everything that differs, those of `leave_out` aside.
    pub fn between(current: &Options, wanted: &Options, leave_out: &[&str]) -> Vec<Self> {
        let mut keys: Vec<&str> = current.iter().chain(wanted.iter()).map(|(key, _)| key).collect();
        keys.sort_unstable();
        keys.dedup();
        let words = |options: &Options, key: &str| options.get(key).unwrap_or_default().to_vec();
        keys.into_iter()
            .filter(|key| !leave_out.contains(key) && current.get(key) != wanted.get(key))
            .map(|key| Self {
                option: key.to_owned(),
                current: words(current, key),
                wanted: words(wanted, key),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_names_each_option_and_both_sides() {
        let options = |pairs: &[(&str, &str)]| {
            let mut options = Options::default();
            for (key, word) in pairs {
                options.set(*key, vec![(*word).to_owned()]);
            }
            options
        };
        let current = options(&[("a", "1"), ("b", "2"), ("before-export", "x")]);
        let wanted = options(&[("a", "1"), ("b", "3"), ("c", "4")]);
        let found = Difference::between(&current, &wanted, &["before-export"]);
        let shown: Vec<String> = found
            .iter()
            .map(|one| format!("{}: {:?} {:?}", one.option, one.current, one.wanted))
            .collect();
        assert_eq!(shown, [r#"b: ["2"] ["3"]"#, r#"c: [] ["4"]"#]);
        assert!(Difference::between(&current, &current, &[]).is_empty());
    }
}
