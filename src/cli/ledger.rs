//! `lakesync ledger`

use serde::Serialize;

use super::args::{LedgerDumpArgs, LedgerRebuildArgs};
use super::error::CliError;
use super::exit::Exit;
use super::human::show_count;
use super::job::{JobError, StoreJob, TargetJob, cache_config};
use super::signals::Signals;
use super::ui::{EventKind, Ui};
use super::wire;
use super::world::World;
use crate::disk_cache::DiskCacheConfig;
use crate::export::rebuild;
use crate::ledger::{LedgerError, LedgerFolder, read_ledger};

/// Prints the root, then every record.
pub async fn cmd_ledger_dump(
    ui: &Ui,
    args: &LedgerDumpArgs,
    world: &World,
    signals: &Signals,
) -> Result<Exit, CliError> {
    let store = StoreJob::new(&args.store, wire::FEW_REQUESTS, world)?;
    let target = TargetJob::new(&args.target, store)?;
    let cache = cache_config(&args.cache, world);
    signals.at_once(Box::pin(dump(ui, target, cache))).await
}

async fn dump(ui: &Ui, target: TargetJob, cache: Option<DiskCacheConfig>) -> Result<Exit, CliError> {
    let store = wire::connect_retrying(&target.store, &target.export_path.bucket).await?;
    let folder = LedgerFolder::of(&target.export_path.prefix);
    let Some((root, records)) = read_ledger(&store, &folder, cache).await? else {
        return Err(JobError::NoLedger {
            export_path: target.export_path,
        }
        .into());
    };
    ui.in_run(None, root.commit.as_ref());
    show(ui, &root)?;
    for record in records.iter() {
        show(ui, &record.map_err(LedgerError::from)?)?;
    }
    Ok(Exit::Done)
}

fn show(ui: &Ui, data: &impl Serialize) -> Result<(), CliError> {
    if ui.is_json() {
        ui.event(EventKind::Record, data)?;
    } else {
        ui.answer(serde_json::to_string(data).expect("records are plain data"))?;
    }
    Ok(())
}

/// Makes the ledger anew.
pub async fn cmd_ledger_rebuild(
    ui: &Ui,
    args: &LedgerRebuildArgs,
    world: &World,
    signals: &Signals,
) -> Result<Exit, CliError> {
    let store = StoreJob::new(&args.store, wire::FEW_REQUESTS, world)?;
    let target = TargetJob::new(&args.target, store)?;
    let request = wire::rebuild(&target, &args.lease, cache_config(&args.cache, world)).await?;
    let done = signals
        .during(Box::pin(async { Ok(rebuild(&request, signals.stop()).await?) }))
        .await;
    let rebuilt = done.map_err(|error| signals.blame(error))?;
    if ui.is_json() {
        ui.event(EventKind::Finding, &rebuilt)?;
        return Ok(Exit::Done);
    }
    ui.talk(&format!(
        "The ledger of {} holds {} now; {} left alone, since nothing says that lakesync wrote them; {} of the last \
         success missing",
        target.export_path,
        show_count(rebuilt.objects, "object"),
        rebuilt.foreign,
        rebuilt.missing
    ));
    if let Some(file) = &rebuilt.status_file {
        ui.talk(&format!("The records of {file} were used"));
    }
    Ok(Exit::Done)
}
