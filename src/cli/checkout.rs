//! `lakesync checkout`

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::args::{CheckoutArgs, SourceArgs};
use super::continuous::{check_branch, follow};
use super::error::{CliError, line_of};
use super::exit::Exit;
use super::human::{show_count, show_number, show_size};
use super::job::{JobError, SourceJob};
use super::opened;
use super::signals::Signals;
use super::ui::{EventKind, Ui};
use super::world::World;
use crate::checkout::{Checkout, CheckoutConfig, CheckoutError, CheckoutReport};
use crate::model::CommitId;
use crate::source::Browse;
use crate::wake::{Wake, Wakes};

/// So long a head that could not be checked out is left before it is tried again; what a person must mend first comes
/// with a new head or a look at the folder.
const RETRY: Duration = Duration::from_secs(10);

/// The data of a `checkout` event.
#[derive(Serialize)]
struct CheckoutData<'a> {
    commit: &'a CommitId,
    written: u64,
    written_bytes: u64,
    kept: u64,
    deleted: u64,
    hidden: u64,
}

/// Makes a folder hold the head of a branch, once or from now on.
pub async fn cmd_checkout(ui: &Ui, args: &CheckoutArgs, world: &World, signals: &Signals) -> Result<Exit, CliError> {
    let source = SourceArgs {
        source: Some(args.source.clone()),
    };
    let job = SourceJob::new(&source, &args.select, &args.lakefs, &args.cache, world)?;
    let state_folder = world.state_folder().ok_or(JobError::NoStateFolder)?;
    let opened = opened::open(ui, job.clone(), None).await?;
    if args.follow {
        check_branch(&opened).await?;
    }
    let wake = Wake::default();
    let talk = ui.clone();
    let warn = Arc::new(move |text: &str| talk.warn(text));
    let watching = match args.follow {
        true => Some(follow(&opened, &job, &args.interval, Wakes::from(&wake), warn)?),
        false => None,
    };
    let config = CheckoutConfig {
        folder: world.resolve(&args.folder),
        state_folder: state_folder.join("lakesync/checkouts"),
        force: args.force,
        delete: args.delete,
        parallelism: NonZeroUsize::new(args.jobs).unwrap_or(NonZeroUsize::MIN),
        lakectl_uri: opened.lakectl_uri(),
    };
    let source = opened.browse();
    let opening = {
        let source = Arc::clone(&source);
        tokio::task::spawn_blocking(move || Checkout::open(source, config)).await
    };
    let checkout = opening.map_err(|error| CliError::Runtime(std::io::Error::other(error)))??;
    let once = once(ui, &source, &checkout, signals).await;
    if watching.is_none() {
        return once.map(|()| Exit::Done);
    }
    let mut retry = told(ui, once)?;
    loop {
        tokio::select! {
            () = signals.stop().cancelled() => {
                return Ok(signals.came().map_or(Exit::Done, Exit::Interrupted));
            }
            () = wake.woken() => {}
            () = tokio::time::sleep(RETRY), if retry => {}
        }
        retry = told(ui, self::once(ui, &source, &checkout, signals).await)?;
    }
}

/// Says what went wrong with one head of many, and whether to try it again.
fn told(ui: &Ui, once: Result<(), CliError>) -> Result<bool, CliError> {
    match once {
        Ok(()) => Ok(false),
        Err(error @ (CliError::Checkout(_) | CliError::Source(_))) => {
            ui.problem(&line_of(&error));
            Ok(true)
        }
        Err(error) => Err(error),
    }
}

async fn once(ui: &Ui, source: &Arc<dyn Browse>, checkout: &Checkout, signals: &Signals) -> Result<(), CliError> {
    let before = checkout.commit();
    let ran = signals
        .during(Box::pin(async {
            let head = source.head().await?;
            let report = checkout.run(&head, signals.stop()).await?;
            Ok((head, report))
        }))
        .await;
    let (head, report) = match ran {
        Err(CliError::Checkout(error)) if matches!(*error, CheckoutError::Stopped) => {
            return Err(signals.came().map_or(CliError::Checkout(error), CliError::Interrupted));
        }
        ran => ran?,
    };
    tell(ui, before.as_ref(), &head, &report)
}

fn tell(ui: &Ui, before: Option<&CommitId>, head: &CommitId, report: &CheckoutReport) -> Result<(), CliError> {
    let hidden = report.hidden.values().sum();
    for (why, count) in &report.hidden {
        ui.warn(&format!("{} {} left out", show_count(*count, "path"), why.text()));
    }
    if ui.is_json() {
        ui.event(
            EventKind::Checkout,
            &CheckoutData {
                commit: head,
                written: report.written,
                written_bytes: report.written_bytes,
                kept: report.kept,
                deleted: report.deleted,
                hidden,
            },
        )?;
        return Ok(());
    }
    if report.written == 0 && report.deleted == 0 && before == Some(head) {
        ui.talk(&format!("Nothing to do: the folder is at {}", head.short()));
        return Ok(());
    }
    ui.talk(&format!(
        "At {}: wrote {} ({}), deleted {}, kept {}",
        head.short(),
        show_number(report.written),
        show_size(report.written_bytes),
        show_number(report.deleted),
        show_number(report.kept)
    ));
    Ok(())
}
