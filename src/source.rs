//! Where a branch lives: the seam behind which lakeFS, Git and directories stand.

mod browse;
mod dir;
mod error;
#[cfg(any(test, feature = "testing"))]
pub mod faulty;
mod filter;
#[cfg(any(test, feature = "testing"))]
pub mod memory;
#[cfg(feature = "git")]
pub mod git;
pub mod lakefs;
mod near;
mod policy;
mod stream;

pub use browse::{Browse, Child, Node};
pub use dir::{DirConfig, DirSource};
pub use error::{BoxError, SourceError};
pub use filter::{Filter, FilterError};
pub use policy::{LfsPolicy, SkipOrError, SymlinkPolicy};
pub use stream::{Body, EntrySink, EntryStream, Item, Sink, Stream, channel};

use std::num::NonZeroUsize;

use async_trait::async_trait;

use crate::model::{Change, CommitId, Entry};

/// What a source is called in a root, a status file and a message: `git:/srv/data.git#main`.
///
/// Two sources of one name are the same branch. The name never holds a credential.
pub type SourceName = Box<str>;

/// A branch of some versioned store, read at commits and never at "now".
///
/// No method has a default body, so that a wrapper that forgets one does not build.
#[async_trait]
pub trait Source: Send + Sync {
    /// The name of this branch.
    fn name(&self) -> &str;

    /// Names the newest commit. Cheap, save for a directory, which must be scanned.
    async fn head(&self) -> Result<CommitId, SourceError>;

    /// Whether the commit can be read here: whether this is a copy of the history that holds it.
    async fn contains(&self, at: &CommitId) -> Result<bool, SourceError>;

    /// Streams every file of `at`, sorted by path bytes, filters applied; never a mix of two commits.
    async fn tree(&self, at: &CommitId) -> Result<EntryStream, SourceError>;

    /// Streams what differs from `from` to `to`, sorted by path bytes, filters applied; `None` where one
    /// of the two cannot be read, so that the whole trees must be compared.
    async fn changes(&self, from: &CommitId, to: &CommitId) -> Result<Option<Stream<Item<Change>>>, SourceError>;

    /// Opens the bytes of one entry of `at`.
    async fn open(&self, at: &CommitId, entry: &Entry) -> Result<Body, SourceError>;

    /// How many `open` calls at once this source serves well.
    fn parallelism(&self) -> NonZeroUsize;
}
