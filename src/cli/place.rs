//! What SOURCE and REPO mean.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::ui::mask;
use super::world::World;
use crate::source::SourceError;
use crate::source::lakefs::{LakeFsRef, LakeFsUri, RepositoryName, UriError};

/// Where a branch lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A Git repository.
    Git(PathBuf),
    /// A plain directory.
    Directory(PathBuf),
    /// A repository of lakeFS.
    LakeFs(LakeFsUri),
}

/// A place, and what to tell where the words could have meant another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The place.
    pub place: Place,
    /// Says which of two readings was taken.
    pub remark: Option<String>,
}

/// Why the words name no place.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// Nothing was named.
    #[error(
        "no SOURCE was given; name a lakeFS repository (lakefs://REPO/REF), a Git repository or a directory, such as \
         `.`, or set LAKESYNC_SOURCE"
    )]
    NoSource,
    /// A name of something in lakeFS that is none.
    #[error(transparent)]
    LakeFs(#[from] UriError),
    /// A bare name that no repository of lakeFS has.
    #[error(
        "{given}: a bare name means a lakeFS repository, and none is called so; for a Git repository write ./{given} \
         or git:{given}"
    )]
    BareName {
        /// What was given.
        given: String,
    },
    /// Two names of a commit.
    #[error("{given} names {reference:?}, and --branch names {branch:?}; leave one of them out")]
    TwoRefs {
        /// What was given.
        given: String,
        /// What it names.
        reference: String,
        /// What the flag names.
        branch: String,
    },
    /// The variable does not name a repository.
    #[error(
        "LAKECTL_BASE_URI does not name a lakeFS repository; set it to lakefs://REPO, or name a repository as REPO"
    )]
    BaseUri(#[source] UriError),
    /// A bucket.
    #[error("{given}: a bucket is where things go; SOURCE is a lakeFS or Git repository, or a directory")]
    Bucket {
        /// What was given.
        given: String,
    },
    /// A URL that is neither.
    #[error("{given}: give the path of a directory or of a Git repository, not a URL")]
    Url {
        /// What was given.
        given: String,
    },
    /// A plain directory where only a repository does.
    #[error("{}: not a Git repository; to export a directory write `lakesync export dir:PATH`", path.display())]
    NoRepository {
        /// What was given.
        path: PathBuf,
    },
    /// Not inside a repository.
    #[error(
        "{}: neither this folder nor one above it is a Git repository; name one as REPO, or a lakeFS repository",
        path.display()
    )]
    NoRepositoryHere {
        /// The current folder.
        path: PathBuf,
    },
    /// A branch of something that has none.
    #[error("--branch {branch}: the directory {} has no branches; leave --branch out, or write git:PATH", path.display())]
    BranchOfDirectory {
        /// The branch.
        branch: String,
        /// The directory.
        path: PathBuf,
    },
    /// What the source itself says.
    #[error(transparent)]
    Source(#[from] SourceError),
}

/// Reads SOURCE.
pub fn find_source(given: Option<&OsStr>, world: &World) -> Result<Found, PlaceError> {
    let given = given.ok_or(PlaceError::NoSource)?;
    if let Some(found) = find_marked(given, world)? {
        return Ok(found);
    }
    let path = existing(given, world)?;
    if !is_repository(&path) {
        return Ok(plainly(Place::Directory(directory(path)?)));
    }
    let shown = Path::new(given).display();
    let remark = format!("{shown}: taken as a Git repository; for the folder as it is write dir:{shown}");
    Ok(Found {
        place: Place::Git(path),
        remark: Some(remark),
    })
}

/// Reads REPO; without one, the Git repository of the current folder counts, then what lakectl's relative names begin
/// with.
pub fn find_repository(given: Option<&OsStr>, world: &World) -> Result<Found, PlaceError> {
    let Some(given) = given else {
        return unnamed(world);
    };
    if let Some(found) = find_marked(given, world)? {
        return match found.place {
            Place::Git(_) | Place::LakeFs(_) => Ok(found),
            Place::Directory(path) => Err(PlaceError::NoRepository { path }),
        };
    }
    let bytes = given.as_bytes();
    if !bytes.contains(&b'/') && !matches!(bytes, b"." | b"..") {
        return bare_name(given, world);
    }
    let path = existing(given, world)?;
    if is_repository(&path) {
        Ok(plainly(Place::Git(path)))
    } else {
        Err(PlaceError::NoRepository { path })
    }
}

/// Reads what says itself what it is.
fn find_marked(given: &OsStr, world: &World) -> Result<Option<Found>, PlaceError> {
    let rest = |mark: &str| given.as_bytes().strip_prefix(mark.as_bytes()).map(OsStr::from_bytes);
    if let Some(path) = rest("git:") {
        if is_remote(path, world) {
            return Err(remote(path));
        }
        return Ok(Some(plainly(Place::Git(existing(path, world)?))));
    }
    if let Some(path) = rest("dir:") {
        return Ok(Some(plainly(Place::Directory(directory(existing(path, world)?)?))));
    }
    let shown = || mask(&lossy(given)).into_owned();
    if rest("lakefs:").is_some() {
        return lakefs(&lossy(given)).map(Some);
    }
    if rest("s3://").is_some() {
        return Err(PlaceError::Bucket { given: shown() });
    }
    if rest("file://").is_some() {
        return Err(PlaceError::Url { given: shown() });
    }
    if is_remote(given, world) {
        return Err(remote(given));
    }
    Ok(None)
}

/// Reads a name of something in lakeFS. What looks encoded is not, and that is said.
fn lakefs(given: &str) -> Result<Found, PlaceError> {
    let uri: LakeFsUri = given.parse()?;
    let remark = uri
        .prefix
        .contains('%')
        .then(|| format!("{}: taken as it stands; nothing in it is decoded", uri.prefix));
    Ok(Found {
        place: Place::LakeFs(uri),
        remark,
    })
}

fn bare_name(given: &OsStr, world: &World) -> Result<Found, PlaceError> {
    let name = lossy(given);
    let Ok(repository) = name.parse::<RepositoryName>() else {
        return Err(PlaceError::BareName { given: name });
    };
    let is_both = is_repository(&world.resolve(Path::new(given)));
    Ok(Found {
        place: Place::LakeFs(LakeFsUri {
            repository,
            reference: None,
            prefix: String::new(),
        }),
        remark: is_both.then(|| format!("{name}: taken as a lakeFS repository; for the folder write ./{name}")),
    })
}

fn unnamed(world: &World) -> Result<Found, PlaceError> {
    let base = world.variable("LAKECTL_BASE_URI").map(lossy);
    match (here(world), base) {
        (Ok(path), base) => Ok(Found {
            remark: base.map(|base| {
                let path = path.display();
                format!("{path}: taken, as the Git repository of this folder; for LAKECTL_BASE_URI write {base}")
            }),
            place: Place::Git(path),
        }),
        (Err(PlaceError::NoRepositoryHere { .. }), Some(base)) => {
            let uri = base.parse().map_err(PlaceError::BaseUri)?;
            Ok(Found {
                place: Place::LakeFs(uri),
                remark: Some(format!("{base}: taken, as LAKECTL_BASE_URI says")),
            })
        }
        (Err(error), _) => Err(error),
    }
}

fn plainly(place: Place) -> Found {
    Found { place, remark: None }
}

fn lossy(text: &OsStr) -> String {
    text.to_string_lossy().into_owned()
}

/// The path, which must exist; `//x` and the like stay as they are.
fn existing(given: &OsStr, world: &World) -> Result<PathBuf, PlaceError> {
    // Without the `.` of `./x`, which only makes messages longer.
    let path: PathBuf = world.resolve(Path::new(given)).components().collect();
    let named = || PathBuf::from(given);
    match std::fs::metadata(&path) {
        Ok(_) if !given.is_empty() => Ok(path),
        Ok(_) => Err(PlaceError::NoSource),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(SourceError::NoSuchPath { path: named() }.into())
        }
        Err(source) => Err(SourceError::Io {
            action: "cannot be looked at",
            path: named(),
            source,
        }
        .into()),
    }
}

fn directory(path: PathBuf) -> Result<PathBuf, PlaceError> {
    if path.is_dir() {
        Ok(path)
    } else {
        Err(SourceError::NotADirectory { path }.into())
    }
}

/// Whether this is the top of a working tree, or a bare repository. It only chooses between two readings: whether
/// the repository can be read is for the library to say.
fn is_repository(path: &Path) -> bool {
    path.join(".git").exists() || (path.join("HEAD").is_file() && path.join("objects").is_dir())
}

fn here(world: &World) -> Result<PathBuf, PlaceError> {
    if let Some(named) = world.variable("GIT_DIR") {
        return existing(named, world);
    }
    let above = world.folder.ancestors().find(|folder| is_repository(folder));
    let none = || PlaceError::NoRepositoryHere {
        path: world.folder.clone(),
    };
    above.map(Path::to_owned).ok_or_else(none)
}

/// Whether Git would fetch it from elsewhere: a URL, or `host:path`, which Git takes for a remote where no slash
/// stands before the colon.
fn is_remote(given: &OsStr, world: &World) -> bool {
    let bytes = given.as_bytes();
    if bytes.windows(3).any(|window| window == b"://") {
        return true;
    }
    let before = bytes.split(|byte| *byte == b':').next().unwrap_or_default();
    before.len() < bytes.len()
        && !before.is_empty()
        && !before.contains(&b'/')
        && !world.resolve(Path::new(given)).exists()
}

fn remote(given: &OsStr) -> PlaceError {
    let url = mask(&lossy(given)).into_owned();
    SourceError::RemoteRepository { url }.into()
}

/// The place with what `--branch` says of it, where that makes sense.
pub fn at_branch(place: Place, branch: Option<&str>) -> Result<Place, PlaceError> {
    let Some(branch) = branch else { return Ok(place) };
    match place {
        Place::Directory(path) => Err(PlaceError::BranchOfDirectory {
            branch: branch.to_owned(),
            path,
        }),
        Place::Git(path) => Ok(Place::Git(path)),
        Place::LakeFs(uri) => {
            let named: LakeFsRef = branch.parse()?;
            match &uri.reference {
                Some(reference) if *reference != named => Err(PlaceError::TwoRefs {
                    given: uri.to_string(),
                    reference: reference.to_string(),
                    branch: branch.to_owned(),
                }),
                _ => Ok(Place::LakeFs(LakeFsUri {
                    reference: Some(named),
                    ..uri
                })),
            }
        }
    }
}

#[cfg(test)]
mod tests;
