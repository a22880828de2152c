//! What a run tells while it goes on: the library reports, whoever called it draws.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::model::{CommitId, ETag, RelPath, RunId};

/// Where a run is; in this order, some left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Reads root, status and head, to see whether there is anything to do.
    Look,
    /// Takes the lease, and probes the store where that was not done before.
    Lock,
    /// Finds out what runs that died left behind.
    Settle,
    /// Compares tree and ledger.
    Plan,
    /// Writes intents, swaps the root, says `creating`.
    Announce,
    /// Sends, copies and deletes.
    Transfer,
    /// Writes ranges and swaps the root.
    Record,
    /// Writes the last status and cleans up.
    Finish,
}

impl fmt::Display for Phase {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Look => "look",
            Self::Lock => "lock",
            Self::Settle => "settle",
            Self::Plan => "plan",
            Self::Announce => "announce",
            Self::Transfer => "transfer",
            Self::Record => "record",
            Self::Finish => "finish",
        })
    }
}

/// What is done with one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Its bytes are sent.
    Put,
    /// The store copies it.
    Copy,
    /// It is removed.
    Delete,
}

/// How much a plan holds; exact, since a plan is whole before the first write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Objects to be sent.
    pub put: u64,
    /// Their bytes.
    pub put_bytes: u64,
    /// Objects to be copied by the store.
    pub copied: u64,
    /// Their bytes.
    pub copied_bytes: u64,
    /// Objects to be removed.
    pub deleted: u64,
    /// Objects that stay as they are.
    pub kept: u64,
    /// Their bytes.
    pub kept_bytes: u64,
    /// Paths of the tree left out by a policy; `None` where only changes were looked at, which do not tell.
    pub skipped: Option<u64>,
}

/// One object that is done with.
#[derive(Clone, Debug)]
pub struct ObjectEvent<'a> {
    /// What was to be done.
    pub action: Action,
    /// The path below the export path.
    pub path: &'a RelPath,
    /// Its length.
    pub bytes: u64,
    /// Its new etag, where it has one.
    pub etag: Option<&'a ETag>,
    /// Why it failed, where it did.
    pub error: Option<&'a str>,
    /// How long it took.
    pub elapsed: Duration,
}

/// Whoever wants to know how a run goes on. Called from many tasks; must not block.
pub trait Progress: Send + Sync {
    /// The run moved to another phase.
    fn phase(&self, phase: Phase);
    /// The run has an id and knows where it goes.
    fn started(&self, run: RunId, commit: &CommitId);
    /// The plan is whole.
    fn planned(&self, totals: &Totals);
    /// So many bytes of bodies were sent or copied since the last call.
    fn moved(&self, bytes: u64);
    /// An object is done with.
    fn object(&self, event: &ObjectEvent<'_>);
    /// Something the user should know and that stops nothing.
    fn warn(&self, text: &str);
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn phase(&self, _: Phase) {}
    fn started(&self, _: RunId, _: &CommitId) {}
    fn planned(&self, _: &Totals) {}
    fn moved(&self, _: u64) {}
    fn object(&self, _: &ObjectEvent<'_>) {}
    fn warn(&self, _: &str) {}
}
