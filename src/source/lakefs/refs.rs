//! From a name of a commit to the commit.

use super::client::{Commit, LakeFsClient};
use super::error::{LakeFsError, LakeFsErrorKind as Kind};
use super::uri::{LakeFsRef, RepositoryName};
use crate::source::SourceError;
use crate::source::near::near;

/// So many branches are looked at for one that looks like the name that is not there.
const LOOKED_AT: usize = 200;

/// Finds the commit that a name stands for now. One request answers for any name.
pub(super) async fn resolve(
    client: &LakeFsClient,
    repository: &RepositoryName,
    reference: &LakeFsRef,
) -> Result<Commit, SourceError> {
    match client.commit(repository.as_str(), reference.as_str()).await {
        Ok(commit) => Ok(commit),
        Err(error) if error.kind == Kind::NotFound => Err(not_there(client, repository, reference, error).await),
        Err(error) => Err(error.into()),
    }
}

/// Says which of repository and name is not there, and what looks like the name.
async fn not_there(
    client: &LakeFsClient,
    repository: &RepositoryName,
    reference: &LakeFsRef,
    error: Box<LakeFsError>,
) -> SourceError {
    let wanted = reference.as_str();
    let base = wanted.split(['~', '^', '@']).next().unwrap_or(wanted);
    let start = base.chars().next().map(String::from).unwrap_or_default();
    let listed = match client.branches(repository.as_str(), &start, LOOKED_AT).await {
        Ok(found) if found.is_empty() => client.branches(repository.as_str(), "", LOOKED_AT).await,
        listed => listed,
    };
    let names: Vec<String> = match listed {
        Ok(branches) => branches.into_iter().map(|branch| branch.id).collect(),
        Err(listed) if matches!(listed.kind, Kind::NoSuchRepository | Kind::NotFound) => {
            return Box::new(LakeFsError {
                kind: Kind::NoSuchRepository,
                place: format!("lakefs://{repository}"),
                said: None,
                ..*error
            })
            .into();
        }
        // Suggestions are a kindness; who may not list branches gets none.
        Err(listed) => {
            tracing::debug!(error = %listed, "branches cannot be listed");
            Vec::new()
        }
    };
    let there = format!("lakefs://{repository}");
    if reference.looks_like_id() {
        return SourceError::NoSuchCommitId {
            repository: there,
            id: wanted.to_owned(),
        };
    }
    // A branch that is there, and whose history is shorter than the steps back.
    if base != wanted && names.iter().any(|name| name == base) {
        return SourceError::NoSuchRef {
            repository: there,
            name: wanted.to_owned(),
            near: vec![base.to_owned()],
        };
    }
    SourceError::NoSuchRef {
        repository: there,
        name: wanted.to_owned(),
        near: near(base, &names),
    }
}
