//! What a source says of a tree: entries, changes, and what it left out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Bucket, ContentIds, ETag, ObjectKey, RelPath};

/// One file of a tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Where it stands in the tree.
    pub path: RelPath,
    /// Its length in bytes.
    pub size: u64,
    /// What says that its content equals another.
    pub content: ContentIds,
    /// The object that S3 itself can copy the bytes from, where there is one.
    pub origin: Option<Box<OriginObject>>,
    /// What else the source knows of it.
    pub attributes: Attributes,
}

/// An object outside the export path that holds an entry's bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OriginObject {
    /// Its bucket.
    pub bucket: Bucket,
    /// Its key.
    pub key: ObjectKey,
    /// The etag it must still have; `None` where it is written once and never again.
    pub etag: Option<ETag>,
}

/// What a source knows of a file besides its bytes; most of it goes nowhere unless asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributes {
    /// The content type, where the source keeps one.
    pub content_type: Option<Box<str>>,
    /// User metadata, keys in lower case.
    pub metadata: BTreeMap<String, String>,
    /// The permission bits, where the source keeps them (`--preserve mode`).
    pub mode: Option<u32>,
    /// When it was last changed, in whole seconds since 1970 (`--preserve mtime`).
    pub mtime_unix: Option<i64>,
}

/// How one path differs between two commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The newer commit has this entry, and the older one has it otherwise or not at all.
    Put(Entry),
    /// The newer commit does not have this path (or holds there what is not exported).
    Gone(RelPath),
}

impl Change {
    /// The path that differs.
    pub fn path(&self) -> &RelPath {
        match self {
            Self::Put(entry) => &entry.path,
            Self::Gone(path) => path,
        }
    }
}

/// Something that a source met and did not give as a plain entry, to be counted and shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// What it was.
    pub kind: NoticeKind,
    /// Where it was.
    pub path: RelPath,
}

/// The kinds of [`Notice`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoticeKind {
    /// A symbolic link, skipped.
    Symlink,
    /// A submodule, skipped.
    Submodule,
    /// A socket, pipe or device, skipped.
    Special,
    /// A key that the store would not keep as it is, skipped (`--odd-keys skip`).
    OddKey,
    /// A Git LFS pointer, published as the pointer that it is.
    LfsPointer,
    /// A file whose content type no header can carry, published with another.
    ContentType,
    /// A file with metadata whose name no header can have, published without that.
    MetadataName,
    /// A file with metadata whose value no header can carry, published without that.
    MetadataValue,
    /// A file with more metadata than S3 takes, published without the rest.
    MetadataLength,
}

impl NoticeKind {
    /// Whether the path is missing from the export.
    pub fn is_skip(self) -> bool {
        match self {
            Self::Symlink | Self::Submodule | Self::Special | Self::OddKey => true,
            Self::LfsPointer | Self::ContentType | Self::MetadataName | Self::MetadataValue | Self::MetadataLength => {
                false
            }
        }
    }

    /// What becomes of so many of them in an export: "left out".
    pub fn becomes(self, count: u64) -> &'static str {
        match self {
            Self::Symlink | Self::Submodule | Self::Special | Self::OddKey => "left out",
            Self::LfsPointer if count == 1 => "exported as it is",
            Self::LfsPointer => "exported as they are",
            Self::ContentType => "exported with the type of the name, since no header can carry the source's",
            Self::MetadataName => "exported without metadata whose name no header can have",
            Self::MetadataValue => "exported without metadata whose value is not printable ASCII",
            Self::MetadataLength => "exported without metadata beyond the 2 KiB that S3 takes",
        }
    }

    /// The name of one of its kind: "symlink".
    pub fn noun(self) -> &'static str {
        match self {
            Self::Symlink => "symlink",
            Self::Submodule => "submodule",
            Self::Special => "special file",
            Self::OddKey => "odd key",
            Self::LfsPointer => "LFS pointer",
            Self::ContentType | Self::MetadataName | Self::MetadataValue | Self::MetadataLength => "file",
        }
    }
}
