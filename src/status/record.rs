//! The records of a status file, one line for each object.

use serde::{Deserialize, Serialize};

use crate::ledger::Record;
use crate::model::{ETag, RelPath};

/// How long the first record is, padded with spaces, where others follow: so that the place of every other
/// record follows from the lengths of those before it, which the root keeps for each range.
pub const HEAD_BYTES: usize = 4096;

/// One exported object, as readers see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusRecord {
    /// The path below the export path.
    pub path: RelPath,
    /// The etag that the store returned.
    pub etag: ETag,
    /// The length in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The version, on a versioned bucket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
}

#[derive(Serialize)]
struct Line<'a> {
    path: &'a RelPath,
    etag: &'a ETag,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    version_id: Option<&'a str>,
}

/// Adds the line of an object.
pub(super) fn write_line(record: &Record, out: &mut Vec<u8>) {
    let line = Line {
        path: &record.path,
        etag: &record.etag,
        size: record.size,
        version_id: record.version_id.as_deref(),
    };
    serde_json::to_writer(&mut *out, &line).expect("a record is plain data");
    out.push(b'\n');
}

/// How long the line of an object is, in bytes.
pub fn record_bytes(record: &Record) -> u64 {
    let mut line = Vec::with_capacity(128);
    write_line(record, &mut line);
    line.len() as u64
}
