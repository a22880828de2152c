//! A directory as a source: walked, hashed, and published as it was when it was scanned.
//!
//! One thread walks the tree in order; rayon's threads read folders ahead and hash files; what they find
//! comes back in order and goes into a spool on disk. Nothing holds more than one folder's names.

mod body;
mod browse;
mod cache;
mod hash;
mod links;
mod listing;
mod scan;
mod spool;
mod walk;

use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use rustix::fs::FileType;

use self::scan::Scan;
use super::{
    Body, EntryStream, Filter, Item, SkipOrError, Source, SourceError, SourceName, Stream, SymlinkPolicy, channel,
};
use crate::files::{FileStat, Identity};
use crate::model::{Change, CommitId, Entry, RelPath};

/// How many files are read at once for each core: reading waits for a disk or a file server.
const READS_PER_CORE: usize = 4;

/// Which directory, and what of it.
#[derive(Clone, Debug, Default)]
pub struct DirConfig {
    /// The directory.
    pub path: PathBuf,
    /// Which paths go out. What it leaves out is neither opened, followed nor counted.
    pub filter: Filter,
    /// What is done with symbolic links.
    pub symlinks: SymlinkPolicy,
    /// What is done with sockets, pipes and devices.
    pub special: SkipOrError,
    /// The folder of the stat cache and of the spool of a scan; made where it is missing. `None`: every
    /// scan reads every file.
    pub cache: Option<PathBuf>,
    /// Files and folders of our own, left out wherever they are met in the tree, under whatever name. The
    /// cache folder need not be named.
    pub exclude_paths: Vec<PathBuf>,
}

/// A directory, each state of which is named by its content.
///
/// Its commit id is `b3tree:` and the BLAKE3 of the line `lakesync directory tree 1\n` and then, for each
/// file in the order of the path bytes: one byte (`x` where any execute bit is set, else `f`), the length of the
/// path (u64, little-endian), the path, the size (u64, little-endian) and the BLAKE3 of the content (32
/// bytes). A path that could not be read goes in as `!`, the length of the path and the path, so that such
/// a state is never taken for a whole one. Times, other permission bits and what a policy left out do not
/// count: touching every file gives the same commit.
///
/// A directory cannot be frozen, so a scan of one that is being changed may hold one file from before and
/// another from after a change; each single file is whole. A file or folder that vanishes during the scan
/// is not in the tree, one that cannot be read is an [`Item::Failed`].
#[derive(Debug)]
pub struct DirSource {
    name: SourceName,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: DirConfig,
    /// The canonical path.
    root: PathBuf,
    /// Which directory it was when it was opened.
    identity: Identity,
    /// Only the newest: an older state can no longer be read.
    newest: Mutex<Option<Arc<Scan>>>,
    /// Held while a scan goes on, which has all cores anyway.
    scanning: Mutex<()>,
}

impl std::fmt::Debug for Scan {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Scan({})", self.commit)
    }
}

/// Stops a scan that nobody waits for any more.
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

impl DirSource {
    /// Opens a directory. Links in its path are followed now, once.
    pub fn open(mut config: DirConfig) -> Result<Self, SourceError> {
        let path = &config.path;
        let told = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::NotFound => SourceError::NoSuchPath { path: path.clone() },
            std::io::ErrorKind::NotADirectory => SourceError::NotADirectory { path: path.clone() },
            _ => SourceError::Io {
                action: "cannot be opened",
                path: path.clone(),
                source: error,
            },
        };
        let root = path.canonicalize().map_err(told)?;
        let stat = FileStat::at(rustix::fs::CWD, root.as_os_str().as_bytes()).map_err(told)?;
        if stat.kind() != FileType::Directory {
            return Err(SourceError::NotADirectory { path: path.clone() });
        }
        let identity = stat.identity();
        // Its files would be part of what they describe.
        let cache_is_root = |folder: &PathBuf| identity_of(folder).is_ok_and(|cache| cache == identity);
        if let Some(folder) = config.cache.take_if(|folder| cache_is_root(folder)) {
            tracing::warn!(folder = %folder.display(), "the cache folder is the exported directory itself; nothing is cached");
        }
        let shown = RelPath::new(root.as_os_str().as_bytes()).expect("an absolute path is not empty");
        Ok(Self {
            name: format!("dir:{shown}").into(),
            shared: Arc::new(Shared {
                config,
                root,
                identity,
                newest: Mutex::new(None),
                scanning: Mutex::new(()),
            }),
        })
    }

    fn scanned(&self, at: &CommitId) -> Option<Arc<Scan>> {
        let newest = self.shared.newest.lock().unwrap_or_else(PoisonError::into_inner);
        newest.as_ref().filter(|scan| scan.commit == *at).cloned()
    }

    fn scan_of(&self, at: &CommitId) -> Result<Arc<Scan>, SourceError> {
        self.scanned(at).ok_or_else(|| SourceError::CommitGone {
            name: self.name.to_string(),
            commit: at.clone(),
        })
    }
}

impl Shared {
    fn scan(&self, stop: Arc<AtomicBool>) -> Result<CommitId, SourceError> {
        let _alone = self.scanning.lock().unwrap_or_else(PoisonError::into_inner);
        let scan = scan::run(&self.config, &self.root, self.identity, stop)?;
        let commit = scan.commit.clone();
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(scan));
        Ok(commit)
    }
}

#[async_trait]
impl Source for DirSource {
    fn name(&self) -> &str {
        &self.name
    }

    async fn head(&self) -> Result<CommitId, SourceError> {
        let shared = Arc::clone(&self.shared);
        let stop = StopOnDrop(Arc::default());
        let told = Arc::clone(&stop.0);
        blocking(move || shared.scan(told)).await
    }

    async fn contains(&self, at: &CommitId) -> Result<bool, SourceError> {
        Ok(self.scanned(at).is_some())
    }

    async fn tree(&self, at: &CommitId) -> Result<EntryStream, SourceError> {
        let scan = self.scan_of(at)?;
        let (mut sink, stream) = channel();
        // Left alone on purpose: it ends when the spool or its reader does.
        drop(tokio::task::spawn_blocking(move || {
            let outcome = scan.spool.read(|item| sink.send_blocking(item.into()).is_ok());
            sink.finish_blocking(outcome);
        }));
        Ok(stream)
    }

    /// Always `None`: a directory has no history, so the older tree is what the ledger holds.
    async fn changes(&self, _: &CommitId, _: &CommitId) -> Result<Option<Stream<Item<Change>>>, SourceError> {
        Ok(None)
    }

    /// Opens a file as it is now. `at` need not be the newest scan: it is the size and the content of the
    /// entry that count, and a file that has others is [`SourceError::Changed`].
    async fn open(&self, _: &CommitId, entry: &Entry) -> Result<Body, SourceError> {
        let shared = Arc::clone(&self.shared);
        let entry = entry.clone();
        blocking(move || {
            let file = body::open(&shared.root, shared.identity, shared.config.symlinks, entry)?;
            if file.is_small() {
                file.read_whole(&shared.root)
            } else {
                Ok(file.read_chunks(&shared.root))
            }
        })
        .await
    }

    fn parallelism(&self) -> NonZeroUsize {
        let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        cores.saturating_mul(NonZeroUsize::new(READS_PER_CORE).expect("four is not zero"))
    }
}

/// Which file or folder a path leads to.
fn identity_of(path: &Path) -> std::io::Result<Identity> {
    use std::os::unix::fs::MetadataExt as _;
    let found = std::fs::metadata(path)?;
    Ok((found.dev(), found.ino()))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SourceError> + Send + 'static,
) -> Result<T, SourceError> {
    // A panic over there is a bug of ours; here it is a source that stopped.
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| SourceError::Interrupted)?
}

#[cfg(test)]
mod tests;
