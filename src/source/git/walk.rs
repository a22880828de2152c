//! Two trees side by side, in path order, into folders that differ and no others.

use gix::ObjectId;

use super::folder::{Child, ChildKind, Folder};
use super::links::Links;
use super::reader::{Place, Reader};
use crate::model::{CommitId, RelPath};
use crate::source::stream::Closed;
use crate::source::{Filter, SourceError};

/// What differs at a path that the filter wants.
#[derive(Debug)]
pub(super) enum Found {
    /// The newer tree has this file, the older one has it otherwise or not at all.
    File {
        path: RelPath,
        id: ObjectId,
        executable: bool,
    },
    /// The newer tree has a symlink here, and symlinks are not followed.
    Symlink(RelPath),
    /// The newer tree has a submodule here.
    Submodule(RelPath),
    /// The older tree has something here, and the newer one has no file.
    Gone(RelPath),
}

/// Why a walk ends early.
#[derive(Debug)]
pub(super) enum Stop {
    /// Nobody reads on.
    Closed,
    /// Something went wrong.
    Failed(SourceError),
}

impl From<SourceError> for Stop {
    fn from(error: SourceError) -> Self {
        Self::Failed(error)
    }
}

impl From<Closed> for Stop {
    fn from(_: Closed) -> Self {
        Self::Closed
    }
}

/// A walk of two trees; a whole tree is what differs from no tree.
///
/// Holds one tree object per side for each folder from the root to where it is.
pub(super) struct Walk<'a> {
    reader: Reader,
    filter: &'a Filter,
    from: CommitId,
    to: CommitId,
    /// The newer tree, where its links are followed.
    follow: Option<ObjectId>,
    /// The path of the child that is looked at.
    path: Vec<u8>,
    frames: Vec<Frame>,
}

/// One folder, open on one side or both.
struct Frame {
    from: Option<Folder>,
    to: Option<Folder>,
    /// How much of the path is this folder's, its slash included.
    path_length: usize,
    /// Where the newer side's folder really lies; only where links are followed.
    real: Vec<u8>,
    is_linked: bool,
}

/// What stands under one name on the older and the newer side.
type Pair = (Option<Child>, Option<Child>);

type Visit<'v> = &'v mut dyn FnMut(Found) -> Result<(), Stop>;

impl<'a> Walk<'a> {
    pub(super) fn new(
        reader: Reader,
        filter: &'a Filter,
        follow: bool,
        (from, from_root): (CommitId, Option<ObjectId>),
        (to, to_root): (CommitId, ObjectId),
    ) -> Result<Self, SourceError> {
        let mut walk = Self {
            reader,
            filter,
            from,
            to,
            follow: follow.then_some(to_root),
            path: Vec::new(),
            frames: Vec::new(),
        };
        if from_root != Some(to_root) {
            walk.enter(from_root, Some(to_root), Vec::new(), false)?;
        }
        Ok(walk)
    }

    /// Tells `visit` all that differs, sorted by path bytes. A symlink or submodule that stands where a file
    /// was is told before that the file is gone.
    pub(super) fn run(mut self, visit: Visit<'_>) -> Result<(), Stop> {
        while let Some((from, to)) = self.next_pair()? {
            let Some(child) = to.as_ref().or(from.as_ref()) else {
                self.frames.pop();
                continue;
            };
            self.path.extend_from_slice(&child.name);
            if child.is_folder() {
                self.folder(from.as_ref(), to.as_ref())?;
            } else {
                self.leaf(from.as_ref(), to.as_ref(), visit)?;
            }
        }
        Ok(())
    }

    /// The next child of the innermost folder on the sides that have it, two `None` at its end; `None` at the
    /// end of the walk.
    fn next_pair(&mut self) -> Result<Option<Pair>, SourceError> {
        let Some(frame) = self.frames.last_mut() else {
            return Ok(None);
        };
        self.path.truncate(frame.path_length);
        let place = |commit| Place {
            commit,
            path: &self.path,
        };
        let (from_place, to_place) = (place(&self.from), place(&self.to));
        let from = frame
            .from
            .as_mut()
            .map(|folder| folder.peek(from_place))
            .transpose()?
            .flatten();
        let to = frame
            .to
            .as_mut()
            .map(|folder| folder.peek(to_place))
            .transpose()?
            .flatten();
        let order = match (from, to) {
            (Some(from), Some(to)) => from.path_order(to),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, _) => std::cmp::Ordering::Greater,
        };
        let from = frame.from.as_mut().filter(|_| order.is_le()).and_then(Folder::take);
        let to = frame.to.as_mut().filter(|_| order.is_ge()).and_then(Folder::take);
        Ok(Some((from, to)))
    }

    fn folder(&mut self, from: Option<&Child>, to: Option<&Child>) -> Result<(), SourceError> {
        let (from_id, to_id) = (from.map(|child| child.id), to.map(|child| child.id));
        if from_id == to_id || !self.filter.wants_folder(&self.path) {
            return Ok(());
        }
        let mut real = Vec::new();
        let linked = to.and_then(|child| child.real.as_ref());
        if let (Some(_), Some(to)) = (self.follow, to) {
            real = linked.cloned().unwrap_or_else(|| self.real_path(&to.name));
            self.refuse_circle(&real, linked.is_some())?;
        }
        let is_linked = linked.is_some();
        self.path.push(b'/');
        self.enter(from_id, to_id, real, is_linked)
    }

    fn real_path(&self, name: &[u8]) -> Vec<u8> {
        match self.frames.last() {
            Some(frame) if !frame.real.is_empty() => [&frame.real, name].join(&b'/'),
            _ => name.to_vec(),
        }
    }

    /// A folder inside itself can only come from a link: it would never end.
    fn refuse_circle(&self, real: &[u8], is_linked: bool) -> Result<(), SourceError> {
        if self.frames.iter().all(|frame| frame.real != real) {
            return Ok(());
        }
        // The link that led here is the innermost one on the way.
        let outer = self.frames.iter().rev().find(|frame| frame.is_linked);
        let link = match outer {
            Some(frame) if !is_linked => &self.path[..frame.path_length - 1],
            _ => &self.path[..],
        };
        Err(SourceError::Link {
            path: rel_path(link),
            problem: "leads in a circle",
        })
    }

    fn enter(
        &mut self,
        from: Option<ObjectId>,
        to: Option<ObjectId>,
        real: Vec<u8>,
        is_linked: bool,
    ) -> Result<(), SourceError> {
        let place = |commit| Place {
            commit,
            path: self.path.strip_suffix(b"/").unwrap_or(&self.path),
        };
        let read =
            |id: Option<ObjectId>, commit| id.map(|id| Folder::read(&self.reader, id, place(commit))).transpose();
        let from = read(from, &self.from)?;
        let mut to = read(to, &self.to)?;
        if let (Some(root), Some(folder)) = (self.follow, &mut to) {
            let linked = self.linked(root, folder, &real)?;
            folder.show_instead_of_links(linked);
        }
        self.frames.push(Frame {
            from,
            to,
            path_length: self.path.len(),
            real,
            is_linked,
        });
        Ok(())
    }

    /// What the links of a folder lead to, under the names of the links. The filter comes first: a broken
    /// link that is excluded is nobody's concern.
    fn linked(&self, root: ObjectId, folder: &mut Folder, real: &[u8]) -> Result<Vec<Child>, SourceError> {
        let place = Place {
            commit: &self.to,
            path: &self.path,
        };
        let links = Links {
            reader: &self.reader,
            commit: &self.to,
            root,
        };
        let mut linked = Vec::new();
        while let Some(link) = folder.next_stored(place)? {
            if link.kind != ChildKind::Symlink {
                continue;
            }
            let path = rel_path([self.path.as_slice(), &link.name].concat());
            let (as_file, as_folder) = (self.filter.wants_file(&path), self.filter.wants_folder(path.as_bytes()));
            if !as_file && !as_folder {
                continue;
            }
            match links.follow(real, &link)? {
                Ok(child) => linked.push(Child {
                    name: link.name,
                    ..child
                }),
                Err(problem) if as_file => return Err(SourceError::Link { path, problem }),
                // It leads nowhere, so it is no folder, and as a file it is not wanted.
                Err(_) => {}
            }
        }
        Ok(linked)
    }

    fn leaf(&self, from: Option<&Child>, to: Option<&Child>, visit: Visit<'_>) -> Result<(), Stop> {
        if let (Some(from), Some(to)) = (from, to)
            && (from.kind, from.id) == (to.kind, to.id)
        {
            return Ok(());
        }
        let path = rel_path(self.path.as_slice());
        // A submodule is a folder to the globs, whatever it is to the tree.
        let wanted = match to.map(|child| child.kind) {
            Some(ChildKind::Submodule) => self.filter.wants_folder(path.as_bytes()),
            _ => self.filter.wants_file(&path),
        };
        if !wanted {
            return Ok(());
        }
        let was_there = from.is_some_and(|child| child.kind != ChildKind::Submodule);
        let gone = was_there.then(|| Found::Gone(path.clone()));
        match to.map(|child| (child.kind, child.id)) {
            Some((ChildKind::File { executable }, id)) => return visit(Found::File { path, id, executable }),
            Some((ChildKind::Symlink, _)) => visit(Found::Symlink(path))?,
            Some((ChildKind::Submodule, _)) => visit(Found::Submodule(path))?,
            Some((ChildKind::Folder, _)) | None => {}
        }
        gone.map_or(Ok(()), visit)
    }
}

fn rel_path(bytes: impl Into<Vec<u8>>) -> RelPath {
    RelPath::new(bytes).expect("no name in a folder is empty")
}
