//! The folder of a checkout: every way into it goes from handle to handle, so that no link that anybody put there leads
//! out of it.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, Dir, FileType, FlockOperation, Mode, OFlags, Timespec, Timestamps};
use rustix::io::Errno;

use super::error::CheckoutError;
use super::hash::{Hashed, RecordHasher};
use super::index::{self, Index};
use crate::files::{self, FileStat};
use crate::model::{ContentIds, RelPath};

/// What the names of unfinished files begin with.
pub(super) const UNFINISHED: &[u8] = b".lakesync-unfinished-";

const BUFFER_BYTES: usize = 256 << 10;

/// A folder that nobody else checks out into meanwhile.
pub(super) struct Folder {
    handle: OwnedFd,
    path: PathBuf,
    unfinished: AtomicU64,
}

/// What stands at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing.
    Nothing,
    /// A file or a link.
    File(FileStat),
    /// A folder.
    Folder,
    /// A pipe, a device, a socket.
    Other,
    /// A file or link stands where a folder of the path should be; this is its path.
    Below(RelPath),
}

/// A file that is being written, under a name of its own in the folder that it is for; removed when it is dropped.
pub(super) struct Unfinished {
    parent: OwnedFd,
    name: Option<Vec<u8>>,
    pub(super) file: File,
}

impl Folder {
    /// Opens the folder, makes it where it is missing, and keeps other checkouts out.
    pub(super) fn open(path: &Path) -> Result<Self, CheckoutError> {
        let told = |action, source| CheckoutError::Io {
            action,
            path: path.to_owned(),
            source,
        };
        match std::fs::metadata(path) {
            Ok(found) if !found.is_dir() => return Err(CheckoutError::NotADirectory { path: path.to_owned() }),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                std::fs::create_dir_all(path).map_err(|error| told("cannot be made", error))?;
            }
            Err(error) => return Err(told("cannot be opened", error)),
        }
        let path = path.canonicalize().map_err(|error| told("cannot be opened", error))?;
        let handle = File::open(&path).map_err(|error| told("cannot be opened", error))?;
        match rustix::fs::flock(&handle, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(CheckoutError::Busy { path }),
            Err(error) => return Err(told("cannot be locked", error.into())),
        }
        Ok(Self {
            handle: handle.into(),
            path,
            unfinished: AtomicU64::new(0),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads lakectl's index, where the folder has one.
    pub(super) fn read_index(&self) -> Result<Option<Index>, CheckoutError> {
        let path = index_path();
        let mut text = String::new();
        let read = files::open_file(&self.handle, index::NAME.as_bytes())
            .and_then(|mut file| file.read_to_string(&mut text))
            .and_then(|_| Index::read(&text));
        match read {
            Ok(index) => Ok(Some(index)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(self.error_at("cannot be read; mend it, or delete it", &path, source)),
        }
    }

    /// Writes lakectl's index.
    pub(super) fn write_index(&self, index: &Index) -> Result<(), CheckoutError> {
        let path = index_path();
        let write = || {
            let mut unfinished = self.begin(&path, false)?;
            unfinished.file.write_all(index.text().as_bytes())?;
            unfinished.finish(&path, None)
        };
        match write() {
            Ok(_) => Ok(()),
            Err(source) => Err(self.error_at("cannot be written", &path, source)),
        }
    }

    /// The error for something in it.
    pub(super) fn error_at(&self, action: &'static str, path: &RelPath, source: io::Error) -> CheckoutError {
        CheckoutError::Io {
            action,
            path: self.path.join(std::ffi::OsStr::from_bytes(path.as_bytes())),
            source,
        }
    }

    /// The error for the folder as a whole.
    pub(super) fn error(&self, action: &'static str, source: io::Error) -> CheckoutError {
        CheckoutError::Io {
            action,
            path: self.path.clone(),
            source,
        }
    }

    /// Says what stands at a path.
    pub(super) fn standing(&self, path: &RelPath) -> io::Result<Standing> {
        let (parent, name) = files::split(path.as_bytes());
        let parent = match files::descend(self.handle.as_fd(), parent) {
            Ok(parent) => parent,
            Err(error) if files::is_gone(&error) => return self.obstacle(path),
            Err(error) => return Err(error),
        };
        match FileStat::at(&parent, name) {
            Ok(stat) => Ok(match stat.kind() {
                FileType::RegularFile | FileType::Symlink => Standing::File(stat),
                FileType::Directory => Standing::Folder,
                _ => Standing::Other,
            }),
            Err(error) if files::is_gone(&error) => Ok(Standing::Nothing),
            Err(error) => Err(error),
        }
    }

    /// What keeps the folders of a path from being entered.
    fn obstacle(&self, path: &RelPath) -> io::Result<Standing> {
        let mut here = files::open_folder(&self.handle, b".")?;
        for folder in path.folders() {
            let (_, name) = files::split(folder);
            here = match files::open_folder(&here, name) {
                Ok(next) => next,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Standing::Nothing),
                Err(error) if files::is_gone(&error) => {
                    let path = RelPath::new(folder).expect("a folder has a name");
                    return Ok(Standing::Below(path));
                }
                Err(error) => return Err(error),
            };
        }
        // It was another a moment ago.
        Ok(Standing::Nothing)
    }

    /// Hashes what stands at a path, of a link where it leads; it is compared with what is `expected` there.
    pub(super) fn hash(&self, path: &RelPath, stat: &FileStat, expected: ContentIds) -> io::Result<Hashed> {
        let mut hasher = RecordHasher::new(expected, stat.size);
        let (parent, name) = files::split(path.as_bytes());
        let parent = files::descend(self.handle.as_fd(), parent)?;
        if stat.kind() == FileType::Symlink {
            let target = rustix::fs::readlinkat(&parent, name, Vec::new())?;
            hasher.update(target.as_bytes());
            return Ok(hasher.finish());
        }
        let mut file = files::open_file(&parent, name)?;
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let read = file.read(&mut buffer)?;
            if read == 0 {
                return Ok(hasher.finish());
            }
            hasher.update(&buffer[..read]);
        }
    }

    /// Opens the folder of a path; makes the folders that are missing.
    fn parent_of(&self, path: &RelPath) -> io::Result<OwnedFd> {
        let (parent, _) = files::split(path.as_bytes());
        match files::descend(self.handle.as_fd(), parent) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            found => return found,
        }
        let mut here = files::open_folder(&self.handle, b".")?;
        for name in parent.split(|byte| *byte == b'/') {
            match rustix::fs::mkdirat(&here, name, Mode::from_raw_mode(0o777)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            here = files::open_folder(&here, name)?;
        }
        Ok(here)
    }

    /// Begins a file beside the place where it goes.
    pub(super) fn begin(&self, path: &RelPath, is_executable: bool) -> io::Result<Unfinished> {
        let parent = self.parent_of(path)?;
        let name = self.unfinished_name();
        // What the user's umask leaves of it.
        let mode = Mode::from_raw_mode(if is_executable { 0o777 } else { 0o666 });
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&parent, &name, flags, mode)?;
        Ok(Unfinished {
            parent,
            name: Some(name),
            file: file.into(),
        })
    }

    fn unfinished_name(&self) -> Vec<u8> {
        let number = self.unfinished.fetch_add(1, Ordering::Relaxed);
        let mut name = UNFINISHED.to_vec();
        name.extend_from_slice(format!("{}-{number}", std::process::id()).as_bytes());
        name
    }

    /// Puts a link in its place.
    pub(super) fn link(&self, path: &RelPath, target: &[u8]) -> io::Result<FileStat> {
        let parent = self.parent_of(path)?;
        let (_, name) = files::split(path.as_bytes());
        let beside = self.unfinished_name();
        rustix::fs::symlinkat(target, &parent, &beside)?;
        if let Err(error) = rustix::fs::renameat(&parent, &beside, &parent, name) {
            let _ = rustix::fs::unlinkat(&parent, &beside, AtFlags::empty());
            return Err(error.into());
        }
        FileStat::at(&parent, name)
    }

    /// Removes a file or link, and the folders that are empty then.
    pub(super) fn remove(&self, path: &RelPath) -> io::Result<()> {
        // The way down is remembered, so that a deep one is not gone down anew for each folder on the way up.
        let mut here = files::open_folder(&self.handle, b".")?;
        let mut way = Vec::new();
        for folder in path.folders() {
            let (_, name) = files::split(folder);
            let next = match files::open_folder(&here, name) {
                Ok(next) => next,
                Err(error) if files::is_gone(&error) => return Ok(()),
                Err(error) => return Err(error),
            };
            way.push((FileStat::of(&here)?.identity(), name));
            here = next;
        }
        match rustix::fs::unlinkat(&here, path.file_name(), AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        while let Some((identity, name)) = way.pop() {
            let parent = files::open_folder(&here, b"..")?;
            // It was moved meanwhile, and what is above it is not ours.
            if FileStat::of(&parent)?.identity() != identity {
                return Ok(());
            }
            match rustix::fs::unlinkat(&parent, name, AtFlags::REMOVEDIR) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(Errno::NOTEMPTY | Errno::EXIST) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
            here = parent;
        }
        Ok(())
    }

    /// Removes a folder that holds nothing but folders.
    pub(super) fn remove_folders(&self, path: &RelPath) -> io::Result<()> {
        let mut folders = vec![path.as_bytes().to_vec()];
        let mut at = 0;
        while let Some(folder) = folders.get(at).cloned() {
            let handle = match files::descend(self.handle.as_fd(), &folder) {
                Ok(handle) => handle,
                Err(error) if files::is_gone(&error) => return Ok(()),
                Err(error) => return Err(error),
            };
            for entry in Dir::new(handle)? {
                let entry = entry?;
                let name = entry.file_name().to_bytes();
                if name != b"." && name != b".." {
                    folders.push(files::join(&folder, name));
                }
            }
            at += 1;
        }
        for folder in folders.iter().rev() {
            let (parent, name) = files::split(folder);
            let parent = files::descend(self.handle.as_fd(), parent)?;
            rustix::fs::unlinkat(&parent, name, AtFlags::REMOVEDIR)?;
        }
        Ok(())
    }

    /// Every file and link below it, or below one of its folders, to `each`; folders are not followed out of it.
    pub(super) fn walk(&self, below: Option<&RelPath>, each: &mut dyn FnMut(RelPath)) -> io::Result<()> {
        let mut waiting = vec![below.map_or_else(Vec::new, |below| below.as_bytes().to_vec())];
        while let Some(folder) = waiting.pop() {
            let handle = match files::descend(self.handle.as_fd(), &folder) {
                Ok(handle) => handle,
                Err(error) if files::is_gone(&error) => continue,
                Err(error) => return Err(error),
            };
            for entry in Dir::new(handle)? {
                let entry = entry?;
                let name = entry.file_name().to_bytes();
                if name == b"." || name == b".." {
                    continue;
                }
                let path = files::join(&folder, name);
                let is_folder = match entry.file_type() {
                    FileType::Directory => true,
                    FileType::Unknown => {
                        let path = RelPath::new(path.clone()).expect("a name is not empty");
                        self.standing(&path)? == Standing::Folder
                    }
                    _ => false,
                };
                if is_folder {
                    waiting.push(path);
                } else {
                    each(RelPath::new(path).expect("a name is not empty"));
                }
            }
        }
        Ok(())
    }

    /// Waits until what was written is on the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        rustix::fs::syncfs(&self.handle)?;
        Ok(())
    }
}

fn index_path() -> RelPath {
    RelPath::new(index::NAME).expect("it is a name")
}

impl Unfinished {
    /// Puts the file in its place, in one step.
    pub(super) fn finish(mut self, path: &RelPath, mtime_unix: Option<i64>) -> io::Result<FileStat> {
        if let Some(seconds) = mtime_unix {
            let time = Timespec {
                tv_sec: seconds,
                tv_nsec: 0,
            };
            let times = Timestamps {
                last_access: time,
                last_modification: time,
            };
            rustix::fs::futimens(&self.file, &times)?;
        }
        let (_, name) = files::split(path.as_bytes());
        if let Some(beside) = &self.name {
            rustix::fs::renameat(&self.parent, beside, &self.parent, name)?;
            self.name = None;
        }
        // Behind the rename, which changes what is compared later.
        FileStat::of(&self.file)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            // There is nobody to tell; the next checkout finds it.
            let _ = rustix::fs::unlinkat(&self.parent, name, AtFlags::empty());
        }
    }
}
