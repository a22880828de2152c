//! Opens things below a folder without ever leaving it.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use super::stat::FileStat;

/// How many links may lie on the way to one file; what Linux allows too.
const MOST_LINKS: u32 = 40;

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
pub(super) fn open_folder(parent: impl AsFd, name: &[u8]) -> io::Result<OwnedFd> {
    Ok(rustix::fs::openat(parent, name, FOLDER, Mode::empty())?)
}

/// Opens a file by its name in a folder; never through a link, and never waiting.
pub(super) fn open_file(parent: impl AsFd, name: &[u8]) -> io::Result<std::fs::File> {
    Ok(rustix::fs::openat(parent, name, FILE, Mode::empty())?.into())
}

/// Opens a folder by its path, one name after the other, so that neither a link put in the way meanwhile
/// leads out of the tree nor the length of the path matters. An empty path is the root itself.
pub(super) fn descend(root: BorrowedFd<'_>, path: &[u8]) -> io::Result<OwnedFd> {
    let mut here = open_folder(root, b".")?;
    for name in path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
        here = open_folder(&here, name)?;
    }
    Ok(here)
}

/// Splits a path into its folder, empty for the root, and its last name.
pub(super) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (&[], path),
    }
}

/// Whether the thing is no longer there, or no longer what it was a moment ago.
pub(super) fn is_gone(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::STALE)
    )
}

/// Where a path with links in it leads.
pub(super) enum Target {
    /// To something inside the tree: its path without any link, empty for the root.
    Inside { path: Vec<u8>, stat: FileStat },
    /// Nowhere.
    Missing,
    /// Out of the tree.
    Outside,
    /// Through more links than any honest path has.
    Circle,
}

/// Follows `names`, taken from the folder `from` (a path without links), with every link on the way.
///
/// The kernel could do this, but only some kernels can be told to stay inside, and none then takes a link
/// whose text is the absolute path of something inside. `..` out of the root is outside, even where the
/// rest would lead back in.
pub(super) fn follow(root: BorrowedFd<'_>, root_path: &Path, from: &[u8], names: &[u8]) -> io::Result<Target> {
    let mut place = from.to_vec();
    let mut here = descend(root, &place)?;
    let mut rest = parts(names);
    let mut links = 0;
    while let Some(name) = rest.pop_front() {
        if name == b".." {
            if place.is_empty() {
                return Ok(Target::Outside);
            }
            place.truncate(split(&place).0.len());
            here = descend(root, &place)?;
            continue;
        }
        let stat = match FileStat::at(&here, &name) {
            Ok(stat) => stat,
            Err(error) if is_gone(&error) => return Ok(Target::Missing),
            Err(error) => return Err(error),
        };
        if stat.kind() == FileType::Symlink {
            links += 1;
            if links > MOST_LINKS {
                return Ok(Target::Circle);
            }
            let text = rustix::fs::readlinkat(&here, name.as_slice(), Vec::new())?.into_bytes();
            let text = if text.starts_with(b"/") {
                let Ok(below) = Path::new(std::ffi::OsStr::from_bytes(&text)).strip_prefix(root_path) else {
                    return Ok(Target::Outside);
                };
                place.clear();
                here = descend(root, &place)?;
                below.as_os_str().as_bytes().to_vec()
            } else {
                text
            };
            for part in parts(&text).into_iter().rev() {
                rest.push_front(part);
            }
            continue;
        }
        if !place.is_empty() {
            place.push(b'/');
        }
        place.extend_from_slice(&name);
        if rest.is_empty() {
            return Ok(Target::Inside { path: place, stat });
        }
        if stat.kind() != FileType::Directory {
            return Ok(Target::Missing);
        }
        here = open_folder(&here, &name)?;
    }
    let stat = FileStat::of(&here)?;
    Ok(Target::Inside { path: place, stat })
}

fn parts(path: &[u8]) -> VecDeque<Vec<u8>> {
    path.split(|byte| *byte == b'/')
        .filter(|part| !part.is_empty() && *part != b".")
        .map(<[u8]>::to_vec)
        .collect()
}
