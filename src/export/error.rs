//! Why a run ended without a report.

use crate::ledger::{LeaseError, LedgerError};
use crate::model::RelPath;
use crate::plan::PlanError;
use crate::source::SourceError;
use crate::spool::SpoolError;
use crate::status::StatusError;
use crate::store::{StoreError, StoreErrorKind};
use crate::transfer::TransferError;

use super::hooks::HookReport;

/// Why a run ended without a report.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The source could not be read.
    #[error("the source cannot be read")]
    Source(#[from] SourceError),
    /// The store did not do what it should.
    #[error("the store cannot be used")]
    Store(#[from] StoreError),
    /// The ledger could not be read or written.
    #[error("the ledger cannot be used")]
    Ledger(#[from] LedgerError),
    /// A status file could not be read or written.
    #[error("the status file cannot be used")]
    Status(#[from] StatusError),
    /// A guard refused the run before its first write.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The tree holds what cannot be exported.
    #[error(transparent)]
    Plan(PlanError),
    /// No room on the local disk.
    #[error("the local disk cannot be used")]
    Spool(#[from] SpoolError),
    /// Somebody else holds the lease.
    #[error("{export_path} is being exported by somebody else")]
    Held {
        /// The export path.
        export_path: String,
        /// Who, and the cure.
        source: Box<LeaseError>,
    },
    /// The store has no clock to judge leases by.
    #[error("the store cannot keep a lease")]
    NoClock(#[source] Box<LeaseError>),
    /// Somebody else took the lease over.
    #[error("the lease on {export_path} was lost; another exporter goes on, and it is safe to try again")]
    LeaseLost {
        /// The export path.
        export_path: String,
    },
    /// Somebody asked to stop. The next run goes on from here.
    #[error("interrupted; the next run goes on from here")]
    Interrupted,
}

/// What a guard refuses, with the flag that lets it through.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The tree is empty, and the ledger is not.
    #[error("the source is empty, and {objects} objects are exported; --allow-empty deletes them all")]
    EmptyTree {
        /// How many objects there are.
        objects: u64,
    },
    /// More deletes than allowed.
    #[error(
        "{deletes} of {objects} objects would be deleted, more than --max-delete allows; raise it if that is meant"
    )]
    TooManyDeletes {
        /// How many deletes.
        deletes: u64,
        /// Of how many objects.
        objects: u64,
    },
    /// A first export onto a prefix that holds objects.
    #[error(
        "{export_path} already holds objects that lakesync did not write ({first} is one); choose an empty prefix, \
         or pass --adopt to keep equal ones and report others, or --overwrite to replace them"
    )]
    NotEmpty {
        /// The export path.
        export_path: String,
        /// One of the objects.
        first: RelPath,
    },
    /// The ledger is of another source.
    #[error(
        "{export_path} holds an export of {found}, and this is {wanted}; choose another export path, or pass \
         --adopt to let this source take it over"
    )]
    OtherSource {
        /// The export path.
        export_path: String,
        /// The source of the ledger.
        found: String,
        /// The source of this run.
        wanted: String,
    },
    /// The status path is another one than the last run's.
    #[error(
        "status files of {export_path} go to {found}; pass --export-status-path {found}, or --move-status to move to {wanted}"
    )]
    StatusMoved {
        /// The export path.
        export_path: String,
        /// Where they go.
        found: String,
        /// Where they were to go.
        wanted: String,
    },
    /// Status files would stand among the data.
    #[error(
        "{status_path} lies below {export_path}, where status files would be taken for data; leave \
         --export-status-path out, or choose a place outside"
    )]
    StatusInside {
        /// The export path.
        export_path: String,
        /// The status path.
        status_path: String,
    },
    /// The status path is another export path's.
    #[error("{status_path} holds status files of {found}; give each export path a status path of its own")]
    StatusTaken {
        /// The status path.
        status_path: String,
        /// The export path that it serves.
        found: String,
    },
    /// The command before the export failed.
    #[error("nothing was exported, since the --before-export command {}{}", report.end, report.last_line())]
    Hook {
        /// How it ended, and what it said.
        report: Box<HookReport>,
    },
    /// The store cannot guard the lease, and `--lease required` was given.
    #[error(
        "{export_path}: the store ignores conditional writes, so nothing can guard the lease (--lease auto goes on without)"
    )]
    Unguarded {
        /// The export path.
        export_path: String,
    },
}

impl ExportError {
    /// Whether it says in any way that the lease was lost.
    pub(super) fn is_lost_lease(&self) -> bool {
        match self {
            Self::LeaseLost { .. } => true,
            Self::Store(error)
            | Self::Ledger(LedgerError::Store(error))
            | Self::Status(StatusError::Store(error) | StatusError::Ledger(LedgerError::Store(error))) => {
                error.kind == StoreErrorKind::LeaseLost
            }
            _ => false,
        }
    }

    /// Says what a lease that could not be had means for an export path.
    pub(super) fn of_lease(error: LeaseError, export_path: &str) -> Self {
        let export_path = export_path.to_owned();
        match error {
            held @ LeaseError::Held { .. } => Self::Held {
                export_path,
                source: Box::new(held),
            },
            LeaseError::Lost => Self::LeaseLost { export_path },
            LeaseError::Cancelled => Self::Interrupted,
            no_date @ LeaseError::NoDate => Self::NoClock(Box::new(no_date)),
            LeaseError::Ledger(error) => error.into(),
        }
    }
}

impl From<PlanError> for ExportError {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::Spool(error) => Self::Spool(error),
            bad @ (PlanError::BadKeys { .. } | PlanError::Headers(_)) => Self::Plan(bad),
        }
    }
}

impl From<TransferError> for ExportError {
    fn from(error: TransferError) -> Self {
        match error {
            TransferError::Store(error) => Self::Store(error),
            TransferError::Spool(error) => Self::Spool(error),
            TransferError::Interrupted | TransferError::Abandoned => Self::Interrupted,
        }
    }
}
