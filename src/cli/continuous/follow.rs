//! Which watcher a source is followed by.

use std::any::Any;

use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::cli::error::CliError;
use crate::cli::flags::IntervalArgs;
use crate::cli::job::SourceJob;
use crate::cli::opened::Opened;
use crate::cli::place::Place;
use crate::wake::Wakes;
use crate::watch::{FolderWatch, FolderWatchConfig, Poll, Warn};
#[cfg(feature = "git")]
use crate::watch::{GitWatch, GitWatchConfig};

/// Where nothing tells of changes in a directory, it is scanned once in so many poll intervals: a scan looks at every
/// file, and not at one small ref.
const SCANS: u32 = 10;

/// A watcher, whichever it is; it goes on until it is dropped.
pub type Watching = Box<dyn Any + Send + Sync>;

/// Starts to follow a source.
pub fn follow(
    opened: &Opened,
    job: &SourceJob,
    interval: &IntervalArgs,
    wakes: Wakes,
    warn: Warn,
) -> Result<Watching, CliError> {
    Ok(match opened {
        #[cfg(feature = "git")]
        Opened::Git(source) => {
            let (git_dir, common_dir) = source.folders();
            let config = GitWatchConfig {
                git_dir,
                common_dir,
                poll_interval: interval.poll_interval,
            };
            Box::new(GitWatch::start(&config, wakes, warn)?)
        }
        Opened::Directory(_) => {
            let path = match &job.place {
                Place::Directory(path) | Place::Git(path) => path.clone(),
                Place::LakeFs(_) => unreachable!("a directory was opened"),
            };
            let config = FolderWatchConfig {
                path,
                filter: job.filter.clone(),
                exclude_paths: job.cache.iter().map(|cache| cache.folder.clone()).collect(),
                poll_interval: interval.poll_interval * SCANS,
                rescan_interval: interval.rescan_interval,
            };
            Box::new(FolderWatch::start(config, wakes, warn)?)
        }
        Opened::LakeFs(source) => {
            let poll = Poll {
                source: std::sync::Arc::new(source.clone()),
                interval: interval.poll_interval,
                wakes,
            };
            let task = tokio::spawn(async move { poll.run(&CancellationToken::new()).await });
            Box::new(AbortOnDropHandle::new(task))
        }
    })
}
