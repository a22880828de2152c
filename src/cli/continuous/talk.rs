//! What a continuous export says besides its runs: that it waits, for what, and that it is well.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, interval_at};

use crate::cli::human::{show_count, show_duration};
use crate::cli::ui::{ErrorData, EventKind, Ui, mask};
use crate::export::continuous::{ContinuousState, Phase};

/// How often it says that it is well: often enough that a log shows it, too rarely to fill one.
const QUIET_LINE: Duration = Duration::from_secs(3_600);

/// What was said last.
#[derive(Default)]
struct Said {
    phase: Option<Phase>,
    times: u32,
    message: String,
}

/// Talks until it is dropped.
pub async fn talk(ui: Ui, mut state: watch::Receiver<ContinuousState>) {
    let mut said = Said::default();
    let mut quiet = interval_at(Instant::now() + QUIET_LINE, QUIET_LINE);
    loop {
        tokio::select! {
            changed = state.changed() => {
                if changed.is_err() {
                    return;
                }
                let now = state.borrow_and_update().clone();
                match said.news(&now) {
                    Some(News::Problem(text)) => {
                        // It goes on when nobody reads its events.
                        let _ = ui.event(EventKind::Error, &problem(&mask(&text)));
                        ui.problem(&text);
                    }
                    Some(News::Talk(text)) => ui.talk(&text),
                    None => {}
                }
            }
            _ = quiet.tick() => ui.talk(&well(&state.borrow())),
        }
    }
}

fn problem(text: &str) -> ErrorData<'_> {
    ErrorData {
        message: text,
        path: None,
        causes: &[],
        hint: None,
        exit_code: None,
    }
}

/// Something to say, and how loud.
#[derive(Debug, PartialEq, Eq)]
enum News {
    Problem(String),
    Talk(String),
}

impl Said {
    /// What is new: each failure, but a wait only when it begins and when it is over.
    fn news(&mut self, now: &ContinuousState) -> Option<News> {
        if now.phase == Phase::Looking {
            return None;
        }
        let before = self.phase.replace(now.phase);
        let error = now.error.as_ref();
        let (message, times) = error.map_or((String::new(), 0), |error| (error.message.clone(), error.times));
        let is_new = (&self.message, self.times) != (&message, times);
        let is_other = self.message != message;
        (self.message, self.times) = (message, times);
        let error = error.map(ToString::to_string).unwrap_or_default();
        let next = now.next_try.map(|next| {
            let wait = next.duration_since(jiff::Timestamp::now());
            show_duration(wait.max(jiff::SignedDuration::ZERO).unsigned_abs())
        });
        let next = next.unwrap_or_default();
        match (now.phase, before) {
            (Phase::Held, before) if before != Some(Phase::Held) || is_other => Some(News::Problem(format!(
                "{error}; nothing is exported until {} is back, and nothing is deleted",
                now.source
            ))),
            (Phase::WaitingForLease, before) if before != Some(Phase::WaitingForLease) => {
                Some(News::Talk(format!("{error}; waiting until it is free")))
            }
            (Phase::Retrying, _) if is_new => Some(News::Problem(format!("{error}; next try in {next}"))),
            (Phase::Running | Phase::Idle, Some(Phase::Held)) => Some(News::Talk(format!("{} is back", now.source))),
            _ => None,
        }
    }
}

/// The line of a long quiet time.
fn well(now: &ContinuousState) -> String {
    let runs = show_count(now.runs_total, "run");
    let at = now.exported.as_ref().map_or("nothing yet", |commit| commit.short());
    let mut text = format!("{}: {} is at {at}, {runs} so far", now.phase, now.export_path);
    let lag = now.lag(jiff::Timestamp::now());
    if !lag.is_zero() {
        text.push_str(&format!(", behind for {}", show_duration(lag)));
    }
    text
}

/// The last line.
pub fn farewell(now: &ContinuousState) -> String {
    let is_whole = now.exported.is_some() && now.behind_since.is_none();
    match &now.exported {
        Some(commit) if is_whole => format!("Stopped; {} is at {}", now.export_path, commit.short()),
        Some(commit) => format!(
            "Stopped; the last commit that is whole at {} is {}",
            now.export_path,
            commit.short()
        ),
        None => format!("Stopped; this process brought no commit to {}", now.export_path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::continuous::LastError;

    fn state(phase: Phase, error: Option<(&str, u32)>) -> ContinuousState {
        let export_path = "s3://bucket/out/".parse().unwrap();
        let mut state = ContinuousState::new("git:/x#main", &export_path);
        state.phase = phase;
        state.error = error.map(|(message, times)| LastError {
            message: message.to_owned(),
            causes: Vec::new(),
            since: jiff::Timestamp::now(),
            times,
        });
        state
    }

    #[test]
    fn a_wait_is_said_once_and_a_failure_each_time() {
        let mut said = Said::default();
        let mut says = |phase, error| match said.news(&state(phase, error)) {
            Some(News::Problem(text)) => format!("! {text}"),
            Some(News::Talk(text)) => text,
            None => String::new(),
        };
        assert_eq!(says(Phase::Running, None), "");
        let gone = Some(("/x: no such file or directory", 1));
        assert_eq!(
            says(Phase::Held, gone),
            "! /x: no such file or directory; nothing is exported until git:/x#main is back, and nothing is deleted"
        );
        assert_eq!(says(Phase::Looking, gone), "");
        assert_eq!(says(Phase::Held, Some(("/x: no such file or directory", 2))), "");
        assert_eq!(says(Phase::Running, None), "git:/x#main is back");
        assert_eq!(says(Phase::Idle, None), "");
        assert!(says(Phase::Retrying, Some(("no reply", 1))).starts_with("! no reply; next try in"));
        assert_eq!(says(Phase::Retrying, Some(("no reply", 1))), "");
        assert!(says(Phase::Retrying, Some(("no reply", 2))).starts_with("! no reply; next try in"));
        let held = Some(("somebody else exports", 1));
        assert_eq!(
            says(Phase::WaitingForLease, held),
            "somebody else exports; waiting until it is free"
        );
        assert_eq!(says(Phase::WaitingForLease, Some(("somebody else exports", 2))), "");
    }

    #[test]
    fn the_last_line_says_what_is_whole() {
        let mut now = state(Phase::Stopped, None);
        assert_eq!(
            farewell(&now),
            "Stopped; this process brought no commit to s3://bucket/out/"
        );
        now.exported = Some(crate::model::CommitId::new("0123456789abcdef"));
        assert_eq!(farewell(&now), "Stopped; s3://bucket/out/ is at 0123456789ab");
        now.behind_since = Some(jiff::Timestamp::now());
        assert_eq!(
            farewell(&now),
            "Stopped; the last commit that is whole at s3://bucket/out/ is 0123456789ab"
        );
    }
}
