//! What is watched, and whether the system tells of changes there.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a path is, as far as an event says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PathKind {
    Folder,
    File,
    /// It is gone, or moved away.
    Unknown,
}

/// Whether a change of a path, seen from its root, can matter.
pub(super) type Wants = Arc<dyn Fn(&Path, PathKind) -> bool + Send + Sync>;

/// A folder that is watched.
pub(super) struct Root {
    pub(super) path: PathBuf,
    /// Whether folders in it are watched, too.
    pub(super) is_deep: bool,
    pub(super) wants: Wants,
    /// Which folder it was when it was armed; `None` while it is not.
    pub(super) armed: Option<Identity>,
}

/// Device and inode.
pub(super) type Identity = (u64, u64);

impl Root {
    pub(super) fn new(path: PathBuf, is_deep: bool, wants: Wants) -> Self {
        Self {
            path,
            is_deep,
            wants,
            armed: None,
        }
    }

    /// Whether a change of this path can matter, as far as this root is asked.
    pub(super) fn wants(&self, path: &Path, kind: PathKind) -> bool {
        let Ok(below) = path.strip_prefix(&self.path) else {
            return false;
        };
        let is_own = self.is_deep || below.components().nth(1).is_none();
        is_own && !below.as_os_str().is_empty() && (self.wants)(below, kind)
    }
}

/// Which folder a path leads to; `None` where there is none, or none that can be looked at.
pub(super) fn identity(path: &Path) -> Option<Identity> {
    let found = std::fs::metadata(path).ok()?;
    found.is_dir().then(|| (found.dev(), found.ino()))
}

/// Whether others can change what lies there without this machine's kernel knowing.
pub(super) fn is_remote(path: &Path) -> bool {
    // NFS, SMB (three generations), AFS, Ceph, 9P, FUSE, which is a network file system more often than not.
    const REMOTE: [u32; 8] = [
        0x6969,
        0x517B,
        0xFF53_4D42,
        0xFE53_4D42,
        0x5346_414F,
        0x00C3_6400,
        0x0102_1997,
        0x6573_5546,
    ];
    let Ok(found) = rustix::fs::statfs(path) else {
        return false;
    };
    // The type is signed on some machines and not on others; its 32 bits are what counts.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let kind = found.f_type as u32;
    REMOTE.contains(&kind)
}
