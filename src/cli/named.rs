//! From the name of a source, as a ledger keeps it, back to the source.

use std::path::PathBuf;

use super::error::CliError;
use super::flags::LakeFsArgs;
use super::lakefs;
use super::opened::Opened;
use super::world::World;
use crate::model::CommitId;
use crate::source::lakefs::{LakeFsClient, LakeFsSource, LakeFsSourceConfig};

/// The source of an export path.
pub enum Exported {
    /// It can be asked from here.
    Open {
        /// The source, with every policy at its default: it is asked for commits only.
        opened: Opened,
    },
    /// It cannot.
    Unknown {
        /// Its name.
        name: String,
        /// Why not.
        why: &'static str,
    },
}

/// What a name says.
#[derive(Debug, PartialEq, Eq)]
enum Name<'a> {
    Git {
        path: PathBuf,
        reference: &'a str,
    },
    LakeFs {
        host: &'a str,
        repository: &'a str,
        reference: &'a str,
    },
    Directory,
    Elsewhere,
}

/// Opens what a name says.
pub async fn open(name: &str, args: &LakeFsArgs, world: &World) -> Result<Exported, CliError> {
    let unknown = |why| Exported::Unknown {
        name: name.to_owned(),
        why,
    };
    match read(name) {
        Name::Git { path, reference } => open_git(path, reference, unknown).await,
        Name::LakeFs {
            host,
            repository,
            reference,
        } => {
            let config = lakefs::config(args, world)?;
            let client = LakeFsClient::new(config)?;
            if client.endpoint().host() != host {
                return Ok(unknown("from here, since another lakeFS server is configured"));
            }
            let (Ok(repository), Ok(reference)) = (repository.parse(), reference.parse()) else {
                return Ok(unknown("by this version"));
            };
            let config = LakeFsSourceConfig {
                reference: Some(reference),
                ..LakeFsSourceConfig::new(repository)
            };
            let opened = Opened::LakeFs(LakeFsSource::open(client, config).await?);
            Ok(Exported::Open { opened })
        }
        Name::Directory => Ok(unknown("without the filters of its export")),
        Name::Elsewhere => Ok(unknown("from here, since that is not a path of this machine")),
    }
}

#[cfg(feature = "git")]
async fn open_git(
    path: PathBuf,
    reference: &str,
    unknown: impl Fn(&'static str) -> Exported,
) -> Result<Exported, CliError> {
    use crate::source::git::{GitConfig, GitSource};
    if !path.exists() {
        return Ok(unknown("from here, since there is no such path on this machine"));
    }
    let config = GitConfig {
        reference: Some(reference.to_owned()),
        ..GitConfig::new(path)
    };
    let opened = tokio::task::spawn_blocking(move || GitSource::open(config)).await;
    let opened = opened.map_err(|error| CliError::Runtime(std::io::Error::other(error)))??;
    Ok(Exported::Open {
        opened: Opened::Git(opened),
    })
}

#[cfg(not(feature = "git"))]
async fn open_git(_: PathBuf, _: &str, unknown: impl Fn(&'static str) -> Exported) -> Result<Exported, CliError> {
    Ok(unknown("by a lakesync that was built without Git"))
}

/// Reads a name as sources make it: `git:/srv/data.git#refs/heads/main`, `lakefs:host/repo#main/prefix/`, `dir:/srv`.
fn read(name: &str) -> Name<'_> {
    if name.starts_with("dir:") {
        return Name::Directory;
    }
    if let Some((origin, reference)) = name.strip_prefix("git:").and_then(|rest| rest.rsplit_once('#'))
        && origin.starts_with('/')
    {
        return Name::Git {
            path: PathBuf::from(origin),
            reference,
        };
    }
    if let Some((place, reference)) = name.strip_prefix("lakefs:").and_then(|rest| rest.split_once('#'))
        && let Some((host, repository)) = place.split_once('/')
    {
        // No name of a commit holds a slash; what comes behind is the prefix.
        let reference = reference.split('/').next().unwrap_or(reference);
        return Name::LakeFs {
            host,
            repository,
            reference,
        };
    }
    Name::Elsewhere
}

impl Exported {
    /// Whether a commit comes before another in the history of the branch; where nobody can tell, it does not.
    pub async fn is_ancestor(&self, older: &CommitId, newer: &CommitId) -> bool {
        let Self::Open { opened } = self else { return false };
        let told = match opened {
            #[cfg(feature = "git")]
            Opened::Git(source) => source.is_ancestor(older, newer).await,
            Opened::LakeFs(source) => source.is_ancestor(older, newer).await,
            Opened::Directory(_) => Ok(false),
        };
        // A source that cannot be asked now is asked again a second later.
        told.inspect_err(|error| tracing::debug!(%error, "the history cannot be read"))
            .unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_sources_are_read_back() {
        assert_eq!(
            read("git:/srv/a#b/data.git#refs/heads/main"),
            Name::Git {
                path: "/srv/a#b/data.git".into(),
                reference: "refs/heads/main"
            }
        );
        assert_eq!(read("git:https://host/x#refs/heads/main"), Name::Elsewhere);
        assert_eq!(read("dir:/srv/www"), Name::Directory);
        assert_eq!(
            read("lakefs:host:8000/repo#main/a/b#c/"),
            Name::LakeFs {
                host: "host:8000",
                repository: "repo",
                reference: "main"
            }
        );
        assert_eq!(read("memory:main"), Name::Elsewhere);
    }
}
