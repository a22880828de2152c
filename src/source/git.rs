//! A branch, tag or revision of a local Git repository, read straight from the object store.
//!
//! Nothing here touches a worktree or an index, runs a hook, a filter or a driver, or asks the network:
//! what is published are the bytes of the blobs as they are stored.

mod blob;
mod browse;
mod delivery;
mod find;
mod folder;
mod links;
mod location;
mod program;
mod reader;
mod remotes;
mod walk;

pub use remotes::remotes;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;

use self::blob::Blobs;
use self::delivery::{Delivery, Policies, Said};
use self::find::{Finder, Target};
use self::reader::Readers;
use self::walk::{Stop, Walk};
use super::{
    Body, EntryStream, Filter, Item, LfsPolicy, Sink, SkipOrError, Source, SourceError, Stream, SymlinkPolicy,
};
use crate::model::{Change, CommitId, Entry};

/// Which repository and revision to read, and what to do with that which is no plain file.
#[derive(Clone, Debug)]
pub struct GitConfig {
    /// The repository itself: a worktree, a linked worktree, a `.git` folder or a bare repository. Folders
    /// above it are not searched.
    pub path: PathBuf,
    /// A branch, else a tag, else a full ref name, else anything that names a commit (`HEAD~2`, a short id);
    /// `None` for the branch that HEAD is on.
    pub reference: Option<String>,
    /// Which paths go out.
    pub filter: Filter,
    /// What becomes of symlinks.
    pub symlinks: SymlinkPolicy,
    /// What becomes of submodules.
    pub submodules: SkipOrError,
    /// What becomes of Git LFS pointers.
    pub lfs: LfsPolicy,
    /// The git program, asked only where the refs are kept in a way that the library cannot read.
    pub git_program: PathBuf,
}

impl GitConfig {
    /// The repository's current branch, whole, with every policy at its default.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            reference: None,
            filter: Filter::default(),
            symlinks: SymlinkPolicy::default(),
            submodules: SkipOrError::default(),
            lfs: LfsPolicy::default(),
            git_program: PathBuf::from("git"),
        }
    }
}

/// A branch, tag or revision of a local Git repository.
#[derive(Clone)]
pub struct GitSource {
    inner: Arc<Inner>,
}

struct Inner {
    readers: Readers,
    finder: Finder,
    target: Target,
    name: String,
    filter: Filter,
    policies: Policies,
    blobs: Blobs,
}

impl GitSource {
    /// Opens the repository and pins the name of the branch, not its commit. Blocks on the file system.
    ///
    /// The branch that HEAD is on is pinned too: a checkout of another branch in the worktree does not
    /// change what is exported.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the path, the repository or the name is told here, before any run
    /// begins: see [`SourceError`].
    pub fn open(config: GitConfig) -> Result<Self, SourceError> {
        let shared = location::open(&config.path)?;
        let readers = Readers::new(shared);
        let reader = readers.take();
        let origin = location::origin(reader.repository());
        let finder = Finder::new(reader.repository(), &config.git_program, &config.path)?;
        let target = finder.target(reader.repository(), config.reference.as_deref())?;
        finder.commit(reader.repository(), &target)?;
        drop(reader);
        Ok(Self {
            inner: Arc::new(Inner {
                name: format!("git:{origin}#{target}"),
                readers,
                finder,
                target,
                filter: config.filter,
                policies: Policies {
                    symlinks: config.symlinks,
                    submodules: config.submodules,
                    lfs: config.lfs,
                },
                blobs: Blobs::new(),
            }),
        })
    }

    /// Whether it moves with new commits: a branch, local or remote, and not a tag or a detached HEAD.
    pub fn is_branch(&self) -> bool {
        self.inner.target.is_branch()
    }

    /// The folder of this worktree and the one that all worktrees share: where refs are kept.
    pub fn folders(&self) -> (PathBuf, PathBuf) {
        let reader = self.inner.readers.take();
        let repository = reader.repository();
        (repository.git_dir().to_owned(), repository.common_dir().to_owned())
    }

    /// Whether a commit comes before another in history; not where this repository has not both of them.
    pub async fn is_ancestor(&self, older: &CommitId, newer: &CommitId) -> Result<bool, SourceError> {
        let (older, newer) = (older.clone(), newer.clone());
        self.blocking(move |inner| inner.readers.take().is_ancestor(&older, &newer))
            .await
    }

    /// Walks the two trees on a thread of its own; `from` of `None` stands for an empty tree.
    fn stream<T: Said>(&self, from: Option<&CommitId>, to: &CommitId) -> Result<Stream<Item<T>>, SourceError> {
        let (from, to) = (from.cloned(), to.clone());
        self.on_thread(move |inner, sink| inner.deliver(from.as_ref(), &to, sink))
    }

    /// Streams what `work` sends.
    fn on_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner, Sink<Item<T>>) + Send + 'static,
    ) -> Result<Stream<Item<T>>, SourceError> {
        let (sink, stream) = super::channel();
        let inner = Arc::clone(&self.inner);
        // A thread of its own and not one of the runtime's: it waits for as long as the reader is slow, and
        // a runtime that ends must not wait for it.
        std::thread::Builder::new()
            .name("git-walk".to_owned())
            .spawn(move || work(&inner, sink))
            .map_err(|source| SourceError::Io {
                action: "no thread could be started to read it",
                path: self.inner.finder.path().to_owned(),
                source,
            })?;
        Ok(stream)
    }

    /// Runs something that reads files where that may block.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, SourceError> + Send + 'static,
    ) -> Result<T, SourceError> {
        let inner = Arc::clone(&self.inner);
        let done = tokio::task::spawn_blocking(move || work(&inner)).await;
        done.unwrap_or(Err(SourceError::Interrupted))
    }
}

impl Inner {
    fn deliver<T: Said>(&self, from: Option<&CommitId>, to: &CommitId, sink: Sink<Item<T>>) {
        let mut delivery = Delivery::new(self, to, sink);
        let outcome = self
            .walk(from, to, self.policies.symlinks)
            .map_err(Stop::Failed)
            .and_then(|walk| walk.run(&mut |found| delivery.take(found)));
        delivery.finish(outcome);
    }

    fn walk(&self, from: Option<&CommitId>, to: &CommitId, symlinks: SymlinkPolicy) -> Result<Walk<'_>, SourceError> {
        let reader = self.readers.take();
        let from_root = from.map(|at| reader.root(at)).transpose()?;
        let to_root = reader.root(to)?;
        let (from, follow) = (from.unwrap_or(to).clone(), symlinks == SymlinkPolicy::FollowInside);
        Walk::new(reader, &self.filter, follow, (from, from_root), (to.clone(), to_root))
    }

    /// Whether all folders that differ can be read on both sides.
    fn is_comparable(&self, from: &CommitId, to: &CommitId) -> bool {
        let outcome = self
            .walk(Some(from), to, SymlinkPolicy::Skip)
            .map_err(Stop::Failed)
            .and_then(|walk| walk.run(&mut |_| Ok(())));
        if let Err(Stop::Failed(error)) = &outcome {
            tracing::debug!(%from, %to, %error, "the commits cannot be compared; the whole tree will be read");
        }
        outcome.is_ok()
    }
}

#[async_trait]
impl Source for GitSource {
    fn name(&self) -> &str {
        &self.inner.name
    }

    async fn head(&self) -> Result<CommitId, SourceError> {
        self.blocking(|inner| {
            let reader = inner.readers.take();
            inner.finder.commit(reader.repository(), &inner.target)
        })
        .await
    }

    async fn contains(&self, at: &CommitId) -> Result<bool, SourceError> {
        let at = at.clone();
        self.blocking(move |inner| Ok(inner.readers.take().has(&at))).await
    }

    async fn tree(&self, at: &CommitId) -> Result<EntryStream, SourceError> {
        self.stream(None, at)
    }

    async fn changes(&self, from: &CommitId, to: &CommitId) -> Result<Option<Stream<Item<Change>>>, SourceError> {
        // A followed link shows what lies elsewhere, so a folder can change although its own id does not,
        // and only the whole tree tells.
        if self.inner.policies.symlinks == SymlinkPolicy::FollowInside {
            return Ok(None);
        }
        // The folders are read twice, once to see that they can be: a commit that was half pruned away must
        // lead to a comparison of whole trees, not to an error that each later run would meet again.
        let (old, new) = (from.clone(), to.clone());
        if !self.blocking(move |inner| Ok(inner.is_comparable(&old, &new))).await? {
            return Ok(None);
        }
        self.stream(Some(from), to).map(Some)
    }

    async fn open(&self, at: &CommitId, entry: &Entry) -> Result<Body, SourceError> {
        let inner = &self.inner;
        let permit = inner.blobs.admit(entry.size).await;
        let (at, path, git, size) = (at.clone(), entry.path.clone(), entry.content.git, entry.size);
        self.blocking(move |inner| {
            let reader = inner.readers.take();
            let bytes = reader.blob(git, &at, &path)?;
            Ok(blob::body(bytes, size, permit))
        })
        .await
    }

    fn parallelism(&self) -> NonZeroUsize {
        // Twice the cores: while one blob is inflated the next is read from disk.
        let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        cores.saturating_mul(const { NonZeroUsize::new(2).expect("two is not zero") })
    }
}
