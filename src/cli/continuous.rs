//! `lakesync export --continuous`

mod follow;
mod reporter;
mod talk;

use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

pub use self::follow::{Watching, follow};
pub use self::reporter::RunsReporter;
use super::args::ExportArgs;
use super::error::{CliError, line_of};
use super::exit::Exit;
use super::job::{ExportJob, JobError};
use super::opened::{self, Opened};
use super::origins::OriginBuckets;
use super::service::Service;
use super::signals::Signals;
use super::ui::Ui;
use super::wire;
use super::world::World;
use crate::export::continuous::{Continuous, ContinuousState, Reopen, RetryDelays};
use crate::source::SourceError;
use crate::store::RequestCounts;
use crate::wake::{Wake, Wakes};

/// What all loops of one process share, so that a new configuration goes on where the old one was.
struct Shared<'a> {
    ui: &'a Ui,
    world: &'a World,
    reporter: Arc<RunsReporter>,
    counts: Arc<RequestCounts>,
    wake: Wake,
}

/// One configuration, ready to go.
struct Ready {
    continuous: Continuous,
    drain: CancellationToken,
    // Watches until it is dropped.
    _watching: Watching,
}

/// Exports the head of a branch and then each new one, until a signal comes. `again` reads the words, the environment
/// and the file once more.
pub async fn cmd_continuous(
    ui: &Ui,
    args: ExportArgs,
    world: &World,
    signals: &Signals,
    again: impl Fn() -> Result<ExportArgs, CliError>,
) -> Result<Exit, CliError> {
    let mut hang_ups = signal(SignalKind::hangup()).map_err(CliError::Runtime)?;
    let reporter = Arc::new(RunsReporter::new(ui));
    let shared = Shared {
        ui,
        world,
        counts: Arc::default(),
        wake: Wake::default(),
        reporter: Arc::clone(&reporter),
    };
    let first = shared.ready(&args, None);
    let mut ready = signals.at_once(Box::pin(first)).await?;
    let state = ready.continuous.state.clone();
    let _talking = AbortOnDropHandle::new(tokio::spawn(talk::talk(ui.clone(), state.subscribe())));
    let service = Service::of(world);
    let limit = args.flags.hook.hook_timeout;
    let told = service
        .clone()
        .map(|service| service.follow(state.subscribe(), reporter, limit));
    let _told = told.map(|told| AbortOnDropHandle::new(tokio::spawn(told)));
    loop {
        let next = {
            let running = ready.continuous.run(signals.stop());
            tokio::pin!(running);
            let mut next = None;
            loop {
                tokio::select! {
                    () = &mut running => break next,
                    Some(()) = hang_ups.recv(), if next.is_none() => {
                        if let Some(service) = &service {
                            service.reloading();
                        }
                        next = shared.read_again(&again, &state).await;
                        if next.is_some() {
                            ready.drain.cancel();
                        }
                        if let Some(service) = &service {
                            service.ready();
                        }
                    }
                }
            }
        };
        match next {
            Some(next) if !signals.stop().is_cancelled() => ready = next,
            _ => break,
        }
    }
    if let Some(service) = &service {
        service.stopping();
    }
    ui.talk(&talk::farewell(&state.borrow()));
    Ok(signals.came().map_or(Exit::Done, Exit::Interrupted))
}

impl Shared<'_> {
    /// Makes a new configuration ready; where it is broken, says so, and the old one goes on.
    async fn read_again(
        &self,
        again: &impl Fn() -> Result<ExportArgs, CliError>,
        state: &watch::Sender<ContinuousState>,
    ) -> Option<Ready> {
        let ready = match again() {
            Ok(args) => Box::pin(self.ready(&args, Some(state.clone()))).await,
            Err(error) => Err(error),
        };
        match ready {
            Ok(ready) => {
                self.ui
                    .talk("The configuration was read again; it counts from the next run on");
                Some(ready)
            }
            Err(error) => {
                self.ui.problem(&format!(
                    "the configuration is broken, and the old one goes on: {}",
                    line_of(&error)
                ));
                None
            }
        }
    }

    /// Opens everything that a configuration names, and starts to watch.
    async fn ready(&self, args: &ExportArgs, state: Option<watch::Sender<ContinuousState>>) -> Result<Ready, CliError> {
        let mut job = ExportJob::of_source(&args.source, &args.flags, self.world)?;
        if job.dry_run {
            return Err(JobError::DryContinuous.into());
        }
        // The loop waits for a lease by itself, and looks meanwhile whether the other one has done the work.
        job.config.lock_wait = Duration::ZERO;
        let opened = wire::open_exported(self.ui, &job).await?;
        check_branch(&opened).await?;
        let ui = self.ui.clone();
        let warn = Arc::new(move |text: &str| ui.warn(text));
        let watching = follow(
            &opened,
            &job.source,
            &args.continuous.interval,
            Wakes::from(&self.wake),
            warn,
        )?;
        let reopen = reopen(&job);
        let source = opened.source();
        let progress = Arc::clone(&self.reporter);
        let exporter = wire::exporter(source, job, progress, Arc::clone(&self.counts)).await?;
        let mut continuous = Continuous::new(exporter, self.wake.clone());
        if let Some(state) = state {
            let (source, export_path) = {
                let fresh = continuous.state.borrow();
                (fresh.source.clone(), fresh.export_path.clone())
            };
            state.send_modify(|state| {
                state.source = source;
                state.export_path = export_path;
            });
            continuous.state = state;
        }
        continuous.delays = RetryDelays::default();
        continuous.reopen = Some(reopen);
        continuous.on_run = Some(
            self.reporter
                .on_run(&continuous.exporter.config.export_path, Arc::clone(&self.counts)),
        );
        Ok(Ready {
            drain: continuous.drain.clone(),
            continuous,
            _watching: watching,
        })
    }
}

/// Refuses what does not move. A server that cannot be asked now is taken at its word: the loop asks again.
pub async fn check_branch(opened: &Opened) -> Result<(), CliError> {
    match opened.is_branch().await {
        Ok(true) => Ok(()),
        Ok(false) => Err(JobError::NotABranch {
            name: opened.clone().source().name().to_owned(),
        }
        .into()),
        Err(SourceError::LakeFs(error)) if error.kind.is_passing() => {
            tracing::warn!(%error, "cannot tell yet whether it is a branch");
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// Opens the source once more, as it was opened first.
pub fn reopen(job: &ExportJob) -> Reopen {
    let (source, bytes, store) = (job.source.clone(), job.source_bytes.clone(), job.store.clone());
    Arc::new(move || {
        let direct = OriginBuckets::of(&bytes, &store);
        let opening = opened::open_quietly(source.clone(), direct);
        Box::pin(async move {
            match opening.await {
                Ok(opened) => Ok(opened.source()),
                Err(CliError::Source(error)) => Err(error),
                Err(error) => {
                    tracing::warn!(%error, "the source cannot be opened again");
                    Err(SourceError::Interrupted)
                }
            }
        })
    })
}
