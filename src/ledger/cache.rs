//! Range files on the local disk, under their own names, which hold their hashes.

use bytes::Bytes;

use super::range_file::hash_in_name;
use crate::disk_cache::{DiskCache, DiskCacheConfig};

/// A folder with range files.
#[derive(Debug)]
pub(super) struct RangeCache(DiskCache);

impl RangeCache {
    pub(super) fn new(config: DiskCacheConfig) -> Self {
        Self(DiskCache::new(config, |name| hash_in_name(name).is_some()))
    }

    /// Reads a file; `None` where it is not there, or is not what its name says.
    pub(super) fn get(&self, name: &str) -> Option<Bytes> {
        let bytes = self.0.get(name)?;
        if hash_in_name(name) == Some(blake3::hash(&bytes)) {
            return Some(bytes);
        }
        self.0.reject(name);
        None
    }

    /// Keeps a file, unless it alone is more than may be kept.
    pub(super) fn put(&self, name: &str, bytes: &[u8]) {
        self.0.put(name, bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::super::range_file::range_name;
    use super::*;
    use crate::model::RunId;

    #[test]
    fn what_was_put_is_found_and_what_was_damaged_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("made/when/needed");
        let cache = RangeCache::new(DiskCacheConfig {
            folder: folder.clone(),
            limit_bytes: 1 << 20,
        });
        let name = range_name(RunId::from_parts(1, 1), b"bytes");
        assert_eq!(cache.get(&name), None);
        cache.put(&name, b"bytes");
        assert_eq!(cache.get(&name).unwrap(), &b"bytes"[..]);
        std::fs::write(folder.join(&name), b"other").unwrap();
        assert_eq!(cache.get(&name), None);
        cache.put(&name, b"bytes");
        assert_eq!(cache.get(&name).unwrap(), &b"bytes"[..], "a refetched file replaces it");
    }

    #[test]
    fn a_name_cannot_lead_out_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let cache = RangeCache::new(DiskCacheConfig {
            folder: folder.path().join("cache"),
            limit_bytes: 1 << 20,
        });
        for name in ["../outside", "/tmp/outside", "plain"] {
            cache.put(name, b"bytes");
            assert_eq!(cache.get(name), None);
        }
        assert!(!folder.path().join("cache").exists());
    }
}
