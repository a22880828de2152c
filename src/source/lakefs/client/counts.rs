//! What was asked, for the summary and for tests: counts are gates, times are reports.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use super::LakeFsRequest;

/// Counts attempts and bytes; shared by all clones of a client.
#[derive(Debug, Default)]
pub struct LakeFsCounts(Mutex<LakeFsTotals>);

/// The counts at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LakeFsTotals {
    /// Attempts of each kind, the repeated ones included.
    pub attempts: BTreeMap<LakeFsRequest, u64>,
    /// Attempts that repeat a failed one.
    pub retries: u64,
    /// Bytes of bodies received.
    pub bytes_in: u64,
}

impl LakeFsTotals {
    /// All attempts.
    pub fn requests(&self) -> u64 {
        self.attempts.values().sum()
    }

    /// The attempts of one kind.
    pub fn of(&self, kind: LakeFsRequest) -> u64 {
        self.attempts.get(&kind).copied().unwrap_or(0)
    }
}

impl LakeFsCounts {
    /// The counts so far.
    pub fn totals(&self) -> LakeFsTotals {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn attempt(&self, kind: LakeFsRequest, repeated: bool) {
        let mut totals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *totals.attempts.entry(kind).or_default() += 1;
        totals.retries += u64::from(repeated);
    }

    pub(super) fn received(&self, bytes: usize) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).bytes_in += bytes as u64;
    }
}
