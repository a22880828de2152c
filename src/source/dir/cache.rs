//! The stat cache: the hashes of the last scan, for files that the file system says are unchanged.
//!
//! One file for each scanned directory, named by the BLAKE3 of its path:
//!
//! ```text
//! "lakesync stat cache\n"  version (u32)  block*  end
//! block: length (u32, not 0)  BLAKE3 of the payload (32 bytes)  payload
//! end:   length 0             BLAKE3 of nothing
//! ```
//!
//! Numbers are little-endian. The first payload is the postcard form of [`Header`], every other one holds
//! whole [`Row`]s in the order of the tree. It is read and written as a stream beside the walk, so each
//! block is checked before any of it is believed. Nothing here can fail a run: without a cache every file
//! is read, which is slower and as right.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::files::{FileStat, Stamp};
use crate::model::RelPath;

const MAGIC: &[u8] = b"lakesync stat cache\n";
const VERSION: u32 = 1;

/// Big enough that the checksums are small beside it, small enough to be nothing in memory.
const BLOCK_BYTES: usize = 64 << 10;

/// A block of one row with the longest path there is; anything above is damage.
const LARGEST_BLOCK_BYTES: usize = 16 << 20;

/// How much older than the scan a file's times must be: some file systems keep time in steps of two
/// seconds, and within one step a file can be hashed and then changed without its times telling.
const RACY_SECONDS: i64 = 2;

/// What the cache file says of itself.
#[derive(Serialize, Deserialize)]
struct Header {
    /// The directory, to be sure.
    root: Vec<u8>,
    /// When the scan that wrote this began.
    began: Stamp,
}

/// One file of the last scan.
#[derive(Serialize, Deserialize)]
struct Row {
    path: RelPath,
    stat: FileStat,
    blake3: [u8; 32],
}

/// What is known of a file from the last scan.
#[derive(Clone, Copy)]
pub(super) struct Known {
    pub(super) stat: FileStat,
    pub(super) blake3: [u8; 32],
}

/// The cache during one scan: the old one being read, and the new one being written.
pub(super) struct StatCache {
    folder: PathBuf,
    old: Option<Reader>,
    new: Option<Writer>,
    /// Whether the new one differs from the old.
    differs: bool,
}

impl StatCache {
    /// Opens the cache of a directory; what cannot be opened is told once and done without.
    pub(super) fn open(folder: &Path, root: &Path, began: Stamp) -> Self {
        let name = format!("dir-{}", blake3::hash(root.as_os_str().as_bytes()).to_hex());
        let current = folder.join(&name);
        let old = Reader::open(&current, root).unwrap_or_else(|fault| {
            tracing::warn!(file = %current.display(), fault = %fault, "the stat cache cannot be used; every file is read");
            None
        });
        let new = Writer::create(folder, &name, root, began).unwrap_or_else(|fault| {
            tracing::warn!(file = %current.display(), fault = %fault, "the stat cache cannot be written; the next scan is slower");
            None
        });
        Self {
            folder: folder.to_owned(),
            differs: old.is_none(),
            old,
            new,
        }
    }

    /// Finds what is known of a file, where that can be trusted. Paths must be asked for in their order.
    ///
    /// This is Git's rule for racily clean files: whatever was touched so shortly before it was hashed that
    /// a later change could have left the same times is hashed again.
    pub(super) fn find(&mut self, path: &RelPath) -> Option<Known> {
        let old = self.old.as_mut()?;
        while old.row.as_ref().is_some_and(|row| row.path < *path) {
            self.differs = true;
            old.advance();
        }
        let row = old.row.take_if(|row| row.path == *path)?;
        let began = old.began;
        old.advance();
        let stat = row.stat;
        let trusted =
            stat.modified.is_older_than(began, RACY_SECONDS) && stat.changed.is_older_than(began, RACY_SECONDS);
        trusted.then_some(Known {
            stat,
            blake3: row.blake3,
        })
    }

    /// Takes down a file of this scan; `fresh` where its hash is not the one that was found.
    pub(super) fn record(&mut self, path: &RelPath, stat: FileStat, blake3: [u8; 32], fresh: bool) {
        self.differs |= fresh;
        let Some(new) = &mut self.new else {
            return;
        };
        let row = Row {
            path: path.clone(),
            stat,
            blake3,
        };
        if let Err(fault) = new.push(&row) {
            tracing::warn!(folder = %self.folder.display(), fault = %fault, "the stat cache cannot be written; the next scan is slower");
            self.new = None;
        }
    }

    /// Puts the new cache in the old one's place.
    pub(super) fn finish(mut self) {
        let Some(new) = self.new.take() else {
            return;
        };
        // Damage at the end of the old one shows in the number of its rows.
        let same = !self.differs
            && self
                .old
                .as_ref()
                .is_some_and(|old| old.row.is_none() && old.rows == new.rows && !old.damaged);
        let done = if same { Ok(()) } else { new.put_in_place(&self.folder) };
        if let Err(fault) = done {
            tracing::warn!(folder = %self.folder.display(), fault = %fault, "the stat cache cannot be written; the next scan is slower");
        }
    }
}

struct Reader {
    file: BufReader<File>,
    path: PathBuf,
    began: Stamp,
    block: Vec<u8>,
    used: usize,
    /// The next row.
    row: Option<Row>,
    rows: u64,
    damaged: bool,
}

impl Reader {
    /// Opens a cache file; `None` where there is none yet.
    fn open(path: &Path, root: &Path) -> Result<Option<Self>, Fault> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut file = BufReader::with_capacity(BLOCK_BYTES, file);
        let mut start = [0; MAGIC.len() + 4];
        file.read_exact(&mut start)?;
        let (magic, version) = start.split_at(MAGIC.len());
        let version = u32::from_le_bytes(version.try_into().expect("four bytes are left"));
        if magic != MAGIC || version < VERSION {
            return Err(Fault::Damaged);
        }
        if version > VERSION {
            return Err(Fault::Newer(version));
        }
        let header = read_block(&mut file)?.ok_or(Fault::Damaged)?;
        let header: Header = postcard::from_bytes(&header).map_err(|_| Fault::Damaged)?;
        if header.root != root.as_os_str().as_bytes() {
            return Err(Fault::Damaged);
        }
        let mut reader = Self {
            file,
            path: path.to_owned(),
            began: header.began,
            block: Vec::new(),
            used: 0,
            row: None,
            rows: 0,
            damaged: false,
        };
        reader.advance();
        Ok(Some(reader))
    }

    /// Goes to the next row. Damage ends the rows there: those before it were checked.
    fn advance(&mut self) {
        self.row = self.next_row().unwrap_or_else(|fault| {
            self.damaged = true;
            tracing::warn!(file = %self.path.display(), fault = %fault, "the rest of the stat cache cannot be used; those files are read");
            None
        });
        self.rows += u64::from(self.row.is_some());
    }

    fn next_row(&mut self) -> Result<Option<Row>, Fault> {
        if self.damaged {
            return Ok(None);
        }
        if self.used == self.block.len() {
            self.block = match read_block(&mut self.file)? {
                Some(block) => block,
                None => return Ok(None),
            };
            self.used = 0;
        }
        let (row, rest) = postcard::take_from_bytes(&self.block[self.used..]).map_err(|_| Fault::Damaged)?;
        self.used = self.block.len() - rest.len();
        Ok(Some(row))
    }
}

/// Reads and checks a block; `None` for the one that marks the end.
fn read_block(file: &mut impl io::Read) -> Result<Option<Vec<u8>>, Fault> {
    let mut length = [0; 4];
    file.read_exact(&mut length)?;
    let mut checksum = [0; 32];
    file.read_exact(&mut checksum)?;
    let length = u32::from_le_bytes(length) as usize;
    if length > LARGEST_BLOCK_BYTES {
        return Err(Fault::Damaged);
    }
    let mut payload = vec![0; length];
    file.read_exact(&mut payload)?;
    if blake3::hash(&payload) != blake3::Hash::from_bytes(checksum) {
        return Err(Fault::Damaged);
    }
    Ok((length > 0).then_some(payload))
}

struct Writer {
    file: BufWriter<File>,
    beside: PathBuf,
    current: PathBuf,
    block: Vec<u8>,
    rows: u64,
    placed: bool,
}

impl Writer {
    /// Begins a new cache file; `None` where another process is writing one.
    ///
    /// Its name is fixed, so that processes that are killed never leave more than one behind, and so it
    /// is emptied only under a lock.
    fn create(folder: &Path, name: &str, root: &Path, began: Stamp) -> Result<Option<Self>, Fault> {
        let beside = folder.join(format!("{name}.new"));
        let file = File::options().create(true).truncate(false).write(true).open(&beside)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Ok(None),
            Err(std::fs::TryLockError::Error(error)) => return Err(error.into()),
        }
        // Whoever held the lock may have put the file in its place meanwhile: then it is the cache itself.
        let at_name = FileStat::at(rustix::fs::CWD, beside.as_os_str().as_bytes());
        if at_name.map(|stat| stat.identity()).ok() != Some(FileStat::of(&file)?.identity()) {
            return Ok(None);
        }
        file.set_len(0)?;
        let mut writer = Self {
            file: BufWriter::with_capacity(BLOCK_BYTES, file),
            beside,
            current: folder.join(name),
            block: Vec::new(),
            rows: 0,
            placed: false,
        };
        writer.file.write_all(MAGIC)?;
        writer.file.write_all(&VERSION.to_le_bytes())?;
        let root = root.as_os_str().as_bytes().to_vec();
        writer.block = postcard::to_stdvec(&Header { root, began }).map_err(io::Error::other)?;
        writer.end_block()?;
        Ok(Some(writer))
    }

    fn push(&mut self, row: &Row) -> Result<(), Fault> {
        let block = std::mem::take(&mut self.block);
        self.block = postcard::to_extend(row, block).map_err(io::Error::other)?;
        self.rows += 1;
        if self.block.len() >= BLOCK_BYTES {
            self.end_block()?;
        }
        Ok(())
    }

    fn end_block(&mut self) -> Result<(), Fault> {
        let length = u32::try_from(self.block.len()).map_err(io::Error::other)?;
        self.file.write_all(&length.to_le_bytes())?;
        self.file.write_all(blake3::hash(&self.block).as_bytes())?;
        self.file.write_all(&self.block)?;
        self.block.clear();
        Ok(())
    }

    fn put_in_place(mut self, folder: &Path) -> Result<(), Fault> {
        if !self.block.is_empty() {
            self.end_block()?;
        }
        self.end_block()?;
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        std::fs::rename(&self.beside, &self.current)?;
        self.placed = true;
        File::open(folder)?.sync_all()?;
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.placed
            && let Err(error) = std::fs::remove_file(&self.beside)
        {
            tracing::debug!(file = %self.beside.display(), %error, "an unfinished stat cache stays; the next scan writes over it");
        }
    }
}

/// Why a cache cannot be used.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it is damaged")]
    Damaged,
    #[error("it has format {0}, which only a newer lakesync can read")]
    Newer(u32),
}
