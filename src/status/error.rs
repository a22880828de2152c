//! What can be wrong with a status file.

use crate::ledger::LedgerError;
use crate::spool::SpoolError;
use crate::store::StoreError;

/// A status file could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// The store did not do what it should.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The ledger, from which the records come, could not be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// What was done could not be read back.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// There is none.
    #[error("{path}: no status file there; has anything been exported? (--export-status-path names another place)")]
    None {
        /// The status path.
        path: String,
    },
    /// The newest one does not say `success`.
    #[error("{file} says {state}, not success; wait for the run to end, or run `lakesync export` again")]
    NotWhole {
        /// The file.
        file: String,
        /// What it says.
        state: String,
    },
    /// Its lines are not what they should be.
    #[error("{file}: line {line} is no status record ({why})")]
    Damaged {
        /// The file.
        file: String,
        /// The line, from 1.
        line: u64,
        /// What is wrong.
        why: String,
    },
}
