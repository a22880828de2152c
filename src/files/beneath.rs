//! Opens things below a folder without ever leaving it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// `NONBLOCK`, since opening a pipe that took a file's place would wait for a writer for ever.
const FILE: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

/// Opens a folder by its name in another; never through a link.
pub fn open_folder(parent: impl AsFd, name: &[u8]) -> io::Result<OwnedFd> {
    Ok(rustix::fs::openat(parent, name, FOLDER, Mode::empty())?)
}

/// Opens a file by its name in a folder; never through a link, and never waiting.
pub fn open_file(parent: impl AsFd, name: &[u8]) -> io::Result<std::fs::File> {
    Ok(rustix::fs::openat(parent, name, FILE, Mode::empty())?.into())
}

/// Opens a folder by its path, one name after the other, so that neither a link put in the way meanwhile
/// leads out of the tree nor the length of the path matters. An empty path is the root itself.
pub fn descend(root: BorrowedFd<'_>, path: &[u8]) -> io::Result<OwnedFd> {
    let mut here = open_folder(root, b".")?;
    for name in path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
        here = open_folder(&here, name)?;
    }
    Ok(here)
}

/// Splits a path into its folder, empty for the root, and its last name.
pub fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (&[], path),
    }
}

/// Puts a name behind the path of its folder, which is empty for the root.
pub fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(folder.len() + 1 + name.len());
    if !folder.is_empty() {
        path.extend_from_slice(folder);
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

/// Whether the thing is no longer there, or no longer what it was a moment ago.
pub fn is_gone(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::STALE)
    )
}
