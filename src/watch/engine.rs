//! The thread behind a watch: takes what inotify tells, and wakes when a burst of changes is over.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind, RemoveKind, RenameMode};
use notify::{ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

use super::place::{PathKind, Root, identity, is_remote};
use super::settle::Settle;
use super::{Warn, WatchError};
use crate::wake::Wakes;

/// So many events may wait for the thread. More are not kept: that they were lost is enough to know.
const EVENTS_WAITING: usize = 8 * 1024;

/// How often roots are looked at: nothing tells that a folder was unmounted.
const ROOT_CHECK: Duration = Duration::from_secs(5);

/// The shortest time between two rescans because events were lost, doubled each time up to the longest: a scan opens
/// files, and in a big tree that alone can flood the queue.
const LOST_FIRST: Duration = Duration::from_secs(5);
const LOST_MOST: Duration = Duration::from_secs(10 * 60);

/// How and how often an engine wakes.
pub(super) struct EngineConfig {
    pub(super) roots: Vec<Root>,
    pub(super) settle: Settle,
    /// How often it wakes where the system tells of no changes.
    pub(super) poll: Duration,
    /// How often it wakes although nothing seems to have changed.
    pub(super) rescan: Duration,
    pub(super) wakes: Wakes,
    pub(super) warn: Warn,
}

/// Keeps an engine going; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct EngineHandle {
    inbox: Inbox,
}

impl Drop for EngineHandle {
    fn drop(&mut self) {
        self.inbox.stop.store(true, Ordering::Relaxed);
        // Where no more can wait, the thread is awake anyway, and sees the flag.
        let _ = self.inbox.sender.try_send(Hint::Look);
    }
}

/// What an event comes down to.
#[derive(Debug, PartialEq, Eq)]
enum Hint {
    /// Something at this path is other than before.
    Touched(PathBuf, PathKind),
    /// Something is at this path that may be a folder full of things.
    Appeared(PathBuf),
    /// What was at this path is there no more.
    Gone(PathBuf, PathKind),
    /// There is something to look at besides the queue.
    Look,
}

/// Where events come in, from the thread of the watcher.
#[derive(Clone, Debug)]
struct Inbox {
    sender: SyncSender<Hint>,
    lost: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
}

impl Inbox {
    fn take(&self, event: notify::Result<Event>) {
        match event {
            Ok(event) if event.need_rescan() => self.lose(),
            Ok(event) => {
                if let Some(hint) = hint_of(event)
                    && let Err(TrySendError::Full(_)) = self.sender.try_send(hint)
                {
                    self.lose();
                }
            }
            Err(error) => {
                tracing::debug!(%error, "the watcher stumbled");
                self.lose();
            }
        }
    }

    fn lose(&self) {
        self.lost.store(true, Ordering::Relaxed);
        // Where no more can wait, the thread is awake anyway.
        let _ = self.sender.try_send(Hint::Look);
    }
}

/// Reads an event. That a file was opened or read is nothing new, and our own scans do so.
fn hint_of(mut event: Event) -> Option<Hint> {
    let path = event.paths.pop()?;
    Some(match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => Hint::Touched(path, PathKind::File),
        EventKind::Access(_) | EventKind::Other | EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => return None,
        EventKind::Create(CreateKind::File) => Hint::Touched(path, PathKind::File),
        EventKind::Create(_) | EventKind::Modify(ModifyKind::Name(RenameMode::To)) => Hint::Appeared(path),
        EventKind::Remove(RemoveKind::File) => Hint::Gone(path, PathKind::File),
        EventKind::Remove(RemoveKind::Folder) => Hint::Gone(path, PathKind::Folder),
        EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)) => Hint::Gone(path, PathKind::Unknown),
        EventKind::Modify(_) => Hint::Touched(path, PathKind::Unknown),
        EventKind::Any => Hint::Appeared(path),
    })
}

/// Why a folder cannot be watched.
enum Refused {
    /// It is not there, or may not be read; a scan will say so.
    Folder,
    /// Nothing more can be watched.
    Limit(&'static str),
}

struct Engine {
    config: EngineConfig,
    inbox: Inbox,
    hints: Receiver<Hint>,
    /// None while the system lets us have none.
    watcher: Option<RecommendedWatcher>,
    has_remote: bool,
    warned: bool,
    check_at: Instant,
    poll_at: Instant,
    rescan_at: Instant,
    lost: bool,
    lost_at: Instant,
    lost_pause: Duration,
}

/// Starts to watch; the first wake comes as soon as everything is watched that can be.
pub(super) fn start(config: EngineConfig) -> Result<EngineHandle, WatchError> {
    let (sender, hints) = sync_channel(EVENTS_WAITING);
    let inbox = Inbox {
        sender,
        lost: Arc::default(),
        stop: Arc::default(),
    };
    let now = Instant::now();
    let engine = Engine {
        has_remote: false,
        warned: false,
        check_at: now,
        poll_at: now,
        rescan_at: now + config.rescan,
        lost: false,
        lost_at: now,
        lost_pause: LOST_FIRST,
        config,
        inbox: inbox.clone(),
        hints,
        watcher: None,
    };
    std::thread::Builder::new()
        .name("lakesync-watch".to_owned())
        .spawn(move || engine.run())?;
    Ok(EngineHandle { inbox })
}

impl Engine {
    fn run(mut self) {
        self.has_remote = self.config.roots.iter().any(|root| is_remote(&root.path));
        self.arm_all();
        self.config.wakes.wake();
        self.poll_at = Instant::now() + self.config.poll;
        loop {
            let wait = self.next().saturating_duration_since(Instant::now());
            match self.hints.recv_timeout(wait) {
                Ok(hint) => self.take(hint),
                Err(RecvTimeoutError::Timeout) => {}
                // Cannot be: this end holds a sender, too.
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if self.inbox.stop.load(Ordering::Relaxed) {
                return;
            }
            self.tick(Instant::now());
        }
    }

    /// When there is something to do at the latest.
    fn next(&self) -> Instant {
        let polls = self.polls().then_some(self.poll_at);
        let lost = self.lost.then_some(self.lost_at);
        let times = [self.config.settle.due(), polls, lost, Some(self.rescan_at)];
        times.into_iter().flatten().fold(self.check_at, Instant::min)
    }

    /// Whether changes can happen of which nothing tells.
    fn polls(&self) -> bool {
        self.watcher.is_none() || self.has_remote
    }

    fn take(&mut self, hint: Hint) {
        let (path, kind) = match hint {
            Hint::Look => return,
            Hint::Touched(path, kind) => (path, kind),
            Hint::Gone(path, kind) => {
                if self.config.roots.iter().any(|root| root.path == path) {
                    self.check_at = Instant::now();
                }
                (path, kind)
            }
            Hint::Appeared(path) => {
                // A link to a folder is no folder.
                let is_folder = std::fs::symlink_metadata(&path).is_ok_and(|found| found.is_dir());
                if is_folder {
                    self.watch_new(&path);
                }
                let kind = if is_folder { PathKind::Folder } else { PathKind::File };
                (path, kind)
            }
        };
        if self.config.roots.iter().any(|root| root.wants(&path, kind)) {
            self.config.settle.changed(Instant::now());
        }
    }

    fn tick(&mut self, now: Instant) {
        if self.inbox.lost.swap(false, Ordering::Relaxed) && !self.lost {
            self.lost = true;
            // After a long time without one, the next is a new story.
            if now.saturating_duration_since(self.lost_at) > LOST_MOST {
                self.lost_pause = LOST_FIRST;
            }
            self.lost_at = self.lost_at.max(now);
        }
        let mut wakes = self.config.settle.is_over(now);
        if self.lost && now >= self.lost_at {
            self.lost = false;
            self.lost_at = now + self.lost_pause;
            self.lost_pause = (self.lost_pause * 2).min(LOST_MOST);
            tracing::info!("changes came faster than they could be told; everything is looked at");
            // New folders may be among what was lost.
            self.disarm();
            self.arm_all();
            wakes = true;
        }
        if now >= self.check_at {
            self.check_at = now + ROOT_CHECK;
            wakes |= self.check_roots();
        }
        if self.polls() && now >= self.poll_at {
            self.poll_at = now + jittered(self.config.poll);
            wakes = true;
        }
        if now >= self.rescan_at {
            self.rescan_at = now + jittered(self.config.rescan);
            if self.watcher.is_none() {
                self.arm_all();
            }
            wakes = true;
        }
        if wakes {
            self.config.wakes.wake();
        }
    }

    /// Finds roots that are gone, replaced or back.
    fn check_roots(&mut self) -> bool {
        let mut news = false;
        for root in &mut self.config.roots {
            let found = identity(&root.path);
            if root.armed.is_some() && root.armed != found {
                root.armed = None;
                news = true;
            }
        }
        // Those that never were there, such as a folder of reftables, are looked for, too.
        let is_back = |root: &Root| root.armed.is_none() && identity(&root.path).is_some();
        let is_back = self.config.roots.iter().any(is_back);
        if self.watcher.is_some() && (news || is_back) {
            // With a watcher of its own: the old one still hears of what was moved away.
            self.watcher = None;
            self.arm_all();
            news = true;
        }
        news
    }

    fn disarm(&mut self) {
        for root in &mut self.config.roots {
            root.armed = None;
        }
    }

    /// Watches each root that is there and not watched yet.
    fn arm_all(&mut self) {
        if self.watcher.is_none() {
            self.disarm();
            let inbox = self.inbox.clone();
            let config = notify::Config::default().with_follow_symlinks(false);
            match RecommendedWatcher::new(move |event| inbox.take(event), config) {
                Ok(watcher) => self.watcher = Some(watcher),
                Err(error) => {
                    tracing::debug!(%error, "no watcher");
                    return self.give_up("fs.inotify.max_user_instances");
                }
            }
        }
        for at in 0..self.config.roots.len() {
            let root = &self.config.roots[at];
            let (path, found) = (root.path.clone(), identity(&root.path));
            if root.armed.is_some() || found.is_none() {
                continue;
            }
            match self.watch_below(&path, at) {
                Ok(()) => self.config.roots[at].armed = found,
                Err(Refused::Folder) => {}
                Err(Refused::Limit(name)) => return self.give_up(name),
            }
        }
    }

    /// Watches a folder that came up after its root was armed. What is in it already is seen by the scan that comes
    /// when all is quiet, and what comes later by the watch.
    fn watch_new(&mut self, path: &Path) {
        let roots = &self.config.roots;
        let Some(at) = roots
            .iter()
            .position(|root| root.is_deep && root.wants(path, PathKind::Folder))
        else {
            return;
        };
        if let Err(Refused::Limit(name)) = self.watch_below(path, at) {
            self.give_up(name);
        }
    }

    /// Watches a folder and, where its root is deep, all that can matter below it.
    fn watch_below(&mut self, top: &Path, at: usize) -> Result<(), Refused> {
        let mut waiting = vec![top.to_owned()];
        while let Some(folder) = waiting.pop() {
            match self.watch(&folder) {
                Ok(()) => {}
                // Gone meanwhile, or not for us to read.
                Err(Refused::Folder) if folder != top => continue,
                Err(refused) => return Err(refused),
            }
            let root = &self.config.roots[at];
            if !root.is_deep {
                continue;
            }
            // What cannot be listed is told by the scan.
            let Ok(children) = std::fs::read_dir(&folder) else {
                continue;
            };
            for child in children.flatten() {
                let path = child.path();
                if child.file_type().is_ok_and(|kind| kind.is_dir()) && root.wants(&path, PathKind::Folder) {
                    waiting.push(path);
                }
            }
        }
        Ok(())
    }

    fn watch(&mut self, folder: &Path) -> Result<(), Refused> {
        let Some(watcher) = &mut self.watcher else {
            return Ok(());
        };
        // Each folder by itself and not the whole tree at once, so that what is left out takes none of the watches,
        // of which there are few.
        let watched = watcher.watch(folder, RecursiveMode::NonRecursive);
        watched.map_err(|error| match error.kind {
            ErrorKind::MaxFilesWatch => Refused::Limit("fs.inotify.max_user_watches"),
            _ => {
                tracing::debug!(folder = %folder.display(), %error, "cannot be watched");
                Refused::Folder
            }
        })
    }

    /// Goes on without being told of changes; says so once.
    fn give_up(&mut self, limit: &str) {
        self.watcher = None;
        self.disarm();
        self.poll_at = Instant::now() + self.config.poll;
        if !self.warned {
            self.warned = true;
            let root = self.config.roots.first().map(|root| root.path.display().to_string());
            let (root, seconds) = (root.unwrap_or_default(), self.config.poll.as_secs_f64());
            (self.config.warn)(&format!(
                "{root}: the system lets no more be watched; it is looked at every {seconds} s instead. Raise \
                 {limit} (sysctl) to be told of changes"
            ));
        }
    }
}

fn jittered(interval: Duration) -> Duration {
    interval.mul_f64(0.9 + fastrand::f64() / 5.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reading_does_is_no_hint() {
        let event = |kind| Event::new(kind).add_path("/x".into());
        for kind in [
            EventKind::Access(AccessKind::Open(AccessMode::Any)),
            EventKind::Access(AccessKind::Close(AccessMode::Read)),
            EventKind::Access(AccessKind::Read),
            EventKind::Modify(ModifyKind::Name(RenameMode::Both)),
        ] {
            assert_eq!(hint_of(event(kind)), None, "{kind:?}");
        }
        let close = EventKind::Access(AccessKind::Close(AccessMode::Write));
        assert_eq!(hint_of(event(close)), Some(Hint::Touched("/x".into(), PathKind::File)));
        let to = EventKind::Modify(ModifyKind::Name(RenameMode::To));
        assert_eq!(hint_of(event(to)), Some(Hint::Appeared("/x".into())));
    }

    #[test]
    fn events_that_do_not_fit_are_remembered_as_lost() {
        let (sender, hints) = sync_channel(2);
        let inbox = Inbox {
            sender,
            lost: Arc::default(),
            stop: Arc::default(),
        };
        let touched = || Ok(Event::new(EventKind::Create(CreateKind::File)).add_path("/x".into()));
        inbox.take(touched());
        inbox.take(touched());
        assert!(!inbox.lost.load(Ordering::Relaxed));
        inbox.take(touched());
        assert!(inbox.lost.swap(false, Ordering::Relaxed));
        assert_eq!(hints.try_iter().count(), 2);
        inbox.take(Ok(Event::new(EventKind::Other).set_flag(notify::event::Flag::Rescan)));
        assert!(inbox.lost.swap(false, Ordering::Relaxed));
        inbox.take(Err(notify::Error::generic("broken")));
        assert!(inbox.lost.load(Ordering::Relaxed));
    }
}
