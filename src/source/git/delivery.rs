//! From what a walk finds to entries in a stream: sizes, policies, and the check of the order.

use gix::ObjectId;
use rayon::prelude::*;

use super::Inner;
use super::reader::{Place, Reader};
use super::walk::{Found, Stop};
use crate::model::{Attributes, Change, CommitId, ContentIds, Entry, GitId, Notice, NoticeKind, RelPath};
use crate::source::{Item, LfsPolicy, Sink, SkipOrError, SourceError, SymlinkPolicy};

/// How many files are looked up together: enough to keep all cores busy, and well below a megabyte.
pub(super) const BATCH: usize = 2048;

/// How many of them one core takes at a time.
pub(super) const SHARE: usize = 128;

/// How every Git LFS pointer begins, as its specification demands.
const LFS_START: &[u8] = b"version https://git-lfs.github.com/spec/";

/// The specification allows a pointer no more than this, so that nothing larger need be read to know.
const LFS_MOST_BYTES: u64 = 1024;

/// So many refused paths are named.
const NAMED: usize = 20;

/// What becomes of that which is no plain file.
pub(super) struct Policies {
    pub(super) symlinks: SymlinkPolicy,
    pub(super) submodules: SkipOrError,
    pub(super) lfs: LfsPolicy,
}

/// What a stream says of a path.
pub(super) trait Said: Send + Sized + 'static {
    /// The newer tree has this file.
    fn file(entry: Entry) -> Self;
    /// The newer tree has no file here; `None` where that goes without saying.
    fn gone(path: RelPath) -> Option<Self>;
}

impl Said for Entry {
    fn file(entry: Entry) -> Self {
        entry
    }

    fn gone(_: RelPath) -> Option<Self> {
        None
    }
}

impl Said for Change {
    fn file(entry: Entry) -> Self {
        Self::Put(entry)
    }

    fn gone(path: RelPath) -> Option<Self> {
        Some(Self::Gone(path))
    }
}

/// Something on its way, in its place among the others.
enum Waiting<T> {
    /// A file whose size is not known yet.
    File {
        path: RelPath,
        id: ObjectId,
        executable: bool,
    },
    /// Nothing more to find out.
    Ready(Item<T>),
}

/// Collects what a walk finds, looks it up in batches, and hands it over in the same order.
pub(super) struct Delivery<'a, T> {
    inner: &'a Inner,
    commit: &'a CommitId,
    sink: Sink<Item<T>>,
    waiting: Vec<Waiting<T>>,
    /// The last path of a file or a gone one.
    last: Option<RelPath>,
    refused: Refused,
}

impl<'a, T: Said> Delivery<'a, T> {
    pub(super) fn new(inner: &'a Inner, commit: &'a CommitId, sink: Sink<Item<T>>) -> Self {
        Self {
            inner,
            commit,
            sink,
            waiting: Vec::with_capacity(BATCH),
            last: None,
            refused: Refused::default(),
        }
    }

    /// Takes the next thing found.
    pub(super) fn take(&mut self, found: Found) -> Result<(), Stop> {
        let policies = &self.inner.policies;
        let waiting = match found {
            Found::File { path, id, executable } => {
                self.check_order(&path)?;
                Some(Waiting::File { path, id, executable })
            }
            Found::Gone(path) => {
                self.check_order(&path)?;
                T::gone(path).map(|gone| Waiting::Ready(Item::Entry(gone)))
            }
            Found::Symlink(path) => self.notice(NoticeKind::Symlink, path, policies.symlinks == SymlinkPolicy::Error),
            Found::Submodule(path) => {
                self.notice(NoticeKind::Submodule, path, policies.submodules == SkipOrError::Error)
            }
        };
        self.waiting.extend(waiting);
        if self.waiting.len() < BATCH {
            Ok(())
        } else {
            self.flush()
        }
    }

    /// Hands over the rest and the outcome.
    pub(super) fn finish(mut self, outcome: Result<(), Stop>) {
        let outcome = outcome.and_then(|()| self.flush());
        self.sink.finish_blocking(match outcome {
            Ok(()) => self.refused.into_result(),
            // Nobody is there to hear it.
            Err(Stop::Closed) => Ok(()),
            Err(Stop::Failed(error)) => Err(error),
        });
    }

    /// The order is what all that comes after relies on, so it is seen to here once more.
    fn check_order(&mut self, path: &RelPath) -> Result<(), SourceError> {
        let is_sorted = self.last.as_ref().is_none_or(|last| last < path);
        debug_assert!(is_sorted, "{path} came after {:?}", self.last);
        if !is_sorted {
            let place = Place {
                commit: self.commit,
                path: path.as_bytes(),
            };
            return Err(place.unsorted());
        }
        self.last = Some(path.clone());
        Ok(())
    }

    fn notice(&mut self, kind: NoticeKind, path: RelPath, is_refused: bool) -> Option<Waiting<T>> {
        if is_refused {
            self.refused.add(kind, path);
            return None;
        }
        Some(Waiting::Ready(Item::Notice(Notice { kind, path })))
    }

    fn flush(&mut self) -> Result<(), Stop> {
        let waiting = std::mem::replace(&mut self.waiting, Vec::with_capacity(BATCH));
        let (inner, commit) = (self.inner, self.commit);
        let mut waiting: Vec<Option<Waiting<T>>> = waiting.into_iter().map(Some).collect();
        let looked_up: Vec<Vec<Looked<T>>> = waiting
            .par_chunks_mut(SHARE)
            .map(|share| {
                let reader = inner.readers.take();
                share
                    .iter_mut()
                    .filter_map(Option::take)
                    .map(|waiting| look_up(&reader, commit, waiting))
                    .collect::<Result<Vec<_>, _>>()
            })
            .collect::<Result<_, SourceError>>()?;
        for looked in looked_up.into_iter().flatten() {
            if let Some(path) = looked.lfs {
                let pointer = self.notice(
                    NoticeKind::LfsPointer,
                    path,
                    self.inner.policies.lfs == LfsPolicy::Error,
                );
                if let Some(Waiting::Ready(notice)) = pointer {
                    self.sink.send_blocking(notice)?;
                }
            }
            // Once something is refused nothing of this tree will be exported; only the count goes on.
            if self.refused.total == 0 {
                self.sink.send_blocking(looked.item)?;
            }
        }
        Ok(())
    }
}

struct Looked<T> {
    item: Item<T>,
    /// The path, where it is a Git LFS pointer.
    lfs: Option<RelPath>,
}

fn look_up<T: Said>(reader: &Reader, commit: &CommitId, waiting: Waiting<T>) -> Result<Looked<T>, SourceError> {
    let (path, id, executable) = match waiting {
        Waiting::File { path, id, executable } => (path, id, executable),
        Waiting::Ready(item) => return Ok(Looked { item, lfs: None }),
    };
    let place = Place {
        commit,
        path: path.as_bytes(),
    };
    let size = reader.blob_size(id, place)?;
    let may_be_pointer = (LFS_START.len() as u64..=LFS_MOST_BYTES).contains(&size);
    let is_pointer = may_be_pointer && reader.blob_bytes(id, place)?.starts_with(LFS_START);
    let entry = entry_of(path, size, id, executable);
    Ok(Looked {
        lfs: is_pointer.then(|| entry.path.clone()),
        item: Item::Entry(T::file(entry)),
    })
}

/// Makes an entry of a blob: the one place where it is said what of Git counts as what.
pub(super) fn entry_of(path: RelPath, size: u64, id: ObjectId, executable: bool) -> Entry {
    Entry {
        size,
        content: ContentIds {
            git: Some(git_id(id)),
            ..ContentIds::default()
        },
        origin: None,
        attributes: Attributes {
            mode: Some(if executable { 0o100_755 } else { 0o100_644 }),
            ..Attributes::default()
        },
        path,
    }
}

fn git_id(id: ObjectId) -> GitId {
    match id {
        ObjectId::Sha1(bytes) => GitId::Sha1(bytes),
        ObjectId::Sha256(bytes) => GitId::Sha256(bytes),
        _ => unreachable!("the library was built with these two hashes"),
    }
}

/// Paths that a policy forbids, counted to the end of the tree so that one error names them all.
#[derive(Default)]
struct Refused {
    kinds: Vec<NoticeKind>,
    paths: Vec<RelPath>,
    total: u64,
}

impl Refused {
    fn add(&mut self, kind: NoticeKind, path: RelPath) {
        if !self.kinds.contains(&kind) {
            self.kinds.push(kind);
        }
        if self.paths.len() < NAMED {
            self.paths.push(path);
        }
        self.total += 1;
    }

    fn into_result(self) -> Result<(), SourceError> {
        let (what, cure) = match self.kinds.as_slice() {
            [] => return Ok(()),
            [NoticeKind::Symlink] => ("symlinks", "use `--symlinks skip` or `follow-inside`, or exclude them"),
            [NoticeKind::Submodule] => ("submodules", "use `--submodules skip`, or exclude them"),
            [NoticeKind::LfsPointer] => (
                "Git LFS pointers",
                "use `--lfs pointer` to export the pointers as they are, or exclude them",
            ),
            _ => (
                "symlinks, submodules or Git LFS pointers",
                "use `--symlinks skip`, `--submodules skip` and `--lfs pointer`, or exclude them",
            ),
        };
        Err(SourceError::Refused {
            what,
            paths: self.paths,
            total: self.total,
            cure,
        })
    }
}
