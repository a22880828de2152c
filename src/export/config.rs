//! What a user can say about a run.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use crate::disk_cache::DiskCacheConfig;
use crate::model::S3Url;
use crate::plan::{HeaderRules, LastRules, OddKeys};
use crate::store::{Checksum, WriteClass};
use crate::transfer::OutsideCopies;

use super::hooks::Hooks;

/// What a user can say about a run, read and checked.
#[derive(Clone, Debug)]
pub struct ExportConfig {
    /// Where the branch's files appear.
    pub export_path: S3Url,
    /// Where status files go.
    pub status_path: S3Url,
    /// What goes last.
    pub last: Arc<LastRules>,
    /// Folders that get an empty `_lakefs_success` after their files.
    pub prefix_regex: Option<regex::bytes::Regex>,
    /// Which headers objects get.
    pub headers: Arc<HeaderRules>,
    /// Storage class, ACL and tags of data objects.
    pub class: Arc<WriteClass>,
    /// A text that changes with everything that says which files go out: the filter's globs.
    pub selection: Vec<String>,
    /// What is refused.
    pub guards: Guards,
    /// Commands of the user before and after.
    pub hooks: Hooks,
    /// Keys that stores may not keep as they are.
    pub odd_keys: OddKeys,
    /// How many objects are under way at once.
    pub concurrency: NonZeroUsize,
    /// How long a part of a multipart upload is, at least; smaller objects go in one request.
    pub part_size_bytes: u64,
    /// Whether the store copies what lies on S3 already.
    pub outside_copies: OutsideCopies,
    /// Which checksum goes with the bytes; `None`: what the probe found.
    pub checksum: Option<Checksum>,
    /// How long a lease lasts unless renewed.
    pub lease_ttl: Duration,
    /// How long to wait for somebody else's lease.
    pub lock_wait: Duration,
    /// Whether to go on where the store cannot guard the lease.
    pub lease: LeasePolicy,
    /// How many status files are kept.
    pub keep_status: usize,
    /// What a `success` lists.
    pub status_records: StatusRecords,
    /// Where range files are kept locally; losing it costs reads only.
    pub cache: Option<DiskCacheConfig>,
}

/// What is refused before the first write unless said otherwise.
#[derive(Clone, Debug, Default)]
pub struct Guards {
    /// Lets an empty tree delete everything.
    pub allow_empty: bool,
    /// More deletes than this are refused.
    pub max_delete: Option<MaxDelete>,
    /// Takes equal objects under a full export path into the ledger, and an export path from another source.
    pub adopt: bool,
    /// Overwrites objects of others.
    pub overwrite: bool,
    /// Lets the status path differ from the last run's.
    pub move_status: bool,
}

/// `--max-delete N|P%`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MaxDelete {
    /// So many objects.
    Count(u64),
    /// So much of the ledger, in percent.
    Percent(f64),
}

/// `--lease auto|required`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LeasePolicy {
    /// Goes on without guards where the store has none, and says so.
    #[default]
    Auto,
    /// Refuses such a store.
    Required,
}

/// `--status-records all|changed`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StatusRecords {
    /// All objects of the commit.
    #[default]
    All,
    /// Only what the run wrote.
    Changed,
}
