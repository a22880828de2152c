//! Range files on the local disk. Losing them, or any trouble with them, costs reads and nothing else.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::SystemTime;

use bytes::Bytes;

use super::range_file::hash_in_name;

/// How much is kept unless told otherwise: the ranges of some 10 million objects.
pub(super) const DEFAULT_CACHE_BYTES: u64 = 1 << 30;

/// How often the folder is looked through for what must go, in files written: rarely enough to cost nothing,
/// while the folder outgrows its size by a few percent at most.
const PRUNE_EVERY: u64 = 16;

/// A folder with range files under their own names, which hold their hashes.
#[derive(Debug)]
pub(super) struct RangeCache {
    folder: PathBuf,
    limit_bytes: u64,
    written: AtomicU64,
    warned: AtomicBool,
}

impl RangeCache {
    pub(super) fn new(folder: PathBuf, limit_bytes: u64) -> Self {
        Self {
            folder,
            limit_bytes,
            written: AtomicU64::new(0),
            warned: AtomicBool::new(false),
        }
    }

    /// Reads a file; `None` where it is not there, or is not what its name says.
    pub(super) fn get(&self, name: &str) -> Option<Bytes> {
        let hash = hash_in_name(name)?;
        let path = self.folder.join(name);
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

    /// Keeps a file.
    pub(super) fn put(&self, name: &str, bytes: &[u8]) {
        if hash_in_name(name).is_none() {
            return;
        }
        if let Err(error) = self.write(name, bytes) {
            self.warn(&self.folder, &error);
            return;
        }
        if self.written.fetch_add(1, Ordering::Relaxed).is_multiple_of(PRUNE_EVERY)
            && let Err(error) = self.prune()
        {
            self.warn(&self.folder, &error);
        }
    }

    /// Writes beside and renames, so that nobody ever reads a half. It need not outlive a power cut.
    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        std::fs::create_dir_all(&self.folder)?;
        let mut file = tempfile::Builder::new().prefix(".range-").tempfile_in(&self.folder)?;
        file.write_all(bytes)?;
        file.persist(self.folder.join(name))?;
        Ok(())
    }

    /// Deletes what was not read for longest until the rest fits. Names that are not ours stay, and so do
    /// unfinished files, since they may be another process's.
    fn prune(&self) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
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
            if total <= self.limit_bytes {
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

    #[test]
    fn what_was_put_is_found_and_what_was_damaged_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let cache = RangeCache::new(folder.path().join("made/when/needed"), 1 << 20);
        let name = name(b"bytes");
        assert_eq!(cache.get(&name), None);
        cache.put(&name, b"bytes");
        assert_eq!(cache.get(&name).unwrap(), &b"bytes"[..]);
        std::fs::write(cache.folder.join(&name), b"other").unwrap();
        assert_eq!(cache.get(&name), None);
        cache.put(&name, b"bytes");
        assert_eq!(cache.get(&name).unwrap(), &b"bytes"[..], "a refetched file replaces it");
    }

    #[test]
    fn a_name_cannot_lead_out_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let cache = RangeCache::new(folder.path().join("cache"), 1 << 20);
        for name in ["../outside", "/tmp/outside", "plain"] {
            cache.put(name, b"bytes");
            assert_eq!(cache.get(name), None);
        }
        assert!(!folder.path().join("cache").exists());
    }

    #[test]
    fn what_was_read_last_stays_and_strange_files_too() {
        let folder = tempfile::tempdir().unwrap();
        let cache = RangeCache::new(folder.path().to_owned(), 250);
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
    fn a_folder_that_cannot_be_made_is_no_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, b"").unwrap();
        let cache = RangeCache::new(file, 1 << 20);
        cache.put(&name(b"bytes"), b"bytes");
        assert_eq!(cache.get(&name(b"bytes")), None);
        assert!(cache.warned.load(Ordering::Relaxed));
    }
}
