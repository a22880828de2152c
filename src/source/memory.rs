//! A branch in memory whose commits a test writes down.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use bytes::Bytes;
use sha1::{Digest as _, Sha1};
use tokio::sync::mpsc;
use tokio::task::yield_now;

use super::browse::Children;
use super::{Body, Browse, Child, EntryStream, Item, Node, Source, SourceError, SourceName, Stream};
use crate::files::join;
use crate::model::{Attributes, Change, CommitId, ContentId, ContentIds, Entry, GitId, Notice, OriginObject, RelPath};

/// How many files at once this source is said to serve well.
const PARALLELISM: NonZeroUsize = NonZeroUsize::new(8).expect("eight is not zero");

/// How much of a file comes at once: little, so that even small files come in several chunks.
const CHUNK_BYTES: usize = 1_024;

/// A file of a scripted commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryFile {
    /// Its bytes.
    pub bytes: Bytes,
    /// What else is known of it.
    pub attributes: Attributes,
}

impl MemoryFile {
    /// A file of which nothing but its bytes is known.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self {
            bytes: bytes.into(),
            attributes: Attributes::default(),
        }
    }
}

/// The files of a scripted commit.
pub type MemoryTree = BTreeMap<RelPath, MemoryFile>;

/// Which content id the entries have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentKind {
    /// The SHA-1 id of a Git blob.
    Git,
    /// The BLAKE3 hash.
    Blake3,
    /// An address that is written once, as lakeFS has them, and a checksum; the bytes of one content have one address.
    Address,
}

/// Where the bytes of entries lie besides, for S3 itself to copy.
pub type OriginOf = Arc<dyn Fn(&RelPath, &Bytes) -> Option<OriginObject> + Send + Sync>;

/// A branch in memory; a clone is another handle to the same one. It holds every tree whole, being meant
/// for small ones.
#[derive(Clone)]
pub struct MemorySource {
    name: SourceName,
    branch: Arc<Mutex<Branch>>,
}

struct Branch {
    content: ContentKind,
    origin: Option<OriginOf>,
    addresses: String,
    gives_changes: bool,
    head: Option<CommitId>,
    made: u64,
    commits: BTreeMap<CommitId, Arc<Commit>>,
    troubles: BTreeMap<RelPath, (Trouble, u32)>,
}

struct Commit {
    files: BTreeMap<RelPath, (Entry, Bytes)>,
    notices: Vec<Notice>,
}

/// What happens to a file that is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    OtherBytes,
    ChangedAtEnd,
    Vanished,
}

impl MemorySource {
    /// Makes a branch without a commit, with Git ids and with changes.
    pub fn new(name: impl Into<SourceName>) -> Self {
        Self {
            name: name.into(),
            branch: Arc::new(Mutex::new(Branch {
                content: ContentKind::Git,
                origin: None,
                addresses: String::new(),
                gives_changes: true,
                head: None,
                made: 0,
                commits: BTreeMap::new(),
                troubles: BTreeMap::new(),
            })),
        }
    }

    /// Says which content id the entries of later commits have.
    pub fn with_content(self, content: ContentKind) -> Self {
        self.lock().content = content;
        self
    }

    /// Says where the bytes of later commits' entries lie besides.
    pub fn with_origin(self, origin: OriginOf) -> Self {
        self.lock().origin = Some(origin);
        self
    }

    /// Has the bytes of later commits lie at other addresses than those of any other word.
    pub fn with_addresses_of(self, word: &str) -> Self {
        word.clone_into(&mut self.lock().addresses);
        self
    }

    /// Says whether this source can tell changes, or only whole trees.
    pub fn with_changes(self, gives_changes: bool) -> Self {
        self.lock().gives_changes = gives_changes;
        self
    }

    /// Adds a commit and makes it the head. Two commits of one tree have two ids.
    pub fn commit(&self, tree: MemoryTree) -> CommitId {
        self.commit_with_notices(tree, Vec::new())
    }

    /// Adds a commit that also holds what is not exported, and makes it the head.
    pub fn commit_with_notices(&self, tree: MemoryTree, mut notices: Vec<Notice>) -> CommitId {
        notices.sort_by(|left, right| left.path.cmp(&right.path));
        let mut branch = self.lock();
        let mut hasher = blake3::Hasher::new();
        let mut files = BTreeMap::new();
        for (path, file) in tree {
            let content = content_ids(branch.content, &branch.addresses, &file.bytes);
            let origin = branch.origin.as_ref().and_then(|origin| origin(&path, &file.bytes));
            hasher.update(path.as_bytes()).update(b"\0");
            hasher.update(blake3::hash(&file.bytes).as_bytes());
            let entry = Entry {
                path: path.clone(),
                size: file.bytes.len() as u64,
                content,
                origin: origin.map(Box::new),
                attributes: file.attributes,
            };
            files.insert(path, (entry, file.bytes));
        }
        branch.made += 1;
        let digest = &hasher.finalize().to_hex()[..8];
        let id = CommitId::new(format!("c{:04}-{digest}", branch.made));
        branch.commits.insert(id.clone(), Arc::new(Commit { files, notices }));
        branch.head = Some(id.clone());
        id
    }

    /// Moves the branch, back to an older commit for example.
    pub fn set_head(&self, to: &CommitId) {
        self.lock().head = Some(to.clone());
    }

    /// Deletes the branch; its commits stay, and the next commit makes it anew.
    pub fn delete_branch(&self) {
        self.lock().head = None;
    }

    /// Loses a commit, as a garbage collection or another clone would; it can stay the head.
    pub fn forget(&self, commit: &CommitId) {
        self.lock().commits.remove(commit);
    }

    /// The files of a commit, for a test to compare with.
    pub fn files(&self, at: &CommitId) -> Option<BTreeMap<RelPath, Bytes>> {
        let commit = self.lock().commits.get(at).cloned()?;
        let files = commit.files.iter();
        Some(files.map(|(path, (_, bytes))| (path.clone(), bytes.clone())).collect())
    }

    /// Makes the next `times` openings of a path give other bytes without a word; only their content id
    /// tells. An empty file gets a byte.
    pub fn alter(&self, path: &RelPath, times: u32) {
        self.trouble(path, Trouble::OtherBytes, times);
    }

    /// Makes the next `times` openings of a path give all bytes and then [`SourceError::Changed`].
    pub fn change_while_read(&self, path: &RelPath, times: u32) {
        self.trouble(path, Trouble::ChangedAtEnd, times);
    }

    /// Makes the next `times` openings of a path fail with [`SourceError::Changed`].
    pub fn vanish(&self, path: &RelPath, times: u32) {
        self.trouble(path, Trouble::Vanished, times);
    }

    fn trouble(&self, path: &RelPath, trouble: Trouble, times: u32) {
        self.lock().troubles.insert(path.clone(), (trouble, times));
    }

    fn take_trouble(&self, path: &RelPath) -> Option<Trouble> {
        let mut branch = self.lock();
        let (trouble, times) = branch.troubles.get_mut(path)?;
        let trouble = *trouble;
        *times = times.checked_sub(1)?;
        Some(trouble)
    }

    fn find_commit(&self, at: &CommitId) -> Result<Arc<Commit>, SourceError> {
        self.lock()
            .commits
            .get(at)
            .cloned()
            .ok_or_else(|| SourceError::NoSuchRef {
                repository: self.name.to_string(),
                name: at.to_string(),
                near: Vec::new(),
            })
    }

    fn lock(&self) -> MutexGuard<'_, Branch> {
        self.branch.lock().expect("no call panics while it holds the branch")
    }
}

fn content_ids(kind: ContentKind, addresses: &str, bytes: &[u8]) -> ContentIds {
    let id = match kind {
        ContentKind::Git => {
            let mut hasher = Sha1::new_with_prefix(format!("blob {}\0", bytes.len()));
            hasher.update(bytes);
            ContentId::Git(GitId::Sha1(hasher.finalize().into()))
        }
        ContentKind::Blake3 => ContentId::Blake3(*blake3::hash(bytes).as_bytes()),
        ContentKind::Address => {
            let hash = blake3::hash(bytes);
            let address = blake3::hash(format!("s3://lake/{addresses}/{hash}").as_bytes());
            return ContentIds {
                address: Some(*address.as_bytes()),
                checksum: Some(ContentIds::digest_checksum(&hash.to_hex())),
                ..ContentIds::default()
            };
        }
    };
    id.into()
}

/// Puts notices between the items, so that the whole is sorted by path.
fn with_notices<T>(items: Vec<T>, notices: &[Notice], path: impl Fn(&T) -> &RelPath) -> Vec<Item<T>> {
    let mut notices = notices.iter().peekable();
    let mut all = Vec::with_capacity(items.len() + notices.len());
    for item in items {
        while let Some(notice) = notices.next_if(|notice| notice.path < *path(&item)) {
            all.push(Item::Notice(notice.clone()));
        }
        all.push(Item::Entry(item));
    }
    all.extend(notices.cloned().map(Item::Notice));
    all
}

fn chunks(bytes: &Bytes, end: Result<(), SourceError>) -> Body {
    let count = bytes.len().div_ceil(CHUNK_BYTES);
    let (sender, receiver) = mpsc::channel(count + 1);
    let parts = bytes.chunks(CHUNK_BYTES).map(|part| Ok(bytes.slice_ref(part)));
    for message in parts.chain(end.err().map(Err)) {
        sender.try_send(message).expect("the channel has room for every chunk");
    }
    Body::Chunks(receiver)
}

#[async_trait]
impl Source for MemorySource {
    fn name(&self) -> &str {
        &self.name
    }

    async fn head(&self) -> Result<CommitId, SourceError> {
        yield_now().await;
        self.lock().head.clone().ok_or_else(|| SourceError::Unborn {
            repository: self.name.to_string(),
            name: "main".to_owned(),
        })
    }

    async fn contains(&self, at: &CommitId) -> Result<bool, SourceError> {
        yield_now().await;
        Ok(self.lock().commits.contains_key(at))
    }

    async fn tree(&self, at: &CommitId) -> Result<EntryStream, SourceError> {
        yield_now().await;
        let commit = self.find_commit(at)?;
        let entries = commit.files.values().map(|(entry, _)| entry.clone()).collect();
        Ok(Stream::ready(with_notices(
            entries,
            &commit.notices,
            |entry: &Entry| &entry.path,
        )))
    }

    async fn changes(&self, from: &CommitId, to: &CommitId) -> Result<Option<Stream<Item<Change>>>, SourceError> {
        yield_now().await;
        let (older, newer) = {
            let branch = self.lock();
            let commits = (branch.commits.get(from), branch.commits.get(to));
            let (Some(older), Some(newer), true) = (commits.0, commits.1, branch.gives_changes) else {
                return Ok(None);
            };
            (older.clone(), newer.clone())
        };
        let paths: BTreeSet<&RelPath> = older.files.keys().chain(newer.files.keys()).collect();
        let entry_of = |commit: &Commit, path| commit.files.get(path).map(|(entry, _)| entry.clone());
        let mut changes = Vec::new();
        for path in paths {
            match (entry_of(&older, path), entry_of(&newer, path)) {
                (_, None) => changes.push(Change::Gone(path.clone())),
                (before, Some(now)) if before.as_ref() != Some(&now) => changes.push(Change::Put(now)),
                _ => {}
            }
        }
        let new_notices: Vec<Notice> = newer
            .notices
            .iter()
            .filter(|notice| !older.notices.contains(notice))
            .cloned()
            .collect();
        Ok(Some(Stream::ready(with_notices(changes, &new_notices, Change::path))))
    }

    async fn open(&self, at: &CommitId, entry: &Entry) -> Result<Body, SourceError> {
        yield_now().await;
        let commit = self.find_commit(at)?;
        let changed = || SourceError::Changed {
            path: entry.path.clone(),
        };
        let (_, bytes) = commit.files.get(&entry.path).ok_or_else(changed)?;
        match self.take_trouble(&entry.path) {
            None if bytes.len() <= CHUNK_BYTES => Ok(Body::Whole(bytes.clone())),
            None => Ok(chunks(bytes, Ok(()))),
            Some(Trouble::OtherBytes) if bytes.is_empty() => Ok(Body::Whole(Bytes::from_static(b"!"))),
            Some(Trouble::OtherBytes) => {
                let other: Bytes = bytes.iter().map(|byte| !byte).collect();
                Ok(chunks(&other, Ok(())))
            }
            Some(Trouble::ChangedAtEnd) => Ok(chunks(bytes, Err(changed()))),
            Some(Trouble::Vanished) => Err(changed()),
        }
    }

    fn parallelism(&self) -> NonZeroUsize {
        PARALLELISM
    }
}

#[async_trait]
impl Browse for MemorySource {
    async fn folder(&self, at: &CommitId, folder: Option<&RelPath>) -> Result<Stream<Item<Child>>, SourceError> {
        yield_now().await;
        let commit = self.find_commit(at)?;
        let mut children = Children::of(folder);
        let entries = commit.files.values().map(|(entry, _)| entry.clone());
        let items = entries.filter_map(|entry| children.take(entry)).map(Item::Entry);
        Ok(Stream::ready(items.collect()))
    }

    async fn find(&self, at: &CommitId, path: &RelPath) -> Result<Option<Node>, SourceError> {
        yield_now().await;
        let commit = self.find_commit(at)?;
        if let Some((entry, _)) = commit.files.get(path) {
            return Ok(Some(Node::File(entry.clone())));
        }
        let start = join(path.as_bytes(), b"");
        let is_folder = commit.files.keys().any(|path| path.as_bytes().starts_with(&start));
        Ok(is_folder.then_some(Node::Folder))
    }

    async fn read(&self, at: &CommitId, entry: &Entry, range: Range<u64>) -> Result<Body, SourceError> {
        Ok(Body::Whole(self.open(at, entry).await?.part(range).await?))
    }

    fn reads_whole(&self) -> bool {
        false
    }

    async fn committed_at(&self, _: &CommitId) -> Result<Option<i64>, SourceError> {
        Ok(None)
    }
}

impl fmt::Debug for MemorySource {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let branch = self.lock();
        out.debug_struct("MemorySource")
            .field("name", &self.name)
            .field("head", &branch.head)
            .field("commits", &branch.commits.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
