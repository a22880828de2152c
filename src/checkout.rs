//! A tree into a folder: only what changed is touched, nothing of the user's is lost, and nothing outside is reached.
//!
//! A run looks first and writes then: it compares the tree with what earlier checkouts wrote and with what stands in the
//! folder now, and where a local change would be lost it refuses before the first write. Then it removes what the branch
//! has no more, and writes the rest, each file beside its place and renamed. What was done is written down at each step,
//! so a run that was killed is gone on with.

mod error;
mod folder;
mod hash;
mod index;
mod look;
mod names;
mod state;
mod write;

pub use error::{CheckoutError, LocalChange, LocalChangeKind};
pub use names::{Hidden, HiddenCounts};

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use self::folder::{Folder, UNFINISHED};
use self::index::Index;
use self::look::{Decision, Target};
use self::names::{Clashes, unfit};
use self::state::{Record, State};
use crate::files::split;
use crate::model::{CommitId, Entry, NoticeKind, RelPath};
use crate::source::{Browse, Item, Node};

/// So many paths are decided on together.
const BATCH: usize = 4096;

/// So many local changes are named.
const NAMED: usize = 20;

/// Where to, and what may be lost there.
#[derive(Clone, Debug)]
pub struct CheckoutConfig {
    /// The folder; it is made where it is missing.
    pub folder: PathBuf,
    /// Where it is remembered what checkouts wrote.
    pub state_folder: PathBuf,
    /// Whether local changes are overwritten.
    pub force: bool,
    /// Whether files that no checkout wrote are removed.
    pub delete: bool,
    /// How many files are written at once.
    pub parallelism: NonZeroUsize,
    /// Under which URI lakectl knows the branch, where it is one of lakeFS: the folder then has its index file.
    pub lakectl_uri: Option<String>,
}

/// What a run did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckoutReport {
    /// Files and links that were written.
    pub written: u64,
    /// Their bytes.
    pub written_bytes: u64,
    /// Files and links that stay as they are.
    pub kept: u64,
    /// Files and links that were removed.
    pub deleted: u64,
    /// Paths that the folder cannot hold.
    pub hidden: HiddenCounts,
}

/// A folder that is to hold a branch, locked until it is dropped.
pub struct Checkout {
    source: Arc<dyn Browse>,
    config: CheckoutConfig,
    shared: Arc<Shared>,
}

struct Shared {
    folder: Folder,
    state: Mutex<State>,
    lakectl_uri: Option<String>,
    /// Whether lakectl filled the folder and no checkout of ours did: then lakectl's own rule tells what is unchanged.
    is_lakectls: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a run is to do.
#[derive(Default)]
struct Plan {
    writes: Vec<Target>,
    /// What is there already and must be written down anew.
    known: Vec<(RelPath, Record)>,
    gone: Vec<RelPath>,
    lost: Lost,
    report: CheckoutReport,
}

/// Local changes in the way.
#[derive(Default)]
struct Lost {
    named: Vec<LocalChange>,
    total: u64,
}

impl Lost {
    fn add(&mut self, change: LocalChange) {
        if self.named.len() < NAMED {
            self.named.push(change);
        }
        self.total += 1;
    }
}

impl Checkout {
    /// Opens a folder for a branch, and keeps other checkouts out of it. Blocks on the file system.
    pub fn open(source: Arc<dyn Browse>, config: CheckoutConfig) -> Result<Self, CheckoutError> {
        let folder = Folder::open(&config.folder)?;
        let name = blake3::hash(folder.path().as_os_str().as_encoded_bytes()).to_hex();
        let path = config.state_folder.join(format!("checkout-{}.state", &name[..32]));
        let state = State::load(path.clone(), source.name()).map_err(|source| CheckoutError::Io {
            action: "what the last checkout wrote down cannot be read",
            path,
            source,
        })?;
        if state.header.source != source.name() && !state.records.is_empty() && !config.force {
            return Err(CheckoutError::OtherSource {
                path: folder.path().to_owned(),
                holds: state.header.source.clone(),
                wanted: source.name().to_owned(),
            });
        }
        let index = match &config.lakectl_uri {
            Some(_) => folder.read_index()?,
            None => None,
        };
        if let (Some(index), Some(uri)) = (&index, &config.lakectl_uri)
            && !index.is_of(uri)
            && !config.force
        {
            return Err(CheckoutError::OtherSource {
                path: folder.path().to_owned(),
                holds: index.src.clone(),
                wanted: uri.clone(),
            });
        }
        Ok(Self {
            source,
            shared: Arc::new(Shared {
                is_lakectls: index.is_some() && state.records.is_empty(),
                lakectl_uri: config.lakectl_uri.clone(),
                folder,
                state: Mutex::new(state),
            }),
            config,
        })
    }

    /// The commit that the folder holds, where the last checkout came to its end.
    pub fn commit(&self) -> Option<CommitId> {
        self.shared.state().header.commit.clone()
    }

    /// Makes the folder hold a commit.
    pub async fn run(&self, at: &CommitId, stop: &CancellationToken) -> Result<CheckoutReport, CheckoutError> {
        if self.shared.state().was_interrupted {
            self.blocking(|shared| remove_unfinished(&shared.folder)).await?;
        }
        let mut plan = self.look(at).await?;
        if plan.lost.total > 0 && !self.config.force {
            return Err(CheckoutError::LocalChanges {
                changes: plan.lost.named,
                total: plan.lost.total,
            });
        }
        let is_same = self.commit().as_ref() == Some(at);
        if is_same && plan.writes.is_empty() && plan.gone.is_empty() && plan.known.is_empty() {
            return Ok(plan.report);
        }
        let name = self.source.name().to_owned();
        let (known, gone) = (std::mem::take(&mut plan.known), std::mem::take(&mut plan.gone));
        plan.report.deleted = gone.len() as u64;
        let to = at.clone();
        self.blocking(move |shared| {
            shared.begin(&name, &to)?;
            for (path, record) in known {
                shared.done(path, Some(record))?;
            }
            gone.into_iter().try_for_each(|path| shared.remove(path))
        })
        .await?;
        let writes = std::mem::take(&mut plan.writes);
        plan.report.written_bytes = write::write_all(self, at, writes, stop).await?;
        let commit = at.clone();
        self.blocking(move |shared| shared.finish(&commit)).await?;
        Ok(plan.report)
    }

    /// Finds out what is to be done.
    async fn look(&self, at: &CommitId) -> Result<Plan, CheckoutError> {
        let mut plan = Plan::default();
        let mut clashes = Clashes::default();
        let mut clashing = HashSet::new();
        let mut seen = HashSet::new();
        let mut batch = Vec::with_capacity(BATCH);
        let mut tree = self.source.tree(at).await?;
        loop {
            let item = tree.next().await?;
            let is_end = item.is_none();
            if let Some(item) = item
                && let Some(target) = self.target(at, item, &mut plan.report).await?
            {
                if let Some(file) = clashes.take(target.path()) {
                    clashing.insert(file);
                    *plan.report.hidden.entry(Hidden::FileAndFolder).or_default() += 1;
                }
                seen.insert(target.path().clone());
                batch.push(target);
            }
            if is_end || batch.len() == BATCH {
                batch = self.decide(batch, &mut plan).await?;
            }
            if is_end {
                break;
            }
        }
        plan.writes.retain(|target| !clashing.contains(target.path()));
        plan.known.retain(|(path, _)| !clashing.contains(path));
        for file in &clashing {
            seen.remove(file);
        }
        plan.report.written = plan.writes.len() as u64;
        plan.report.kept = seen.len() as u64 - plan.report.written;
        let delete = self.config.delete;
        let (gone, lost) = self.blocking(move |shared| shared.gone(&seen, delete)).await?;
        plan.gone = gone;
        plan.lost.total += lost.total;
        plan.lost.named.extend(lost.named);
        plan.lost.named.truncate(NAMED);
        Ok(plan)
    }

    /// What a line of the tree wants to have in the folder, where it can be there.
    async fn target(
        &self,
        at: &CommitId,
        item: Item<Entry>,
        report: &mut CheckoutReport,
    ) -> Result<Option<Target>, CheckoutError> {
        let mut hide = |why| *report.hidden.entry(why).or_default() += 1;
        let path = match &item {
            Item::Entry(entry) => &entry.path,
            Item::Notice(notice) if notice.kind.is_skip() => &notice.path,
            Item::Notice(_) => return Ok(None),
            Item::Failed { path, error } => {
                return Err(CheckoutError::Unreadable {
                    path: path.clone(),
                    error: error.clone(),
                });
            }
        };
        let (_, name) = split(path.as_bytes());
        let why = match unfit(path, &[index::NAME.as_bytes()]) {
            None if name.starts_with(UNFINISHED) => Some(Hidden::Reserved),
            why => why,
        };
        if let Some(why) = why {
            hide(why);
            return Ok(None);
        }
        match item {
            Item::Entry(entry) => Ok(Some(Target::File(entry))),
            Item::Notice(notice) if notice.kind == NoticeKind::Symlink => {
                match self.source.find(at, &notice.path).await? {
                    Some(Node::Link(target)) => Ok(Some(Target::Link(notice.path, target))),
                    _ => {
                        hide(Hidden::NoFile);
                        Ok(None)
                    }
                }
            }
            _ => {
                hide(Hidden::NoFile);
                Ok(None)
            }
        }
    }

    /// Decides on a batch of paths, and gives the empty batch back.
    async fn decide(&self, mut batch: Vec<Target>, plan: &mut Plan) -> Result<Vec<Target>, CheckoutError> {
        let decided = self.blocking(move |shared| {
            let decisions = look::decide_all(&shared.folder, &shared.state(), &batch, shared.is_lakectls);
            decisions
                .map(|decisions| (decisions, batch))
                .map_err(|source| shared.folder.error("what is in the folder cannot be read", source))
        });
        let decisions;
        (decisions, batch) = decided.await?;
        for (decision, target) in decisions.into_iter().zip(batch.drain(..)) {
            match decision {
                Decision::Keep(None) => {}
                Decision::Keep(Some(record)) => plan.known.push((target.path().clone(), record)),
                Decision::Write => plan.writes.push(target),
                Decision::Lose(change) => {
                    plan.lost.add(change);
                    plan.writes.push(target);
                }
            }
        }
        Ok(batch)
    }

    /// Runs something that waits for files where it keeps no task waiting.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> Result<T, CheckoutError> + Send + 'static,
    ) -> Result<T, CheckoutError> {
        let shared = Arc::clone(&self.shared);
        let done = tokio::task::spawn_blocking(move || work(&shared)).await;
        done.unwrap_or(Err(CheckoutError::Stopped))
    }
}

impl Shared {
    /// What is in the folder and not in the tree any more: what can go, and what would be lost with it.
    fn gone(&self, seen: &HashSet<RelPath>, delete: bool) -> Result<(Vec<RelPath>, Lost), CheckoutError> {
        let state = self.state();
        let (mut gone, mut lost) = (Vec::new(), Lost::default());
        for (path, record) in state.records.iter().filter(|(path, _)| !seen.contains(*path)) {
            let decided = look::decide_gone(&self.folder, path, record);
            if let Some(change) = decided.map_err(|source| self.folder.error_at("cannot be read", path, source))? {
                lost.add(change);
            }
            gone.push(path.clone());
        }
        if delete {
            let mut found = |path: RelPath| {
                let is_ours = seen.contains(&path) || state.records.contains_key(&path);
                if !is_ours && path.as_bytes() != index::NAME.as_bytes() {
                    gone.push(path);
                }
            };
            let walked = self.folder.walk(None, &mut found);
            walked.map_err(|source| self.folder.error("cannot be read", source))?;
        }
        Ok((gone, lost))
    }

    fn begin(&self, source: &str, to: &CommitId) -> Result<(), CheckoutError> {
        self.state().begin(source).map_err(|error| self.noted(error))?;
        self.write_index(to, false)
    }

    /// Says to lakectl what the folder holds.
    fn write_index(&self, commit: &CommitId, is_done: bool) -> Result<(), CheckoutError> {
        match &self.lakectl_uri {
            Some(uri) => self.folder.write_index(&Index::new(uri, commit.as_str(), is_done)),
            None => Ok(()),
        }
    }

    fn done(&self, path: RelPath, record: Option<Record>) -> Result<(), CheckoutError> {
        self.state().done(path, record).map_err(|error| self.noted(error))
    }

    fn remove(&self, path: RelPath) -> Result<(), CheckoutError> {
        let removed = self.folder.remove(&path);
        removed.map_err(|source| self.folder.error_at("cannot be removed", &path, source))?;
        self.done(path, None)
    }

    fn finish(&self, commit: &CommitId) -> Result<(), CheckoutError> {
        let synced = self.folder.sync();
        synced.map_err(|source| self.folder.error("cannot be written", source))?;
        self.write_index(commit, true)?;
        self.state().finish(commit).map_err(|error| self.noted(error))
    }

    fn noted(&self, source: std::io::Error) -> CheckoutError {
        self.folder
            .error("what was done in this folder cannot be written down", source)
    }
}

/// Removes the files that a killed checkout was writing.
fn remove_unfinished(folder: &Folder) -> Result<(), CheckoutError> {
    let mut unfinished = Vec::new();
    let mut found = |path: RelPath| {
        if path.file_name().starts_with(UNFINISHED) {
            unfinished.push(path);
        }
    };
    let removed = folder
        .walk(None, &mut found)
        .and_then(|()| unfinished.iter().try_for_each(|path| folder.remove(path)));
    removed.map_err(|source| folder.error("what a killed checkout left cannot be removed", source))
}

#[cfg(test)]
mod tests;
