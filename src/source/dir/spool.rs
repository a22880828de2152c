//! What a scan found, kept on disk until it is asked for.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::model::{Attributes, ContentId, ContentIds, Entry, Notice, RelPath};
use crate::source::{Item, SourceError};

const BUFFER_BYTES: usize = 256 << 10;

/// One item of a tree, as small as it gets.
#[derive(Serialize, Deserialize)]
pub(super) enum Spooled {
    File {
        path: RelPath,
        size: u64,
        blake3: [u8; 32],
        mode: u32,
        mtime_unix: i64,
    },
    Notice(Notice),
    Failed {
        path: RelPath,
        error: String,
    },
}

impl From<Spooled> for Item<Entry> {
    fn from(spooled: Spooled) -> Self {
        match spooled {
            Spooled::File {
                path,
                size,
                blake3,
                mode,
                mtime_unix,
            } => Self::Entry(Entry {
                path,
                size,
                content: ContentIds::from(ContentId::Blake3(blake3)),
                origin: None,
                attributes: Attributes {
                    mode: Some(mode),
                    mtime_unix: Some(mtime_unix),
                    ..Attributes::default()
                },
            }),
            Spooled::Notice(notice) => Self::Notice(notice),
            Spooled::Failed { path, error } => Self::Failed { path, error },
        }
    }
}

/// Writes a spool: records in postcard, each after its length (u32, little-endian).
pub(super) struct SpoolWriter {
    file: BufWriter<File>,
    folder: PathBuf,
    bytes: u64,
    record: Vec<u8>,
}

/// A finished spool: a file without a name, gone when the last of its readers is.
pub(super) struct Spool {
    file: File,
    folder: PathBuf,
    bytes: u64,
}

impl SpoolWriter {
    /// Begins one in the cache folder, or else where temporary files go: some systems keep those in
    /// memory, which ten million entries would fill.
    pub(super) fn new(folder: Option<&Path>) -> Result<Self, SourceError> {
        let in_cache = folder.and_then(|folder| {
            // The cache has told already that its folder cannot be written.
            let file = tempfile::tempfile_in(folder).ok()?;
            Some((file, folder.to_owned()))
        });
        let (file, folder) = match in_cache {
            Some(made) => made,
            None => {
                let folder = std::env::temp_dir();
                let file =
                    tempfile::tempfile_in(&folder).map_err(|error| fault("cannot be written", &folder, error))?;
                (file, folder)
            }
        };
        Ok(Self {
            file: BufWriter::with_capacity(BUFFER_BYTES, file),
            folder,
            bytes: 0,
            record: Vec::new(),
        })
    }

    pub(super) fn push(&mut self, item: &Spooled) -> Result<(), SourceError> {
        self.write(item)
            .map_err(|error| fault("cannot be written", &self.folder, error))
    }

    fn write(&mut self, item: &Spooled) -> io::Result<()> {
        self.record.clear();
        let record = std::mem::take(&mut self.record);
        self.record = postcard::to_extend(item, record).map_err(io::Error::other)?;
        let length = u32::try_from(self.record.len()).map_err(io::Error::other)?;
        self.file.write_all(&length.to_le_bytes())?;
        self.file.write_all(&self.record)?;
        self.bytes += 4 + u64::from(length);
        Ok(())
    }

    pub(super) fn finish(self) -> Result<Spool, SourceError> {
        let folder = self.folder;
        let file = self
            .file
            .into_inner()
            .map_err(|error| fault("cannot be written", &folder, error.into_error()))?;
        Ok(Spool {
            file,
            folder,
            bytes: self.bytes,
        })
    }
}

impl Spool {
    /// Gives every item in order to `each`, until it says that it wants no more. Many threads may read at
    /// once.
    pub(super) fn read(&self, mut each: impl FnMut(Spooled) -> bool) -> Result<(), SourceError> {
        self.read_all(&mut each)
            .map_err(|error| fault("cannot be read", &self.folder, error))
    }

    fn read_all(&self, each: &mut impl FnMut(Spooled) -> bool) -> io::Result<()> {
        let mut buffer: Vec<u8> = Vec::new();
        let mut used = 0;
        let mut at = 0;
        loop {
            let held = &buffer[used..];
            let record = held
                .split_first_chunk::<4>()
                .map(|(length, rest)| (u32::from_le_bytes(*length) as usize, rest));
            if let Some((length, rest)) = record
                && let Some(bytes) = rest.get(..length)
            {
                let item = postcard::from_bytes(bytes).map_err(io::Error::other)?;
                used += 4 + length;
                if !each(item) {
                    return Ok(());
                }
                continue;
            }
            if at == self.bytes {
                let whole = held.is_empty();
                return whole.then_some(()).ok_or_else(|| io::ErrorKind::UnexpectedEof.into());
            }
            let wanted = record.map_or(0, |(length, _)| length).max(BUFFER_BYTES) as u64;
            let more = usize::try_from(wanted.min(self.bytes - at)).expect("it is at most a record long");
            buffer.drain(..used);
            used = 0;
            let start = buffer.len();
            buffer.resize(start + more, 0);
            self.file.read_exact_at(&mut buffer[start..], at)?;
            at += more as u64;
        }
    }
}

fn fault(action: &'static str, folder: &Path, source: io::Error) -> SourceError {
    SourceError::Io {
        action,
        path: folder.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_come_back_in_order_whatever_their_length() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = SpoolWriter::new(Some(folder.path())).unwrap();
        let path = |index: usize| RelPath::new(vec![b'x'; 1 + index * 7_919 % 600_000]).unwrap();
        for index in 0..200 {
            writer
                .push(&Spooled::Failed {
                    path: path(index),
                    error: index.to_string(),
                })
                .unwrap();
        }
        let spool = writer.finish().unwrap();
        let mut seen = 0;
        spool
            .read(|item| {
                let Spooled::Failed { path: found, error } = item else {
                    panic!("only failures went in");
                };
                assert_eq!((found, error), (path(seen), seen.to_string()));
                seen += 1;
                true
            })
            .unwrap();
        assert_eq!(seen, 200);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "it has no name");
    }
}
