//! One run: brings an export path to one commit, safe at every instruction.
//!
//! The steps are those of `docs/design.md`: look before you lock (0), take the lease (1), read root and head
//! (2), plan (3), write intents (4), swap the root to dirty (5), say `creating` (6), transfer (7), write ranges
//! (8), swap the root to clean (9), say `success` (10), clean up and give the lease back (11).

mod adopt;
mod announce;
mod attempt;
mod buckets;
mod compare;
mod config;
pub mod continuous;
mod error;
mod finish;
mod hooks;
mod journal;
mod known;
mod look;
mod prepare;
mod rebuild;
mod records;
mod report;
mod run;
mod session;
mod settle;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use buckets::{BucketError, Buckets};
pub use config::{ExportConfig, Guards, LeasePolicy, MaxDelete, StatusRecords};
pub use error::{ExportError, Refusal};
pub use hooks::{HOOK_VARIABLES, Hook, HookEnd, HookReport, Hooks};
pub use rebuild::{Rebuild, Rebuilt, rebuild};
pub use report::{Counts, Failure, Outcome, Report};

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::ledger::{Holder, LedgerFolder};
use crate::limits::Bandwidth;
use crate::plan::Plan;
use crate::progress::Progress;
use crate::source::Source;
use crate::store::{Limiter, RequestCounts, RetryConfig, Store};

/// Everything that runs on one export path share.
#[derive(Clone)]
pub struct Exporter {
    /// The branch.
    pub source: Arc<dyn Source>,
    /// The bucket of the export path, as single requests.
    pub store: Arc<dyn Store>,
    /// The bucket of the status path; often the same.
    pub status_store: Arc<dyn Store>,
    /// Opens other buckets.
    pub buckets: Arc<dyn Buckets>,
    /// What the user asked for.
    pub config: ExportConfig,
    /// How requests are sent again.
    pub retry: RetryConfig,
    /// Counts all requests.
    pub counts: Arc<RequestCounts>,
    /// Bounds the requests of data at once.
    pub limiter: Arc<Limiter>,
    /// Bounds bytes for each second.
    pub bandwidth: Option<Arc<Bandwidth>>,
    /// Who takes the lease.
    pub holder: Holder,
    /// What the lease is counted by.
    pub clock: Arc<dyn Clock>,
    /// Whom to tell.
    pub progress: Arc<dyn Progress>,
}

impl Exporter {
    /// Brings the export path to the head.
    ///
    /// Failed objects are no error: the report counts them, and the next run tries again.
    pub async fn run(&self, cancel: &CancellationToken) -> Result<Report, ExportError> {
        run::run(self, cancel).await
    }

    /// Makes the plan of a run without any write: no lease, no probe.
    pub async fn dry_run(&self) -> Result<Plan, ExportError> {
        run::dry_run(self).await
    }

    fn folder(&self) -> LedgerFolder {
        LedgerFolder::of(&self.config.export_path.prefix)
    }

    /// A hash of everything that says which files go out and with which headers; the root keeps it.
    pub fn fingerprint(&self) -> String {
        let mut text = format!("{}\n{:?}\n", self.config.headers.fingerprint(), self.config.odd_keys);
        if let Some(regex) = &self.config.prefix_regex {
            text.push_str(regex.as_str());
        }
        for line in &self.config.selection {
            text.push('\n');
            text.push_str(line);
        }
        blake3::hash(text.as_bytes()).to_hex()[..32].to_owned()
    }
}
