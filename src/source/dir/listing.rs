//! One folder: what is in it, sorted as a tree is.

use std::cmp::Ordering;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use rustix::fs::FileType;
use rustix::io::Errno;

use super::links::{self, Target};
use crate::files::{self, FileStat, Identity};
use crate::model::{NoticeKind, RelPath};
use crate::source::{Filter, SourceError, SymlinkPolicy};

/// What every part of one scan needs.
pub(super) struct Tree {
    pub(super) root: OwnedFd,
    /// The absolute path of the root, without links.
    pub(super) path: PathBuf,
    pub(super) filter: Filter,
    pub(super) symlinks: SymlinkPolicy,
    /// Our own files and folders inside the tree.
    pub(super) excluded: Vec<Identity>,
    /// Set when nobody wants the scan any more.
    pub(super) stop: Arc<AtomicBool>,
    /// Whether a file is being hashed by all cores.
    pub(super) wide: AtomicBool,
    /// How many folders are open.
    pub(super) open_folders: AtomicUsize,
    /// Bytes of names in listings that were read ahead and are not used yet.
    pub(super) ahead_bytes: AtomicUsize,
}

impl Tree {
    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Relaxed)
    }

    /// Sorts a fault into what concerns this path alone (the text of its failure) and what would befall
    /// every other file too, so that the scan must end.
    pub(super) fn judge(&self, action: &'static str, path: &[u8], error: io::Error) -> Result<String, SourceError> {
        if let Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM) = Errno::from_io_error(&error) {
            return Err(self.io(action, path, error));
        }
        Ok(format!("{action}: {error}"))
    }

    pub(super) fn io(&self, action: &'static str, path: &[u8], source: io::Error) -> SourceError {
        use std::os::unix::ffi::OsStrExt as _;
        SourceError::Io {
            action,
            path: self.path.join(std::ffi::OsStr::from_bytes(path)),
            source,
        }
    }
}

/// An open folder; files in it are opened through it, so that neither a long path nor a link costs anything.
pub(super) struct Folder {
    pub(super) fd: OwnedFd,
    pub(super) identity: Identity,
    tree: Arc<Tree>,
}

impl Folder {
    pub(super) fn new(tree: &Arc<Tree>, fd: OwnedFd) -> io::Result<Self> {
        let identity = FileStat::of(&fd)?.identity();
        tree.open_folders.fetch_add(1, Relaxed);
        Ok(Self {
            fd,
            identity,
            tree: Arc::clone(tree),
        })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        self.tree.open_folders.fetch_sub(1, Relaxed);
    }
}

/// What a name in a folder stands for; the numbers index [`Listing::extras`].
#[derive(Clone, Copy)]
pub(super) enum Kind {
    File,
    Folder,
    /// A link to a file, with the file's own path.
    LinkedFile(u32),
    /// A link to a folder, with the folder's own path.
    LinkedFolder(u32),
    /// Something that is not published.
    Left(NoticeKind),
    /// Something that could not be looked at, with the reason.
    Failed(u32),
}

impl Kind {
    pub(super) fn is_folder(self) -> bool {
        matches!(self, Self::Folder | Self::LinkedFolder(_))
    }
}

/// One name of a folder.
#[derive(Clone, Copy)]
pub(super) struct Child {
    start: usize,
    length: u16,
    pub(super) kind: Kind,
}

/// What a folder holds, filters applied, in the order of the tree.
///
/// All names of one folder are in memory, since no system call sorts them: some 24 bytes and the name for
/// each, which is half a gigabyte for ten million files in a single folder, and nothing for the same ten
/// million in a thousand folders.
#[derive(Default)]
pub(super) struct Listing {
    names: Vec<u8>,
    pub(super) children: Vec<Child>,
    pub(super) extras: Vec<Box<[u8]>>,
}

impl Listing {
    pub(super) fn name(&self, child: Child) -> &[u8] {
        &self.names[child.start..child.start + usize::from(child.length)]
    }

    pub(super) fn bytes(&self) -> usize {
        self.names.len() + self.children.len() * size_of::<Child>()
    }

    fn push(&mut self, name: &[u8], kind: Kind) {
        let Ok(length) = u16::try_from(name.len()) else {
            unreachable!("no file system has names of 64 KiB");
        };
        let start = self.names.len();
        self.names.extend_from_slice(name);
        self.children.push(Child { start, length, kind });
    }

    fn extra(&mut self, bytes: Vec<u8>) -> u32 {
        self.extras.push(bytes.into_boxed_slice());
        u32::try_from(self.extras.len() - 1).expect("a folder with four thousand million links does not fit in memory")
    }

    /// Sorts so that the paths made of these names, and of what lies below the folders among them, come
    /// out in the order of their bytes: a folder counts as its name and a slash.
    fn sort(&mut self) {
        let mut children = std::mem::take(&mut self.children);
        children
            .sort_unstable_by(|left, right| in_tree_order(self.name(*left), left.kind, self.name(*right), right.kind));
        self.children = children;
    }
}

fn in_tree_order(left: &[u8], left_kind: Kind, right: &[u8], right_kind: Kind) -> Ordering {
    let common = left.len().min(right.len());
    let next = |name: &[u8], kind: Kind| {
        let slash = kind.is_folder().then_some(b'/');
        name.get(common).copied().or(slash)
    };
    left[..common]
        .cmp(&right[..common])
        .then_with(|| next(left, left_kind).cmp(&next(right, right_kind)))
}

/// How reading a folder ended.
pub(super) enum Listed {
    Here {
        folder: Arc<Folder>,
        listing: Listing,
    },
    /// It is gone, or our own: it holds nothing of the tree.
    Nothing,
    /// Nobody knows what is in it.
    Failed(String),
}

/// A folder that is to be read.
pub(super) struct Request {
    pub(super) tree: Arc<Tree>,
    /// The folder it lies in, and its name there; for a link, its own path from the root instead.
    pub(super) place: Place,
    /// Its path in the tree with a `/` at the end; empty for the root.
    pub(super) prefix: Vec<u8>,
    /// Its path without links and without a `/` at the end. Only read where links are followed.
    pub(super) real: Vec<u8>,
}

/// Where a folder is found.
pub(super) enum Place {
    Root,
    In(Arc<Folder>, Box<[u8]>),
    /// By `real`, one name after the other.
    Linked,
}

impl Request {
    /// Reads the folder. An error is one that ends the scan.
    pub(super) fn run(self) -> Result<Listed, SourceError> {
        let opened = match &self.place {
            Place::Root => files::open_folder(&self.tree.root, b"."),
            Place::In(parent, name) => files::open_folder(&parent.fd, name),
            Place::Linked => files::descend(self.tree.root.as_fd(), &self.real),
        };
        let folder = match opened.and_then(|fd| Folder::new(&self.tree, fd)) {
            Ok(folder) => folder,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Listed::Nothing),
            Err(error) => {
                return self
                    .tree
                    .judge("cannot be opened", &self.prefix, error)
                    .map(Listed::Failed);
            }
        };
        // The root itself is asked for by name, so it is never one of our own.
        if !self.prefix.is_empty() && self.tree.excluded.contains(&folder.identity) {
            return Ok(Listed::Nothing);
        }
        match self.read(&folder) {
            Ok(listing) => Ok(Listed::Here {
                folder: Arc::new(folder),
                listing,
            }),
            Err(Trouble::Fatal(error)) => Err(error),
            Err(Trouble::Here(error)) => self
                .tree
                .judge("cannot be listed", &self.prefix, error)
                .map(Listed::Failed),
        }
    }

    fn read(&self, folder: &Folder) -> Result<Listing, Trouble> {
        let mut listing = Listing::default();
        let mut path = self.prefix.clone();
        let entries = rustix::fs::Dir::read_from(&folder.fd).map_err(io::Error::from)?;
        for (count, entry) in entries.enumerate() {
            let entry = entry.map_err(io::Error::from)?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            if count % 1024 == 0 && self.tree.is_stopped() {
                return Err(Trouble::Fatal(SourceError::Interrupted));
            }
            path.truncate(self.prefix.len());
            path.extend_from_slice(name);
            if let Some(kind) = self.kind(folder, name, &path, entry.file_type(), &mut listing)? {
                listing.push(name, kind);
            }
        }
        listing.sort();
        Ok(listing)
    }

    /// Says what a name stands for; `None` where it is not wanted, or gone.
    fn kind(
        &self,
        folder: &Folder,
        name: &[u8],
        path: &[u8],
        told: FileType,
        listing: &mut Listing,
    ) -> Result<Option<Kind>, Trouble> {
        let file = RelPath::new(path).expect("a name is never empty");
        let wants_file = || self.tree.filter.wants_file(&file);
        let wants_folder = || self.tree.filter.wants_folder(path);
        // Some file systems do not tell the kind; a path that no filter wants is not even asked about.
        let told = match told {
            FileType::Unknown if !wants_file() && !wants_folder() => return Ok(None),
            FileType::Unknown => match FileStat::at(&folder.fd, name) {
                Ok(stat) => stat.kind(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return self.failed("cannot be looked at", path, error, listing).map(Some),
            },
            known => known,
        };
        let kind = match told {
            FileType::RegularFile => wants_file().then_some(Kind::File),
            FileType::Directory => wants_folder().then_some(Kind::Folder),
            FileType::Symlink if self.tree.symlinks != SymlinkPolicy::FollowInside => {
                wants_file().then_some(Kind::Left(NoticeKind::Symlink))
            }
            FileType::Symlink if wants_file() || wants_folder() => {
                match links::follow(self.tree.root.as_fd(), &self.tree.path, &self.real, name) {
                    Ok(target) => self.linked(target, &file, listing)?,
                    // Whatever it lay below moved while it was followed.
                    Err(error) if files::is_gone(&error) => wants_file().then_some(Kind::Left(NoticeKind::Symlink)),
                    Err(error) => Some(self.failed("cannot be followed", path, error, listing)?),
                }
            }
            FileType::Symlink => None,
            _ => wants_file().then_some(Kind::Left(NoticeKind::Special)),
        };
        Ok(kind)
    }

    fn linked(&self, target: Target, link: &RelPath, listing: &mut Listing) -> Result<Option<Kind>, Trouble> {
        let problem = |problem| {
            Trouble::Fatal(SourceError::Link {
                path: link.clone(),
                problem,
            })
        };
        let wants_file = self.tree.filter.wants_file(link);
        match target {
            // As if the file it once led to were deleted: counted, and no reason to stop the others.
            Target::Missing => Ok(wants_file.then_some(Kind::Left(NoticeKind::Symlink))),
            Target::Outside => Err(problem("leads out of the tree")),
            Target::Circle => Err(problem("leads in a circle")),
            Target::Inside { stat, .. } if self.tree.excluded.contains(&stat.identity()) => Ok(None),
            Target::Inside { path, stat } => Ok(match stat.kind() {
                FileType::RegularFile => wants_file.then(|| Kind::LinkedFile(listing.extra(path))),
                FileType::Directory => self
                    .tree
                    .filter
                    .wants_folder(link.as_bytes())
                    .then(|| Kind::LinkedFolder(listing.extra(path))),
                _ => wants_file.then_some(Kind::Left(NoticeKind::Special)),
            }),
        }
    }

    fn failed(
        &self,
        action: &'static str,
        path: &[u8],
        error: io::Error,
        listing: &mut Listing,
    ) -> Result<Kind, Trouble> {
        let text = self.tree.judge(action, path, error).map_err(Trouble::Fatal)?;
        Ok(Kind::Failed(listing.extra(text.into_bytes())))
    }
}

/// Why a folder could not be read.
enum Trouble {
    /// This folder alone is at fault.
    Here(io::Error),
    /// The scan must end.
    Fatal(SourceError),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Here(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_sorts_as_its_name_and_a_slash() {
        let mut listing = Listing::default();
        for (name, kind) in [
            (&b"a.b"[..], Kind::File),
            (b"a", Kind::Folder),
            (b"a-b", Kind::File),
            (b"b", Kind::File),
            (b"a0", Kind::File),
            (b"a-b-", Kind::Folder),
            (b"\xff", Kind::Folder),
            (b"A", Kind::Folder),
        ] {
            listing.push(name, kind);
        }
        listing.sort();
        let names: Vec<&[u8]> = listing.children.iter().map(|child| listing.name(*child)).collect();
        assert_eq!(names, [&b"A"[..], b"a-b", b"a-b-", b"a.b", b"a", b"a0", b"b", b"\xff"]);
    }
}
