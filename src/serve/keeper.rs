//! Keeps exports as the registry says: those that are enabled run, those that are not do not.
//!
//! Every change goes the same way, whoever makes it: the file is written, then the folder is looked at. So what a
//! person writes and what the API writes cannot mean two things, and after a crash the files are all there is to know.

mod error;
mod hold;
mod read;
mod told;

pub use error::KeepError;
pub use told::Measured;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as TurnMutex, Notify, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::hold::{Hold, Standing};
use super::definition::{Complaint, Definition, ONLY_FROM_FILES, Options, with_enabled};
use super::event::Events;
use super::hub::Hub;
use super::live::Live;
use super::log::{LogLevel, LogLine};
use super::name::ExportName;
use super::open::{Facts, Open};
use super::records::{RecordsPage, StatusFiles};
use super::registry::{Registry, RegistryError, Stamp};
use super::view::{Difference, ExportRequest, ExportView, RunView};
use crate::export::continuous::ContinuousState;
use crate::limits::Bandwidth;
use crate::store::{Limiter, RequestCounts};

/// So many exports are opened at once.
const OPENED_AT_ONCE: usize = 16;

/// So long does a stop wait for the end of a run: it has 10 s to end in good order.
const STOP_PATIENCE: Duration = Duration::from_secs(12);

/// So long may a look at the folder take before something is wrong.
const LONGEST_SCAN: Duration = Duration::from_secs(60);

/// How often the meters of runs are looked at for whoever listens.
const PROGRESS_EVERY: Duration = Duration::from_millis(250);

/// What a keeper keeps, and with what.
pub struct KeeperConfig {
    /// The folder of definitions.
    pub registry: Registry,
    /// How a definition becomes an export.
    pub open: Arc<dyn Open>,
    /// How many requests of all exports are under way at once.
    pub concurrency: usize,
    /// How many bytes a second all exports send together.
    pub bandwidth: Option<Arc<Bandwidth>>,
    /// How often the folder is looked at.
    pub scan_every: Duration,
}

/// Holds any number of exports. Cheap to clone.
#[derive(Clone)]
pub struct Keeper {
    shared: Arc<Shared>,
}

struct Shared {
    registry: Registry,
    open: Arc<dyn Open>,
    limiter: Arc<Limiter>,
    bandwidth: Option<Arc<Bandwidth>>,
    counts: Arc<RequestCounts>,
    hub: Arc<Hub>,
    events: Events,
    scan_every: Duration,
    exports: Mutex<BTreeMap<ExportName, Kept>>,
    /// Export paths that somebody is at work on.
    paths: Mutex<HashMap<String, Arc<TurnMutex<()>>>>,
    /// Whoever changes the registry waits for those before.
    turn: TurnMutex<()>,
    opening: Semaphore,
    tasks: TaskTracker,
    stop: CancellationToken,
    /// Set when an export changed, so that whoever waits for its end looks again.
    moved: Notify,
    /// When the folder was last looked at.
    scanned: Mutex<Option<Instant>>,
    is_ready: AtomicBool,
    /// Why the folder could not be read the last time.
    trouble: Mutex<Option<String>>,
}

/// One export of the registry.
struct Kept {
    stamp: Stamp,
    /// What its file said last that could be used.
    defined: Option<(Definition, Facts)>,
    /// Why its file cannot be used as it is now.
    complaint: Option<Complaint>,
    live: Arc<Live>,
    hold: Option<Hold>,
    /// What the last loop remembered.
    last: Option<ContinuousState>,
}

impl Keeper {
    /// Begins to keep; nothing runs before [`Keeper::run`].
    pub fn new(config: KeeperConfig) -> Self {
        Self {
            shared: Arc::new(Shared {
                registry: config.registry,
                open: config.open,
                limiter: Arc::new(Limiter::new(config.concurrency)),
                bandwidth: config.bandwidth,
                counts: Arc::default(),
                hub: Arc::default(),
                events: Events::default(),
                scan_every: config.scan_every,
                exports: Mutex::default(),
                paths: Mutex::default(),
                turn: TurnMutex::default(),
                opening: Semaphore::new(OPENED_AT_ONCE),
                tasks: TaskTracker::new(),
                stop: CancellationToken::new(),
                moved: Notify::new(),
                scanned: Mutex::default(),
                is_ready: AtomicBool::new(false),
                trouble: Mutex::default(),
            }),
        }
    }

    /// Keeps until `stop`, then ends all runs in good order, which takes 10 s at most.
    pub async fn run(&self, stop: &CancellationToken) {
        let shared = &self.shared;
        let scans = async {
            loop {
                {
                    let _turn = shared.turn.lock().await;
                    shared.scan().await;
                }
                shared.is_ready.store(true, Ordering::Release);
                *shared.scanned.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
                tokio::time::sleep(shared.scan_every).await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = scans => {}
            () = shared.tell_progress() => {}
        }
        shared.stop.cancel();
        shared.tasks.close();
        // A loop drops a run that does not end in its 10 s; what waits longer than that is left to the process's end.
        let _late = tokio::time::timeout(STOP_PATIENCE, shared.tasks.wait()).await;
    }

    /// All exports, by name.
    pub fn list(&self) -> Vec<ExportView> {
        let exports = self.shared.exports();
        exports.iter().map(|(name, kept)| kept.view(name)).collect()
    }

    /// One export.
    pub fn get(&self, name: &ExportName) -> Result<ExportView, KeepError> {
        self.shared
            .view(name)
            .ok_or_else(|| KeepError::Unknown { name: name.clone() })
    }

    /// Takes an export into the registry; says whether it is new. An equal one is as good as new, and is switched on
    /// where that was asked for.
    pub async fn create(&self, request: ExportRequest) -> Result<(bool, ExportView), KeepError> {
        let name = request.name;
        let options = Options::of_json(request.options);
        if let Some((option, _)) = options.iter().find(|(key, _)| ONLY_FROM_FILES.contains(key)) {
            return Err(KeepError::OnlyFromFiles {
                option: option.to_owned(),
            });
        }
        let (options, facts) = self.shared.open.check(&options).map_err(KeepError::Options)?;
        let shared = &self.shared;
        let turn = shared.turn.lock().await;
        shared.scan().await;
        enum Found {
            None,
            Equal { enabled: bool },
        }
        let found = {
            let exports = shared.exports();
            match exports.get(&name) {
                None => Found::None,
                Some(Kept {
                    complaint: Some(complaint),
                    ..
                }) => {
                    return Err(KeepError::Broken {
                        name,
                        complaint: complaint.clone(),
                    });
                }
                Some(kept) => {
                    let (definition, _) = kept.defined.as_ref().expect("what has no complaint is defined");
                    let difference = Difference::between(&definition.options, &options, &ONLY_FROM_FILES);
                    if !difference.is_empty() {
                        return Err(KeepError::Differs { name, difference });
                    }
                    Found::Equal {
                        enabled: definition.enabled,
                    }
                }
            }
        };
        match found {
            Found::Equal { enabled } if enabled || !request.enabled => {
                drop(turn);
                Ok((false, self.get(&name)?))
            }
            Found::Equal { .. } => {
                drop(turn);
                Ok((false, self.start(&name).await?))
            }
            Found::None => {
                if let Some(complaint) = shared.path_taken(&facts) {
                    return Err(KeepError::Options(complaint));
                }
                let definition = Definition {
                    enabled: request.enabled,
                    options,
                };
                shared.write(&name, definition.to_toml()).await?;
                shared.scan().await;
                drop(turn);
                Ok((true, self.get(&name)?))
            }
        }
    }

    /// Takes an export out of the registry; what it put into the bucket stays as it is.
    pub async fn delete(&self, name: &ExportName) -> Result<(), KeepError> {
        let shared = &self.shared;
        let _turn = shared.turn.lock().await;
        let removed = shared.on_disk({
            let name = name.clone();
            move |shared| shared.registry.remove(&name)
        });
        let was_there = removed.await?;
        shared.scan().await;
        if was_there {
            Ok(())
        } else {
            Err(KeepError::Unknown { name: name.clone() })
        }
    }

    /// Switches an export on; returns as soon as it has begun.
    pub async fn start(&self, name: &ExportName) -> Result<ExportView, KeepError> {
        self.switch(name, true).await?;
        self.get(name)
    }

    /// Switches an export off, and waits until its run has ended in good order.
    pub async fn stop(&self, name: &ExportName) -> Result<ExportView, KeepError> {
        self.switch(name, false).await?;
        let ended = async {
            loop {
                let moved = self.shared.moved.notified();
                let has_ended = self
                    .shared
                    .exports()
                    .get(name)
                    .is_none_or(|kept| kept.running().is_none());
                if has_ended {
                    break;
                }
                moved.await;
            }
        };
        // The reply says `stopping` where it takes longer.
        let _late = tokio::time::timeout(STOP_PATIENCE, ended).await;
        self.get(name)
    }

    /// Has an export look at source and store afresh, whatever it waits for.
    pub fn run_now(&self, name: &ExportName) -> Result<ExportView, KeepError> {
        {
            let exports = self.shared.exports();
            let kept = exports
                .get(name)
                .ok_or_else(|| KeepError::Unknown { name: name.clone() })?;
            let hold = kept.running().filter(|hold| !hold.is_stopping());
            hold.ok_or_else(|| KeepError::NotRunning { name: name.clone() })?
                .run_now();
            kept.live.log.say(LogLevel::Info, "told to look now");
        }
        self.get(name)
    }

    /// The runs of an export, newest first: those of this process, then those that status files tell of.
    pub async fn runs(&self, name: &ExportName, limit: usize) -> Result<Vec<RunView>, KeepError> {
        let (mut runs, files) = {
            let exports = self.shared.exports();
            let kept = exports
                .get(name)
                .ok_or_else(|| KeepError::Unknown { name: name.clone() })?;
            let runs = kept.with_state(|state| state.runs.iter().rev().take(limit).map(RunView::of).collect());
            (runs.unwrap_or_else(Vec::new), kept.files())
        };
        if let Some(files) = files
            && runs.len() < limit
        {
            let known: Vec<String> = runs.iter().filter_map(|run| run.run.clone()).collect();
            let older = files.runs(limit - runs.len(), &known).await?;
            // A run that goes on has a status file, and is none of those that are over.
            let is_over = |run: &RunView| !matches!(run.result.as_str(), "creating" | "in-progress");
            runs.extend(older.into_iter().filter(is_over));
        }
        Ok(runs)
    }

    /// What an export said lately, oldest first.
    pub fn log(&self, name: &ExportName, limit: usize) -> Result<Vec<LogLine>, KeepError> {
        let exports = self.shared.exports();
        let kept = exports.get(name);
        let kept = kept.ok_or_else(|| KeepError::Unknown { name: name.clone() })?;
        Ok(kept.live.log.newest(limit))
    }

    /// Records of the newest status file.
    pub async fn records(
        &self,
        name: &ExportName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<RecordsPage, KeepError> {
        let files = {
            let exports = self.shared.exports();
            let kept = exports
                .get(name)
                .ok_or_else(|| KeepError::Unknown { name: name.clone() })?;
            kept.files()
                .ok_or_else(|| KeepError::NotRunning { name: name.clone() })?
        };
        files.page(after, limit).await
    }

    /// Wakes each export that a hint may be about; says how many exports are of that repository at all.
    pub fn hint(&self, is_of_repository: impl Fn(&Facts) -> bool, branch: Option<&str>) -> usize {
        let exports = self.shared.exports();
        let mut count = 0;
        for kept in exports.values() {
            let Some((_, facts)) = kept.defined.as_ref().filter(|(_, facts)| is_of_repository(facts)) else {
                continue;
            };
            count += 1;
            if branch.is_none_or(|branch| facts.is_of_branch(branch))
                && let Some(hold) = kept.running()
            {
                hold.wake.wake();
            }
        }
        count
    }

    /// Events from now on.
    pub fn events(&self) -> &Events {
        &self.shared.events
    }

    /// Whether the registry was read once; then all that is to run has been begun.
    pub fn is_ready(&self) -> bool {
        self.shared.is_ready.load(Ordering::Acquire) && !self.shared.stop.is_cancelled()
    }

    /// Whether the keeper gets on: it looks at the folder all the time, whatever the exports do.
    pub fn is_alive(&self) -> bool {
        let scanned = *self.shared.scanned.lock().unwrap_or_else(PoisonError::into_inner);
        scanned.is_none_or(|scanned| scanned.elapsed() < self.shared.scan_every + LONGEST_SCAN)
    }

    /// Why the registry could not be read the last time, if so.
    pub fn trouble(&self) -> Option<String> {
        self.shared
            .trouble
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    async fn switch(&self, name: &ExportName, enabled: bool) -> Result<(), KeepError> {
        let shared = &self.shared;
        let _turn = shared.turn.lock().await;
        let text = shared.on_disk({
            let name = name.clone();
            move |shared| shared.registry.read(&name)
        });
        let text = text.await?.ok_or_else(|| KeepError::Unknown { name: name.clone() })?;
        let complaint = |message: String| KeepError::Broken {
            name: name.clone(),
            complaint: Complaint::new(message),
        };
        shared.scan().await;
        if let Some(found) = shared
            .exports()
            .get(name)
            .and_then(|kept| kept.complaint.clone())
            .filter(|_| enabled)
        {
            return Err(KeepError::Broken {
                name: name.clone(),
                complaint: found,
            });
        }
        let is_so = shared.exports().get(name).is_some_and(|kept| {
            kept.complaint.is_none()
                && kept
                    .defined
                    .as_ref()
                    .is_some_and(|(definition, _)| definition.enabled == enabled)
        });
        if !is_so {
            shared
                .write(name, with_enabled(&text, enabled).map_err(complaint)?)
                .await?;
            shared.scan().await;
        }
        Ok(())
    }
}

impl Shared {
    fn exports(&self) -> MutexGuard<'_, BTreeMap<ExportName, Kept>> {
        self.exports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the disk, on a thread that may wait for it.
    async fn on_disk<T: Send + 'static>(self: &Arc<Self>, work: impl FnOnce(&Self) -> T + Send + 'static) -> T {
        let shared = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || work(&shared)).await;
        done.expect("reading and writing files does not panic")
    }

    async fn write(self: &Arc<Self>, name: &ExportName, text: String) -> Result<(), RegistryError> {
        let name = name.clone();
        self.on_disk(move |shared| shared.registry.write(&name, &text)).await
    }
}

impl Kept {
    /// The hold that has not ended.
    fn running(&self) -> Option<&Hold> {
        self.hold.as_ref().filter(|hold| !hold.has_ended())
    }

    fn files(&self) -> Option<StatusFiles> {
        match &*self.running()?.standing.borrow() {
            Standing::Open { files, .. } => Some(files.clone()),
            Standing::Opening { .. } | Standing::Ended { .. } => None,
        }
    }

    /// What the loop says, or what the last one said.
    fn with_state<T>(&self, read: impl FnOnce(&ContinuousState) -> T) -> Option<T> {
        if let Some(hold) = &self.hold
            && let Standing::Open { state, .. } | Standing::Ended { state: Some(state) } = &*hold.standing.borrow()
        {
            return Some(read(&state.borrow()));
        }
        self.last.as_ref().map(read)
    }
}

#[cfg(test)]
mod tests;
