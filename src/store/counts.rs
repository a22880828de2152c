//! What was sent, for the summary and for tests: request counts are gates, times are reports.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;

use super::observed::Observed;
use super::{RequestKind, StoreError};

/// Counts attempts and bytes; shared by all wrappers of one run.
#[derive(Debug, Default)]
pub struct RequestCounts {
    totals: Mutex<RequestTotals>,
    observed: Mutex<Observed>,
}

/// The counts at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RequestTotals {
    /// Attempts of each kind, the repeated ones included.
    pub attempts: BTreeMap<RequestKind, u64>,
    /// Attempts that repeat a failed one.
    pub retries: u64,
    /// Attempts that a store answered with a request to go slower.
    pub throttles: u64,
    /// Bytes of bodies sent, the repeated ones included.
    pub bytes_out: u64,
    /// Bytes of bodies received.
    pub bytes_in: u64,
}

impl RequestTotals {
    /// What came since other counts.
    pub fn since(&self, before: &Self) -> Self {
        let attempts = self.attempts.iter().map(|(kind, count)| {
            let known = before.attempts.get(kind).copied().unwrap_or(0);
            (*kind, count - known)
        });
        Self {
            attempts: attempts.filter(|(_, count)| *count > 0).collect(),
            retries: self.retries - before.retries,
            throttles: self.throttles - before.throttles,
            bytes_out: self.bytes_out - before.bytes_out,
            bytes_in: self.bytes_in - before.bytes_in,
        }
    }

    /// All attempts.
    pub fn requests(&self) -> u64 {
        self.attempts.values().sum()
    }
}

impl RequestCounts {
    /// The counts so far.
    pub fn totals(&self) -> RequestTotals {
        self.totals.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How the attempts that have ended ended, and how long they took.
    pub fn observed(&self) -> Observed {
        self.observed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn add(&self, change: impl FnOnce(&mut RequestTotals)) {
        change(&mut self.totals.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn observe<T>(&self, kind: RequestKind, outcome: &Result<T, StoreError>, elapsed: Duration) {
        let mut observed = self.observed.lock().unwrap_or_else(PoisonError::into_inner);
        observed.entry(kind).or_default().add(outcome, elapsed);
    }
}
