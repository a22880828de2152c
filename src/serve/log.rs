//! What an export said lately: how each run began, what it was to do, what went wrong, and how it ended.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::causes::causes;
use crate::export::{ExportError, HookEnd, HookReport, Outcome, Refusal, Report};
use crate::model::{CommitId, RunId};
use crate::progress::{Action, ObjectEvent, Totals};

/// So many lines are kept of each export: some dozens of runs.
const MOST_LINES: usize = 200;

/// So many bytes of text are kept of each export, so that a thousand of them stay below 50 MB.
const MOST_BYTES: usize = 32 << 10;

/// Longer lines are cut: a command of the user may say anything.
const LONGEST_LINE_BYTES: usize = 2 << 10;

/// So many objects of one run that failed are named; the status file has them all.
const FAILURES_NAMED: u64 = 20;

/// A time in words: most runs are short.
fn time_text(seconds: f64) -> String {
    if seconds < 1.0 {
        format!("{:.0} ms", seconds * 1_000.0)
    } else {
        format!("{seconds:.1} s")
    }
}

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// As it should be.
    Info,
    /// Odd, and stops nothing.
    Warning,
    /// It kept a commit from being out.
    Error,
}

/// One line of an export's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct LogLine {
    /// When it was said.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// How much it matters.
    pub level: LogLevel,
    /// What was said.
    pub text: String,
}

/// The last lines of one export since the server began.
#[derive(Debug, Default)]
pub struct ExportLog(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    lines: VecDeque<LogLine>,
    bytes: usize,
    /// Objects that failed in the run that goes on.
    failures: u64,
    /// The commit that was last said to be out.
    out: Option<CommitId>,
}

impl ExportLog {
    /// The newest lines, oldest first.
    pub fn newest(&self, limit: usize) -> Vec<LogLine> {
        let kept = self.kept();
        let skipped = kept.lines.len().saturating_sub(limit);
        kept.lines.iter().skip(skipped).cloned().collect()
    }

    /// Keeps a line.
    pub fn say(&self, level: LogLevel, text: &str) {
        self.kept().say(level, text);
    }

    /// A run has an id and knows where it goes.
    pub fn run_begins(&self, run: RunId, commit: &CommitId) {
        let mut kept = self.kept();
        kept.failures = 0;
        kept.say(LogLevel::Info, &format!("run {run} begins, for {commit}"));
    }

    /// A run knows what there is to do.
    pub fn planned(&self, totals: &Totals) {
        let skipped = match totals.skipped {
            Some(skipped) if skipped > 0 => format!(", {skipped} left out"),
            _ => String::new(),
        };
        let text = format!(
            "to do: {} to send ({} bytes), {} to copy, {} to delete; {} stay{skipped}",
            totals.put, totals.put_bytes, totals.copied, totals.deleted, totals.kept
        );
        self.say(LogLevel::Info, &text);
    }

    /// An object is done with; only what failed is worth a line.
    pub fn object(&self, event: &ObjectEvent<'_>) {
        let Some(error) = event.error else { return };
        let mut kept = self.kept();
        kept.failures += 1;
        if kept.failures > FAILURES_NAMED {
            return;
        }
        let was_to_be = match event.action {
            Action::Put => "was not sent",
            Action::Copy => "was not copied",
            Action::Delete => "was not deleted",
        };
        kept.say(LogLevel::Error, &format!("{} {was_to_be}: {error}", event.path));
    }

    /// A run has ended.
    pub fn ran(&self, outcome: &Result<Report, ExportError>, seconds: f64) {
        let mut kept = self.kept();
        let took = time_text(seconds);
        match outcome {
            Ok(report) => kept.reported(report, &took),
            Err(error) => {
                if let ExportError::Refused(Refusal::Hook { report }) = error {
                    kept.hook(report);
                }
                let level = match error {
                    ExportError::Held { .. } | ExportError::Interrupted => LogLevel::Warning,
                    _ => LogLevel::Error,
                };
                kept.out = None;
                let is_held = matches!(error, ExportError::Held { .. });
                let text = if is_held {
                    format!("waits: {error}")
                } else {
                    let mut why = vec![error.to_string()];
                    why.extend(causes(error, ToString::to_string));
                    format!("ended after {took}: {}", why.join(": "))
                };
                // A lease is asked for again every few seconds; that it is waited for is said once.
                if !is_held || kept.lines.back().is_none_or(|last| last.text != text) {
                    kept.say(level, &text);
                }
            }
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn reported(&mut self, report: &Report, took: &str) {
        for hook in &report.hooks {
            self.hook(hook);
        }
        let counts = &report.counts;
        let commit = &report.commit;
        match report.outcome {
            // A look now and then finds nothing to do; once is enough to know.
            Outcome::Unchanged if self.out.as_ref() == Some(commit) => {}
            Outcome::Unchanged => self.say(LogLevel::Info, &format!("nothing to do: {commit} is out already")),
            Outcome::Exported => {
                let text = format!(
                    "{commit} is out after {took}: {} sent ({} bytes), {} copied, {} deleted",
                    counts.put, counts.put_bytes, counts.copied, counts.deleted
                );
                self.say(LogLevel::Info, &text);
            }
            Outcome::Failed => {
                if self.failures > FAILURES_NAMED {
                    let more = self.failures - FAILURES_NAMED;
                    self.say(
                        LogLevel::Error,
                        &format!("{more} more objects failed; the status file names all"),
                    );
                }
                let text = format!(
                    "{commit} is not whole after {took}: {} objects failed, {} sent, {} copied",
                    counts.failed, counts.put, counts.copied
                );
                self.say(LogLevel::Error, &text);
            }
        }
        self.out = (report.outcome != Outcome::Failed).then(|| commit.clone());
    }

    fn hook(&mut self, report: &HookReport) {
        for line in report.output.lines() {
            self.say(LogLevel::Info, &format!("{} said: {line}", report.hook));
        }
        let level = match report.end {
            HookEnd::Success => LogLevel::Info,
            _ => LogLevel::Warning,
        };
        let (hook, end, took) = (report.hook, &report.end, time_text(report.elapsed.as_secs_f64()));
        self.say(level, &format!("{hook} {end} after {took}"));
    }

    fn say(&mut self, level: LogLevel, text: &str) {
        let end = text.floor_char_boundary(LONGEST_LINE_BYTES);
        let cut = if end < text.len() { "…" } else { "" };
        let line = LogLine {
            at: Timestamp::now(),
            level,
            text: format!("{}{cut}", &text[..end]),
        };
        self.bytes += line.text.len();
        self.lines.push_back(line);
        while self.lines.len() > MOST_LINES || self.bytes > MOST_BYTES {
            let Some(oldest) = self.lines.pop_front() else { break };
            self.bytes -= oldest.text.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_lines_are_kept_and_their_bytes_are_bounded() {
        let log = ExportLog::default();
        for number in 0..1_000 {
            log.say(LogLevel::Info, &format!("line {number}"));
        }
        let lines = log.newest(usize::MAX);
        assert_eq!(lines.len(), MOST_LINES);
        assert_eq!((&*lines[0].text, &*lines[199].text), ("line 800", "line 999"));
        assert_eq!(log.newest(1)[0].text, "line 999");
        for _ in 0..100 {
            log.say(LogLevel::Warning, &"ä".repeat(10_000));
        }
        let kept = log.kept();
        assert!(kept.bytes <= MOST_BYTES, "{}", kept.bytes);
        assert_eq!(kept.bytes, kept.lines.iter().map(|line| line.text.len()).sum::<usize>());
        assert!(kept.lines[0].text.ends_with("ä…"));
    }

    #[test]
    fn of_many_failed_objects_the_first_are_named() {
        let log = ExportLog::default();
        let path = crate::model::RelPath::new(*b"a/<script>").unwrap();
        let mut event = ObjectEvent {
            action: Action::Put,
            path: &path,
            bytes: 1,
            etag: None,
            error: None,
            elapsed: std::time::Duration::ZERO,
        };
        log.object(&event);
        assert!(log.newest(9).is_empty(), "what went well is no news");
        event.error = Some("the store said no");
        for _ in 0..=FAILURES_NAMED {
            log.object(&event);
        }
        let lines = log.newest(usize::MAX);
        assert_eq!(lines.len() as u64, FAILURES_NAMED);
        assert_eq!(lines[0].text, "a/<script> was not sent: the store said no");
        assert_eq!(lines[0].level, LogLevel::Error);
    }
}
