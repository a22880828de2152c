//! The format of a range file: records in the order of their paths, each path cut short by what it shares
//! with the one before.
//!
//! Inside the shell of `packed.rs` stand the number of records and the records, numbers as LEB128:
//!
//! ```text
//! shared · length · path from there on · size · length · etag · flags (u8) · ids · headers (u64) · [length · version id]
//! ```
//!
//! Flags: 1 a Git SHA-1, 2 a Git SHA-256, 4 a BLAKE3 hash, 8 an address, 16 a version id, 32 a checksum. The ids stand in
//! the order of their flags, the version id last.

use super::packed::Format;
use super::{HeadersDigest, LedgerError, Record};
use crate::model::{ContentIds, ETag, GitId, RelPath, RunId};

/// The most records a range can have; the writer cuts here at the latest.
pub(super) const MAX_RECORDS: u64 = 65_536;

/// Where the writer cuts although there are few records, so that no file has to be refused for its length:
/// 64 MiB are 1,000 bytes for each of the most records a range can have.
pub(super) const FULL_BYTES: usize = 64 << 20;

/// The longest path. S3 ends at 1,024 bytes; some stores allow more.
const MAX_PATH: usize = 4_096;
/// The longest etag. S3's have 32 to 38 bytes.
const MAX_ETAG: usize = 1_024;
/// The longest version id, as S3 has it.
const MAX_VERSION_ID: usize = 1_024;

const FORMAT: Format = Format {
    magic: b"LKSRANGE",
    version: 1,
    // A body is full when it passes the mark, so one record may come on top.
    body_limit: (FULL_BYTES + (1 << 20)) as u32,
};

const GIT_SHA1: u8 = 1;
const GIT_SHA256: u8 = 2;
const BLAKE3: u8 = 4;
const ADDRESS: u8 = 8;
const VERSION_ID: u8 = 16;
const CHECKSUM: u8 = 32;

/// The name of a range file with these bytes.
pub(super) fn range_name(run: RunId, file: &[u8]) -> String {
    format!("{run}-{}", blake3::hash(file).to_hex())
}

/// The hash in the name of a range; `None` where this is not how we name ranges.
pub(super) fn hash_in_name(name: &str) -> Option<blake3::Hash> {
    let (run, hash) = name.split_once('-')?;
    let known = run.parse::<RunId>().is_ok_and(|id| id.to_string() == run);
    let hash = blake3::Hash::from_hex(hash).ok()?;
    // What we would write ourselves and nothing else: in capitals it would be another key.
    (known && name.ends_with(hash.to_hex().as_str())).then_some(hash)
}

/// Gathers records into the body of a range file.
#[derive(Debug, Default)]
pub(super) struct RangeEncoder {
    records: Vec<u8>,
    previous: Vec<u8>,
    count: u64,
}

impl RangeEncoder {
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn is_full(&self) -> bool {
        self.records.len() >= FULL_BYTES
    }

    /// Appends a record, which the caller has found to come after the one before.
    pub(super) fn push(&mut self, record: &Record) -> Result<(), LedgerError> {
        let path = record.path.as_bytes();
        let version_id = record.version_id.as_deref().map_or(&[][..], str::as_bytes);
        let etag = record.etag.as_str().as_bytes();
        for (what, bytes, limit) in [
            ("path", path, MAX_PATH),
            ("etag", etag, MAX_ETAG),
            ("version id", version_id, MAX_VERSION_ID),
        ] {
            if bytes.len() > limit {
                return Err(LedgerError::TooLong {
                    path: record.path.clone(),
                    what,
                    length: bytes.len(),
                    limit,
                });
            }
        }
        let shared = path.iter().zip(&self.previous).take_while(|(a, b)| a == b).count();
        let out = &mut self.records;
        put_number(out, shared as u64);
        put_bytes(out, &path[shared..]);
        put_number(out, record.size);
        put_bytes(out, etag);
        let ids = &record.content;
        let git = match ids.git {
            Some(GitId::Sha1(_)) => GIT_SHA1,
            Some(GitId::Sha256(_)) => GIT_SHA256,
            None => 0,
        };
        let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
        out.push(
            git | flag(ids.blake3.is_some(), BLAKE3)
                | flag(ids.address.is_some(), ADDRESS)
                | flag(ids.checksum.is_some(), CHECKSUM)
                | flag(record.version_id.is_some(), VERSION_ID),
        );
        out.extend_from_slice(ids.git.as_ref().map_or(&[], GitId::as_bytes));
        out.extend_from_slice(ids.blake3.as_ref().map_or(&[], |hash| &hash[..]));
        out.extend_from_slice(ids.address.as_ref().map_or(&[], |hash| &hash[..]));
        out.extend_from_slice(ids.checksum.as_ref().map_or(&[], |digest| &digest[..]));
        out.extend_from_slice(&record.headers.0.to_le_bytes());
        if record.version_id.is_some() {
            put_bytes(out, version_id);
        }
        self.previous.truncate(shared);
        self.previous.extend_from_slice(&path[shared..]);
        self.count += 1;
        Ok(())
    }

    /// Makes the file and starts anew.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        let mut body = Vec::with_capacity(self.records.len() + 4);
        put_number(&mut body, self.count);
        body.extend_from_slice(&self.records);
        self.records.clear();
        self.previous.clear();
        self.count = 0;
        FORMAT.pack(&body)
    }
}

/// The records of one range, decoded one by one; ends after an error.
#[derive(Debug)]
pub struct RangeRecords {
    file: String,
    body: Vec<u8>,
    at: usize,
    count: u64,
    left: u64,
    previous: Vec<u8>,
}

impl RangeRecords {
    /// Reads a file that was found to be the one meant.
    pub(super) fn open(file: &str, bytes: &[u8]) -> Result<Self, LedgerError> {
        Self::of_body(file, FORMAT.unpack(file, bytes)?)
    }

    fn of_body(file: &str, body: Vec<u8>) -> Result<Self, LedgerError> {
        let mut rest = Reader(&body);
        let count = rest
            .number()
            .filter(|count| (1..=MAX_RECORDS).contains(count))
            .ok_or_else(|| LedgerError::damaged(file, "its number of records cannot be"))?;
        Ok(Self {
            file: file.to_owned(),
            at: body.len() - rest.0.len(),
            body,
            count,
            left: count,
            previous: Vec::new(),
        })
    }

    /// How many records there are in the whole range, read or not.
    pub fn total(&self) -> u64 {
        self.count
    }

    fn read(&mut self) -> Option<Record> {
        let mut rest = Reader(&self.body[self.at..]);
        let shared = usize::try_from(rest.number()?).ok()?;
        let suffix = rest.bytes(MAX_PATH)?;
        if shared > self.previous.len() || shared + suffix.len() > MAX_PATH {
            return None;
        }
        // Strictly sorted, and shared as far as can be: so one content has one form only.
        let is_first = self.left == self.count;
        let comes_after = match self.previous.get(shared) {
            Some(old) => suffix.first().is_some_and(|new| new > old),
            None => !suffix.is_empty(),
        };
        if !comes_after || (is_first && shared != 0) {
            return None;
        }
        self.previous.truncate(shared);
        self.previous.extend_from_slice(suffix);
        let size = rest.number()?;
        let etag = std::str::from_utf8(rest.bytes(MAX_ETAG)?).ok()?;
        // Taken from a store's answer, an etag loses one pair of quotes; this one has lost it already.
        let etag = match etag.starts_with('"') {
            true => ETag::new(&format!("\"{etag}\"")),
            false => ETag::new(etag),
        };
        let [flags] = *rest.array::<1>()?;
        if flags & !(GIT_SHA1 | GIT_SHA256 | BLAKE3 | ADDRESS | VERSION_ID | CHECKSUM) != 0 {
            return None;
        }
        let git = match flags & (GIT_SHA1 | GIT_SHA256) {
            0 => None,
            GIT_SHA1 => Some(GitId::Sha1(*rest.array()?)),
            GIT_SHA256 => Some(GitId::Sha256(*rest.array()?)),
            _ => return None,
        };
        let mut hash = |flag| match flags & flag {
            0 => Some(None),
            _ => rest.array().map(|hash| Some(*hash)),
        };
        let (blake3, address) = (hash(BLAKE3)?, hash(ADDRESS)?);
        let checksum = match flags & CHECKSUM {
            0 => None,
            _ => Some(*rest.array()?),
        };
        let content = ContentIds {
            git,
            blake3,
            address,
            checksum,
        };
        let headers = HeadersDigest(u64::from_le_bytes(*rest.array()?));
        let version_id = match flags & VERSION_ID {
            0 => None,
            _ => Some(std::str::from_utf8(rest.bytes(MAX_VERSION_ID)?).ok()?.into()),
        };
        self.at = self.body.len() - rest.0.len();
        self.left -= 1;
        if self.left == 0 && self.at != self.body.len() {
            return None;
        }
        Some(Record {
            path: RelPath::new(self.previous.as_slice()).ok()?,
            etag,
            size,
            content,
            headers,
            version_id,
        })
    }
}

impl Iterator for RangeRecords {
    type Item = Result<Record, LedgerError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        let number = self.count - self.left + 1;
        Some(self.read().ok_or_else(|| {
            self.left = 0;
            LedgerError::damaged(&self.file, format!("record {number} of {} cannot be", self.count))
        }))
    }
}

fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Takes values off the front of some bytes; `None` where they end too early or make no value.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(array)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let [byte] = *self.array::<1>()?;
            let bits = u64::from(byte & 0x7f);
            if (bits << shift) >> shift != bits {
                return None;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn bytes(&mut self, limit: usize) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok().filter(|length| *length <= limit)?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }
}

#[cfg(test)]
mod tests;
