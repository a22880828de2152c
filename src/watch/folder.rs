//! Watches a directory and all that is in it.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::engine::{self, EngineConfig, EngineHandle};
use super::place::{PathKind, Root, Wants};
use super::settle::Settle;
use super::{Warn, WatchError};
use crate::model::RelPath;
use crate::source::Filter;
use crate::wake::Wakes;

/// Nothing must have changed for so long: editors write a file in several steps.
const QUIET: Duration = Duration::from_millis(200);

/// So long may changes go on before they are looked at all the same.
const MOST: Duration = Duration::from_secs(5);

/// Which directory is watched, and how.
#[derive(Clone, Debug)]
pub struct FolderWatchConfig {
    /// The directory.
    pub path: PathBuf,
    /// Which paths matter.
    pub filter: Filter,
    /// Files and folders of our own, which change because of us.
    pub exclude_paths: Vec<PathBuf>,
    /// How often to wake where the system tells of no changes; each time the directory is scanned.
    pub poll_interval: Duration,
    /// How often to wake although nothing seems to have changed.
    pub rescan_interval: Duration,
}

/// Watches a directory until it is dropped.
#[derive(Debug)]
pub struct FolderWatch {
    _engine: EngineHandle,
}

impl FolderWatch {
    /// Starts to watch. That there is no such directory is no error: it is waited for.
    ///
    /// # Errors
    /// Fails where the system gives no thread. Where it lets nothing be watched, `warn` is told, once, and the
    /// directory is looked at every now and then.
    pub fn start(config: FolderWatchConfig, wakes: Wakes, warn: Warn) -> Result<Self, WatchError> {
        // Links in its path are followed once, as the source does.
        let path = config.path.canonicalize().unwrap_or(config.path);
        let own = own_paths(&path, config.exclude_paths);
        let filter = config.filter;
        let wants: Wants = Arc::new(move |below, kind| wants(&filter, &own, below, kind));
        let engine = engine::start(EngineConfig {
            roots: vec![Root::new(path, true, wants)],
            settle: Settle::new(QUIET, MOST),
            poll: config.poll_interval,
            rescan: config.rescan_interval,
            wakes,
            warn,
        })?;
        Ok(Self { _engine: engine })
    }
}

/// Our own paths as seen from the root; those elsewhere do not matter.
fn own_paths(root: &Path, paths: Vec<PathBuf>) -> Vec<PathBuf> {
    let below = |path: PathBuf| {
        let path = canonical(&path);
        path.strip_prefix(root).ok().map(Path::to_owned)
    };
    paths.into_iter().filter_map(below).collect()
}

/// Follows links in as much of a path as is there: a cache folder may be made later.
fn canonical(path: &Path) -> PathBuf {
    match (path.canonicalize(), path.parent(), path.file_name()) {
        (Ok(found), _, _) => found,
        (Err(_), Some(parent), Some(name)) => canonical(parent).join(name),
        _ => path.to_owned(),
    }
}

fn wants(filter: &Filter, own: &[PathBuf], below: &Path, kind: PathKind) -> bool {
    if own.iter().any(|own| below.starts_with(own)) {
        return false;
    }
    let bytes = below.as_os_str().as_bytes();
    // An empty path is the root itself, which is always wanted.
    let wants_file = || RelPath::new(bytes).is_ok_and(|path| filter.wants_file(&path));
    match kind {
        PathKind::Folder => filter.wants_folder(bytes),
        PathKind::File => wants_file(),
        PathKind::Unknown => wants_file() || filter.wants_folder(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_exported_matters() {
        let globs = |globs: &[&str]| globs.iter().map(ToString::to_string).collect::<Vec<_>>();
        let filter = Filter::new(&globs(&["*.csv"]), &globs(&["tmp/"])).unwrap();
        let own = vec![PathBuf::from("cache")];
        let wants = |path: &str, kind| wants(&filter, &own, Path::new(path), kind);
        assert!(wants("a/b.csv", PathKind::File));
        assert!(!wants("a/b.txt", PathKind::File));
        assert!(!wants("tmp/b.csv", PathKind::File));
        assert!(wants("a", PathKind::Folder));
        assert!(!wants("tmp", PathKind::Folder));
        assert!(wants("gone", PathKind::Unknown), "it may have been a folder");
        for kind in [PathKind::File, PathKind::Folder, PathKind::Unknown] {
            assert!(!wants("cache", kind) && !wants("cache/b.csv", kind));
        }
        assert!(wants("cached.csv", PathKind::File));
    }

    #[test]
    fn our_own_folder_is_found_through_links_and_before_it_is_made() {
        let room = tempfile::tempdir().unwrap();
        let root = room.path().canonicalize().unwrap().join("tree");
        std::fs::create_dir(&root).unwrap();
        std::os::unix::fs::symlink(&root, room.path().join("link")).unwrap();
        let paths = vec![room.path().join("link/cache/deep"), "/elsewhere".into()];
        assert_eq!(own_paths(&root, paths), [PathBuf::from("cache/deep")]);
    }
}
