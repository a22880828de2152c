//! The folder that says which exports there are: one small TOML file for each.
//!
//! People and programs write there, too, so nothing is remembered that the folder does not say.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use super::name::ExportName;

/// The ending of a definition's file.
const ENDING: &str = ".toml";

/// A definition is a few lines; what is longer was not meant for us and is not read into memory.
const LONGEST_FILE_BYTES: u64 = 64 << 10;

/// A folder of definitions that this process alone keeps.
#[derive(Debug)]
pub struct Registry {
    folder: PathBuf,
    /// Holds the lock that keeps a second keeper out.
    _lock: File,
}

/// What tells one version of a file from another, without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    modified: (i64, i64),
    changed: (i64, i64),
    length_bytes: u64,
    inode: u64,
}

/// What is in the folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// The definitions.
    pub files: BTreeMap<ExportName, Stamp>,
    /// Files with our ending whose stem is no name.
    pub odd: Vec<String>,
}

/// Why the registry cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The system said no.
    #[error("{}: {action}{}", path.display(), cure(source))]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Another process keeps it.
    #[error("{}: another `lakesync serve` keeps this registry; end it, or name another folder with --registry", path.display())]
    Kept {
        /// The folder.
        path: PathBuf,
    },
    /// A file that was not meant for us.
    #[error("{}: longer than 64 KiB, so no definition of an export; take it out of the folder", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// Bytes that are no text.
    #[error("{}: is not UTF-8 text; write it anew", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },
}

fn cure(error: &std::io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            ": the disk is full; make room and try again, nothing was changed"
        }
        ErrorKind::PermissionDenied => ": this user may not; change the owner, or name another folder with --registry",
        ErrorKind::ReadOnlyFilesystem => ": the disk is read-only; name another folder with --registry",
        _ => "",
    }
}

impl Registry {
    /// Opens the folder, makes it where it is not there, and keeps others out until dropped.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, RegistryError> {
        let folder = folder.into();
        let fail = |action| {
            let path = folder.clone();
            move |source| RegistryError::Io { action, path, source }
        };
        // Nobody else needs to know what is exported where.
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.map_err(fail("cannot be made"))?;
        let lock = File::open(&folder).map_err(fail("cannot be opened"))?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(RegistryError::Kept { path: folder }),
            Err(error) => return Err(fail("cannot be locked")(error.into())),
        }
        Ok(Self { folder, _lock: lock })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file of an export.
    pub fn path_of(&self, name: &ExportName) -> PathBuf {
        self.folder.join(format!("{name}{ENDING}"))
    }

    /// Looks which files there are.
    pub fn scan(&self) -> Result<Scan, RegistryError> {
        let fail = |source| RegistryError::Io {
            action: "cannot be listed",
            path: self.folder.clone(),
            source,
        };
        let mut scan = Scan::default();
        for entry in std::fs::read_dir(&self.folder).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let file_name = entry.file_name();
            let file_name = file_name.to_string_lossy();
            // Hidden files are those of editors, and our own half-written ones.
            let Some(stem) = file_name.strip_suffix(ENDING).filter(|stem| !stem.starts_with('.')) else {
                continue;
            };
            let Ok(name) = stem.parse::<ExportName>() else {
                scan.odd.push(file_name.into_owned());
                continue;
            };
            // A link to a file elsewhere is as good as a file, and one that leads nowhere is told when it is read.
            let found = std::fs::metadata(entry.path()).or_else(|_| entry.metadata());
            match found {
                Ok(found) if found.is_dir() => {}
                Ok(found) => {
                    scan.files.insert(name, Stamp::of(&found));
                }
                // It went while we looked.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(fail(error)),
            }
        }
        scan.odd.sort();
        Ok(scan)
    }

    /// Reads the file of an export; `None` where there is none.
    pub fn read(&self, name: &ExportName) -> Result<Option<String>, RegistryError> {
        let path = self.path_of(name);
        let fail = |source| RegistryError::Io {
            action: "cannot be read",
            path: path.clone(),
            source,
        };
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(fail(error)),
        };
        let mut bytes = Vec::new();
        file.take(LONGEST_FILE_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(fail)?;
        if bytes.len() as u64 > LONGEST_FILE_BYTES {
            return Err(RegistryError::TooLong { path });
        }
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(RegistryError::NotText { path }),
        }
    }

    /// Writes the file of an export: after a crash at any point the old one is there, or the new one, whole.
    pub fn write(&self, name: &ExportName, text: &str) -> Result<(), RegistryError> {
        let path = self.path_of(name);
        // A link stays one: what it leads to is written.
        let target = std::fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
        let folder = target.parent().unwrap_or(&self.folder);
        write_whole(folder, &target, text.as_bytes()).map_err(|source| RegistryError::Io {
            action: "cannot be written",
            path,
            source,
        })
    }

    /// Removes the file of an export; says whether there was one.
    pub fn remove(&self, name: &ExportName) -> Result<bool, RegistryError> {
        let path = self.path_of(name);
        let removed = match std::fs::remove_file(&path) {
            Ok(()) => File::open(&self.folder)
                .and_then(|folder| folder.sync_all())
                .map(|()| true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        };
        removed.map_err(|source| RegistryError::Io {
            action: "cannot be removed",
            path,
            source,
        })
    }
}

fn write_whole(folder: &Path, target: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = tempfile::Builder::new().prefix(".writing-").tempfile_in(folder)?;
    file.write_all(bytes)?;
    // Whoever could read it before, can read it now.
    if let Ok(old) = std::fs::metadata(target) {
        file.as_file().set_permissions(old.permissions())?;
    }
    file.as_file().sync_all()?;
    file.persist(target).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}

impl Stamp {
    fn of(found: &Metadata) -> Self {
        Self {
            modified: (found.mtime(), found.mtime_nsec()),
            // A tool may set the first one back, never this one.
            changed: (found.ctime(), found.ctime_nsec()),
            length_bytes: found.len(),
            inode: found.ino(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ExportName {
        text.parse().unwrap()
    }

    #[test]
    fn a_second_keeper_is_kept_out_until_the_first_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let first = Registry::open(folder.path()).unwrap();
        assert!(matches!(Registry::open(folder.path()), Err(RegistryError::Kept { .. })));
        drop(first);
        Registry::open(folder.path()).unwrap();
    }

    #[test]
    fn a_file_comes_changes_and_goes_and_each_time_the_scan_tells() {
        let folder = tempfile::tempdir().unwrap();
        let registry = Registry::open(folder.path().join("new/exports")).unwrap();
        let a = name("a");
        registry.write(&a, "enabled = true\n").unwrap();
        let first = registry.scan().unwrap().files[&a];
        registry.write(&a, "enabled = true\n").unwrap();
        assert_ne!(registry.scan().unwrap().files[&a], first, "written again");
        assert_eq!(registry.read(&a).unwrap().unwrap(), "enabled = true\n");
        assert!(registry.remove(&a).unwrap() && !registry.remove(&a).unwrap());
        assert_eq!(registry.scan().unwrap(), Scan::default());
        assert_eq!(registry.read(&a).unwrap(), None);
    }

    #[test]
    fn what_is_no_definition_is_left_alone_or_told() {
        let folder = tempfile::tempdir().unwrap();
        let registry = Registry::open(folder.path()).unwrap();
        for file in ["README", ".a.toml", "b c.toml", "ok.toml", ".writing-x"] {
            std::fs::write(folder.path().join(file), "").unwrap();
        }
        std::fs::create_dir(folder.path().join("d.toml")).unwrap();
        let scan = registry.scan().unwrap();
        assert_eq!(scan.files.keys().map(ExportName::as_str).collect::<Vec<_>>(), ["ok"]);
        assert_eq!(scan.odd, ["b c.toml"]);
        std::fs::write(folder.path().join("long.toml"), vec![b'#'; 70_000]).unwrap();
        assert!(matches!(
            registry.read(&name("long")),
            Err(RegistryError::TooLong { .. })
        ));
        std::fs::write(folder.path().join("odd.toml"), [0xff]).unwrap();
        assert!(matches!(
            registry.read(&name("odd")),
            Err(RegistryError::NotText { .. })
        ));
    }

    /// The disk is full at the size of a file: the old text stays, and nothing half-written is left.
    #[test]
    fn a_failed_write_loses_nothing_and_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let registry = Registry::open(folder.path()).unwrap();
        let a = name("a");
        registry.write(&a, "enabled = true\n").unwrap();
        // A folder where the file should go cannot be replaced by one.
        let blocked = name("blocked");
        std::fs::create_dir(registry.path_of(&blocked)).unwrap();
        let error = registry.write(&blocked, "x").unwrap_err().to_string();
        assert!(
            error.contains("blocked.toml") && error.contains("cannot be written"),
            "{error}"
        );
        let left: Vec<_> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|file| file.starts_with('.'))
            .collect();
        assert!(left.is_empty(), "{left:?}");
        assert_eq!(registry.read(&a).unwrap().unwrap(), "enabled = true\n");
        let full = RegistryError::Io {
            action: "cannot be written",
            path: "x.toml".into(),
            source: ErrorKind::StorageFull.into(),
        };
        assert!(full.to_string().contains("disk is full"));
    }

    #[test]
    fn a_link_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let target = elsewhere.path().join("real.toml");
        std::fs::write(&target, "enabled = false\n").unwrap();
        let registry = Registry::open(folder.path()).unwrap();
        let a = name("a");
        std::os::unix::fs::symlink(&target, registry.path_of(&a)).unwrap();
        registry.write(&a, "enabled = true\n").unwrap();
        assert_eq!(std::fs::read_to_string(&target).unwrap(), "enabled = true\n");
        assert!(std::fs::symlink_metadata(registry.path_of(&a)).unwrap().is_symlink());
    }
}
