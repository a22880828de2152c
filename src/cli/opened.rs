//! Sources, opened as their jobs say.

use std::sync::Arc;

use super::error::CliError;
use super::flags::{self, SymlinkChoice};
use super::job::SourceJob;
use super::lakefs;
use super::place::Place;
use super::ui::Ui;
#[cfg(feature = "git")]
use crate::source::git::GitSource;
use crate::source::lakefs::{LakeFsSource, OriginRead};
use crate::source::{Browse, DirConfig, DirSource, SkipOrError, Source, SourceError, SymlinkPolicy};

/// A source that was opened, by its kind: who follows a branch must know more of it than who reads one.
#[derive(Clone)]
pub enum Opened {
    /// A Git repository.
    #[cfg(feature = "git")]
    Git(GitSource),
    /// A plain directory.
    Directory(Arc<DirSource>),
    /// A repository of lakeFS.
    LakeFs(LakeFsSource),
}

impl Opened {
    /// What reads it.
    pub fn source(self) -> Arc<dyn Source> {
        self.browse()
    }

    /// What looks into it folder by folder.
    pub fn browse(self) -> Arc<dyn Browse> {
        match self {
            #[cfg(feature = "git")]
            Self::Git(source) => Arc::new(source),
            Self::Directory(source) => source,
            Self::LakeFs(source) => Arc::new(source),
        }
    }

    /// How lakectl calls it, where it is of lakeFS.
    pub fn lakectl_uri(&self) -> Option<String> {
        match self {
            Self::LakeFs(source) => Some(source.uri()),
            _ => None,
        }
    }

    /// Asks whether it moves by itself: whether it is a branch or a directory, and not a tag or a commit.
    pub async fn is_branch(&self) -> Result<bool, SourceError> {
        match self {
            #[cfg(feature = "git")]
            Self::Git(source) => Ok(source.is_branch()),
            Self::Directory(_) => Ok(true),
            Self::LakeFs(source) => source.is_branch().await,
        }
    }
}

/// Opens a source, and says how its name was read; `direct` reads the store behind lakeFS.
pub async fn open(ui: &Ui, job: SourceJob, direct: Option<Arc<dyn OriginRead>>) -> Result<Opened, CliError> {
    if let Some(remark) = &job.remark {
        ui.talk(remark);
    }
    open_quietly(job, direct).await
}

/// Opens a source.
pub async fn open_quietly(job: SourceJob, direct: Option<Arc<dyn OriginRead>>) -> Result<Opened, CliError> {
    if let Place::LakeFs(place) = &job.place {
        return Ok(Opened::LakeFs(lakefs::open(place.clone(), job, direct).await?));
    }
    // Opening reads files, which would hold up a thread of the runtime.
    let opened = tokio::task::spawn_blocking(move || open_place(job)).await;
    opened.map_err(|error| CliError::Runtime(std::io::Error::other(error)))?
}

fn open_place(job: SourceJob) -> Result<Opened, CliError> {
    match job.place {
        #[cfg(feature = "git")]
        Place::Git(path) => {
            use super::flags::LfsChoice;
            use crate::source::LfsPolicy;
            use crate::source::git::GitConfig;
            let config = GitConfig {
                reference: job.select.branch,
                filter: job.filter,
                symlinks: symlinks(job.select.symlinks),
                submodules: skip_or_error(job.select.submodules),
                lfs: match job.select.lfs {
                    LfsChoice::Pointer => LfsPolicy::Pointer,
                    LfsChoice::Error => LfsPolicy::Error,
                },
                ..GitConfig::new(path)
            };
            Ok(Opened::Git(GitSource::open(config)?))
        }
        #[cfg(not(feature = "git"))]
        Place::Git(_) => Err(super::job::JobError::NoGit.into()),
        Place::LakeFs(_) => unreachable!("what asks a server is opened where it need not block"),
        Place::Directory(path) => {
            let config = DirConfig {
                path,
                filter: job.filter,
                symlinks: symlinks(job.select.symlinks),
                special: skip_or_error(job.select.special),
                cache: job.cache.map(|cache| cache.folder),
                exclude_paths: Vec::new(),
            };
            Ok(Opened::Directory(Arc::new(DirSource::open(config)?)))
        }
    }
}

fn symlinks(choice: SymlinkChoice) -> SymlinkPolicy {
    match choice {
        SymlinkChoice::Skip => SymlinkPolicy::Skip,
        SymlinkChoice::FollowInside => SymlinkPolicy::FollowInside,
        SymlinkChoice::Error => SymlinkPolicy::Error,
    }
}

fn skip_or_error(choice: flags::SkipOrError) -> SkipOrError {
    match choice {
        flags::SkipOrError::Skip => SkipOrError::Skip,
        flags::SkipOrError::Error => SkipOrError::Error,
    }
}
