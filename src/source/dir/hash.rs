//! The BLAKE3 hash of one file, of bytes that did not change while they were read.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::AsFd as _;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use rustix::fs::FileType;

use super::cache::Known;
use super::listing::Tree;
use super::walk::FileStep;
use crate::files::{self, FileStat};
use crate::model::RelPath;
use crate::source::SourceError;

/// How much is read at once: enough that the call costs nothing, and it stays in the core's own cache
/// until it is hashed.
const BUFFER_BYTES: usize = 1 << 20;

/// Where a file gets all cores, as soon as no other has them: below, other files keep them busy anyway.
const WIDE_FROM_BYTES: u64 = 16 << 20;

/// How much is read at once then; two of these, one being read while the other is hashed.
const WIDE_BUFFER_BYTES: usize = 4 << 20;

/// How often a file that changed meanwhile is hashed again.
const MORE_TRIES: u32 = 3;

// Memory maps would save a copy, but a file that is cut while it is mapped kills the process.
thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; BUFFER_BYTES]);
}

/// What became of a file of the tree.
pub(super) enum Hashed {
    File {
        path: RelPath,
        stat: FileStat,
        blake3: [u8; 32],
        /// Whether it was read just now, rather than known.
        fresh: bool,
    },
    /// It is no longer there, or it is our own.
    Nothing,
    /// It is there and its bytes are not known.
    Failed { path: RelPath, error: String },
}

/// Finds out the hash of a file: the known one where the file did not change, else by reading it.
///
/// An error is one that ends the scan.
pub(super) fn examine(tree: &Tree, step: FileStep, known: Option<Known>) -> Result<Hashed, SourceError> {
    let opened_target;
    let (folder, name) = match &step.target {
        None => (&step.folder.fd, &step.path.as_bytes()[step.name_at..]),
        Some(target) => {
            let (parent, name) = files::split(target);
            match files::descend(tree.root.as_fd(), parent) {
                Ok(folder) => opened_target = folder,
                Err(error) => return failed(tree, step.path, "cannot be followed", error),
            }
            (&opened_target, name)
        }
    };
    if let Some(known) = known {
        match FileStat::at(folder, name) {
            Ok(stat) if tree.excluded.contains(&stat.identity()) => return Ok(Hashed::Nothing),
            Ok(stat) if stat == known.stat => {
                return Ok(Hashed::File {
                    path: step.path,
                    stat,
                    blake3: known.blake3,
                    fresh: false,
                });
            }
            Ok(_) => {}
            Err(error) => return failed(tree, step.path, "cannot be looked at", error),
        }
    }
    for _ in 0..=MORE_TRIES {
        // Opened anew each time: most programs change a file by putting another in its place.
        let outcome = files::open_file(folder, name).and_then(|mut file| {
            let before = FileStat::of(&file)?;
            Ok((before, file_digest(tree, &mut file, &before)?))
        });
        match outcome {
            Ok((stat, _)) if tree.excluded.contains(&stat.identity()) => return Ok(Hashed::Nothing),
            Ok((stat, Some(blake3))) => {
                return Ok(Hashed::File {
                    path: step.path,
                    stat,
                    blake3,
                    fresh: true,
                });
            }
            Ok((_, None)) if tree.is_stopped() => return Err(SourceError::Interrupted),
            Ok((_, None)) => {}
            Err(error) => return failed(tree, step.path, "cannot be read", error),
        }
    }
    Ok(Hashed::Failed {
        path: step.path,
        error: "changed while it was read, each time it was tried".to_owned(),
    })
}

fn failed(tree: &Tree, path: RelPath, action: &'static str, error: io::Error) -> Result<Hashed, SourceError> {
    if error.kind() == io::ErrorKind::NotFound {
        return Ok(Hashed::Nothing);
    }
    let error = tree.judge(action, path.as_bytes(), error)?;
    Ok(Hashed::Failed { path, error })
}

/// Hashes an open file; `None` where it is no plain file, changed meanwhile, or is no longer wanted.
pub(super) fn file_digest(tree: &Tree, file: &mut File, before: &FileStat) -> io::Result<Option<[u8; 32]>> {
    if before.kind() != FileType::RegularFile || tree.excluded.contains(&before.identity()) {
        return Ok(None);
    }
    let mut hasher = blake3::Hasher::new();
    let whole = match read_alone(tree, file, before.size, &mut hasher)? {
        Alone::Whole => true,
        Alone::Cut => false,
        Alone::Wide { rest } => {
            let whole = read_wide(tree, file, rest, &mut hasher);
            tree.wide.store(false, Release);
            whole?
        }
    };
    let unchanged = whole && FileStat::of(file)? == *before;
    Ok(unchanged.then(|| *hasher.finalize().as_bytes()))
}

/// How far one thread came.
enum Alone {
    Whole,
    /// The file ended too early, or is no longer wanted.
    Cut,
    /// The file got all cores for what is left.
    Wide {
        rest: u64,
    },
}

/// Reads and hashes on this thread until the end, or until the file gets all cores. Never more than
/// `size` bytes, so that a file that grows without end does not hold the scan.
fn read_alone(tree: &Tree, file: &mut File, size: u64, hasher: &mut blake3::Hasher) -> io::Result<Alone> {
    // Nothing in here waits for other work of the pool, which could want this thread's buffer too.
    BUFFER.with_borrow_mut(|buffer| {
        let mut rest = size;
        while rest > 0 {
            if tree.is_stopped() {
                return Ok(Alone::Cut);
            }
            if rest >= WIDE_FROM_BYTES && tree.wide.compare_exchange(false, true, Acquire, Relaxed).is_ok() {
                return Ok(Alone::Wide { rest });
            }
            let read = fill(file, buffer, rest)?;
            if read == 0 {
                return Ok(Alone::Cut);
            }
            hasher.update(&buffer[..read]);
            rest -= read as u64;
        }
        Ok(Alone::Whole)
    })
}

/// Reads on one core and hashes on the others. Gives whether all `rest` bytes were there.
///
/// While it waits for the others, this thread may take up the hashing of other files. That only one file
/// at a time is read so keeps both its memory and the depth of that in bounds.
fn read_wide(tree: &Tree, file: &mut File, mut rest: u64, hasher: &mut blake3::Hasher) -> io::Result<bool> {
    let mut full = vec![0; WIDE_BUFFER_BYTES];
    let mut empty = vec![0; WIDE_BUFFER_BYTES];
    let mut read = fill(file, &mut full, rest)?;
    while read > 0 && !tree.is_stopped() {
        rest -= read as u64;
        let (next, _) = rayon::join(
            || fill(file, &mut empty, rest),
            || {
                hasher.update_rayon(&full[..read]);
            },
        );
        read = next?;
        std::mem::swap(&mut full, &mut empty);
    }
    Ok(rest == 0)
}

/// Reads until the buffer is full, `rest` bytes are read or the file ends.
fn fill(file: &mut File, buffer: &mut [u8], rest: u64) -> io::Result<usize> {
    let wanted = usize::try_from(rest).map_or(buffer.len(), |rest| rest.min(buffer.len()));
    let mut read = 0;
    while read < wanted {
        match file.read(&mut buffer[read..wanted]) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}
