//! `lakesync status`

use std::time::Duration;

use serde::Serialize;

use super::args::StatusArgs;
use super::error::CliError;
use super::exit::Exit;
use super::human::{show_duration, show_size, show_skipped};
use super::job::{StoreJob, TargetJob};
use super::signals::Signals;
use super::ui::{EventKind, Ui};
use super::wire;
use super::world::World;
use crate::model::CommitId;
use crate::status::{Newest, StatusError, StatusHead, read_newest};

/// How often `--watch` looks: two small requests each time.
const WATCH_PAUSE: Duration = Duration::from_secs(1);

/// The data of a `status` event.
#[derive(Serialize)]
struct StatusData<'a> {
    file: String,
    etag: &'a str,
    /// Since the run ended, or where it did not, since it began; by this machine's clock.
    age_seconds: Option<u64>,
    #[serde(flatten)]
    head: &'a StatusHead,
}

/// Prints what the newest status file says.
pub async fn cmd_status(ui: &Ui, args: &StatusArgs, world: &World, signals: &Signals) -> Result<Exit, CliError> {
    let store = StoreJob::new(&args.store, wire::FEW_REQUESTS, world)?;
    let target = TargetJob::new(&args.target, store)?;
    if args.watch {
        return signals.at_once(Box::pin(watch(ui, &target))).await;
    }
    let newest = signals.at_once(Box::pin(async {
        let stores = wire::connect_both(&target).await?;
        let found = read_newest(stores.status.as_ref(), &target.status_path().prefix).await?;
        found.ok_or_else(|| {
            StatusError::None {
                path: target.status_path().to_string(),
            }
            .into()
        })
    }));
    show(ui, &newest.await?)?;
    Ok(Exit::Done)
}

/// Prints the newest status each time it is another, until nobody reads that any more.
async fn watch(ui: &Ui, target: &TargetJob) -> Result<Exit, CliError> {
    let stores = wire::connect_both(target).await?;
    let mut shown = None;
    loop {
        let newest = read_newest(stores.status.as_ref(), &target.status_path().prefix).await?;
        if shown.is_none() && newest.is_none() {
            ui.talk(&format!("{}: no status file yet", target.status_path()));
        }
        let seen = newest.as_ref().map(|newest| (newest.name.clone(), newest.etag.clone()));
        if shown.as_ref() != Some(&seen) {
            if let Some(newest) = &newest {
                if shown.is_some() && !ui.is_json() {
                    ui.answer("")?;
                }
                show(ui, newest)?;
            }
            shown = Some(seen);
        }
        tokio::time::sleep(WATCH_PAUSE).await;
    }
}

/// Prints a status.
pub fn show(ui: &Ui, newest: &Newest) -> Result<(), CliError> {
    let head = &newest.head;
    let since = head.finished_at.or(head.started_at);
    let age = since.map(|since| jiff::Timestamp::now().duration_since(since).unsigned_abs());
    if ui.is_json() {
        ui.in_run(head.run.parse().ok(), Some(&CommitId::new(head.commit.as_str())));
        let data = StatusData {
            file: newest.name.to_string(),
            etag: newest.etag.as_str(),
            age_seconds: age.map(|age| age.as_secs()),
            head,
        };
        ui.event(EventKind::Status, &data)?;
        return Ok(());
    }
    for line in lines(&newest.name.to_string(), head, age) {
        ui.answer(line)?;
    }
    Ok(())
}

fn lines(file: &str, head: &StatusHead, age: Option<Duration>) -> Vec<String> {
    let age = age.map_or_else(String::new, |age| format!(", {} ago", show_duration(age)));
    let mut lines = vec![format!("{}{age}", head.status), format!("commit  {}", head.commit)];
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            lines.push(format!("{name:7} {}", super::error::one_line(value)));
        }
    };
    line("message", &head.message);
    line("source", &head.source);
    line("export", &head.export_path);
    line("run", &head.run);
    line("file", file);
    let failed = if head.failed > 0 {
        format!(", failed {}", head.failed)
    } else {
        String::new()
    };
    let skipped = show_skipped(head.skipped);
    line(
        "objects",
        &format!(
            "put {} ({}), copied {} ({}), deleted {}, kept {}{skipped}{failed}",
            head.put,
            show_size(head.put_bytes),
            head.copied,
            show_size(head.copied_bytes),
            head.deleted,
            head.kept
        ),
    );
    for promise in &head.unguarded {
        line("not guarded", promise);
    }
    for failure in &head.errors {
        line("failed", &format!("{}: {}", failure.path, failure.error));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::ExportState;

    #[test]
    fn a_status_says_state_commit_age_file_and_counts() {
        let head = StatusHead {
            status: ExportState::Success,
            commit: "0123".to_owned(),
            source: "git:/x#main".to_owned(),
            put: 2,
            put_bytes: 2048,
            ..StatusHead::empty()
        };
        assert_eq!(
            lines("_STATUS_x.json", &head, Some(Duration::from_secs(90))),
            [
                "success, 1m30s ago",
                "commit  0123",
                "source  git:/x#main",
                "file    _STATUS_x.json",
                "objects put 2 (2 KiB), copied 0 (0 B), deleted 0, kept 0",
            ]
        );
    }
}
