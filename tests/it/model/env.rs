//! What is outside of lakesync: the branch, and others who write to the bucket.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use bytes::Bytes;
use lakesync::model::{Bucket, Change, CommitId, Entry, ObjectKey, OriginObject, Prefix, RelPath};
use lakesync::plan::is_own_file;
use lakesync::source::memory::{ContentKind, MemoryFile, MemorySource, MemoryTree, OriginOf};
use lakesync::source::{Body, EntryStream, Item, Source, SourceError, Stream};
use lakesync::store::Capabilities;
use lakesync::store::memory::{MemoryStore, Neighbour};

use super::ops::{Case, Edit, Ids, Meddle, PATHS, content};

/// How many more files a big tree has: a change of headers then writes more than settling looks at one by one.
const FILLERS: u32 = 66;

/// A tree: what bytes each path has.
pub type Tree = BTreeMap<RelPath, Bytes>;

pub fn path(number: u8) -> RelPath {
    RelPath::new(PATHS[usize::from(number) % PATHS.len()]).unwrap()
}

/// Whether one of two paths is a folder of the other, or they are one.
pub fn in_the_way(one: &RelPath, other: &RelPath) -> bool {
    let is_below = |low: &RelPath, high: &RelPath| {
        low.as_bytes()
            .strip_prefix(high.as_bytes())
            .is_some_and(|rest| rest.first() == Some(&b'/'))
    };
    one == other || is_below(one, other) || is_below(other, one)
}

/// The branch and the bucket, shared with whatever happens in the middle of a run.
pub struct Env {
    pub store: MemoryStore,
    pub source: MemorySource,
    pub prefix: Prefix,
    is_flat: bool,
    pub is_big: bool,
    state: Mutex<EnvState>,
}

#[derive(Default)]
pub struct EnvState {
    pub commits: Vec<CommitId>,
    pub trees: BTreeMap<CommitId, Tree>,
    pub head: Option<CommitId>,
    /// Every commit that was the head during some export; all others were skipped.
    pub offered: BTreeSet<CommitId>,
    /// Objects that others wrote last: their bytes.
    pub foreign: BTreeMap<ObjectKey, Bytes>,
    /// Keys whose object others deleted or wrote anew, so that the ledger cannot know what is there.
    pub tampered: BTreeSet<ObjectKey>,
    /// Files that do not read as they should.
    pub troubled: BTreeSet<RelPath>,
    made: u32,
}

impl Env {
    pub fn new(case: &Case) -> Self {
        let store = MemoryStore::new("bucket".parse::<Bucket>().unwrap(), case.kind.capabilities());
        let source = MemorySource::new("memory:branch#main").with_changes(case.tells_changes);
        let source = match case.ids {
            Ids::Git => source.with_content(ContentKind::Git),
            Ids::Blake3 => source.with_content(ContentKind::Blake3),
            Ids::Address => source
                .with_content(ContentKind::Address)
                .with_origin(lake_beside(&store)),
        };
        Self {
            store,
            source,
            prefix: Prefix::new("out/"),
            is_flat: case.kind.is_flat(),
            is_big: case.is_big,
            state: Mutex::default(),
        }
    }

    pub fn state(&self) -> MutexGuard<'_, EnvState> {
        self.state.lock().unwrap()
    }

    pub fn key(&self, path: &RelPath) -> ObjectKey {
        self.prefix.key(path).unwrap()
    }

    /// The path of an object of the tree; `None` for lakesync's own files.
    pub fn path_of(&self, key: &ObjectKey) -> Option<RelPath> {
        key.below(&self.prefix).filter(|path| !is_own_file(path))
    }

    pub fn head(&self) -> CommitId {
        self.state().head.clone().unwrap()
    }

    pub fn head_tree(&self) -> Tree {
        let state = self.state();
        state
            .head
            .as_ref()
            .map(|head| state.trees[head].clone())
            .unwrap_or_default()
    }

    /// Makes a commit of the head and some edits.
    pub fn commit(&self, edits: &[Edit]) {
        let mut tree = self.head_tree();
        for edit in edits {
            apply(&mut tree, *edit);
        }
        // An empty tree is refused by a guard that has tests of its own.
        put(&mut tree, path(0), Bytes::from_static(b"kept"));
        if self.is_big {
            for number in 0..FILLERS {
                put(
                    &mut tree,
                    RelPath::new(format!("z/{number:02}")).unwrap(),
                    format!("z{number}").into(),
                );
            }
        }
        let files: MemoryTree = tree
            .iter()
            .map(|(path, bytes)| (path.clone(), MemoryFile::new(bytes.clone())))
            .collect();
        let id = self.source.commit(files);
        let mut state = self.state();
        state.commits.push(id.clone());
        state.trees.insert(id.clone(), tree);
        state.head = Some(id);
    }

    /// Moves the branch to one of the commits so far.
    pub fn set_head(&self, number: u8) {
        let mut state = self.state();
        if !state.commits.is_empty() {
            let id = state.commits[usize::from(number) % state.commits.len()].clone();
            self.source.set_head(&id);
            state.head = Some(id);
        }
    }

    /// Says that an export may see the head as it is now.
    pub fn offer_head(&self) {
        let mut state = self.state();
        let head = state.head.clone().unwrap();
        state.offered.insert(head);
    }

    pub fn meddle(&self, meddle: Meddle) {
        let mut state = self.state();
        match meddle {
            Meddle::Put(number) => {
                let path = path(number);
                let key = self.key(&path);
                let others = self.store.objects();
                let blocked = |other: &ObjectKey| {
                    self.path_of(other)
                        .is_some_and(|other| other != path && in_the_way(&other, &path))
                };
                if self.is_flat && others.keys().any(blocked) {
                    return;
                }
                state.made += 1;
                let bytes = Bytes::from(format!("theirs {}", state.made));
                self.store.foreign_put(&key, bytes.clone());
                state.tampered.insert(key.clone());
                state.foreign.insert(key, bytes);
            }
            Meddle::Delete(number) => {
                let key = self.key(&path(number));
                if self.store.foreign_delete(&key) {
                    state.tampered.insert(key.clone());
                }
                state.foreign.remove(&key);
            }
            Meddle::Touch(number) => {
                let key = self.key(&path(number));
                if let Some(object) = self.store.object(&key) {
                    let etag = self.store.foreign_put(&key, object.bytes.clone());
                    state.tampered.insert(key.clone());
                    // The same etag counts as unchanged, since nobody can tell.
                    if etag != object.meta.etag {
                        state.foreign.insert(key, object.bytes);
                    }
                }
            }
            Meddle::Move(edit) => {
                drop(state);
                self.commit(&[edit]);
                self.offer_head();
            }
        }
    }

    /// Somebody else removes an object of theirs.
    pub fn remove_foreign(&self, key: &ObjectKey) {
        self.store.foreign_delete(key);
        let mut state = self.state();
        state.foreign.remove(key);
        state.tampered.insert(key.clone());
    }
}

fn apply(tree: &mut Tree, edit: Edit) {
    match edit {
        Edit::Nothing => {}
        Edit::Put(at, bytes) => put(tree, path(at), content(bytes).into()),
        Edit::Remove(at) => {
            tree.remove(&path(at));
        }
        Edit::Rename(from, to) => {
            if let Some(bytes) = tree.remove(&path(from)) {
                put(tree, path(to), bytes);
            }
        }
        Edit::Swap(one, other) => {
            if let (Some(left), Some(right)) = (tree.get(&path(one)).cloned(), tree.get(&path(other)).cloned()) {
                tree.insert(path(one), right);
                tree.insert(path(other), left);
            }
        }
        Edit::Copy(from, to) => {
            if let Some(bytes) = tree.get(&path(from)).cloned() {
                put(tree, path(to), bytes);
            }
        }
    }
}

/// Puts a file as a worktree would: no file can be a folder.
fn put(tree: &mut Tree, path: RelPath, bytes: Bytes) {
    tree.retain(|other, _| !in_the_way(other, &path));
    tree.insert(path, bytes);
}

/// A bucket beside that of the export, in which all bytes of the source lie; some objects must have the etag that was
/// noted, as imports must.
fn lake_beside(store: &MemoryStore) -> OriginOf {
    let lake: Bucket = "lake".parse().unwrap();
    let objects = MemoryStore::new(lake.clone(), Capabilities::ALL);
    store.set_neighbour(lake.clone(), Neighbour::Readable(objects.clone()));
    Arc::new(move |path, bytes| {
        let key = ObjectKey::new(blake3::hash(bytes).to_hex().as_str());
        let etag = match objects.object(&key) {
            Some(known) => known.meta.etag,
            None => objects.foreign_put(&key, bytes.clone()),
        };
        let is_import = path.as_bytes().len().is_multiple_of(2);
        Some(OriginObject {
            bucket: lake.clone(),
            key,
            etag: is_import.then_some(etag),
        })
    })
}

/// A source that leaves a path and all below it out, as `--exclude` does.
pub struct Selected {
    pub inner: MemorySource,
    pub exclude: Option<RelPath>,
}

/// Whether `--exclude` leaves a path out.
pub fn is_left_out(exclude: Option<&RelPath>, path: &RelPath) -> bool {
    exclude.is_some_and(|exclude| in_the_way(exclude, path) && path.as_bytes().starts_with(exclude.as_bytes()))
}

impl Selected {
    async fn select<T>(
        &self,
        stream: Stream<Item<T>>,
        path: impl Fn(&T) -> &RelPath,
    ) -> Result<Stream<Item<T>>, SourceError> {
        let mut items = stream.collect().await?;
        items.retain(|item| match item {
            Item::Entry(entry) => !is_left_out(self.exclude.as_ref(), path(entry)),
            Item::Notice(_) | Item::Failed { .. } => true,
        });
        Ok(Stream::ready(items))
    }
}

#[async_trait]
impl Source for Selected {
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn head(&self) -> Result<CommitId, SourceError> {
        self.inner.head().await
    }

    async fn contains(&self, at: &CommitId) -> Result<bool, SourceError> {
        self.inner.contains(at).await
    }

    async fn tree(&self, at: &CommitId) -> Result<EntryStream, SourceError> {
        self.select(self.inner.tree(at).await?, |entry: &Entry| &entry.path)
            .await
    }

    async fn changes(&self, from: &CommitId, to: &CommitId) -> Result<Option<Stream<Item<Change>>>, SourceError> {
        match self.inner.changes(from, to).await? {
            Some(changes) => self.select(changes, Change::path).await.map(Some),
            None => Ok(None),
        }
    }

    async fn open(&self, at: &CommitId, entry: &Entry) -> Result<Body, SourceError> {
        self.inner.open(at, entry).await
    }

    fn parallelism(&self) -> NonZeroUsize {
        self.inner.parallelism()
    }
}

/// A handle that runs and what happens in their middle share.
pub type Shared = Arc<Env>;
