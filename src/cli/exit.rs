//! The one table from what came of a command to its exit code.

use std::process::ExitCode;

use super::error::CliError;
use super::place::PlaceError;
use super::wait::WaitError;
use crate::checkout::CheckoutError;
use crate::export::{ExportError, Outcome, Refusal, Report};
use crate::ledger::LedgerError;
use crate::plan::PlanError;
use crate::source::SourceError;
use crate::source::lakefs::{LakeFsError, LakeFsErrorKind};
use crate::status::StatusError;
use crate::store::{StoreError, StoreErrorKind};

/// How the program ends. The codes are part of the command line's contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done, or nothing to do.
    Done,
    /// Failed, or some objects failed.
    Failed,
    /// Wrong use, or wrong configuration.
    Usage,
    /// Verification found a difference.
    Mismatch,
    /// Refused by a guard.
    Refused,
    /// The lease is held by another: try again.
    Busy,
    /// SIGINT or SIGTERM.
    Interrupted(Signal),
}

/// A signal that ends the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Ctrl-C.
    Interrupt,
    /// What service managers send.
    Terminate,
}

impl Exit {
    /// The number that the shell sees; signals count as shells do, 128 and the signal's number.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Mismatch => 3,
            Self::Refused => 4,
            Self::Busy => 75,
            Self::Interrupted(Signal::Interrupt) => 130,
            Self::Interrupted(Signal::Terminate) => 143,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

impl From<&Report> for Exit {
    fn from(report: &Report) -> Self {
        match report.outcome {
            Outcome::Unchanged | Outcome::Exported => Self::Done,
            Outcome::Failed => Self::Failed,
        }
    }
}

impl From<&CliError> for Exit {
    fn from(error: &CliError) -> Self {
        match error {
            CliError::Words(_)
            | CliError::Layers(_)
            | CliError::Job(_)
            | CliError::Filter(_)
            | CliError::StoreConfig(_)
            | CliError::Header(_)
            | CliError::Last(_)
            | CliError::LakeFs(_)
            | CliError::LakeFsConfig(_)
            | CliError::Log(_)
            | CliError::NoSuchPage { .. } => Self::Usage,
            CliError::Wait(WaitError::NoHead { .. }) => Self::Usage,
            CliError::Wait(WaitError::TooLong { .. }) => Self::Failed,
            CliError::Place(error) => error.into(),
            CliError::Client(error) => error.into(),
            #[cfg(feature = "serve")]
            CliError::Serve(error) => error.into(),
            CliError::Source(error) => error.into(),
            CliError::Store(error) => error.into(),
            CliError::Ledger(error) => error.into(),
            CliError::Status(error) => error.as_ref().into(),
            CliError::Checkout(error) => error.as_ref().into(),
            CliError::Export(error) => error.as_ref().into(),
            CliError::Write { .. } | CliError::Runtime(_) | CliError::Watch(_) => Self::Failed,
            CliError::Closed => Self::Done,
            CliError::Interrupted(signal) => Self::Interrupted(*signal),
        }
    }
}

#[cfg(feature = "serve")]
impl From<&super::serve::ServeError> for Exit {
    fn from(error: &super::serve::ServeError) -> Self {
        use super::serve::ServeError;
        use crate::serve::{ListenError, RegistryError};
        match error {
            ServeError::NoFolder | ServeError::Secret(_) | ServeError::Listen(ListenError::NoToken { .. }) => {
                Self::Usage
            }
            ServeError::Registry(RegistryError::Kept { .. }) => Self::Busy,
            ServeError::Registry(
                RegistryError::Io { .. } | RegistryError::TooLong { .. } | RegistryError::NotText { .. },
            )
            | ServeError::Listen(ListenError::Bind { .. }) => Self::Failed,
        }
    }
}

impl From<&PlaceError> for Exit {
    fn from(error: &PlaceError) -> Self {
        match error {
            PlaceError::NoSource
            | PlaceError::LakeFs(_)
            | PlaceError::BareName { .. }
            | PlaceError::TwoRefs { .. }
            | PlaceError::BaseUri(_)
            | PlaceError::Bucket { .. }
            | PlaceError::Url { .. }
            | PlaceError::NoRepository { .. }
            | PlaceError::NoRepositoryHere { .. }
            | PlaceError::BranchOfDirectory { .. } => Self::Usage,
            PlaceError::Source(error) => error.into(),
        }
    }
}

impl From<&CheckoutError> for Exit {
    fn from(error: &CheckoutError) -> Self {
        match error {
            CheckoutError::NotADirectory { .. } => Self::Usage,
            CheckoutError::OtherSource { .. } | CheckoutError::LocalChanges { .. } => Self::Refused,
            CheckoutError::Busy { .. } => Self::Busy,
            CheckoutError::Io { .. }
            | CheckoutError::Unreadable { .. }
            | CheckoutError::OtherBytes { .. }
            | CheckoutError::Stopped => Self::Failed,
            CheckoutError::Source(error) => error.into(),
        }
    }
}

/// A name that leads nowhere was typed wrongly; what is there and cannot be read has failed.
impl From<&SourceError> for Exit {
    fn from(error: &SourceError) -> Self {
        match error {
            SourceError::NoSuchPath { .. }
            | SourceError::NotADirectory { .. }
            | SourceError::RemoteRepository { .. }
            | SourceError::NoSuchRef { .. }
            | SourceError::NoSuchCommitId { .. }
            | SourceError::Unborn { .. } => Self::Usage,
            SourceError::Refused { .. } | SourceError::Link { .. } => Self::Refused,
            SourceError::LakeFs(error) => error.as_ref().into(),
            SourceError::Repository { .. }
            | SourceError::ForeignRepository { .. }
            | SourceError::RefFormat { .. }
            | SourceError::Object { .. }
            | SourceError::Damaged { .. }
            | SourceError::Changed { .. }
            | SourceError::Io { .. }
            | SourceError::RootChanged { .. }
            | SourceError::CommitGone { .. }
            | SourceError::Interrupted
            | SourceError::Table(_)
            | SourceError::Injected => Self::Failed,
        }
    }
}

impl From<&LakeFsError> for Exit {
    fn from(error: &LakeFsError) -> Self {
        match &error.kind {
            LakeFsErrorKind::NoSuchRepository | LakeFsErrorKind::WebPage | LakeFsErrorKind::Redirected { .. } => {
                Self::Usage
            }
            LakeFsErrorKind::BadKeys
            | LakeFsErrorKind::Denied
            | LakeFsErrorKind::BadKeysOrDenied
            | LakeFsErrorKind::NotFound
            | LakeFsErrorKind::RepositoryDeleting
            | LakeFsErrorKind::DataGone
            | LakeFsErrorKind::BadRequest
            | LakeFsErrorKind::NotOffered
            | LakeFsErrorKind::Throttled
            | LakeFsErrorKind::Unavailable { .. }
            | LakeFsErrorKind::RefusedAddress { .. }
            | LakeFsErrorKind::BadAnswer { .. }
            | LakeFsErrorKind::KeyNotText
            | LakeFsErrorKind::BytesChanged
            | LakeFsErrorKind::ImportChanged { .. }
            | LakeFsErrorKind::Unreachable
            | LakeFsErrorKind::CutOff
            | LakeFsErrorKind::TimedOut => Self::Failed,
        }
    }
}

impl From<&ExportError> for Exit {
    fn from(error: &ExportError) -> Self {
        match error {
            ExportError::Source(error) => error.into(),
            ExportError::Store(error) => error.into(),
            ExportError::Ledger(error) => error.into(),
            ExportError::Status(error) => error.into(),
            ExportError::Refused(refusal) => refusal.into(),
            ExportError::Plan(PlanError::BadKeys { .. } | PlanError::Headers(_)) => Self::Refused,
            ExportError::Plan(PlanError::Spool(_)) | ExportError::Spool(_) | ExportError::NoClock(_) => Self::Failed,
            ExportError::Held { .. } | ExportError::LeaseLost { .. } => Self::Busy,
            // `Signals::blame` says which signal it was; without one, somebody else cancelled.
            ExportError::Interrupted => Self::Failed,
        }
    }
}

impl From<&Refusal> for Exit {
    fn from(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::EmptyTree { .. }
            | Refusal::TooManyDeletes { .. }
            | Refusal::NotEmpty { .. }
            | Refusal::OtherSource { .. }
            | Refusal::StatusMoved { .. }
            | Refusal::StatusTaken { .. }
            | Refusal::StatusInside { .. }
            | Refusal::Hook { .. }
            | Refusal::Unguarded { .. } => Self::Refused,
        }
    }
}

impl From<&StatusError> for Exit {
    fn from(error: &StatusError) -> Self {
        match error {
            StatusError::Store(error) => error.into(),
            StatusError::Ledger(error) => error.into(),
            StatusError::Spool(_)
            | StatusError::None { .. }
            | StatusError::NotWhole { .. }
            | StatusError::Damaged { .. } => Self::Failed,
        }
    }
}

impl From<&LedgerError> for Exit {
    fn from(error: &LedgerError) -> Self {
        match error {
            LedgerError::Store(error) => error.into(),
            LedgerError::Newer { .. }
            | LedgerError::Damaged { .. }
            | LedgerError::DamagedLease { .. }
            | LedgerError::RangeGone { .. }
            | LedgerError::OutOfOrder { .. }
            | LedgerError::NotAtCut { .. }
            | LedgerError::TooLong { .. }
            | LedgerError::Spool(_) => Self::Failed,
        }
    }
}

impl From<&StoreError> for Exit {
    fn from(error: &StoreError) -> Self {
        match &error.kind {
            StoreErrorKind::NoCredentials | StoreErrorKind::WrongRegion { .. } | StoreErrorKind::NoSuchBucket => {
                Self::Usage
            }
            StoreErrorKind::LeaseLost => Self::Busy,
            StoreErrorKind::NotFound
            | StoreErrorKind::NoSuchUpload
            | StoreErrorKind::ConditionFailed
            | StoreErrorKind::Conflict
            | StoreErrorKind::Denied
            | StoreErrorKind::BadCredentials
            | StoreErrorKind::ExpiredCredentials
            | StoreErrorKind::ClockSkew
            | StoreErrorKind::Throttled
            | StoreErrorKind::Unavailable
            | StoreErrorKind::BadDigest
            | StoreErrorKind::NotSupported
            | StoreErrorKind::Unreachable
            | StoreErrorKind::NoReply
            | StoreErrorKind::Unclear { .. }
            | StoreErrorKind::Refused { .. } => Self::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_those_of_the_manual() {
        let ends = [
            Exit::Done,
            Exit::Failed,
            Exit::Usage,
            Exit::Mismatch,
            Exit::Refused,
            Exit::Busy,
            Exit::Interrupted(Signal::Interrupt),
            Exit::Interrupted(Signal::Terminate),
        ];
        assert_eq!(ends.map(Exit::code), [0, 1, 2, 3, 4, 75, 130, 143]);
    }

    #[test]
    fn a_typing_error_is_2_and_a_lost_lease_is_75() {
        let gone = SourceError::NoSuchPath { path: "x".into() };
        assert_eq!(Exit::from(&CliError::Source(gone)), Exit::Usage);
        let lost = StoreError {
            request: crate::store::RequestKind::Put,
            place: "s3://bucket/x".to_owned(),
            kind: StoreErrorKind::LeaseLost,
            detail: None,
            cause: None,
        };
        assert_eq!(Exit::from(&CliError::Store(lost)), Exit::Busy);
        assert_eq!(Exit::from(&CliError::Closed), Exit::Done);
    }
}
