//! Who notices that there may be a new head: each watcher only sets the wake signal, and is never more than a hint.
//!
//! ```text
//! inotify ─▶ hints ─▶ settled? ─▶ wake      folders and Git repositories, a thread each
//! timer ──▶ head ───▶ another? ─▶ wake      lakeFS, a task
//! ```
//!
//! Whatever a watcher cannot be sure of, a start, an overflow, an error, a root that came back, is a wake, too.

mod engine;
mod folder;
mod git;
mod place;
mod poll;
mod settle;

pub use folder::{FolderWatch, FolderWatchConfig};
pub use git::{GitWatch, GitWatchConfig};
pub use poll::Poll;

use std::sync::Arc;

/// Is told what a person should know: that a watch cannot be had, for example. Called rarely, from any thread.
pub type Warn = Arc<dyn Fn(&str) + Send + Sync>;

/// A watcher that could not be started.
#[derive(Debug, thiserror::Error)]
#[error("no thread could be started to watch the source; raise the limit of processes (ulimit -u)")]
pub struct WatchError(#[from] std::io::Error);
