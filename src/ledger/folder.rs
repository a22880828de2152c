//! Where the files of a ledger are.

use crate::model::{Bucket, ObjectKey, Prefix, RunId};

/// The folder of a ledger: `_lakesync/` below the export path, wherever status files go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerFolder(Prefix);

impl LedgerFolder {
    /// The name of the folder below the export path. Spark, Hive and Hadoop ignore names that begin so.
    pub const NAME: &'static str = "_lakesync/";

    /// The ledger of the export path with this prefix.
    pub fn of(export_path: &Prefix) -> Self {
        Self(Prefix::new(&format!("{export_path}{}", Self::NAME)))
    }

    /// What all its keys begin with.
    pub fn prefix(&self) -> &Prefix {
        &self.0
    }

    /// The root.
    pub fn root(&self) -> ObjectKey {
        self.0.join("root.json")
    }

    /// The lease.
    pub fn lease(&self) -> ObjectKey {
        self.0.join("lease.json")
    }

    /// A range file, by the name that the root gives it.
    pub fn range(&self, name: &str) -> ObjectKey {
        self.0.join(&format!("ranges/{name}"))
    }

    /// Where a run probes the store, as the start of keys.
    pub fn probe(&self, run: RunId) -> String {
        format!("{}{run}/", self.probes())
    }

    /// Where all probes are, as the start of keys.
    pub fn probes(&self) -> String {
        format!("{}probe/", self.0)
    }

    /// A file of a run.
    pub(super) fn run_file(&self, run: RunId, kind: &str, number: u32) -> ObjectKey {
        self.0.join(&format!("runs/{run}/{kind}-{number:05}"))
    }

    /// The files of one kind of a run, as the start of their keys.
    pub(super) fn run_files(&self, run: RunId, kind: &str) -> String {
        format!("{}runs/{run}/{kind}-", self.0)
    }
}

/// A file as messages name it.
pub(super) fn place(bucket: &Bucket, key: &ObjectKey) -> String {
    format!("s3://{bucket}/{key}")
}
