//! The Git source against repositories that the real git program made.

mod changes;
mod damage;
mod names;
mod policies;
pub mod repository;
mod storage;

use std::collections::BTreeMap;

use lakesync::model::{Change, CommitId, ContentHasher, Entry, Notice, NoticeKind};
use lakesync::source::git::{GitConfig, GitSource};
use lakesync::source::{Item, Source as _, SourceError};

/// Opens a repository with every default.
fn open(path: impl Into<std::path::PathBuf>) -> Result<GitSource, SourceError> {
    GitSource::open(GitConfig::new(path))
}

/// Opens a repository at a branch, tag or revision.
fn open_at(path: impl Into<std::path::PathBuf>, reference: &str) -> Result<GitSource, SourceError> {
    GitSource::open(GitConfig {
        reference: Some(reference.to_owned()),
        ..GitConfig::new(path)
    })
}

/// What a stream said of each path, in its order.
async fn items_of(source: &GitSource, at: &CommitId) -> Result<Vec<Item<Entry>>, SourceError> {
    source.tree(at).await?.collect().await
}

async fn entries_of(source: &GitSource, at: &CommitId) -> Vec<Entry> {
    let items = items_of(source, at).await.unwrap();
    items
        .into_iter()
        .filter_map(|item| match item {
            Item::Entry(entry) => Some(entry),
            Item::Notice(_) | Item::Failed { .. } => None,
        })
        .collect()
}

/// The paths of the head's files as text, in the order of the stream.
async fn head_paths(source: &GitSource) -> Vec<String> {
    let head = source.head().await.unwrap();
    let entries = entries_of(source, &head).await;
    entries.iter().map(|entry| entry.path.to_string()).collect()
}

/// The contents of the head's files, each checked against its blob id and its size.
async fn head_contents(source: &GitSource) -> BTreeMap<String, Vec<u8>> {
    let head = source.head().await.unwrap();
    let mut contents = BTreeMap::new();
    for entry in entries_of(source, &head).await {
        contents.insert(entry.path.to_string(), read(source, &head, &entry).await);
    }
    contents
}

async fn read(source: &GitSource, at: &CommitId, entry: &Entry) -> Vec<u8> {
    let mut body = source.open(at, entry).await.unwrap();
    let mut hasher = ContentHasher::new(entry.content, entry.size);
    let mut bytes = Vec::new();
    while let Some(chunk) = body.next_chunk().await.unwrap() {
        hasher.update(&chunk);
        bytes.extend_from_slice(&chunk);
    }
    assert!(hasher.finish().is_some(), "{}: not the bytes of its id", entry.path);
    assert_eq!(bytes.len() as u64, entry.size, "{}", entry.path);
    bytes
}

/// The changes between two commits as text: `+path`, `-path` or `kind:path`.
async fn changes_of(source: &GitSource, from: &CommitId, to: &CommitId) -> Vec<String> {
    let stream = source.changes(from, to).await.unwrap().expect("both commits are here");
    let items = stream.collect().await.unwrap();
    items
        .into_iter()
        .map(|item| match item {
            Item::Entry(Change::Put(entry)) => format!("+{}", entry.path),
            Item::Entry(Change::Gone(path)) => format!("-{path}"),
            Item::Notice(Notice { kind, path }) => format!("{kind:?}:{path}"),
            Item::Failed { path, error } => format!("failed {path}: {error}"),
        })
        .collect()
}

fn notices(items: &[Item<Entry>]) -> Vec<(NoticeKind, String)> {
    items
        .iter()
        .filter_map(|item| match item {
            Item::Notice(notice) => Some((notice.kind, notice.path.to_string())),
            Item::Entry(_) | Item::Failed { .. } => None,
        })
        .collect()
}
