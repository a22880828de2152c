//! `lakesync ls`

use std::collections::BTreeMap;

use serde::Serialize;

use super::args::LsArgs;
use super::error::CliError;
use super::exit::Exit;
use super::job::SourceJob;
use super::opened;
use super::progress::FAILURES_SHOWN;
use super::signals::Signals;
use super::summary::notice_text;
use super::ui::{EventKind, Ui};
use super::world::World;
use crate::model::{ContentId, Entry, NoticeKind};
use crate::source::Item;

/// The data of an `entry` event.
#[derive(Serialize)]
struct EntryData {
    path: String,
    size: u64,
    content: Option<String>,
}

/// Lists the files of a source's newest commit.
pub async fn cmd_ls(ui: &Ui, args: &LsArgs, world: &World, signals: &Signals) -> Result<Exit, CliError> {
    let job = SourceJob::new(&args.source, &args.select, &args.lakefs, &args.cache, world)?;
    signals.at_once(list(ui, job)).await
}

async fn list(ui: &Ui, job: SourceJob) -> Result<Exit, CliError> {
    let source = opened::open(ui, job, None).await?.source();
    let commit = source.head().await?;
    ui.in_run(None, Some(&commit));
    ui.talk(&format!("{} at {commit}", source.name()));
    let mut entries = source.tree(&commit).await?;
    let mut notices: BTreeMap<NoticeKind, u64> = BTreeMap::new();
    let mut failed = 0;
    while let Some(item) = entries.next().await? {
        match item {
            Item::Entry(entry) => show(ui, &entry)?,
            Item::Failed { path, error } => {
                failed += 1;
                ui.object_failed(&path.to_string(), &error, failed <= FAILURES_SHOWN);
            }
            Item::Notice(notice) => *notices.entry(notice.kind).or_default() += 1,
        }
    }
    for (kind, count) in notices {
        ui.warn(&notice_text(kind, count));
    }
    Ok(if failed == 0 { Exit::Done } else { Exit::Failed })
}

fn show(ui: &Ui, entry: &Entry) -> Result<(), CliError> {
    let content = entry.content.primary().as_ref().map(ContentId::to_string);
    if ui.is_json() {
        ui.event(
            EventKind::Entry,
            &EntryData {
                path: entry.path.to_string(),
                size: entry.size,
                content,
            },
        )?;
    } else {
        // The path comes last: it may hold spaces.
        ui.answer(format!(
            "{:>12} {} {}",
            entry.size,
            content.as_deref().unwrap_or("-"),
            entry.path
        ))?;
    }
    Ok(())
}
