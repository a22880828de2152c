//! Objects by id, without anything in between.

use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use gix::objs::{CommitRefIter, Find as _, Kind};
use gix::{ObjectId, Repository, ThreadSafeRepository};

use crate::model::{CommitId, GitId, RelPath};
use crate::source::SourceError;

/// Repository handles that wait for their next use: each has its own table of packs and its own cache of
/// delta bases (see `location::PACK_CACHE`), which would be costly to make anew for each blob.
#[derive(Clone)]
pub(super) struct Readers {
    shared: Arc<ThreadSafeRepository>,
    idle: Arc<Mutex<Vec<Repository>>>,
    /// More than this many are never kept, so that a burst of callers does not leave its caches behind.
    kept: usize,
}

/// A handle that goes back to the others on drop.
pub(super) struct Reader {
    /// Always there, until it is dropped.
    repository: Option<Repository>,
    readers: Readers,
}

impl Readers {
    pub(super) fn new(shared: ThreadSafeRepository) -> Self {
        Self {
            shared: Arc::new(shared),
            idle: Arc::default(),
            kept: std::thread::available_parallelism().map_or(2, |cores| cores.get() * 2),
        }
    }

    /// Gives a handle that nobody else uses.
    pub(super) fn take(&self) -> Reader {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Reader {
            repository: Some(idle.unwrap_or_else(|| self.shared.to_thread_local())),
            readers: self.clone(),
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut idle = self.readers.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < self.readers.kept {
            idle.extend(self.repository.take());
        }
    }
}

impl Deref for Reader {
    type Target = Repository;

    fn deref(&self) -> &Repository {
        self.repository()
    }
}

/// Why an object could not be had.
#[derive(Debug, thiserror::Error)]
enum ObjectProblem {
    #[error("{kind} {id} is not in the repository{cure}")]
    Missing {
        kind: Kind,
        id: ObjectId,
        cure: &'static str,
    },
    #[error("{id} is not a {wanted}, but a {found}")]
    Kind { id: ObjectId, wanted: Kind, found: Kind },
    #[error("{kind} {id} cannot be read; run `git fsck`")]
    Damaged {
        kind: Kind,
        id: ObjectId,
        source: gix::Error,
    },
    #[error("{0:?} is not the id of a commit of this repository")]
    NoCommitId(String),
    #[error("the file has no Git id")]
    NoGitId,
    #[error("tree {id} is not one that Git would write ({what}); run `git fsck`")]
    Malformed { id: ObjectId, what: &'static str },
    #[error("it came out of order, which is a fault of lakesync")]
    Unsorted,
}

/// Where an object belongs, for the message.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) commit: &'a CommitId,
    pub(super) path: &'a [u8],
}

impl Place<'_> {
    fn error(self, problem: ObjectProblem) -> SourceError {
        let path = RelPath::new(self.path).map_or_else(|_| "the root folder".to_owned(), |path| path.to_string());
        SourceError::Object {
            path,
            commit: self.commit.clone(),
            source: Box::new(problem),
        }
    }

    /// The error for a tree object that breaks Git's own rules.
    pub(super) fn malformed(self, id: ObjectId, what: &'static str) -> SourceError {
        self.error(ObjectProblem::Malformed { id, what })
    }

    /// The error for a path that came before one that is smaller.
    pub(super) fn unsorted(self) -> SourceError {
        self.error(ObjectProblem::Unsorted)
    }
}

impl Reader {
    pub(super) fn repository(&self) -> &Repository {
        self.repository.as_ref().expect("taken in drop only")
    }

    /// Whether the commit and its root folder are here.
    pub(super) fn has(&self, at: &CommitId) -> bool {
        // Any reason why it cannot be read means the same to the caller.
        self.root(at).is_ok_and(|root| self.has_object(root))
    }

    /// Whether a commit comes before another in history; not where one of them is not here.
    pub(super) fn is_ancestor(&self, older: &CommitId, newer: &CommitId) -> Result<bool, SourceError> {
        let place = Place {
            commit: newer,
            path: b"",
        };
        // The beginning of an id is as good where it means one commit alone.
        let find = |commit: &CommitId| self.rev_parse_single(commit.as_str()).ok().map(gix::Id::detach);
        let (Some(older), Some(newer)) = (find(older), find(newer)) else {
            return Ok(false);
        };
        let base = self.merge_base(older, newer);
        let base = base.map_err(|source| place.error(damaged(newer, Kind::Commit, source)))?;
        Ok(older != newer && base.is_some_and(|base| base == older))
    }

    /// The root folder of a commit.
    pub(super) fn root(&self, at: &CommitId) -> Result<ObjectId, SourceError> {
        let place = Place { commit: at, path: b"" };
        let id = self.commit_id(at, place)?;
        let bytes = self.object(id, Kind::Commit, place)?;
        let root = CommitRefIter::from_bytes(&bytes, self.object_hash()).tree_id();
        root.map_err(|source| {
            place.error(ObjectProblem::Damaged {
                kind: Kind::Commit,
                id,
                source,
            })
        })
    }

    fn commit_id(&self, at: &CommitId, place: Place<'_>) -> Result<ObjectId, SourceError> {
        ObjectId::from_hex(at.as_str().as_bytes())
            .ok()
            .filter(|id| id.kind() == self.object_hash())
            .ok_or_else(|| place.error(ObjectProblem::NoCommitId(at.as_str().to_owned())))
    }

    /// When a commit was made, in seconds since 1970.
    pub(super) fn committed_at(&self, at: &CommitId) -> Result<i64, SourceError> {
        let place = Place { commit: at, path: b"" };
        let id = self.commit_id(at, place)?;
        let bytes = self.object(id, Kind::Commit, place)?;
        let committer = CommitRefIter::from_bytes(&bytes, self.object_hash()).committer();
        // A date that nobody can read is no reason to show nothing.
        Ok(committer.map_or(0, |committer| committer.seconds()))
    }

    /// The raw bytes of a tree object.
    pub(super) fn tree(&self, id: ObjectId, place: Place<'_>) -> Result<Vec<u8>, SourceError> {
        // Git knows the empty tree without storing it.
        if id.is_empty_tree() {
            return Ok(Vec::new());
        }
        self.object(id, Kind::Tree, place)
    }

    /// The bytes of a file's blob.
    pub(super) fn blob(&self, id: Option<GitId>, at: &CommitId, path: &RelPath) -> Result<Vec<u8>, SourceError> {
        let place = Place {
            commit: at,
            path: path.as_bytes(),
        };
        let id = id.ok_or_else(|| place.error(ObjectProblem::NoGitId))?;
        let id = match id {
            GitId::Sha1(bytes) => ObjectId::Sha1(bytes),
            GitId::Sha256(bytes) => ObjectId::Sha256(bytes),
        };
        let mut bytes = self.object(id, Kind::Blob, place)?;
        // Deltas are put together in this buffer; what they needed beyond the result is not carried on.
        if bytes.capacity() / 2 > bytes.len() {
            bytes.shrink_to_fit();
        }
        Ok(bytes)
    }

    /// The bytes of a blob by its id, for links and pointers.
    pub(super) fn blob_bytes(&self, id: ObjectId, place: Place<'_>) -> Result<Vec<u8>, SourceError> {
        self.object(id, Kind::Blob, place)
    }

    /// How long a blob is, without reading it.
    pub(super) fn blob_size(&self, id: ObjectId, place: Place<'_>) -> Result<u64, SourceError> {
        let header = self.try_find_header(id);
        match header.map_err(|source| place.error(damaged(id, Kind::Blob, source)))? {
            None => Err(place.error(self.missing(id, Kind::Blob))),
            Some(header) if header.kind() != Kind::Blob => Err(place.error(ObjectProblem::Kind {
                id,
                wanted: Kind::Blob,
                found: header.kind(),
            })),
            Some(header) => Ok(header.size()),
        }
    }

    fn object(&self, id: ObjectId, wanted: Kind, place: Place<'_>) -> Result<Vec<u8>, SourceError> {
        // An id of the other hash would be looked up by its first bytes.
        if id.kind() != self.object_hash() {
            return Err(place.error(self.missing(id, wanted)));
        }
        // Into a buffer of our own: the handle's are reused, and would keep the size of the largest object.
        let mut bytes = Vec::new();
        let found = self.objects.try_find(&id, &mut bytes);
        let found = found.map_err(|source| place.error(damaged(id, wanted, source)))?;
        match found.map(|object| object.kind) {
            None => Err(place.error(self.missing(id, wanted))),
            Some(found) if found != wanted => Err(place.error(ObjectProblem::Kind { id, wanted, found })),
            Some(_) => Ok(bytes),
        }
    }

    fn missing(&self, id: ObjectId, kind: Kind) -> ObjectProblem {
        let config = self.config_snapshot();
        let promised = config.string("extensions.partialClone").is_some()
            || config.boolean("remote.origin.promisor").unwrap_or(false);
        // Where this cannot be found out, the general advice is still right.
        let is_shallow = self.is_shallow().unwrap_or(false);
        let cure = if promised {
            "; it is a partial clone: run `git fetch --refetch --no-filter` in it, or clone it whole"
        } else if is_shallow {
            "; it is a shallow clone: run `git fetch --unshallow` in it"
        } else {
            " (deleted by `git gc`?); run `git fsck`"
        };
        ObjectProblem::Missing { kind, id, cure }
    }
}

fn damaged(id: ObjectId, kind: Kind, source: gix::Error) -> ObjectProblem {
    ObjectProblem::Damaged { kind, id, source }
}
