//! A branch of a lakeFS repository, read through the API of its server: always at a commit, never at a branch name,
//! which would show what is not committed.

mod browse;
mod by_ranges;
mod client;
mod config;
mod direct;
mod entries;
mod error;
#[cfg(test)]
mod fake;
mod listing;
mod objects;
mod pages;
pub mod ranges;
mod refs;
#[cfg(test)]
mod tests;
mod uri;

pub use client::{
    Answer, Branch, ByteSpan, BytesParams, Bytestream, Commit, Delivery, Difference, DifferenceKind, LakeFsClient,
    LakeFsCounts, LakeFsRequest, LakeFsTotals, ObjectStats, PAGE, Page, PageParams, Pagination, PresignedUrl,
    Repository, StorageConfig,
};
pub use config::{Endpoint, EndpointError, LakeFsConfig, LakeFsConfigError, LakeFsKeys, LakeFsRetryConfig};
pub use direct::{OriginBytes, OriginRead};
pub use error::{LakeFsError, LakeFsErrorKind};
pub use listing::ListingChoice;
pub use uri::{LakeFsRef, LakeFsUri, RepositoryName, UriError};

use std::collections::{HashMap, HashSet, VecDeque};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::sync::OnceCell;

use self::entries::Selection;
use self::error::LakeFsErrorKind as Kind;
use self::listing::Listing;
use self::objects::Objects;
use super::{Body, EntryStream, Filter, Item, Source, SourceError, SourceName, Stream};
use crate::disk_cache::DiskCacheConfig;
use crate::model::{Change, CommitId, Entry, RelPath};

/// So many commits are remembered; a run asks for two.
const COMMITS: usize = 64;

/// So many commits of a history are looked at: a commit that was skipped lies a few behind the one that went out.
const HISTORY: usize = 1_000;

/// So many objects at once a server, or the store behind it, serves well.
const OPENS: NonZeroUsize = NonZeroUsize::new(64).expect("64 is not zero");

/// Which branch of which repository, and what of it.
#[derive(Clone)]
pub struct LakeFsSourceConfig {
    /// The repository.
    pub repository: RepositoryName,
    /// A name of a commit; `None` for the repository's default branch.
    pub reference: Option<LakeFsRef>,
    /// What keys begin with: empty, or ending in `/`. Paths are relative to it.
    pub prefix: String,
    /// Which paths go out.
    pub filter: Filter,
    /// How entries are read.
    pub listing: ListingChoice,
    /// Reads the bytes of objects where they lie; without it lakeFS is asked for them.
    pub direct: Option<Arc<dyn OriginRead>>,
    /// Where ranges are kept; without it each run fetches those it needs.
    pub cache: Option<DiskCacheConfig>,
}

impl LakeFsSourceConfig {
    /// The default branch of a repository, whole.
    pub fn new(repository: RepositoryName) -> Self {
        Self {
            repository,
            reference: None,
            prefix: String::new(),
            filter: Filter::default(),
            listing: ListingChoice::default(),
            direct: None,
            cache: None,
        }
    }
}

/// A branch, tag or commit of a lakeFS repository.
#[derive(Clone)]
pub struct LakeFsSource {
    inner: Arc<Inner>,
}

struct Inner {
    client: LakeFsClient,
    name: SourceName,
    repository: RepositoryName,
    reference: LakeFsRef,
    selection: Selection,
    listing: Listing,
    objects: Objects,
    /// What never changes of the repository.
    storage_namespace: OnceCell<String>,
    /// Commits never change either.
    commits: Mutex<HashMap<CommitId, Commit>>,
}

impl LakeFsSource {
    /// Pins the name of the branch, not its commit. Asks the server only where no name was given, for that of the
    /// default branch.
    pub async fn open(client: LakeFsClient, config: LakeFsSourceConfig) -> Result<Self, SourceError> {
        let storage_namespace = OnceCell::new();
        let reference = match config.reference {
            Some(reference) => reference,
            None => {
                let repository = client.repository(config.repository.as_str()).await?;
                storage_namespace
                    .set(repository.storage_namespace)
                    .expect("it is new, so nothing was set");
                let default = repository.default_branch;
                let bad = |_| SourceError::NoSuchRef {
                    repository: format!("lakefs://{}", config.repository),
                    name: default.clone(),
                    near: Vec::new(),
                };
                default.parse().map_err(bad)?
            }
        };
        let host = client.endpoint().host();
        let slash = if config.prefix.is_empty() { "" } else { "/" };
        let name = format!(
            "lakefs:{host}/{}#{reference}{slash}{}",
            config.repository, config.prefix
        );
        Ok(Self {
            inner: Arc::new(Inner {
                objects: Objects::new(client.clone(), config.direct),
                listing: Listing::new(config.listing, client.clone(), &config.repository, config.cache),
                client,
                name: name.into(),
                repository: config.repository,
                reference,
                selection: Selection {
                    prefix: config.prefix,
                    filter: config.filter,
                },
                storage_namespace,
                commits: Mutex::default(),
            }),
        })
    }

    /// The branch and the part of its tree, as lakectl and we write it: `lakefs://repo/main/part/`.
    pub fn uri(&self) -> String {
        let inner = &self.inner;
        format!(
            "lakefs://{}/{}/{}",
            inner.repository, inner.reference, inner.selection.prefix
        )
    }

    /// The client, for its counts.
    pub fn client(&self) -> &LakeFsClient {
        &self.inner.client
    }

    /// Asks whether a commit comes before another in history. Each commit is a request, so one that is very far back
    /// counts as none.
    pub async fn is_ancestor(&self, older: &CommitId, newer: &CommitId) -> Result<bool, SourceError> {
        let mut waiting = VecDeque::from([newer.clone()]);
        let mut seen = HashSet::from([newer.clone()]);
        while let Some(commit) = waiting.pop_front() {
            for parent in self.inner.commit(&commit).await?.parents {
                let parent = CommitId::new(parent);
                if parent == *older {
                    return Ok(true);
                }
                if seen.len() < HISTORY && seen.insert(parent.clone()) {
                    waiting.push_back(parent);
                }
            }
        }
        Ok(false)
    }

    /// Asks whether it moves with new commits: whether it is a branch, and not a tag or a commit.
    pub async fn is_branch(&self) -> Result<bool, SourceError> {
        let inner = &self.inner;
        let name = inner.reference.as_str();
        let name = name.strip_suffix('@').unwrap_or(name);
        match inner.client.branch(inner.repository.as_str(), name).await {
            Ok(_) => Ok(true),
            // A name that no branch can have is a 400.
            Err(error) if matches!(error.kind, Kind::NotFound | Kind::BadRequest) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

impl Inner {
    fn remember(&self, commit: Commit) -> CommitId {
        let id = CommitId::new(commit.id.as_str());
        let mut commits = self.commits.lock().unwrap_or_else(PoisonError::into_inner);
        if commits.len() >= COMMITS {
            commits.clear();
        }
        commits.insert(id.clone(), commit);
        id
    }

    /// Gets a commit by its full id.
    async fn commit(&self, at: &CommitId) -> Result<Commit, SourceError> {
        let known = self
            .commits
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(at)
            .cloned();
        if let Some(commit) = known {
            return Ok(commit);
        }
        let commit = self.client.commit(self.repository.as_str(), at.as_str()).await?;
        self.remember(commit.clone());
        Ok(commit)
    }

    async fn storage_namespace(&self) -> Result<&str, SourceError> {
        let asked = self.storage_namespace.get_or_try_init(|| async {
            let repository = self.client.repository(self.repository.as_str()).await?;
            Ok::<_, SourceError>(repository.storage_namespace)
        });
        Ok(asked.await?)
    }

    /// The key of a path of the export; keys of a path that is no text can only be named where the API is not asked.
    fn key_of(&self, at: &CommitId, path: &RelPath) -> Result<String, SourceError> {
        match path.to_str() {
            Some(path) => Ok(format!("{}{path}", self.selection.prefix)),
            None => Err(self.key_not_text(at, path)),
        }
    }

    fn key_not_text(&self, at: &CommitId, path: &RelPath) -> SourceError {
        Box::new(LakeFsError {
            request: LakeFsRequest::GetObject,
            place: format!("lakefs://{}/{at}/{}{path}", self.repository, self.selection.prefix),
            endpoint: self.client.endpoint().to_string(),
            kind: Kind::KeyNotText,
            said: None,
            cause: None,
        })
        .into()
    }
}

#[async_trait]
impl Source for LakeFsSource {
    fn name(&self) -> &str {
        &self.inner.name
    }

    async fn head(&self) -> Result<CommitId, SourceError> {
        let inner = &self.inner;
        let commit = refs::resolve(&inner.client, &inner.repository, &inner.reference).await?;
        Ok(inner.remember(commit))
    }

    async fn contains(&self, at: &CommitId) -> Result<bool, SourceError> {
        match self.inner.commit(at).await {
            Ok(_) => Ok(true),
            // What no commit of lakeFS can be called is a 400.
            Err(SourceError::LakeFs(error)) if matches!(error.kind, Kind::NotFound | Kind::BadRequest) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn tree(&self, at: &CommitId) -> Result<EntryStream, SourceError> {
        listing::tree(&self.inner, at).await
    }

    async fn changes(&self, from: &CommitId, to: &CommitId) -> Result<Option<Stream<Item<Change>>>, SourceError> {
        listing::changes(&self.inner, from, to).await
    }

    async fn open(&self, at: &CommitId, entry: &Entry) -> Result<Body, SourceError> {
        let inner = &self.inner;
        let key = inner.key_of(at, &entry.path)?;
        inner
            .objects
            .open(inner.repository.as_str(), at, &key, entry.clone())
            .await
    }

    fn parallelism(&self) -> NonZeroUsize {
        OPENS
    }
}
