//! From the name of a branch, tag or revision to a commit.

use std::fmt;
use std::path::{Path, PathBuf};

use gix::Repository;
use gix::bstr::ByteSlice as _;
use gix::objs::Kind;

use super::program::GitProgram;
use crate::model::CommitId;
use crate::source::SourceError;
use crate::source::near::near;

/// What a source follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// A ref by its full name; its commit is what it points to, tags peeled.
    Ref(String),
    /// Any other name of a commit, read anew each time.
    Revision(String),
}

impl Target {
    pub(super) fn is_branch(&self) -> bool {
        matches!(self, Self::Ref(name) if name.starts_with("refs/heads/") || name.starts_with("refs/remotes/"))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Ref(name) | Self::Revision(name)) = self;
        out.write_str(name)
    }
}

/// Looks names up: by the library, or by the git program where the refs are kept in another way than files.
pub(super) struct Finder {
    path: PathBuf,
    program: Option<GitProgram>,
}

/// What stands between the name of a ref and a short name for people, in the order of preference.
const SHORT: [&str; 3] = ["refs/heads/", "refs/tags/", "refs/remotes/"];

impl Finder {
    /// Reads `extensions.refStorage` before any ref.
    pub(super) fn new(repository: &Repository, program: &Path, path: &Path) -> Result<Self, SourceError> {
        let format = repository.config_snapshot().string("extensions.refStorage");
        let format = format
            .map(|format| format.to_string())
            .filter(|format| format != "files");
        let program = format
            .map(|format| {
                GitProgram::new(program, repository.git_dir()).map_err(|found| SourceError::RefFormat {
                    path: path.to_owned(),
                    format,
                    found,
                })
            })
            .transpose()?;
        Ok(Self {
            path: path.to_owned(),
            program,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Decides what a name means: a branch before a tag before anything else, so that `--branch` means it.
    pub(super) fn target(&self, repository: &Repository, name: Option<&str>) -> Result<Target, SourceError> {
        let name = match name {
            None | Some("HEAD" | "@") => {
                let head = self.head_name(repository)?;
                return Ok(head.map_or_else(|| Target::Revision("HEAD".to_owned()), Target::Ref));
            }
            Some(name) => name,
        };
        let full = name.starts_with("refs/").then(|| name.to_owned());
        for candidate in SHORT.iter().map(|prefix| format!("{prefix}{name}")).chain(full) {
            if self.has_ref(repository, &candidate)? {
                return Ok(Target::Ref(candidate));
            }
        }
        Ok(Target::Revision(name.to_owned()))
    }

    /// The commit that the target names now.
    pub(super) fn commit(&self, repository: &Repository, target: &Target) -> Result<CommitId, SourceError> {
        if self.program.is_none() {
            refresh_packed_refs(repository);
        }
        let found = match (&self.program, target) {
            (Some(program), target) => program.commit(&target.to_string()).map_err(|source| self.io(source))?,
            (None, Target::Ref(name)) => self.commit_of_ref(repository, name)?,
            (None, Target::Revision(name)) => self.commit_of_revision(repository, name)?,
        };
        match found {
            Some(id) => Ok(CommitId::new(id)),
            None => Err(self.nothing(repository, target)?),
        }
    }

    fn commit_of_ref(&self, repository: &Repository, name: &str) -> Result<Option<String>, SourceError> {
        let Some(mut reference) = self.reference(repository, name)? else {
            return Ok(None);
        };
        let commit = reference
            .peel_to_kind(Kind::Commit)
            .map_err(|source| SourceError::Object {
                path: name.to_owned(),
                commit: CommitId::new(reference.try_id().map_or_else(|| name.to_owned(), |id| id.to_string())),
                source: Box::new(source),
            })?;
        Ok(Some(commit.id.to_string()))
    }

    fn commit_of_revision(&self, repository: &Repository, name: &str) -> Result<Option<String>, SourceError> {
        let found = repository
            .rev_parse_single(name.as_bytes().as_bstr())
            .and_then(|id| id.object()?.peel_to_kind(Kind::Commit));
        match found {
            Ok(commit) => Ok(Some(commit.id.to_string())),
            Err(error) => match candidates(&error) {
                // A prefix of several ids: the whole ids are what should have been written.
                Some(near) => Err(SourceError::NoSuchRef {
                    repository: self.path.display().to_string(),
                    name: name.to_owned(),
                    near,
                }),
                None => {
                    tracing::debug!(name, error = %error, "not a revision");
                    Ok(None)
                }
            },
        }
    }

    /// The error for a name that names no commit.
    fn nothing(&self, repository: &Repository, target: &Target) -> Result<SourceError, SourceError> {
        let name = target.to_string();
        let full = SHORT.iter().find_map(|prefix| name.strip_prefix(prefix));
        let short = full.unwrap_or(&name).to_owned();
        let unborn = format!("refs/heads/{short}");
        if self.head_name(repository)?.is_some_and(|head| head == unborn) {
            return Ok(SourceError::Unborn {
                repository: self.path.display().to_string(),
                name: short,
            });
        }
        let names = self.names(repository)?;
        Ok(SourceError::NoSuchRef {
            repository: self.path.display().to_string(),
            near: near(&short, &names),
            name: short,
        })
    }

    /// The full name of the branch that HEAD is on, born or not; `None` where it is detached.
    fn head_name(&self, repository: &Repository) -> Result<Option<String>, SourceError> {
        if let Some(program) = &self.program {
            return program.head_name().map_err(|source| self.io(source));
        }
        let head = repository.head_name().map_err(|source| self.repository_error(source))?;
        Ok(head.map(|name| name.as_bstr().to_string()))
    }

    fn has_ref(&self, repository: &Repository, full: &str) -> Result<bool, SourceError> {
        match &self.program {
            Some(program) => program.has_ref(full).map_err(|source| self.io(source)),
            None => Ok(self.reference(repository, full)?.is_some()),
        }
    }

    fn reference<'repository>(
        &self,
        repository: &'repository Repository,
        full: &str,
    ) -> Result<Option<gix::Reference<'repository>>, SourceError> {
        // What cannot be the name of a ref may still be a revision: `HEAD~2`.
        let Ok(full_name) = gix::refs::FullName::try_from(full) else {
            return Ok(None);
        };
        let found = repository.try_find_reference(full_name.as_ref());
        let found = found.map_err(|source| self.repository_error(source))?;
        // The library also looks for `refs/heads/refs/…`; a full name means itself.
        Ok(found.filter(|reference| reference.name().as_bstr() == full))
    }

    /// The short names of all branches and tags.
    fn names(&self, repository: &Repository) -> Result<Vec<String>, SourceError> {
        let full: Vec<String> = match &self.program {
            Some(program) => program.refs().map_err(|source| self.io(source))?,
            None => {
                let all = repository
                    .references()
                    .map_err(|source| self.repository_error(source))?;
                let all = all.all().map_err(|source| self.repository_error(source))?;
                // One ref that cannot be read must not hide the names of the others from a message.
                all.flatten()
                    .map(|reference| reference.name().as_bstr().to_string())
                    .collect()
            }
        };
        let short = full
            .iter()
            .filter_map(|name| SHORT.iter().find_map(|prefix| name.strip_prefix(prefix)));
        Ok(short.map(str::to_owned).collect())
    }

    fn repository_error(&self, source: gix::Error) -> SourceError {
        SourceError::Repository {
            path: self.path.clone(),
            source: Box::new(source),
        }
    }

    fn io(&self, source: std::io::Error) -> SourceError {
        SourceError::Io {
            action: "its refs could not be asked for",
            path: self.path.clone(),
            source,
        }
    }
}

/// Reads `packed-refs` anew. The library does so when the file's time has changed, but a kernel's clock ticks
/// every few milliseconds only, and `git pack-refs` can run twice in one tick.
fn refresh_packed_refs(repository: &Repository) {
    if repository.refs.packed_refs_path().exists()
        && let Err(error) = repository.refs.force_refresh_packed_buffer()
    {
        // The look-up that follows meets the same error, and tells it.
        tracing::debug!(%error, "packed-refs cannot be read");
    }
}

/// The whole ids that a short id could mean, where it is one that could mean several.
fn candidates(error: &gix::Error) -> Option<Vec<String>> {
    use gix::revision::spec::parse::Error;
    match error.downcast_any_ref::<Error>()? {
        Error::AmbiguousPrefix { candidates, .. } => {
            Some(candidates.iter().take(5).map(|(id, _)| id.to_string()).collect())
        }
        _ => None,
    }
}
