//! Commands of the user around a run: one that can stop it before its first write, and one that hears how it ended.

mod command;

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::report::{Counts, Outcome, Report};
use super::{ExportError, Exporter, Refusal};
use crate::model::{CommitId, RunId};
use crate::progress::Totals;

/// So long may the command after a run go on where somebody asked to stop: less than the time until a kill.
const AFTER_A_STOP: Duration = Duration::from_secs(5);

/// Commands of the user around a run, each run by `sh -c`. A run that finds nothing to do runs none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hooks {
    /// Runs when the plan is made and before anything is written; where it fails, nothing is.
    pub before: Option<String>,
    /// Runs when the run has ended, well or not. Where it fails, that is told and changes nothing.
    pub after: Option<String>,
    /// How long each may take.
    pub timeout: Duration,
}

impl Default for Hooks {
    fn default() -> Self {
        Self {
            before: None,
            after: None,
            timeout: Duration::from_secs(10 * 60),
        }
    }
}

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hook {
    /// The one before the first write.
    BeforeExport,
    /// The one after the run.
    AfterExport,
}

impl fmt::Display for Hook {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::BeforeExport => "before-export",
            Self::AfterExport => "after-export",
        })
    }
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum HookEnd {
    /// With 0.
    Success,
    /// With another code.
    Code(i32),
    /// By a signal.
    Signal(i32),
    /// It took too long, and was ended.
    TimedOut,
    /// We were asked to stop, and it was ended.
    Stopped,
    /// It could not be run at all.
    NotRun(String),
}

impl fmt::Display for HookEnd {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Success => out.write_str("succeeded"),
            Self::Code(code) => write!(out, "failed with {code}"),
            Self::Signal(signal) => write!(out, "was ended by signal {signal}"),
            Self::TimedOut => out.write_str("took longer than --hook-timeout, and was ended"),
            Self::Stopped => out.write_str("was stopped"),
            Self::NotRun(why) => write!(out, "could not be run ({why})"),
        }
    }
}

/// What came of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HookReport {
    /// Which one it was.
    pub hook: Hook,
    /// How it ended.
    pub end: HookEnd,
    /// The end of what it said, both ways out together.
    pub output: String,
    /// How long it took.
    pub elapsed: Duration,
}

impl HookReport {
    /// The last line that it said, after a colon, for a message.
    pub(super) fn last_line(&self) -> String {
        let line = self.output.lines().rev().find(|line| !line.trim().is_empty());
        line.map_or_else(String::new, |line| format!(": {}", line.trim()))
    }
}

/// A run that is past its guards, and so has an end to tell of.
#[derive(Clone, Debug)]
pub(super) struct Begun {
    pub(super) run: RunId,
    pub(super) commit: CommitId,
    pub(super) previous: Option<CommitId>,
    pub(super) report: Option<HookReport>,
}

/// What a command is told, by its environment.
struct Facts(Vec<(&'static str, String)>);

/// The variables of hooks, for whoever reads an environment in which a hook runs the program again. The export path
/// is not among them: it means the same there.
pub const HOOK_VARIABLES: [&str; 14] = [
    "LAKESYNC_HOOK",
    "LAKESYNC_SOURCE",
    "LAKESYNC_RUN",
    "LAKESYNC_COMMIT",
    "LAKESYNC_PREVIOUS_COMMIT",
    "LAKESYNC_RESULT",
    "LAKESYNC_ERROR",
    "LAKESYNC_STATUS_FILE",
    "LAKESYNC_PUT",
    "LAKESYNC_PUT_BYTES",
    "LAKESYNC_COPIED",
    "LAKESYNC_DELETED",
    "LAKESYNC_KEPT",
    "LAKESYNC_FAILED",
];

impl Exporter {
    /// Runs the command before the first write.
    pub(super) async fn before_hook(
        &self,
        begun: &Begun,
        totals: &Totals,
        cancel: &CancellationToken,
    ) -> Result<Option<HookReport>, ExportError> {
        let hooks = &self.config.hooks;
        let Some(command) = &hooks.before else {
            return Ok(None);
        };
        let mut facts = self.facts(Hook::BeforeExport, begun);
        facts.0.extend([
            ("LAKESYNC_PUT", totals.put.to_string()),
            ("LAKESYNC_PUT_BYTES", totals.put_bytes.to_string()),
            ("LAKESYNC_COPIED", totals.copied.to_string()),
            ("LAKESYNC_DELETED", totals.deleted.to_string()),
            ("LAKESYNC_KEPT", totals.kept.to_string()),
        ]);
        let report = command::run(Hook::BeforeExport, command, &facts.0, hooks.timeout, cancel).await;
        match report.end {
            HookEnd::Success => Ok(Some(report)),
            HookEnd::Stopped => Err(ExportError::Interrupted),
            _ => Err(Refusal::Hook {
                report: Box::new(report),
            }
            .into()),
        }
    }

    /// Runs the command after a run, if the run has begun.
    pub(super) async fn after_hook(
        &self,
        begun: &Begun,
        outcome: &Result<Report, ExportError>,
        cancel: &CancellationToken,
    ) -> Option<HookReport> {
        let hooks = &self.config.hooks;
        let command = hooks.after.as_ref()?;
        let mut facts = self.facts(Hook::AfterExport, begun);
        facts.tell(outcome);
        // A run that was stopped has ended, too, and whoever hears of its begin should hear of its end.
        let (timeout, cancel) = if cancel.is_cancelled() {
            (hooks.timeout.min(AFTER_A_STOP), &CancellationToken::new())
        } else {
            (hooks.timeout, cancel)
        };
        let report = command::run(Hook::AfterExport, command, &facts.0, timeout, cancel).await;
        if report.end != HookEnd::Success {
            let (end, said) = (&report.end, report.last_line());
            let text = format!("the --after-export command {end}, which changes nothing of the export{said}");
            self.progress.warn(&text);
        }
        Some(report)
    }

    fn facts(&self, hook: Hook, begun: &Begun) -> Facts {
        let previous = begun.previous.as_ref().map(ToString::to_string).unwrap_or_default();
        Facts(vec![
            ("LAKESYNC_HOOK", hook.to_string()),
            ("LAKESYNC_SOURCE", self.source.name().to_owned()),
            ("LAKESYNC_EXPORT_PATH", self.config.export_path.to_string()),
            ("LAKESYNC_EXPORT_STATUS_PATH", self.config.status_path.to_string()),
            ("LAKESYNC_RUN", begun.run.to_string()),
            ("LAKESYNC_COMMIT", begun.commit.to_string()),
            ("LAKESYNC_PREVIOUS_COMMIT", previous),
        ])
    }
}

impl Facts {
    fn tell(&mut self, outcome: &Result<Report, ExportError>) {
        let (result, counts, error, file) = match outcome {
            Ok(report) => {
                let result = match report.outcome {
                    Outcome::Exported | Outcome::Unchanged => "success",
                    Outcome::Failed => "failure",
                };
                let error = report.failures.first();
                let error = error.map_or_else(String::new, |one| format!("{}: {}", one.path, one.error));
                let file = report.status_file.clone().unwrap_or_default();
                (result, report.counts, error, file)
            }
            Err(error) => ("failure", Counts::default(), error.to_string(), String::new()),
        };
        self.0.extend([
            ("LAKESYNC_RESULT", result.to_owned()),
            ("LAKESYNC_ERROR", error),
            ("LAKESYNC_STATUS_FILE", file),
            ("LAKESYNC_PUT", counts.put.to_string()),
            ("LAKESYNC_PUT_BYTES", counts.put_bytes.to_string()),
            ("LAKESYNC_COPIED", counts.copied.to_string()),
            ("LAKESYNC_DELETED", counts.deleted.to_string()),
            ("LAKESYNC_KEPT", counts.kept.to_string()),
            ("LAKESYNC_FAILED", counts.failed.to_string()),
        ]);
    }
}
