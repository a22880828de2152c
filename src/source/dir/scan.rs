//! One scan: walk, hash, and what came of it.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::mpsc::{Receiver, sync_channel};

use rustix::fs::{Mode, OFlags};

use super::DirConfig;
use super::cache::{Known, StatCache};
use super::hash::{self, Hashed};
use super::listing::Tree;
use super::spool::{Spool, SpoolWriter, Spooled};
use super::walk::{FileStep, Step, Walk};
use crate::files::{self, FileStat, Identity, Stamp};
use crate::model::{CommitId, Notice, NoticeKind, RelPath};
use crate::source::{SkipOrError, SourceError, SymlinkPolicy};

/// How many files one piece of work holds: small files are hashed in microseconds, and handing work over
/// costs one or two.
const BATCH: usize = 64;

/// How many folders one piece of work may keep open.
const BATCH_FOLDERS: usize = 8;

/// Pieces of work under way for each core: so many that one big file in front does not make the others
/// wait, each a few kilobytes.
const BATCHES_PER_CORE: usize = 16;

/// How many folders may be open before no more work is begun; many systems allow 1,024 open files.
const OPEN_FOLDERS: usize = 384;

/// How many paths a refusal names.
const NAMED: usize = 20;

/// What a scan found.
pub(super) struct Scan {
    pub(super) commit: CommitId,
    pub(super) spool: Spool,
}

/// Opens a directory without following a link in its place, and makes sure it is the one that is meant.
pub(super) fn open_root(path: &Path, identity: Identity) -> Result<std::os::fd::OwnedFd, SourceError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let changed = || SourceError::RootChanged { path: path.to_owned() };
    let opened = rustix::fs::open(path, flags, Mode::empty())
        .map_err(std::io::Error::from)
        .and_then(|fd| Ok((FileStat::of(&fd)?, fd)));
    match opened {
        Ok((stat, fd)) if stat.identity() == identity => Ok(fd),
        Ok(_) => Err(changed()),
        Err(error) if files::is_gone(&error) => Err(changed()),
        Err(source) => Err(SourceError::Io {
            action: "cannot be opened",
            path: path.to_owned(),
            source,
        }),
    }
}

/// Scans a directory; `root` is its canonical path.
pub(super) fn run(
    config: &DirConfig,
    root: &Path,
    identity: Identity,
    stop: Arc<AtomicBool>,
) -> Result<Scan, SourceError> {
    let began = Stamp::now();
    let fd = open_root(root, identity)?;
    let mut cache = config.cache.as_deref().and_then(|folder| {
        if let Err(fault) = std::fs::create_dir_all(folder) {
            tracing::warn!(folder = %folder.display(), %fault, "the cache folder cannot be made; every file is read");
            return None;
        }
        Some(StatCache::open(folder, root, began))
    });
    let own = config.exclude_paths.iter().chain(&config.cache);
    let tree = Arc::new(Tree {
        root: fd,
        path: root.to_owned(),
        filter: config.filter.clone(),
        symlinks: config.symlinks,
        // What is not there yet is not in the tree either.
        excluded: own.filter_map(|path| super::identity_of(path).ok()).collect(),
        stop,
        wide: AtomicBool::new(false),
        open_folders: AtomicUsize::new(0),
        ahead_bytes: AtomicUsize::new(0),
    });
    let mut work = Work {
        walk: Walk::new(&tree)?,
        tree: Arc::clone(&tree),
        under_way: VecDeque::new(),
        refused: Refused::new(config),
    };
    let mut spool = SpoolWriter::new(config.cache.as_deref())?;
    let mut id = TreeHasher::new();
    while let Some(done) = work.next(cache.as_mut())? {
        for item in done {
            let item = match item {
                Done::Item(item) => item,
                Done::Nothing => continue,
                Done::File {
                    path,
                    stat,
                    blake3,
                    fresh,
                } => {
                    if let Some(cache) = &mut cache {
                        cache.record(&path, stat, blake3, fresh);
                    }
                    Spooled::File {
                        path,
                        size: stat.size,
                        blake3,
                        mode: stat.mode & 0o7777,
                        mtime_unix: stat.modified.seconds,
                    }
                }
            };
            id.add(&item);
            spool.push(&item)?;
        }
    }
    work.refused.outcome()?;
    // A tree that was unmounted or moved away meanwhile looks as if its files had been deleted.
    open_root(root, identity)?;
    if let Some(cache) = cache {
        cache.finish();
    }
    Ok(Scan {
        commit: id.finish(),
        spool: spool.finish()?,
    })
}

/// The pieces of work of a scan, in the order of the tree.
struct Work {
    tree: Arc<Tree>,
    walk: Walk,
    under_way: VecDeque<Receiver<Result<Vec<Done>, SourceError>>>,
    refused: Refused,
}

/// What is to be done.
enum Todo {
    Item(Spooled),
    File(FileStep, Option<Known>),
}

/// What was done.
enum Done {
    Item(Spooled),
    File {
        path: RelPath,
        stat: FileStat,
        blake3: [u8; 32],
        fresh: bool,
    },
    Nothing,
}

impl Work {
    /// Gives the next piece of work that is done, and keeps as many going as is good.
    fn next(&mut self, mut cache: Option<&mut StatCache>) -> Result<Option<Vec<Done>>, SourceError> {
        let most = rayon::current_num_threads() * BATCHES_PER_CORE;
        while self.under_way.is_empty()
            || (self.under_way.len() < most && self.tree.open_folders.load(Relaxed) < OPEN_FOLDERS)
        {
            let batch = self.batch(cache.as_deref_mut())?;
            if batch.is_empty() {
                break;
            }
            let tree = Arc::clone(&self.tree);
            let (sender, done) = sync_channel(1);
            rayon::spawn(move || {
                let done: Result<Vec<Done>, SourceError> = batch.into_iter().map(|todo| todo.run(&tree)).collect();
                // A scan that was given up no longer listens.
                drop(sender.send(done));
            });
            self.under_way.push_back(done);
        }
        let Some(oldest) = self.under_way.pop_front() else {
            return Ok(None);
        };
        oldest.recv().map_err(|_| SourceError::Interrupted)?.map(Some)
    }

    fn batch(&mut self, mut cache: Option<&mut StatCache>) -> Result<Vec<Todo>, SourceError> {
        let mut batch = Vec::new();
        let mut folders = 0;
        let mut folder = None;
        while batch.len() < BATCH && folders < BATCH_FOLDERS {
            if self.tree.is_stopped() {
                return Err(SourceError::Interrupted);
            }
            let Some(step) = self.walk.next()? else {
                break;
            };
            match step {
                Step::Notice(notice) if self.refused.takes(&notice) => {}
                // The walk goes on for the sake of the list alone.
                _ if self.refused.is_refused() => {}
                Step::Notice(notice) => batch.push(Todo::Item(Spooled::Notice(notice))),
                Step::Failed { path, error } => batch.push(Todo::Item(Spooled::Failed { path, error })),
                Step::File(file) => {
                    let this = Some(file.folder.identity);
                    folders += usize::from(folder != this);
                    folder = this;
                    let known = cache.as_mut().and_then(|cache| cache.find(&file.path));
                    batch.push(Todo::File(file, known));
                }
            }
        }
        Ok(batch)
    }
}

impl Todo {
    fn run(self, tree: &Tree) -> Result<Done, SourceError> {
        let (file, known) = match self {
            Self::Item(item) => return Ok(Done::Item(item)),
            Self::File(file, known) => (file, known),
        };
        Ok(match hash::examine(tree, file, known)? {
            Hashed::Nothing => Done::Nothing,
            Hashed::Failed { path, error } => Done::Item(Spooled::Failed { path, error }),
            Hashed::File {
                path,
                stat,
                blake3,
                fresh,
            } => Done::File {
                path,
                stat,
                blake3,
                fresh,
            },
        })
    }
}

/// The paths that a policy forbids.
struct Refused {
    symlinks: Option<(Vec<RelPath>, u64)>,
    special: Option<(Vec<RelPath>, u64)>,
}

impl Refused {
    fn new(config: &DirConfig) -> Self {
        Self {
            symlinks: (config.symlinks == SymlinkPolicy::Error).then(Default::default),
            special: (config.special == SkipOrError::Error).then(Default::default),
        }
    }

    /// Takes a path down, where the policy forbids it.
    fn takes(&mut self, notice: &Notice) -> bool {
        let list = match notice.kind {
            NoticeKind::Symlink => &mut self.symlinks,
            NoticeKind::Special => &mut self.special,
            NoticeKind::Submodule
            | NoticeKind::OddKey
            | NoticeKind::LfsPointer
            | NoticeKind::ContentType
            | NoticeKind::MetadataName
            | NoticeKind::MetadataValue
            | NoticeKind::MetadataLength => return false,
        };
        let Some((paths, total)) = list else {
            return false;
        };
        *total += 1;
        if paths.len() < NAMED {
            paths.push(notice.path.clone());
        }
        true
    }

    fn is_refused(&self) -> bool {
        [&self.symlinks, &self.special]
            .into_iter()
            .flatten()
            .any(|(_, total)| *total > 0)
    }

    fn outcome(self) -> Result<(), SourceError> {
        let symlinks = ("symlinks", "use `--symlinks skip` to leave them out", self.symlinks);
        let special = ("special files", "use `--special skip` to leave them out", self.special);
        for (what, cure, list) in [symlinks, special] {
            if let Some((paths, total)) = list
                && total > 0
            {
                return Err(SourceError::Refused {
                    what,
                    paths,
                    total,
                    cure,
                });
            }
        }
        Ok(())
    }
}

/// Makes the commit id of a directory; see [`super::DirSource`] for what it covers.
struct TreeHasher(blake3::Hasher);

impl TreeHasher {
    fn new() -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"lakesync directory tree 1\n");
        Self(hasher)
    }

    fn add(&mut self, item: &Spooled) {
        let (kind, path) = match item {
            Spooled::Notice(_) => return,
            Spooled::Failed { path, .. } => (b'!', path),
            Spooled::File { path, mode, .. } if mode & 0o111 != 0 => (b'x', path),
            Spooled::File { path, .. } => (b'f', path),
        };
        self.0.update(&[kind]);
        self.0.update(&(path.as_bytes().len() as u64).to_le_bytes());
        self.0.update(path.as_bytes());
        if let Spooled::File { size, blake3, .. } = item {
            self.0.update(&size.to_le_bytes());
            self.0.update(blake3);
        }
    }

    fn finish(&self) -> CommitId {
        CommitId::new(format!("b3tree:{}", self.0.finalize().to_hex()))
    }
}
