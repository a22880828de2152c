//! What ends a command, and the flag that cures it.

use super::client::ClientError;
use super::exit::Signal;
use super::job::JobError;
use super::lakefs::LakeFsSettingsError;
use super::layers::LayerError;
use super::logs::FilterTextError;
use super::place::PlaceError;
use super::wait::WaitError;
use crate::checkout::CheckoutError;
use crate::export::ExportError;
use crate::ledger::LedgerError;
use crate::plan::{HeaderRuleError, LastRuleError};
use crate::source::lakefs::LakeFsConfigError;
use crate::source::{FilterError, SourceError};
use crate::status::StatusError;
use crate::store::{S3ConfigError, StoreError};
use crate::watch::WatchError;

/// What ends a command.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The words of the command line, or a request for help.
    #[error(transparent)]
    Words(Box<clap::Error>),
    /// Environment or file.
    #[error(transparent)]
    Layers(#[from] LayerError),
    /// SOURCE or REPO.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The words are fine each, and together they make no sense.
    #[error(transparent)]
    Job(#[from] JobError),
    /// `--include` or `--exclude`.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// The source.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// How the store is reached.
    #[error(transparent)]
    StoreConfig(#[from] S3ConfigError),
    /// A run.
    #[error(transparent)]
    Export(Box<ExportError>),
    /// A checkout.
    #[error(transparent)]
    Checkout(Box<CheckoutError>),
    /// A status file.
    #[error(transparent)]
    Status(Box<StatusError>),
    /// `--header`.
    #[error(transparent)]
    Header(#[from] HeaderRuleError),
    /// `--last`.
    #[error(transparent)]
    Last(#[from] LastRuleError),
    /// What lakesync knows of an export path.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Where lakeFS is, and who we are there.
    #[error(transparent)]
    LakeFs(#[from] LakeFsSettingsError),
    /// How lakeFS is reached.
    #[error(transparent)]
    LakeFsConfig(#[from] LakeFsConfigError),
    /// A commit that did not come.
    #[error(transparent)]
    Wait(#[from] WaitError),
    /// Nothing could be watched.
    #[error(transparent)]
    Watch(#[from] WatchError),
    /// `--log`.
    #[error(transparent)]
    Log(#[from] FilterTextError),
    /// A server.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Being a server.
    #[cfg(feature = "serve")]
    #[error(transparent)]
    Serve(#[from] super::serve::ServeError),
    /// `man` was asked for a page that does not exist.
    #[error("no command {name:?}; `lakesync help` lists them")]
    NoSuchPage {
        /// What was asked for.
        name: String,
    },
    /// A file of ours could not be written.
    #[error("{}: cannot be written", path.display())]
    Write {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The process could not begin.
    #[error("cannot start threads")]
    Runtime(std::io::Error),
    /// Nobody reads stdout any more, which is no fault: `lakesync ls . | head`.
    #[error("stdout was closed")]
    Closed,
    /// A signal came, and the command did not end in good order within its time.
    #[error("interrupted")]
    Interrupted(Signal),
}

impl From<clap::Error> for CliError {
    fn from(error: clap::Error) -> Self {
        Self::Words(Box::new(error))
    }
}

/// What a room below says names the thing and the cure; that a run met it adds nothing to read.
impl From<ExportError> for CliError {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::Source(error) => error.into(),
            ExportError::Store(error) => error.into(),
            ExportError::Ledger(error) => error.into(),
            ExportError::Status(error) => error.into(),
            error => Self::Export(Box::new(error)),
        }
    }
}

impl From<CheckoutError> for CliError {
    fn from(error: CheckoutError) -> Self {
        match error {
            CheckoutError::Source(error) => error.into(),
            error => Self::Checkout(Box::new(error)),
        }
    }
}

impl From<StatusError> for CliError {
    fn from(error: StatusError) -> Self {
        match error {
            StatusError::Store(error) => error.into(),
            StatusError::Ledger(error) => error.into(),
            error => Self::Status(Box::new(error)),
        }
    }
}

impl CliError {
    /// The way out, where it is a flag and the message itself does not name it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            #[cfg(feature = "serve")]
            Self::Serve(_) => None,
            Self::Layers(LayerError::UnknownVariable { .. }) => {
                Some("unset it, or see `lakesync help` for how variables are named")
            }
            Self::Source(error) | Self::Place(PlaceError::Source(error)) => source_hint(error),
            Self::Store(error) | Self::Ledger(LedgerError::Store(error)) => store_hint(error),
            Self::Export(_) | Self::Status(_) | Self::Ledger(_) => None,
            Self::Interrupted(_) => Some("nothing is lost: the next run goes on from what was sent"),
            Self::Layers(_)
            | Self::Words(_)
            | Self::Place(_)
            | Self::Job(_)
            | Self::Filter(_)
            | Self::StoreConfig(_)
            | Self::Header(_)
            | Self::Last(_)
            | Self::LakeFs(_)
            | Self::LakeFsConfig(_)
            | Self::Log(_)
            | Self::Watch(_)
            | Self::Client(_)
            | Self::Checkout(_)
            | Self::Wait(_)
            | Self::NoSuchPage { .. }
            | Self::Write { .. }
            | Self::Runtime(_)
            | Self::Closed => None,
        }
    }
}

fn source_hint(error: &SourceError) -> Option<&'static str> {
    match error {
        SourceError::NoSuchRef { .. } | SourceError::NoSuchCommitId { .. } => Some("name another with --branch"),
        SourceError::Repository { .. } => Some("to export the folder as it is write dir:PATH"),
        SourceError::Io {
            action: "cannot be written",
            ..
        } => Some("make room there, or name another folder with --cache or TMPDIR"),
        SourceError::NotADirectory { .. } => Some("export the folder that holds it, with --include for the file"),
        _ => None,
    }
}

fn store_hint(error: &StoreError) -> Option<&'static str> {
    use crate::store::StoreErrorKind as Kind;
    match error.kind {
        Kind::Denied => Some("`lakesync doctor s3://BUCKET/PREFIX/` says which rights are missing"),
        Kind::NotSupported => Some("`lakesync doctor s3://BUCKET/PREFIX/` says what the store can do"),
        Kind::Throttled => Some("lower --concurrency, or set --bandwidth"),
        _ => None,
    }
}

/// The causes of an error, each in one line.
pub fn causes(error: &(dyn std::error::Error + 'static)) -> Vec<String> {
    crate::causes::causes(error, |cause| one_line(&cause.to_string()))
}

/// An error and its causes, all in one line.
pub fn line_of(error: &(dyn std::error::Error + 'static)) -> String {
    let mut line = one_line(&error.to_string());
    for cause in causes(error) {
        line.push_str(": ");
        line.push_str(&cause);
    }
    line
}

/// Keeps foreign texts from drawing over lines, or over a terminal.
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for word in text.lines().map(str::trim).filter(|word| !word.is_empty()) {
        if !line.is_empty() {
            line.push_str("; ");
        }
        for letter in word.chars() {
            if letter.is_control() {
                line.extend(letter.escape_default());
            } else {
                line.push(letter);
            }
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_has_a_cure() {
        let full = CliError::Source(SourceError::Io {
            action: "cannot be written",
            path: "/var/cache/lakesync".into(),
            source: std::io::ErrorKind::StorageFull.into(),
        });
        assert!(full.hint().is_some_and(|hint| hint.contains("--cache")));
    }

    #[test]
    fn a_cause_is_told_once_and_in_one_line() {
        #[derive(Debug, thiserror::Error)]
        #[error("{text}")]
        struct Layer {
            text: &'static str,
            source: Option<Box<Layer>>,
        }
        let layer = |text, source: Option<Layer>| Layer {
            text,
            source: source.map(Box::new),
        };
        let error = layer(
            "top",
            Some(layer(
                "sent: broken",
                Some(layer("broken", Some(layer("a\n b\x1b[2J", None)))),
            )),
        );
        assert_eq!(causes(&error), ["sent: broken", "a; b\\u{1b}[2J"]);
    }
}
