//! What the API answers. Fields that we do not know are passed over, so that a newer server is no error.

use std::collections::BTreeMap;

use serde::Deserialize;

/// A repository.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Repository {
    /// Its name.
    pub id: String,
    /// The branch that counts where none is named.
    pub default_branch: String,
    /// Where its data is: `s3://bucket/prefix`.
    pub storage_namespace: String,
}

/// A branch.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Branch {
    /// Its name.
    pub id: String,
    /// Its head.
    pub commit_id: String,
}

/// A commit.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Commit {
    /// Its full id.
    pub id: String,
    /// The commits that it was made from.
    #[serde(default)]
    pub parents: Vec<String>,
    /// Its tree; empty for the tree without files. Equal ids are equal trees.
    pub meta_range_id: String,
    /// When it was made, as its maker says, in whole seconds since 1970.
    #[serde(default)]
    pub creation_date: i64,
}

/// How the server keeps bytes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct StorageConfig {
    /// `s3`, `gs`, `azure`, `local` or `mem`.
    pub blockstore_type: String,
    /// Whether it gives pre-signed URLs.
    #[serde(default)]
    pub pre_sign_support: bool,
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Page<T> {
    /// Whether there is more, and where it begins.
    pub pagination: Pagination,
    /// What is on the page.
    pub results: Vec<T>,
}

/// Where a list goes on.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Pagination {
    /// Whether there is more.
    pub has_more: bool,
    /// What the next page comes after.
    #[serde(default)]
    pub next_offset: String,
}

impl<T> Page<T> {
    /// What the next page comes after, where there is one.
    pub(in super::super) fn next(&self) -> Option<&str> {
        self.pagination.has_more.then_some(self.pagination.next_offset.as_str())
    }
}

/// What the API says of one object.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ObjectStats {
    /// Its key. Bytes that are no UTF-8 were replaced by U+FFFD.
    pub path: String,
    /// `object` or `common_prefix`.
    pub path_type: String,
    /// The URL of its bytes, or a pre-signed one.
    pub physical_address: String,
    /// An opaque token.
    #[serde(default)]
    pub checksum: String,
    /// Its length.
    #[serde(default)]
    pub size_bytes: Option<u64>,
    /// When it was last changed, in whole seconds since 1970.
    #[serde(default)]
    pub mtime: i64,
    /// User metadata.
    #[serde(default)]
    pub metadata: Option<BTreeMap<String, String>>,
    /// Its content type.
    #[serde(default)]
    pub content_type: Option<String>,
}

/// How one key differs between two trees.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Difference {
    /// What happened to it.
    #[serde(rename = "type")]
    pub kind: DifferenceKind,
    /// Its key.
    pub path: String,
    /// `object` or `common_prefix`.
    pub path_type: String,
}

/// What happened to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DifferenceKind {
    /// Only the newer tree has it.
    Added,
    /// Only the older tree has it.
    Removed,
    /// The trees have it otherwise.
    Changed,
    /// What a two-dot diff without a delimiter never says.
    #[serde(other)]
    Other,
}

/// What an error says.
#[derive(Debug, Deserialize)]
pub(super) struct ErrorAnswer {
    pub(super) message: String,
}
