//! The bytes of one file, as they were when it was scanned.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::ops::Range;
use std::os::fd::AsFd as _;
use std::path::Path;

use bytes::Bytes;
use rustix::fs::FileType;
use tokio::sync::mpsc;

use super::links::{self, Target};
use super::scan;
use crate::files::{self, FileStat, Identity};
use crate::model::Entry;
use crate::source::{Body, SourceError, SymlinkPolicy};

/// Up to here a file is read whole: it is sent in one request anyway.
const WHOLE_BYTES: u64 = 8 << 20;

const CHUNK_BYTES: u64 = 1 << 20;

/// Chunks that wait to be sent.
const CHUNKS_AHEAD: usize = 4;

/// A file that is open and has the size it was scanned with.
pub(super) struct OpenFile {
    file: File,
    entry: Entry,
    before: FileStat,
    /// Checks the bytes where the time says that they may have changed: a file that was only touched is
    /// still good. Where the time is as it was, whoever sends the bytes hashes them anyway.
    check: Option<blake3::Hasher>,
}

/// Opens a file of the tree.
pub(super) fn open(
    root: &Path,
    identity: Identity,
    symlinks: SymlinkPolicy,
    entry: Entry,
) -> Result<OpenFile, SourceError> {
    let folder = scan::open_root(root, identity)?;
    let opened = open_below(folder.as_fd(), root, symlinks, entry.path.as_bytes())
        .and_then(|file| Ok((FileStat::of(&file)?, file)));
    let (before, file) = match opened {
        Ok(opened) => opened,
        Err(error) if files::is_gone(&error) => return Err(SourceError::Changed { path: entry.path }),
        Err(error) => return Err(fault("cannot be opened", root, &entry, error)),
    };
    if before.kind() != FileType::RegularFile || before.size != entry.size {
        return Err(SourceError::Changed { path: entry.path });
    }
    let touched = entry.attributes.mtime_unix != Some(before.modified.seconds);
    Ok(OpenFile {
        file,
        entry,
        before,
        check: touched.then(blake3::Hasher::new),
    })
}

fn open_below(
    folder: std::os::fd::BorrowedFd<'_>,
    root: &Path,
    symlinks: SymlinkPolicy,
    path: &[u8],
) -> io::Result<File> {
    let followed;
    let path = if symlinks == SymlinkPolicy::FollowInside {
        match links::follow(folder, root, b"", path)? {
            Target::Inside { path, .. } => followed = path,
            // The link was another one when it was scanned.
            Target::Missing | Target::Outside | Target::Circle => return Err(io::ErrorKind::NotFound.into()),
        }
        &followed
    } else {
        path
    };
    let (parent, name) = files::split(path);
    files::open_file(files::descend(folder, parent)?, name)
}

impl OpenFile {
    pub(super) fn is_small(&self) -> bool {
        self.entry.size <= WHOLE_BYTES
    }

    /// Reads all of it.
    pub(super) fn read_whole(mut self, root: &Path) -> Result<Body, SourceError> {
        let bytes = self.read(root, self.entry.size)?;
        self.end(root)?;
        Ok(Body::Whole(bytes))
    }

    /// Reads what lies within `range`. The bytes are not hashed, so a file that was touched since counts as changed.
    pub(super) fn read_part(mut self, root: &Path, range: Range<u64>) -> Result<Bytes, SourceError> {
        if self.check.is_some() {
            return Err(self.changed());
        }
        let end = range.end.min(self.entry.size);
        let start = range.start.min(end);
        let told = |error| fault("cannot be read", root, &self.entry, error);
        (&self.file).seek(io::SeekFrom::Start(start)).map_err(told)?;
        let bytes = self.read(root, end - start)?;
        let after = FileStat::of(&self.file).map_err(|error| fault("cannot be read", root, &self.entry, error))?;
        if after != self.before {
            return Err(self.changed());
        }
        Ok(bytes)
    }

    /// Reads it chunk by chunk; the end of the stream tells whether it was the file that was scanned.
    pub(super) fn read_chunks(self, root: &Path) -> Body {
        let (sender, chunks) = mpsc::channel(CHUNKS_AHEAD);
        let root = root.to_owned();
        // Left alone on purpose: it ends when the file or its reader does.
        drop(tokio::task::spawn_blocking(move || {
            if let Err(error) = self.send_chunks(&root, &sender) {
                drop(sender.blocking_send(Err(error)));
            }
        }));
        Body::Chunks(chunks)
    }

    fn send_chunks(
        mut self,
        root: &Path,
        sender: &mpsc::Sender<Result<Bytes, SourceError>>,
    ) -> Result<(), SourceError> {
        let mut rest = self.entry.size;
        while rest > 0 {
            let length = rest.min(CHUNK_BYTES);
            let chunk = self.read(root, length)?;
            rest -= length;
            // The last chunk waits for the verdict: a reader that counts bytes never takes it for the end
            // of a file that changed.
            if rest == 0 {
                self.end(root)?;
            }
            if sender.blocking_send(Ok(chunk)).is_err() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Reads exactly so many bytes.
    fn read(&mut self, root: &Path, length: u64) -> Result<Bytes, SourceError> {
        let mut bytes =
            Vec::with_capacity(usize::try_from(length).expect("it is a part of a file that fits into memory"));
        let read = (&mut self.file).take(length).read_to_end(&mut bytes);
        read.map_err(|error| fault("cannot be read", root, &self.entry, error))?;
        if (bytes.len() as u64) < length {
            return Err(self.changed());
        }
        if let Some(check) = &mut self.check {
            check.update(&bytes);
        }
        Ok(bytes.into())
    }

    /// Makes sure that the file ended and did not change while it was read.
    fn end(&mut self, root: &Path) -> Result<(), SourceError> {
        let told = |error| fault("cannot be read", root, &self.entry, error);
        let more = self.file.read(&mut [0]).map_err(told)?;
        let after = FileStat::of(&self.file).map_err(told)?;
        let other = self.check.as_ref().is_some_and(|check| {
            let hash = *check.finalize().as_bytes();
            self.entry.content.blake3.is_some_and(|scanned| scanned != hash)
        });
        if more > 0 || after != self.before || other {
            return Err(self.changed());
        }
        Ok(())
    }

    fn changed(&self) -> SourceError {
        SourceError::Changed {
            path: self.entry.path.clone(),
        }
    }
}

fn fault(action: &'static str, root: &Path, entry: &Entry, source: io::Error) -> SourceError {
    use std::os::unix::ffi::OsStrExt as _;
    SourceError::Io {
        action,
        path: root.join(std::ffi::OsStr::from_bytes(entry.path.as_bytes())),
        source,
    }
}
