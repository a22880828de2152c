//! `lakesync verify`

use super::args::VerifyArgs;
use super::error::CliError;
use super::exit::Exit;
use super::flags::VerifyLevel;
use super::human::{show_count, show_size};
use super::job::{StoreJob, TargetJob};
use super::signals::Signals;
use super::ui::{EventKind, Ui};
use super::wire;
use super::world::World;
use crate::status::{Difference, Level, Verified, verify};

/// Checks the bucket against the newest status file.
pub async fn cmd_verify(ui: &Ui, args: &VerifyArgs, world: &World, signals: &Signals) -> Result<Exit, CliError> {
    let at_once = args.transfer.rate.concurrency.get();
    let target = TargetJob::new(&args.target, StoreJob::new(&args.store, at_once, world)?)?;
    let level = match args.level {
        VerifyLevel::List => Level::List,
        VerifyLevel::Head => Level::Head,
        VerifyLevel::Bytes => Level::Bytes,
    };
    let verified = signals.at_once(Box::pin(async {
        let stores = wire::connect_both(&target).await?;
        let (data, status) = (stores.data.as_ref(), stores.status.as_ref());
        let status_prefix = &target.status_path().prefix;
        Ok(verify(data, &target.export_path.prefix, status, status_prefix, level, at_once).await?)
    }));
    tell(ui, &verified.await?)
}

fn tell(ui: &Ui, verified: &Verified) -> Result<Exit, CliError> {
    ui.in_run(None, Some(&verified.commit));
    let exit = match (verified.differences.is_empty(), verified.overtaken) {
        // What was found missing may be what the newer run has just deleted.
        (_, true) => Exit::Failed,
        (true, false) => Exit::Done,
        (false, false) => Exit::Mismatch,
    };
    if ui.is_json() {
        ui.event(EventKind::Finding, verified)?;
    } else {
        for (path, what) in verified.differences.iter().map(text) {
            ui.answer(format!("{path}: {what}"))?;
        }
    }
    if verified.overtaken {
        ui.problem("another run replaced the status file meanwhile, so this proves nothing; run verify again");
    }
    if verified.unhashed > 0 {
        ui.warn(&format!(
            "{} bear no content id of their bytes, so only size and etag were compared",
            show_count(verified.unhashed, "object")
        ));
    }
    ui.talk(&format!(
        "{}: {} checked, {} read and hashed, {}",
        verified.file,
        show_count(verified.checked, "object"),
        show_size(verified.hashed_bytes),
        show_count(verified.differences.len() as u64, "difference")
    ));
    Ok(exit)
}

fn text(difference: &Difference) -> (String, String) {
    match difference {
        Difference::Missing { path } => (path.to_string(), "missing".to_owned()),
        Difference::Extra { path } => (path.to_string(), "not in the status file".to_owned()),
        Difference::Changed { path, expected, found } => {
            (path.to_string(), format!("changed: expected {expected}, found {found}"))
        }
    }
}
