//! What the file system says of a file, as far as it tells whether the file is still the same.

use std::os::fd::AsFd;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, FileType};
use serde::{Deserialize, Serialize};

/// A point in time as file systems keep it: whole seconds since 1970, and nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Stamp {
    /// The whole seconds.
    pub seconds: i64,
    /// What is beyond them.
    pub nanoseconds: u32,
}

impl Stamp {
    /// This machine's clock. A clock before 1970 counts as 1970, which makes every file look too new to
    /// be trusted.
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(
            Self {
                seconds: 0,
                nanoseconds: 0,
            },
            |since| Self {
                seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
                nanoseconds: since.subsec_nanos(),
            },
        )
    }

    /// Whether this lies more than `seconds` before `other`.
    pub fn is_older_than(self, other: Self, seconds: i64) -> bool {
        let limit = Self {
            seconds: other.seconds.saturating_sub(seconds),
            ..other
        };
        self < limit
    }
}

/// Which file or folder it is, whatever its name.
pub type Identity = (u64, u64);

/// What changes whenever a file's bytes do, save within one tick of the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStat {
    /// The file system.
    pub device: u64,
    /// Which of its files.
    pub inode: u64,
    /// Its length in bytes.
    pub size: u64,
    /// When its bytes were last changed, as far as nobody said otherwise.
    pub modified: Stamp,
    /// When the inode was last changed. No program can set it, so an edit that puts the old time of
    /// modification back still shows here.
    pub changed: Stamp,
    /// Its kind and its permission bits.
    pub mode: u32,
}

impl FileStat {
    /// Asks about an open file.
    pub fn of(file: impl AsFd) -> std::io::Result<Self> {
        Ok(Self::from_raw(&rustix::fs::fstat(file)?))
    }

    /// Asks about a name in a folder, without following a link.
    pub fn at(folder: impl AsFd, name: &[u8]) -> std::io::Result<Self> {
        let stat = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(Self::from_raw(&stat))
    }

    /// Which file or folder it is.
    pub fn identity(&self) -> Identity {
        (self.device, self.inode)
    }

    /// Whether it is a file, a folder, a link or something else.
    pub fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.mode)
    }

    // The widths of these fields differ between systems.
    #[allow(clippy::unnecessary_cast)]
    fn from_raw(raw: &rustix::fs::Stat) -> Self {
        Self {
            device: raw.st_dev as u64,
            inode: raw.st_ino as u64,
            size: raw.st_size as u64,
            modified: Stamp {
                seconds: raw.st_mtime as i64,
                nanoseconds: raw.st_mtime_nsec as u32,
            },
            changed: Stamp {
                seconds: raw.st_ctime as i64,
                nanoseconds: raw.st_ctime_nsec as u32,
            },
            mode: raw.st_mode as u32,
        }
    }
}
