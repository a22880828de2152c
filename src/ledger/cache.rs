//! Range files on the local disk. Losing them, or any trouble with them, costs reads and nothing else.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::SystemTime;

use bytes::Bytes;

use super::range_file::hash_in_name;

/// What share of the limit may be written before the folder is looked through again for what must go: rarely enough
/// to cost nothing, while the folder outgrows its limit by a sixteenth at most.
const PRUNE_SHARE: u64 = 16;

/// Where range files are kept on the local disk, and how many bytes of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheConfig {
    /// The folder; it is made when it is needed.
    pub folder: PathBuf,
    /// How much may stay there; what was not read for longest goes first.
    pub limit_bytes: u64,
}

/// A folder with range files under their own names, which hold their hashes.
#[derive(Debug)]
pub(super) struct RangeCache {
    config: CacheConfig,
    /// Bytes written since the folder was looked through; at first all there can be, as nobody knows what is there.
    unpruned_bytes: AtomicU64,
    warned: AtomicBool,
}

impl RangeCache {
    pub(super) fn new(config: CacheConfig) -> Self {
        Self {
            unpruned_bytes: AtomicU64::new(config.limit_bytes),
            config,
            warned: AtomicBool::new(false),
        }
    }

    /// Reads a file; `None` where it is not there, or is not what its name says.
    pub(super) fn get(&self, name: &str) -> Option<Bytes> {
        let hash = hash_in_name(name)?;
        let path = self.config.folder.join(name);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                self.warn(&path, &error);
                return None;
            }
        };
        if blake3::hash(&bytes) != hash {
            self.warn(&path, &io::Error::other("the file is not what its name says"));
            return None;
        }
        // So that what is read goes last when room must be made. Where that cannot be it only goes earlier.
        let _ = std::fs::File::open(&path).and_then(|file| file.set_modified(SystemTime::now()));
        Some(bytes.into())
    }

    /// Keeps a file, unless it alone is more than may be kept.
    pub(super) fn put(&self, name: &str, bytes: &[u8]) {
        let (folder, length) = (&self.config.folder, bytes.len() as u64);
        if hash_in_name(name).is_none() || length > self.config.limit_bytes {
            return;
        }
        if let Err(error) = self.write(name, bytes) {
            self.warn(folder, &error);
            return;
        }
        let unpruned = self
            .unpruned_bytes
            .fetch_add(length, Ordering::Relaxed)
            .saturating_add(length);
        if unpruned < self.config.limit_bytes.div_ceil(PRUNE_SHARE) {
            return;
        }
        self.unpruned_bytes.store(0, Ordering::Relaxed);
        if let Err(error) = self.prune() {
            self.warn(folder, &error);
        }
    }

    /// Writes beside and renames, so that nobody ever reads a half. It need not outlive a power cut.
    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let folder = &self.config.folder;
        std::fs::create_dir_all(folder)?;
        let mut file = tempfile::Builder::new().prefix(".range-").tempfile_in(folder)?;
        file.write_all(bytes)?;
        file.persist(folder.join(name))?;
        Ok(())
    }

    /// Deletes what was not read for longest until the rest fits. Names that are not ours stay, and so do
    /// unfinished files, since they may be another process's.
    fn prune(&self) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&self.config.folder)? {
            let entry = entry?;
            if entry
                .file_name()
                .to_str()
                .is_none_or(|name| hash_in_name(name).is_none())
            {
                continue;
            }
            // Another process may be pruning the same folder.
            let Ok(meta) = entry.metadata() else { continue };
            files.push((meta.modified()?, meta.len(), entry.path()));
        }
        let mut total: u64 = files.iter().map(|(_, length, _)| length).sum();
        files.sort();
        for (_, length, path) in files {
            if total <= self.config.limit_bytes {
                break;
            }
            match std::fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => total -= length,
            }
        }
        Ok(())
    }

    /// Says once what is wrong; the next thousand files would say the same.
    fn warn(&self, path: &Path, error: &io::Error) {
        if !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(path = %path.display(), %error, "the local cache of ranges cannot be used");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::range_file::range_name;
    use super::*;
    use crate::model::RunId;

    fn name(bytes: &[u8]) -> String {
        range_name(RunId::from_parts(1, 1), bytes)
    }

    fn cache(folder: impl Into<PathBuf>, limit_bytes: u64) -> RangeCache {
        RangeCache::new(CacheConfig {
            folder: folder.into(),
            limit_bytes,
        })
    }

    #[test]
    fn what_was_put_is_found_and_what_was_damaged_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(folder.path().join("made/when/needed"), 1 << 20);
        let name = name(b"bytes");
        assert_eq!(cache.get(&name), None);
        cache.put(&name, b"bytes");
        assert_eq!(cache.get(&name).unwrap(), &b"bytes"[..]);
        std::fs::write(cache.config.folder.join(&name), b"other").unwrap();
        assert_eq!(cache.get(&name), None);
        cache.put(&name, b"bytes");
        assert_eq!(cache.get(&name).unwrap(), &b"bytes"[..], "a refetched file replaces it");
    }

    #[test]
    fn a_name_cannot_lead_out_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(folder.path().join("cache"), 1 << 20);
        for name in ["../outside", "/tmp/outside", "plain"] {
            cache.put(name, b"bytes");
            assert_eq!(cache.get(name), None);
        }
        assert!(!folder.path().join("cache").exists());
    }

    #[test]
    fn what_was_read_last_stays_and_strange_files_too() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(folder.path(), 250);
        std::fs::write(folder.path().join("notes.txt"), [0; 1_000]).unwrap();
        let bodies: Vec<_> = (0..4_u8).map(|number| vec![number; 100]).collect();
        for (age, body) in bodies.iter().enumerate() {
            cache.write(&name(body), body).unwrap();
            let file = std::fs::File::open(folder.path().join(name(body))).unwrap();
            let old = SystemTime::now() - std::time::Duration::from_secs(1_000 - age as u64);
            file.set_modified(old).unwrap();
        }
        assert!(cache.get(&name(&bodies[0])).is_some());
        cache.prune().unwrap();
        let kept: Vec<_> = bodies.iter().map(|body| cache.get(&name(body)).is_some()).collect();
        assert_eq!(kept, [true, false, false, true]);
        assert!(folder.path().join("notes.txt").exists());
    }

    #[test]
    fn never_more_files_stay_than_fit_and_one_that_fits_not_at_all_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let count = || std::fs::read_dir(folder.path()).unwrap().count();
        // Three files of another process, which were read long ago.
        let earlier = cache(folder.path(), 1 << 20);
        for number in 100..103_u8 {
            earlier.put(&name(&[number; 100]), &[number; 100]);
        }
        assert_eq!(count(), 3);
        let cache = cache(folder.path(), 250);
        for number in 0..20_u8 {
            cache.put(&name(&[number; 100]), &[number; 100]);
            assert_eq!(count(), 2, "after file {number}");
        }
        cache.put(&name(&[0; 251]), &[0; 251]);
        assert_eq!((count(), cache.get(&name(&[0; 251]))), (2, None));
    }

    #[test]
    fn a_big_folder_is_looked_through_once_for_each_sixteenth_of_its_limit() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(folder.path(), 3_200);
        let count = || std::fs::read_dir(folder.path()).unwrap().count();
        let most = (0..100_u8).map(|number| {
            cache.put(&name(&[number; 100]), &[number; 100]);
            count()
        });
        // 32 fit, two are a sixteenth.
        assert_eq!(most.max(), Some(33));
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_no_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, b"").unwrap();
        let cache = cache(file, 1 << 20);
        cache.put(&name(b"bytes"), b"bytes");
        assert_eq!(cache.get(&name(b"bytes")), None);
        assert!(cache.warned.load(Ordering::Relaxed));
    }
}
