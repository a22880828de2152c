//! Where links of a folder lead, without ever leaving it.

use std::collections::VecDeque;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::FileType;

use crate::files::{FileStat, descend, is_gone, open_folder, split};

/// How many links may lie on the way to one file; what Linux allows too.
const MOST_LINKS: u32 = 40;

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
