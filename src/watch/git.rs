//! Watches where a Git repository keeps its refs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::engine::{self, EngineConfig, EngineHandle};
use super::place::{PathKind, Root, Wants};
use super::settle::Settle;
use super::{Warn, WatchError};
use crate::wake::Wakes;

/// A ref changes by one rename, so that there is little to wait for: this only joins the refs of one push.
const QUIET: Duration = Duration::from_millis(5);

/// So long may refs go on changing before they are looked at all the same.
const MOST: Duration = Duration::from_millis(100);

/// How often refs are read although nothing seems to have changed: that costs next to nothing.
const RESCAN: Duration = Duration::from_secs(30);

/// Which repository is watched, and how.
#[derive(Clone, Debug)]
pub struct GitWatchConfig {
    /// The folder of this worktree: `.git`, or one in the `worktrees` of another.
    pub git_dir: PathBuf,
    /// The folder that all worktrees share; often the same.
    pub common_dir: PathBuf,
    /// How often to wake where the system tells of no changes; each time one ref is read.
    pub poll_interval: Duration,
}

/// Watches the refs of a Git repository until it is dropped.
#[derive(Debug)]
pub struct GitWatch {
    _engine: EngineHandle,
}

impl GitWatch {
    /// Starts to watch. That there is no such repository is no error: it is waited for.
    ///
    /// # Errors
    /// Fails where the system gives no thread. Where it lets nothing be watched, `warn` is told, once, and the refs
    /// are looked at every now and then.
    pub fn start(config: &GitWatchConfig, wakes: Wakes, warn: Warn) -> Result<Self, WatchError> {
        let engine = engine::start(EngineConfig {
            roots: roots(&config.git_dir, &config.common_dir),
            settle: Settle::new(QUIET, MOST),
            poll: config.poll_interval,
            rescan: RESCAN,
            wakes,
            warn,
        })?;
        Ok(Self { _engine: engine })
    }
}

/// The folders that hold refs: `HEAD` and `packed-refs` lie beside much else that changes all the time and says
/// nothing of refs, such as the index.
fn roots(git_dir: &Path, common_dir: &Path) -> Vec<Root> {
    let names: Wants = Arc::new(|below: &Path, _: PathKind| below == "HEAD" || below == "packed-refs");
    let refs: Wants = Arc::new(|below: &Path, _: PathKind| below.extension().is_none_or(|end| end != "lock"));
    let mut roots = vec![
        Root::new(common_dir.to_owned(), false, Arc::clone(&names)),
        Root::new(common_dir.join("refs"), true, Arc::clone(&refs)),
        Root::new(common_dir.join("reftable"), false, Arc::clone(&refs)),
    ];
    if git_dir != common_dir {
        roots.push(Root::new(git_dir.to_owned(), false, names));
        roots.push(Root::new(git_dir.join("refs"), true, Arc::clone(&refs)));
        roots.push(Root::new(git_dir.join("reftable"), false, refs));
    }
    roots
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_refs_matter() {
        let roots = roots(Path::new("/r/.git/worktrees/w"), Path::new("/r/.git"));
        let wants = |path: &str| roots.iter().any(|root| root.wants(Path::new(path), PathKind::File));
        for path in [
            "/r/.git/HEAD",
            "/r/.git/packed-refs",
            "/r/.git/refs/heads/main",
            "/r/.git/refs/heads/a/b",
            "/r/.git/reftable/tables.list",
            "/r/.git/worktrees/w/HEAD",
            "/r/.git/worktrees/w/refs/bisect/bad",
        ] {
            assert!(wants(path), "{path}");
        }
        for path in [
            "/r/.git/index",
            "/r/.git/index.lock",
            "/r/.git/refs/heads/main.lock",
            "/r/.git/reftable/tables.list.lock",
            "/r/.git/objects/ab/cdef",
            "/r/.git/worktrees/w/index",
            "/r/file",
        ] {
            assert!(!wants(path), "{path}");
        }
    }
}
