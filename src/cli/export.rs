//! `lakesync export`, `lakesync repo export` and `lakesync branch export`

use std::sync::Arc;

use super::error::CliError;
use super::exit::Exit;
use super::human::show_count;
use super::job::ExportJob;
use super::progress::{ObjectData, Reporter, object_text, plan_text};
use super::signals::Signals;
use super::summary;
use super::ui::{EventKind, Ui};
use super::wire;
use crate::plan::{Origin, Plan, Step, Work};
use crate::progress::Action;
use crate::store::RequestCounts;

/// Brings an export path to the head of a branch, once; or says what that would do.
pub async fn cmd_export(ui: &Ui, job: ExportJob, signals: &Signals) -> Result<Exit, CliError> {
    let reporter = Arc::new(Reporter::new(ui));
    let counts = Arc::new(RequestCounts::default());
    let export_path = job.config.export_path.clone();
    let dry_run = job.dry_run;
    let source = wire::open_exported(ui, &job).await?.source();
    let exporter = wire::exporter(source, job, reporter.clone(), Arc::clone(&counts)).await?;
    if dry_run {
        let plan = signals.at_once(Box::pin(async { Ok(exporter.dry_run().await?) })).await;
        reporter.end();
        return show_plan(ui, &plan?);
    }
    let ran = signals
        .during(Box::pin(async { Ok(exporter.run(signals.stop()).await?) }))
        .await;
    // Takes the bar away before anything else is said.
    reporter.end();
    match ran {
        Ok(report) => Ok(summary::tell(ui, &export_path, &report, &counts.totals())),
        Err(error) => Err(signals.blame(error)),
    }
}

/// Prints a plan as the lines that the run would print, and its counts.
fn show_plan(ui: &Ui, plan: &Plan) -> Result<Exit, CliError> {
    ui.event(EventKind::Plan, &plan.totals)?;
    for step in plan.steps() {
        show_step(ui, &step.map_err(crate::export::ExportError::from)?)?;
    }
    ui.talk(&format!("(dry-run) {}", plan_text(&plan.totals)));
    for (kind, count) in &plan.notices {
        ui.talk(&format!("(dry-run) {}", summary::notice_text(*kind, *count)));
    }
    if plan.doomed == 0 {
        return Ok(Exit::Done);
    }
    ui.problem(&format!(
        "{} would fail, and nothing would be deleted",
        show_count(plan.doomed, "object")
    ));
    Ok(Exit::Failed)
}

fn show_step(ui: &Ui, step: &Step) -> Result<(), CliError> {
    let path = step.path().to_string();
    let (action, bytes, from) = match &step.work {
        Work::Write { entry, origin, .. } => match origin {
            Origin::Stream => (Action::Put, entry.size, None),
            Origin::Outside => {
                let from = entry.origin.as_ref();
                let from = from.map(|from| format!("s3://{}/{}", from.bucket, from.key));
                (Action::Copy, entry.size, from)
            }
            Origin::Object { path, .. } | Origin::Twin { path } => (Action::Copy, entry.size, Some(path.to_string())),
        },
        Work::Delete { .. } => (Action::Delete, 0, None),
        Work::Conflict { .. } => {
            ui.object_failed(
                &path,
                "somebody else's object stands there; --overwrite replaces it",
                true,
            );
            return Ok(());
        }
        Work::Unreadable { error, .. } => {
            ui.object_failed(&path, error, true);
            return Ok(());
        }
        Work::LetGo { .. } => {
            ui.talk(&format!("(dry-run) let go {path}, since somebody else changed it"));
            return Ok(());
        }
    };
    if ui.is_json() {
        let data = ObjectData {
            action,
            path,
            bytes,
            etag: None,
            ms: None,
            error: None,
            from,
            dry_run: true,
        };
        ui.event(EventKind::Object, &data)?;
    } else {
        ui.answer(format!(
            "(dry-run) {}",
            object_text(action, &path, bytes, from.as_deref())
        ))?;
    }
    Ok(())
}
