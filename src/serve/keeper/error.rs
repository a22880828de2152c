//! Why something asked of the keeper was not done.

use super::told::{chain, differences};
use crate::serve::definition::Complaint;
use crate::serve::name::ExportName;
use crate::serve::registry::RegistryError;
use crate::serve::view::Difference;
use crate::status::StatusError;

/// Why something asked for was not done.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// No such export.
    #[error("{name}: no export is called so")]
    Unknown {
        /// The name.
        name: ExportName,
    },
    /// There is another one of that name.
    #[error(
        "{name}: there is an export of that name with other options: {}",
        differences(difference)
    )]
    Differs {
        /// The name.
        name: ExportName,
        /// What differs.
        difference: Vec<Difference>,
    },
    /// The options do not make an export.
    #[error(transparent)]
    Options(Complaint),
    /// Options that run programs.
    #[error("{option}: runs a program on the server, so no request may set it")]
    OnlyFromFiles {
        /// The option.
        option: String,
    },
    /// The file of the export cannot be used.
    #[error("{name}: its file cannot be used: {complaint}")]
    Broken {
        /// The name.
        name: ExportName,
        /// Why.
        complaint: Complaint,
    },
    /// There is nothing open to ask.
    #[error("{name}: is not running")]
    NotRunning {
        /// The name.
        name: ExportName,
    },
    /// The registry could not be read or written.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The status files could not be read.
    #[error("the status file cannot be read: {}", chain(&**.0))]
    Status(Box<StatusError>),
    /// There are no status files yet.
    #[error("{path}: no status file there")]
    NoStatus {
        /// Where they would be.
        path: String,
    },
    /// The status file is not the one that the page before was of.
    #[error("the status file has changed since the page before")]
    Moved,
    /// The place to go on from is none.
    #[error("`after` is not what a page before gave as `next`")]
    BadCursor,
}

impl From<StatusError> for KeepError {
    fn from(error: StatusError) -> Self {
        Self::Status(Box::new(error))
    }
}
