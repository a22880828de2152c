//! Walks a tree in the order of its paths, reading folders ahead on other threads.

use std::collections::VecDeque;
use std::os::fd::AsFd as _;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use super::listing::{Child, Folder, Kind, Listed, Listing, Place, Request, Tree};
use crate::files::{self, Identity};
use crate::model::{Notice, RelPath};
use crate::source::SourceError;

/// How many of the next folders of one folder are read ahead.
const AHEAD_PER_FOLDER: usize = 8;

/// How many folders are read ahead in all; each is an open file.
const AHEAD: usize = 64;

/// How much read-ahead listings may hold before no more are begun; a single one may be bigger.
const AHEAD_BYTES: usize = 16 << 20;

/// How many folders on the way down are kept open: many systems allow 1,024 open files, and trees are
/// deeper than that only by accident. The others are opened again on the way up.
const OPEN_ON_THE_WAY: usize = 64;

/// What comes next in a tree.
pub(super) enum Step {
    File(FileStep),
    Notice(Notice),
    Failed { path: RelPath, error: String },
}

/// A file, and how to open it.
pub(super) struct FileStep {
    pub(super) path: RelPath,
    /// Where in `path` its name in `folder` begins.
    pub(super) name_at: usize,
    pub(super) folder: Arc<Folder>,
    /// For a link: the path, from the root, of the file it leads to.
    pub(super) target: Option<Box<[u8]>>,
}

/// A walk: an explicit stack, so that no depth of folders can use up the thread's own.
pub(super) struct Walk {
    tree: Arc<Tree>,
    frames: Vec<Frame>,
    /// The path of the innermost folder with a `/` at the end; empty in the root.
    path: Vec<u8>,
    ahead: usize,
}

struct Frame {
    folder: Option<Arc<Folder>>,
    identity: Identity,
    /// How much of the walk's path is this folder's.
    path_length: usize,
    /// The innermost link on the way here: where it leads, and the length of its path with the `/`.
    link: Option<(Arc<[u8]>, usize)>,
    listing: Listing,
    next: usize,
    ahead: VecDeque<Ahead>,
    ahead_from: usize,
}

/// A listing that some thread makes or will make. Whoever takes the request out first does the work, so
/// that the walk never waits for something that nobody has begun.
struct Ahead {
    index: usize,
    request: Arc<Mutex<Option<Request>>>,
    listed: Receiver<Result<Listed, SourceError>>,
}

impl Drop for Ahead {
    fn drop(&mut self) {
        drop(take(&self.request));
    }
}

fn take(request: &Mutex<Option<Request>>) -> Option<Request> {
    request.lock().unwrap_or_else(PoisonError::into_inner).take()
}

impl Walk {
    /// Begins at the root, which must be there and readable.
    pub(super) fn new(tree: &Arc<Tree>) -> Result<Self, SourceError> {
        let mut walk = Self {
            tree: Arc::clone(tree),
            frames: Vec::new(),
            path: Vec::new(),
            ahead: 0,
        };
        let request = Request {
            tree: Arc::clone(tree),
            place: Place::Root,
            prefix: Vec::new(),
            real: Vec::new(),
        };
        match request.run()? {
            Listed::Here { folder, listing } => walk.enter(folder, listing, None)?,
            Listed::Nothing => return Err(root_changed(tree)),
            Listed::Failed(error) => {
                return Err(tree.io("cannot be read", b"", std::io::Error::other(error)));
            }
        }
        Ok(walk)
    }

    /// Gives what comes next, sorted by path bytes; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Step>, SourceError> {
        loop {
            let Some(frame) = self.frames.last_mut() else {
                return Ok(None);
            };
            let index = frame.next;
            let Some(child) = frame.listing.children.get(index).copied() else {
                self.leave();
                continue;
            };
            frame.next += 1;
            let mut path = self.path.clone();
            path.extend_from_slice(frame.listing.name(child));
            if child.kind.is_folder() {
                path.push(b'/');
                if let Some(step) = self.descend(index, child, path)? {
                    return Ok(Some(step));
                }
                continue;
            }
            let path = RelPath::new(path).expect("a name is never empty");
            return Ok(Some(match child.kind {
                Kind::Left(kind) => Step::Notice(Notice { kind, path }),
                Kind::Failed(extra) => {
                    let text = &frame.listing.extras[extra as usize];
                    let error = String::from_utf8_lossy(text).into_owned();
                    Step::Failed { path, error }
                }
                Kind::LinkedFile(extra) => {
                    let target = Some(frame.listing.extras[extra as usize].clone());
                    self.file(path, target)
                }
                Kind::File | Kind::Folder | Kind::LinkedFolder(_) => self.file(path, None),
            }));
        }
    }

    fn file(&mut self, path: RelPath, target: Option<Box<[u8]>>) -> Step {
        match self.folder() {
            Ok(folder) => Step::File(FileStep {
                path,
                name_at: self.path.len(),
                folder,
                target,
            }),
            Err(error) => Step::Failed { path, error },
        }
    }

    /// Goes into a folder; gives a step where that fails.
    fn descend(&mut self, index: usize, child: Child, path: Vec<u8>) -> Result<Option<Step>, SourceError> {
        let listed = self.listed(index, child, &path)?;
        let (folder, listing) = match listed {
            Ok(Listed::Here { folder, listing }) => (folder, listing),
            Ok(Listed::Nothing) => return Ok(None),
            Ok(Listed::Failed(error)) | Err(error) => {
                let path = RelPath::new(path).expect("a name is never empty");
                return Ok(Some(Step::Failed { path, error }));
            }
        };
        let parent = self.frames.last().expect("a folder is met in another");
        let mut link = parent.link.clone();
        if let Kind::LinkedFolder(extra) = child.kind {
            // Every circle has a link in it, so plain folders need not be compared.
            if self.frames.iter().any(|frame| frame.identity == folder.identity) {
                path_error(&path, "leads in a circle")?;
            }
            link = Some((Arc::from(&*parent.listing.extras[extra as usize]), path.len()));
        }
        self.path = path;
        self.enter(folder, listing, link)?;
        Ok(None)
    }

    /// Gives the listing of a folder: the one read ahead, or one read now. The inner error is this
    /// folder's own.
    fn listed(&mut self, index: usize, child: Child, path: &[u8]) -> Result<Result<Listed, String>, SourceError> {
        let frame = self.frames.last_mut().expect("a folder is met in another");
        if frame.ahead.front().is_some_and(|ahead| ahead.index == index) {
            let ahead = frame.ahead.pop_front().expect("it was just seen");
            self.ahead -= 1;
            if let Some(request) = take(&ahead.request) {
                return request.run().map(Ok);
            }
            let listed = ahead.listed.recv().map_err(|_| SourceError::Interrupted)??;
            if let Listed::Here { listing, .. } = &listed {
                self.tree.ahead_bytes.fetch_sub(listing.bytes(), Relaxed);
            }
            return Ok(Ok(listed));
        }
        frame.ahead_from = frame.ahead_from.max(index + 1);
        match self.request(child, path) {
            Ok(request) => request.run().map(Ok),
            Err(error) => Ok(Err(error)),
        }
    }

    fn request(&mut self, child: Child, path: &[u8]) -> Result<Request, String> {
        let tree = Arc::clone(&self.tree);
        let prefix = path.to_vec();
        if let Kind::LinkedFolder(extra) = child.kind {
            let frame = self.frames.last().expect("a folder is met in another");
            return Ok(Request {
                tree,
                place: Place::Linked,
                prefix,
                real: frame.listing.extras[extra as usize].to_vec(),
            });
        }
        let folder = self.folder()?;
        let frame = self.frames.last().expect("a folder is met in another");
        let name = frame.listing.name(child);
        let mut real = frame.real(&self.path);
        if !real.is_empty() {
            real.push(b'/');
        }
        real.extend_from_slice(name);
        Ok(Request {
            tree,
            place: Place::In(folder, name.into()),
            prefix,
            real,
        })
    }

    fn enter(
        &mut self,
        folder: Arc<Folder>,
        listing: Listing,
        link: Option<(Arc<[u8]>, usize)>,
    ) -> Result<(), SourceError> {
        if self.tree.is_stopped() {
            return Err(SourceError::Interrupted);
        }
        if let Some(index) = self.frames.len().checked_sub(OPEN_ON_THE_WAY) {
            self.frames[index].folder = None;
        }
        self.frames.push(Frame {
            identity: folder.identity,
            folder: Some(folder),
            path_length: self.path.len(),
            link,
            listing,
            next: 0,
            ahead: VecDeque::new(),
            ahead_from: 0,
        });
        self.read_ahead();
        Ok(())
    }

    /// Goes back up, opening the folder above again where it was closed on the way down.
    fn leave(&mut self) {
        let left = self.frames.pop();
        let Some(frame) = self.frames.last_mut() else {
            return;
        };
        self.path.truncate(frame.path_length);
        if frame.folder.is_none() {
            let below = left.and_then(|left| left.folder);
            let above = below.and_then(|below| files::open_folder(&below.fd, b"..").ok());
            // One that is another folder by now (the lower one was moved, or was reached by a link) is
            // looked for by its path, once it is needed.
            let above = above.and_then(|fd| Folder::new(&self.tree, fd).ok());
            frame.folder = above.filter(|above| above.identity == frame.identity).map(Arc::new);
        }
        self.read_ahead();
    }

    /// The innermost folder, opened by its path where it is not open.
    fn folder(&mut self) -> Result<Arc<Folder>, String> {
        let frame = self.frames.last_mut().expect("only asked for inside a folder");
        if let Some(folder) = &frame.folder {
            return Ok(Arc::clone(folder));
        }
        let fd = files::descend(self.tree.root.as_fd(), &frame.real(&self.path));
        let folder = fd
            .and_then(|fd| Folder::new(&self.tree, fd))
            .map_err(|error| format!("its folder cannot be opened: {error}"))?;
        if folder.identity != frame.identity {
            return Err("its folder was moved while it was read".to_owned());
        }
        let folder = Arc::new(folder);
        frame.folder = Some(Arc::clone(&folder));
        Ok(folder)
    }

    /// Begins to read the next folders of the innermost folder.
    fn read_ahead(&mut self) {
        loop {
            let Some(frame) = self.frames.last_mut() else {
                return;
            };
            let full = frame.ahead.len() >= AHEAD_PER_FOLDER
                || self.ahead >= AHEAD
                || self.tree.ahead_bytes.load(Relaxed) >= AHEAD_BYTES;
            if full {
                return;
            }
            let from = frame.ahead_from.max(frame.next);
            let children = &frame.listing.children;
            let Some(index) = (from..children.len()).find(|index| children[*index].kind.is_folder()) else {
                frame.ahead_from = children.len();
                return;
            };
            frame.ahead_from = index + 1;
            let child = children[index];
            let mut path = self.path.clone();
            path.extend_from_slice(frame.listing.name(child));
            path.push(b'/');
            let Ok(request) = self.request(child, &path) else {
                // Its turn comes, and the fault is told then.
                return;
            };
            let tree = Arc::clone(&self.tree);
            let request = Arc::new(Mutex::new(Some(request)));
            let (sender, listed) = sync_channel(1);
            let shared = Arc::clone(&request);
            rayon::spawn(move || {
                let Some(request) = take(&shared) else {
                    return;
                };
                let listed = request.run();
                if let Ok(Listed::Here { listing, .. }) = &listed {
                    tree.ahead_bytes.fetch_add(listing.bytes(), Relaxed);
                }
                // A walk that was given up no longer listens.
                drop(sender.send(listed));
            });
            let frame = self.frames.last_mut().expect("it was there above");
            frame.ahead.push_back(Ahead { index, request, listed });
            self.ahead += 1;
        }
    }
}

impl Frame {
    /// The folder's path without links and without the `/` at the end.
    fn real(&self, path: &[u8]) -> Vec<u8> {
        let own = &path[..self.path_length];
        let own = own.strip_suffix(b"/").unwrap_or(own);
        match &self.link {
            None => own.to_vec(),
            Some((target, from)) if own.len() < *from => target.to_vec(),
            Some((target, from)) => [target, &b"/"[..], &own[*from..]].concat(),
        }
    }
}

fn root_changed(tree: &Tree) -> SourceError {
    SourceError::RootChanged {
        path: tree.path.clone(),
    }
}

fn path_error(folder: &[u8], problem: &'static str) -> Result<(), SourceError> {
    let bare = folder.strip_suffix(b"/").unwrap_or(folder);
    let path = RelPath::new(bare).expect("a name is never empty");
    Err(SourceError::Link { path, problem })
}
