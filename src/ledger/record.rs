//! One object that we know of, and the ranges in which many of them are kept.

use serde::{Deserialize, Serialize};

use crate::model::{ContentIds, ETag, Entry, RelPath};

/// A digest of the headers and metadata an object was written with (the mark and the storage class apart),
/// so that a changed rule is seen although the bytes are equal. Zero: not known, which equals nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HeadersDigest(pub u64);

/// One object of ours under the export path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The path below the export path; always text.
    pub path: RelPath,
    /// The etag that the store answered.
    pub etag: ETag,
    /// The length.
    pub size: u64,
    /// What is known of the content.
    pub content: ContentIds,
    /// The headers it was written with.
    pub headers: HeadersDigest,
    /// The version, on a versioned bucket.
    pub version_id: Option<Box<str>>,
}

impl Record {
    /// Whether the object holds what an entry of its path has. A checksum of lakeFS can be made up, so that one of
    /// another length may be equal.
    pub fn has_content_of(&self, entry: &Entry) -> bool {
        self.size == entry.size && self.content.same_content(&entry.content)
    }
}

/// A range file, as the root names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeRef {
    /// The name below `_lakesync/ranges/`: `<run>-<blake3 of the file>`.
    pub name: String,
    /// The first path in it.
    pub first: RelPath,
    /// The last path in it.
    pub last: RelPath,
    /// How many records it holds.
    pub count: u64,
    /// How long all objects in it are together.
    pub object_bytes: u64,
    /// How long the file is.
    pub file_bytes: u64,
    /// How long its records are in a status file; the offsets there are the sums of these.
    pub status_bytes: u64,
}
