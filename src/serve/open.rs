//! How words become an export that runs: the seam to the command line, which alone knows the words.

use std::any::Any;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;

use super::definition::{Complaint, Definition, Options};
use super::hub::Hub;
use crate::export::continuous::Continuous;
use crate::limits::Bandwidth;
use crate::progress::Progress;
use crate::store::{Limiter, RequestCounts};
use crate::wake::Wake;

/// Reads definitions, and puts together what they name.
#[async_trait]
pub trait Open: Send + Sync {
    /// Reads the file of an export, and says what it means.
    ///
    /// # Errors
    /// Names the file, the line and the cure.
    fn read(&self, path: &Path, text: &str) -> Result<(Definition, Facts), Complaint>;

    /// Checks options that came from elsewhere than a file; gives them without those that say what goes without saying.
    ///
    /// # Errors
    /// Names the option and the cure.
    fn check(&self, options: &Options) -> Result<(Options, Facts), Complaint>;

    /// Opens source and store of an export that was checked, and begins to watch the source.
    ///
    /// # Errors
    /// Says what cannot be opened; it is tried again.
    async fn open(&self, options: &Options, parts: Parts) -> Result<Opened, Complaint>;
}

/// What an export shares with others, or gets from its keeper.
pub struct Parts {
    /// Bounds the requests of all exports together.
    pub limiter: Arc<Limiter>,
    /// Bounds the bytes a second of all exports together; `None`: each has its own bound, or none.
    pub bandwidth: Option<Arc<Bandwidth>>,
    /// Counts the requests of all exports together.
    pub counts: Arc<RequestCounts>,
    /// Whom the runs tell.
    pub progress: Arc<dyn Progress>,
    /// What sets the export going.
    pub wake: Wake,
    /// Watches that are shared.
    pub hub: Arc<Hub>,
}

/// An export that can run.
pub struct Opened {
    /// The loop.
    pub continuous: Continuous,
    /// Watches the source as long as it is kept.
    pub watch: Box<dyn Any + Send + Sync>,
}

/// What an export is, as far as its words alone say it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The source, as it was named.
    pub source: String,
    /// The branch, where one was named.
    pub branch: Option<String>,
    /// Where it goes.
    pub export_path: String,
    /// Where its status files go, if elsewhere.
    pub status_path: Option<String>,
    /// The repository, if it is one of lakeFS.
    pub lakefs_repository: Option<String>,
    /// The names, `owner/name`, of the places that a Git repository was cloned from.
    pub git_remotes: Vec<String>,
}

impl Facts {
    /// Whether a hint about a branch may be about this export; where the branch goes without saying, it may.
    pub fn is_of_branch(&self, branch: &str) -> bool {
        let is_below = |rest: &str| rest.is_empty() || rest.starts_with(['~', '^']);
        let own = self.branch.as_deref();
        own.is_none_or(|own| own.strip_prefix(branch).is_some_and(is_below))
    }
}
