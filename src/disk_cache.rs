//! Files that can be had again, kept in a folder. Losing them, or any trouble with them, costs reads and nothing else.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::SystemTime;

use bytes::Bytes;

/// What share of the limit may be written before the folder is looked through again for what must go: rarely
/// enough to cost nothing, while the folder outgrows its limit by a sixteenth at most.
const PRUNE_SHARE: u64 = 16;

/// What the names of unfinished files begin with.
const UNFINISHED: &str = ".unfinished-";

/// Where files are kept on the local disk, and how many bytes of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskCacheConfig {
    /// The folder; it is made when it is needed.
    pub folder: PathBuf,
    /// How much may stay there; what was not read for longest goes first.
    pub limit_bytes: u64,
}

/// A folder with files whose names say what they hold.
#[derive(Debug)]
pub struct DiskCache {
    config: DiskCacheConfig,
    /// Whether a name is one of this cache; the others are neither read nor deleted.
    is_ours: fn(&str) -> bool,
    /// Bytes written since the folder was looked through; at first all there can be, as nobody knows what is there.
    unpruned_bytes: AtomicU64,
    warned: AtomicBool,
}

impl DiskCache {
    /// Makes a cache of the files of whose names `is_ours` says that they belong to it. A name with a slash never
    /// does.
    pub fn new(config: DiskCacheConfig, is_ours: fn(&str) -> bool) -> Self {
        Self {
            unpruned_bytes: AtomicU64::new(config.limit_bytes),
            config,
            is_ours,
            warned: AtomicBool::new(false),
        }
    }

    /// Reads a file; `None` where it is not there. The caller checks that it is what its name says.
    pub fn get(&self, name: &str) -> Option<Bytes> {
        let path = self.path(name)?;
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                self.warn(&path, &error);
                return None;
            }
        };
        // So that what is read goes last when room must be made. Where that cannot be it only goes earlier.
        let _ = std::fs::File::open(&path).and_then(|file| file.set_modified(SystemTime::now()));
        Some(bytes.into())
    }

    /// Keeps a file, unless it alone is more than may be kept.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        let length = bytes.len() as u64;
        let Some(path) = self.path(name) else { return };
        if length > self.config.limit_bytes {
            return;
        }
        if let Err(error) = self.write(&path, bytes) {
            self.warn(&self.config.folder, &error);
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
            self.warn(&self.config.folder, &error);
        }
    }

    /// Deletes a file that is not what its name says.
    pub fn reject(&self, name: &str) {
        let Some(path) = self.path(name) else { return };
        self.warn(&path, &io::Error::other("the file is not what its name says"));
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => self.warn(&path, &error),
            _ => {}
        }
    }

    /// Whether anything was wrong so far, of which the first was told.
    #[cfg(any(test, feature = "testing"))]
    pub fn has_warned(&self) -> bool {
        self.warned.load(Ordering::Relaxed)
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        (!name.contains('/') && (self.is_ours)(name)).then(|| self.config.folder.join(name))
    }

    /// Writes beside and renames, so that nobody ever reads a half. It need not outlive a power cut.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let folder = &self.config.folder;
        std::fs::create_dir_all(folder)?;
        let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(folder)?;
        file.write_all(bytes)?;
        file.persist(path)?;
        Ok(())
    }

    /// Deletes what was not read for longest until the rest fits. Names that are not ours stay, and so do
    /// unfinished files, since they may be another process's.
    fn prune(&self) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&self.config.folder)? {
            let entry = entry?;
            if !entry.file_name().to_str().is_some_and(self.is_ours) {
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
            tracing::warn!(path = %path.display(), %error, "a local cache cannot be used as it should");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn cache(folder: impl Into<PathBuf>, limit_bytes: u64) -> DiskCache {
        let config = DiskCacheConfig {
            folder: folder.into(),
            limit_bytes,
        };
        DiskCache::new(config, |name| name.starts_with("our-"))
    }

    fn files(folder: &Path) -> usize {
        std::fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn what_was_put_is_found_and_what_was_rejected_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(folder.path().join("made/when/needed"), 1 << 20);
        assert_eq!(cache.get("our-a"), None);
        cache.put("our-a", b"bytes");
        assert_eq!(cache.get("our-a").unwrap(), &b"bytes"[..]);
        assert!(!cache.has_warned());
        cache.reject("our-a");
        assert_eq!(cache.get("our-a"), None);
        assert!(cache.has_warned());
        cache.put("our-a", b"other");
        assert_eq!(cache.get("our-a").unwrap(), &b"other"[..]);
    }

    #[test]
    fn a_name_cannot_lead_out_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(folder.path().join("cache"), 1 << 20);
        for name in ["our-/../../outside", "../our-outside", "/tmp/our-outside", "plain"] {
            cache.put(name, b"bytes");
            assert_eq!(cache.get(name), None);
        }
        assert!(!folder.path().join("cache").exists());
        assert_eq!(files(folder.path()), 0);
    }

    #[test]
    fn what_was_read_last_stays_and_strange_files_too() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(folder.path(), 250);
        std::fs::write(folder.path().join("notes.txt"), [0; 1_000]).unwrap();
        let names: Vec<_> = (0..4).map(|number| format!("our-{number}")).collect();
        for (age, name) in names.iter().enumerate() {
            let path = folder.path().join(name);
            cache.write(&path, &[0; 100]).unwrap();
            let old = SystemTime::now() - Duration::from_secs(1_000 - age as u64);
            std::fs::File::open(path).unwrap().set_modified(old).unwrap();
        }
        assert!(cache.get(&names[0]).is_some());
        cache.prune().unwrap();
        let kept: Vec<_> = names.iter().map(|name| cache.get(name).is_some()).collect();
        assert_eq!(kept, [true, false, false, true]);
        assert!(folder.path().join("notes.txt").exists());
    }

    #[test]
    fn never_more_files_stay_than_fit_and_one_that_fits_not_at_all_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        for number in 100..103 {
            std::fs::write(folder.path().join(format!("our-{number}")), [0; 100]).unwrap();
        }
        let cache = cache(folder.path(), 250);
        for number in 0..20 {
            cache.put(&format!("our-{number}"), &[0; 100]);
            assert_eq!(files(folder.path()), 2, "after file {number}");
        }
        cache.put("our-big", &[0; 251]);
        assert_eq!((files(folder.path()), cache.get("our-big")), (2, None));
    }

    #[test]
    fn a_big_folder_is_looked_through_once_for_each_sixteenth_of_its_limit() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(folder.path(), 3_200);
        let most = (0..100).map(|number| {
            cache.put(&format!("our-{number}"), &[0; 100]);
            files(folder.path())
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
        cache.put("our-a", b"bytes");
        assert_eq!(cache.get("our-a"), None);
        assert!(cache.has_warned());
    }
}
