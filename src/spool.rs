//! A list that is written once and read often, and that moves to disk when it grows long.

mod sorted;

pub use self::sorted::{Merge, SORTED_AT_ONCE, Sorted, Sorter};

use std::fs::File;
use std::io;
use std::marker::PhantomData;
use std::ops::Deref;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// How many bytes are kept in memory. That is some 100,000 entries of usual length, so that an everyday run
/// never touches a disk, and the handful of spools of one run stay far below its memory budget.
const MEMORY_BYTES: usize = 16 << 20;

/// How much is gathered before it goes to disk, and read ahead from there: long enough that the system
/// calls vanish beside the encoding, short enough for many readers.
const CHUNK_BYTES: usize = 256 << 10;

/// The longest item. Only a damaged file can hold a longer one; real items are a few paths long.
const ITEM_BYTES: usize = 64 << 20;

/// Why a list could not be kept or read back.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The disk, or the user's share of it, is full.
    #[error("no space left in {} for temporary files; make room there, or point TMPDIR to another disk", folder.display())]
    Full {
        /// Where the temporary file is.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The temporary file could not be made, written or read.
    #[error("a temporary file in {} cannot be used", folder.display())]
    Io {
        /// Where it is.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An item could not be written down or read back.
    #[error("an item of a temporary list cannot be encoded or decoded")]
    Item {
        /// What is wrong with it.
        source: postcard::Error,
    },
    /// The temporary file does not hold what was written to it.
    #[error("a temporary file in {} was damaged while in use", folder.display())]
    Damaged {
        /// Where it is.
        folder: PathBuf,
    },
}

/// A list of items: first all are pushed, then they are read in that order, as often as one likes.
///
/// Up to 16 MiB stay in memory; beyond that they go to a file without a name, which vanishes with the
/// process however that ends. Files are written and read on the calling thread: these are short copies
/// to and from the page cache.
pub struct Spool<T> {
    folder: PathBuf,
    memory_bytes: usize,
    /// What went to disk, and how long it is.
    file: Option<(File, u64)>,
    /// What did not; it follows what is in the file.
    tail: Vec<u8>,
    items: u64,
    item: PhantomData<fn() -> T>,
}

impl<T> std::fmt::Debug for Spool<T> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Spool")
            .field("items", &self.items)
            .field("on_disk", &self.file.is_some())
            .finish_non_exhaustive()
    }
}

impl<T> Spool<T> {
    /// Makes an empty list; a temporary file goes to `folder`, or to where the system keeps them.
    pub fn new(folder: Option<&Path>) -> Self {
        Self::with_memory(folder, MEMORY_BYTES)
    }

    fn with_memory(folder: Option<&Path>, memory_bytes: usize) -> Self {
        Self {
            folder: folder.map_or_else(std::env::temp_dir, Path::to_owned),
            memory_bytes,
            file: None,
            tail: Vec::new(),
            items: 0,
            item: PhantomData,
        }
    }

    /// How many items it holds.
    pub fn len(&self) -> u64 {
        self.items
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.items == 0
    }

    /// Where the next item will begin, in bytes from the first.
    fn end(&self) -> u64 {
        self.file.as_ref().map_or(0, |(_, length)| *length) + self.tail.len() as u64
    }

    fn at(&self, source: io::Error) -> SpoolError {
        let folder = self.folder.clone();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => SpoolError::Full { folder, source },
            _ => SpoolError::Io { folder, source },
        }
    }

    /// Moves what is in memory to disk.
    fn spill(&mut self) -> Result<(), SpoolError> {
        let (file, length) = match self.file.take() {
            Some(open) => open,
            None => (tempfile::tempfile_in(&self.folder).map_err(|error| self.at(error))?, 0),
        };
        file.write_all_at(&self.tail, length).map_err(|error| self.at(error))?;
        self.file = Some((file, length + self.tail.len() as u64));
        self.tail.clear();
        self.tail.shrink_to(2 * CHUNK_BYTES);
        Ok(())
    }
}

impl<T: Serialize> Spool<T> {
    /// Appends an item. After an error the list is no longer whole and should be dropped.
    pub fn push(&mut self, item: &T) -> Result<(), SpoolError> {
        let start = self.tail.len();
        self.tail.extend_from_slice(&[0; 4]);
        self.tail =
            postcard::to_extend(item, std::mem::take(&mut self.tail)).map_err(|source| SpoolError::Item { source })?;
        let length = self.tail.len() - start - 4;
        let header = u32::try_from(length)
            .ok()
            .filter(|_| length <= ITEM_BYTES)
            .ok_or(SpoolError::Item {
                source: postcard::Error::SerializeBufferFull,
            })?;
        self.tail[start..start + 4].copy_from_slice(&header.to_le_bytes());
        self.items += 1;
        let budget = if self.file.is_some() {
            CHUNK_BYTES
        } else {
            self.memory_bytes
        };
        if self.tail.len() > budget { self.spill() } else { Ok(()) }
    }
}

impl<T: DeserializeOwned> Spool<T> {
    /// Reads all items from the first on; any number of readers may go at once.
    pub fn iter(&self) -> SpoolReader<&Self, T> {
        SpoolReader::new(self)
    }

    /// Reads all items from the first on, by a reader that can be sent elsewhere.
    pub fn reader(self: &Arc<Self>) -> SpoolReader<Arc<Self>, T> {
        SpoolReader::new(Arc::clone(self))
    }
}

/// Reads a [`Spool`] from its first item on, with a place of its own in it; ends after an error.
#[derive(Debug)]
pub struct SpoolReader<S, T> {
    spool: S,
    /// How many items are still to come.
    left: u64,
    /// Where in the whole list the next unread byte is.
    offset: u64,
    /// How much is read ahead from the file.
    ahead_bytes: usize,
    /// What was read ahead, and how much of it is used.
    ahead: Vec<u8>,
    used: usize,
    item: PhantomData<fn() -> T>,
}

impl<S: Deref<Target = Spool<T>>, T: DeserializeOwned> SpoolReader<S, T> {
    fn new(spool: S) -> Self {
        let items = spool.items;
        Self::section(spool, 0, items, CHUNK_BYTES)
    }

    /// Reads `items` items, the first of which begins at `offset`.
    fn section(spool: S, offset: u64, items: u64, ahead_bytes: usize) -> Self {
        Self {
            left: items,
            spool,
            offset,
            ahead_bytes,
            ahead: Vec::new(),
            used: 0,
            item: PhantomData,
        }
    }

    /// Gives the next item of `length` bytes to `decode`. Items never straddle file and tail, since whole
    /// items are moved.
    fn take<O>(&mut self, length: usize, decode: impl FnOnce(&[u8]) -> Result<O, SpoolError>) -> Result<O, SpoolError> {
        let spool = &*self.spool;
        let damaged = || SpoolError::Damaged {
            folder: spool.folder.clone(),
        };
        let on_disk = spool.file.as_ref().map_or(0, |(_, length)| *length);
        let outcome = match &spool.file {
            Some((file, _)) if self.offset < on_disk => {
                if self.ahead.len() - self.used < length {
                    self.ahead.clear();
                    self.used = 0;
                    let left = on_disk - self.offset;
                    let wanted = (length.max(self.ahead_bytes) as u64).min(left);
                    let wanted = usize::try_from(wanted).map_err(|_| damaged())?;
                    if wanted < length {
                        return Err(damaged());
                    }
                    self.ahead.resize(wanted, 0);
                    file.read_exact_at(&mut self.ahead, self.offset)
                        .map_err(|error| spool.at(error))?;
                }
                decode(&self.ahead[self.used..self.used + length])?
            }
            _ => {
                let start = usize::try_from(self.offset - on_disk).map_err(|_| damaged())?;
                decode(spool.tail.get(start..start + length).ok_or_else(damaged)?)?
            }
        };
        self.used = (self.used + length).min(self.ahead.len());
        self.offset += length as u64;
        Ok(outcome)
    }

    fn read(&mut self) -> Result<T, SpoolError> {
        let header = self.take(4, |bytes| {
            Ok(u32::from_le_bytes(bytes.try_into().expect("four bytes were asked for")))
        })?;
        let length = header as usize;
        if length > ITEM_BYTES {
            return Err(SpoolError::Damaged {
                folder: self.spool.folder.clone(),
            });
        }
        self.take(length, |bytes| {
            postcard::from_bytes(bytes).map_err(|source| SpoolError::Item { source })
        })
    }
}

impl<S: Deref<Target = Spool<T>>, T: DeserializeOwned> Iterator for SpoolReader<S, T> {
    type Item = Result<T, SpoolError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let item = self.read();
        if item.is_err() {
            self.left = 0;
        }
        Some(item)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        (0, Some(left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(number: u64) -> (u64, String) {
        (number, "x".repeat((number * 7919 % 300) as usize))
    }

    fn filled(items: u64, memory_bytes: usize) -> Spool<(u64, String)> {
        let mut spool = Spool::with_memory(None, memory_bytes);
        for number in 0..items {
            spool.push(&item(number)).unwrap();
        }
        spool
    }

    fn read(spool: &Spool<(u64, String)>) -> Vec<(u64, String)> {
        spool.iter().map(Result::unwrap).collect()
    }

    #[test]
    fn what_was_pushed_is_read_in_order_from_memory_and_from_disk() {
        for (items, memory_bytes) in [(0, 10), (1, 10), (20, 100), (5_000, usize::MAX), (9_000, 1_000)] {
            let spool = filled(items, memory_bytes);
            let expected: Vec<_> = (0..items).map(item).collect();
            assert_eq!(spool.len(), items);
            assert_eq!(read(&spool), expected);
            assert_eq!(read(&spool), expected, "a second reader starts anew");
        }
    }

    #[test]
    fn a_long_list_leaves_memory() {
        let spool = filled(9_000, 1_000);
        let (_, on_disk) = spool.file.as_ref().unwrap();
        assert!(*on_disk > 1 << 20, "{on_disk}");
        assert!(spool.tail.len() <= CHUNK_BYTES);
    }

    #[test]
    fn readers_do_not_disturb_each_other() {
        let spool = Arc::new(filled(9_000, 1_000));
        let mut slow = spool.reader();
        let first = slow.next().unwrap().unwrap();
        assert_eq!(spool.reader().count(), 9_000);
        assert_eq!(first, item(0));
        assert_eq!(slow.next().unwrap().unwrap(), item(1));
    }

    #[test]
    fn an_item_longer_than_the_read_ahead_is_read_whole() {
        let mut spool = Spool::with_memory(None, 10);
        let long = "y".repeat(3 * CHUNK_BYTES);
        for text in ["a", &long, "b", &long] {
            spool.push(&text.to_owned()).unwrap();
        }
        let lengths: Vec<usize> = spool.iter().map(|text| text.unwrap().len()).collect();
        assert_eq!(lengths, [1, long.len(), 1, long.len()]);
    }

    #[test]
    fn a_damaged_file_is_an_error_and_ends_the_reading() {
        let spool = filled(9_000, 1_000);
        let (file, _) = spool.file.as_ref().unwrap();
        file.write_all_at(&[0xff; 8], 0).unwrap();
        let outcomes: Vec<_> = spool.iter().collect();
        assert!(
            matches!(outcomes[..], [Err(SpoolError::Damaged { .. })]),
            "{outcomes:?}"
        );
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let mut spool = Spool::with_memory(Some(Path::new("/nonexistent/folder")), 0);
        let error = spool.push(&1_u64).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/folder"), "{error}");
    }

    #[test]
    fn a_full_disk_says_so_and_names_the_cure() {
        let spool = Spool::<u64>::with_memory(None, 0);
        let error = spool.at(io::ErrorKind::StorageFull.into());
        assert!(error.to_string().contains("TMPDIR"), "{error}");
    }
}
