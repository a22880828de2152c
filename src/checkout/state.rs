//! What a checkout wrote, remembered outside the folder: so that a change of the user's is told from one of the
//! branch's.
//!
//! Two files for each folder, of records that stand behind their length and the CRC-32 of their bytes (both `u32`,
//! little-endian) in postcard: the state, which is written anew as a whole and renamed, and the journal of what was done
//! since. The first record of either is a [`Header`]. Where one is damaged or cut off, what stands before that counts.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::files::{FileStat, Stamp};
use crate::model::{CommitId, ContentIds, RelPath};

/// Counted up with each change of the format; another version is as none.
const VERSION: u32 = 1;

/// Anything longer is damage.
const LONGEST_RECORD_BYTES: u32 = 16 << 20;

/// How much older than the state a file's times must be to be believed: some file systems count in such steps.
const RACY_SECONDS: i64 = 2;

/// What a state says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    version: u32,
    /// The branch that is checked out.
    pub(super) source: String,
    /// The commit that the folder holds, where a checkout came to its end.
    pub(super) commit: Option<CommitId>,
    /// When it was written.
    written: Stamp,
}

/// What is known of one path that a checkout wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// What the branch says of its content.
    pub(super) content: ContentIds,
    /// The BLAKE3 of the bytes; of a link, of where it leads.
    pub(super) blake3: [u8; 32],
    /// Whether it is a link.
    pub(super) is_link: bool,
    /// Whether it may be executed.
    pub(super) is_executable: bool,
    /// What the file system said of it.
    pub(super) stat: FileStat,
}

/// A line of the journal: what stands at a path now.
#[derive(Serialize, Deserialize)]
struct Done {
    path: RelPath,
    record: Option<Record>,
}

/// All that a checkout wrote; some 300 bytes of memory for each file.
pub(super) struct State {
    path: PathBuf,
    pub(super) header: Header,
    pub(super) records: BTreeMap<RelPath, Record>,
    /// Whether a checkout did not come to its end.
    pub(super) was_interrupted: bool,
    journal: Option<BufWriter<File>>,
}

impl State {
    /// Reads what is known of a folder; nothing where nothing is.
    pub(super) fn load(path: PathBuf, source: &str) -> io::Result<Self> {
        let mut state = Self {
            header: Header {
                version: VERSION,
                source: source.to_owned(),
                commit: None,
                written: Stamp::now(),
            },
            records: BTreeMap::new(),
            was_interrupted: false,
            journal: None,
            path,
        };
        if let Some(mut reader) = Reader::open(&state.path)?
            && let Some(header) = reader.next::<Header>()?.filter(|header| header.version == VERSION)
        {
            while let Some(Done { path, record }) = reader.next()? {
                state.records.extend(record.map(|record| (path, record)));
            }
            state.distrust(header.written);
            state.header = header;
        }
        if let Some(mut reader) = Reader::open(&state.journal_path())?
            && let Some(header) = reader.next::<Header>()?.filter(|header| header.version == VERSION)
        {
            state.was_interrupted = true;
            state.header = Header { commit: None, ..header };
            while let Some(Done { path, record }) = reader.next()? {
                match record {
                    Some(record) => state.records.insert(path, record),
                    None => state.records.remove(&path),
                };
            }
            // Nobody knows when the journal ended.
            let last = state.records.values().map(|record| record.stat.changed).max();
            state.distrust(last.unwrap_or(state.header.written));
        }
        Ok(state)
    }

    /// Makes the times of files that are too new to be believed differ from any that a file can have.
    fn distrust(&mut self, written: Stamp) {
        for record in self.records.values_mut() {
            if !record.stat.changed.is_older_than(written, RACY_SECONDS) {
                record.stat.inode = 0;
            }
        }
    }

    fn journal_path(&self) -> PathBuf {
        self.path.with_extension("journal")
    }

    /// Says that a checkout begins: from now on every step is written down.
    pub(super) fn begin(&mut self, source: &str) -> io::Result<()> {
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        // What an interrupted one had written down would be lost with its journal.
        if self.was_interrupted {
            self.write()?;
        }
        self.header.source = source.to_owned();
        self.header.commit = None;
        let mut journal = BufWriter::new(File::create(self.journal_path())?);
        push(&mut journal, &self.header)?;
        journal.flush()?;
        self.journal = Some(journal);
        Ok(())
    }

    /// Writes a step down.
    pub(super) fn done(&mut self, path: RelPath, record: Option<Record>) -> io::Result<()> {
        let done = Done { path, record };
        if let Some(journal) = &mut self.journal {
            push(journal, &done)?;
            journal.flush()?;
        }
        match done.record {
            Some(record) => self.records.insert(done.path, record),
            None => self.records.remove(&done.path),
        };
        Ok(())
    }

    /// Says that the folder holds a commit.
    pub(super) fn finish(&mut self, commit: &CommitId) -> io::Result<()> {
        self.header.commit = Some(commit.clone());
        self.write()?;
        self.journal = None;
        self.was_interrupted = false;
        match std::fs::remove_file(self.journal_path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Writes all of it beside the old one, and puts it in its place.
    fn write(&mut self) -> io::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        let file = tempfile::NamedTempFile::new_in(folder)?;
        let mut writer = BufWriter::with_capacity(256 << 10, file);
        self.header.written = Stamp::now();
        push(&mut writer, &self.header)?;
        for (path, record) in &self.records {
            let (path, record) = (path.clone(), Some(record.clone()));
            push(&mut writer, &Done { path, record })?;
        }
        let file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.as_file().sync_all()?;
        file.persist(&self.path)?;
        Ok(())
    }
}

fn checksum(bytes: &[u8]) -> u32 {
    let sum = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, bytes);
    u32::try_from(sum).expect("it has 32 bits")
}

fn push(to: &mut impl io::Write, record: &impl Serialize) -> io::Result<()> {
    let bytes = postcard::to_stdvec(record).map_err(io::Error::other)?;
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    to.write_all(&length.to_le_bytes())?;
    to.write_all(&checksum(&bytes).to_le_bytes())?;
    to.write_all(&bytes)
}

/// Reads records up to the first that is not whole.
struct Reader {
    file: BufReader<File>,
    buffer: Vec<u8>,
}

impl Reader {
    fn open(path: &Path) -> io::Result<Option<Self>> {
        match File::open(path) {
            Ok(file) => Ok(Some(Self {
                file: BufReader::with_capacity(256 << 10, file),
                buffer: Vec::new(),
            })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn next<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        match self.read() {
            Ok(true) => Ok(postcard::from_bytes(&self.buffer).ok()),
            Ok(false) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn read(&mut self) -> io::Result<bool> {
        let mut head = [0; 8];
        self.file.read_exact(&mut head)?;
        let [length, sum] =
            [&head[..4], &head[4..]].map(|part| u32::from_le_bytes(part.try_into().expect("four bytes")));
        if length > LONGEST_RECORD_BYTES {
            return Ok(false);
        }
        self.buffer.resize(length as usize, 0);
        self.file.read_exact(&mut self.buffer)?;
        Ok(checksum(&self.buffer) == sum)
    }
}
