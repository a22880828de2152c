//! `lakesync doctor`

use super::args::DoctorArgs;
use super::error::CliError;
use super::exit::Exit;
use super::job::{StoreJob, TargetJob};
use super::signals::Signals;
use super::ui::{EventKind, Ui};
use super::wire;
use super::world::World;
use crate::ledger::LedgerFolder;
use crate::model::RunId;
use crate::store::doctor::{DoctorReport, Verdict, doctor};

/// Finds out what a store can do.
pub async fn cmd_doctor(ui: &Ui, args: &DoctorArgs, world: &World, signals: &Signals) -> Result<Exit, CliError> {
    let target = TargetJob::new(&args.target, StoreJob::new(&args.store, wire::FEW_REQUESTS, world)?)?;
    let store = wire::connect(&target.store, &target.export_path.bucket).await?;
    let folder = LedgerFolder::of(&target.export_path.prefix).probe(RunId::generate());
    // A store that cannot be spoken to is one error and not ten; and a listing is given up much sooner than a write.
    let listed = signals
        .at_once(Box::pin(async { Ok(store.list(&folder, None, 1).await) }))
        .await?;
    if let Err(error) = listed
        && (error.kind.is_fatal() || error.kind.is_transient())
    {
        return Err(error.into());
    }
    ui.talk(&format!("Examining {} under {folder}", target.export_path));
    // It is stopped, not dropped: it has to clean up.
    let report = signals.during(async {
        let stop = signals.stop().clone().cancelled_owned();
        Ok(Box::pin(doctor(store.as_ref(), &folder, stop)).await)
    });
    let report = report.await?;
    show(ui, &report)?;
    if let Some(signal) = signals.came() {
        return Err(CliError::Interrupted(signal));
    }
    Ok(if report.is_usable() { Exit::Done } else { Exit::Failed })
}

fn show(ui: &Ui, report: &DoctorReport) -> Result<(), CliError> {
    if ui.is_json() {
        ui.event(EventKind::Finding, report)?;
        return Ok(());
    }
    let width = report.lines.iter().map(|line| line.topic.len()).max().unwrap_or(0);
    for line in &report.lines {
        let verdict = match line.verdict {
            Verdict::Good => "good",
            Verdict::Limited => "limited",
            Verdict::Bad => "bad",
            Verdict::Unknown => "unknown",
        };
        ui.answer(format!(
            "{verdict:7}  {:width$}  {}",
            line.topic,
            super::error::one_line(&line.text)
        ))?;
        if let Some(cure) = &line.cure {
            ui.answer(format!("{:7}  {:width$}  -> {}", "", "", super::error::one_line(cure)))?;
        }
    }
    Ok(())
}
