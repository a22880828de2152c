use super::*;
use crate::model::{ContentHasher, NoticeKind};

fn path(text: &str) -> RelPath {
    RelPath::new(text).unwrap()
}

fn tree(files: &[(&str, &str)]) -> MemoryTree {
    let own = |(name, text): &(&str, &str)| (path(name), MemoryFile::new((*text).to_owned()));
    files.iter().map(own).collect()
}

async fn entries(source: &MemorySource, at: &CommitId) -> Vec<Item<Entry>> {
    source.tree(at).await.unwrap().collect().await.unwrap()
}

async fn entry(source: &MemorySource, at: &CommitId, name: &str) -> Entry {
    let all = entries(source, at).await;
    let mut entries = all.into_iter().filter_map(|item| match item {
        Item::Entry(entry) => Some(entry),
        Item::Notice(_) | Item::Failed { .. } => None,
    });
    entries.find(|entry| entry.path == path(name)).unwrap()
}

async fn read(body: Result<Body, SourceError>) -> Result<Vec<u8>, SourceError> {
    let (mut body, mut all) = (body?, Vec::new());
    while let Some(chunk) = body.next_chunk().await? {
        all.extend_from_slice(&chunk);
    }
    Ok(all)
}

#[tokio::test]
async fn the_head_is_the_newest_commit_until_it_is_moved() {
    let source = MemorySource::new("memory:x");
    assert!(matches!(source.head().await, Err(SourceError::Unborn { .. })));
    let first = source.commit(tree(&[("a", "1")]));
    let second = source.clone().commit(tree(&[("a", "1")]));
    assert_ne!(first, second);
    assert!(first.as_str().starts_with("c0001-") && second.as_str().starts_with("c0002-"));
    assert_eq!(source.head().await.unwrap(), second);
    source.set_head(&first);
    assert_eq!(source.head().await.unwrap(), first);
}

#[tokio::test]
async fn a_tree_is_sorted_with_its_notices_and_its_ids_are_those_of_its_bytes() {
    for (kind, is_git) in [(ContentKind::Git, true), (ContentKind::Blake3, false)] {
        let source = MemorySource::new("memory:x").with_content(kind);
        let link = Notice {
            kind: NoticeKind::Symlink,
            path: path("a/l"),
        };
        let files = tree(&[("a/b", "hello"), ("a-b", ""), ("a/z", "hello")]);
        let at = source.commit_with_notices(files, vec![link.clone()]);
        let all = entries(&source, &at).await;
        let shown: Vec<String> = all
            .iter()
            .map(|item| match item {
                Item::Entry(entry) => entry.path.to_string(),
                Item::Notice(notice) => format!("({})", notice.path),
                Item::Failed { path, error } => format!("failed {path}: {error}"),
            })
            .collect();
        assert_eq!(shown, ["a-b", "a/b", "(a/l)", "a/z"]);
        for name in ["a-b", "a/b"] {
            let entry = entry(&source, &at, name).await;
            assert_eq!(entry.content.git.is_some(), is_git);
            let bytes = read(source.open(&at, &entry).await).await.unwrap();
            let mut hasher = ContentHasher::new(entry.content, entry.size);
            hasher.update(&bytes);
            assert_eq!(hasher.finish(), Some(entry.content));
        }
    }
}

#[tokio::test]
async fn changes_are_what_differs_and_nothing_else() {
    let source = MemorySource::new("memory:x");
    let old = source.commit(tree(&[("a", "1"), ("b", "1"), ("c", "1"), ("f", "1")]));
    let mut files = tree(&[("a", "1"), ("b", "2"), ("c/d", "1"), ("f", "1")]);
    files.get_mut(&path("f")).unwrap().attributes.mode = Some(0o755);
    let link = Notice {
        kind: NoticeKind::Symlink,
        path: path("e"),
    };
    let new = source.commit_with_notices(files, vec![link.clone()]);
    let changes = source
        .changes(&old, &new)
        .await
        .unwrap()
        .unwrap()
        .collect()
        .await
        .unwrap();
    let expected = [
        Item::Entry(Change::Put(entry(&source, &new, "b").await)),
        Item::Entry(Change::Gone(path("c"))),
        Item::Entry(Change::Put(entry(&source, &new, "c/d").await)),
        Item::Notice(link),
        Item::Entry(Change::Put(entry(&source, &new, "f").await)),
    ];
    assert_eq!(changes, expected);
    let none = source.changes(&new, &new).await.unwrap().unwrap();
    assert_eq!(none.collect().await.unwrap(), []);
}

#[tokio::test]
async fn a_forgotten_commit_cannot_be_read_nor_compared() {
    let source = MemorySource::new("memory:x");
    let old = source.commit(tree(&[("a", "1")]));
    let new = source.commit(tree(&[("a", "2")]));
    assert!(source.contains(&old).await.unwrap());
    source.forget(&old);
    assert!(!source.contains(&old).await.unwrap());
    assert!(source.changes(&old, &new).await.unwrap().is_none());
    assert!(source.changes(&new, &old).await.unwrap().is_none());
    assert!(matches!(source.tree(&old).await, Err(SourceError::NoSuchRef { .. })));
    assert_eq!(source.files(&old), None);
    let plain = MemorySource::new("memory:y").with_changes(false);
    let at = plain.commit(tree(&[("a", "1")]));
    assert!(plain.changes(&at, &at).await.unwrap().is_none());
}

#[tokio::test]
async fn a_long_file_comes_in_chunks() {
    let source = MemorySource::new("memory:x");
    let text = "0123456789".repeat(1_000);
    let at = source.commit(tree(&[("long", &text)]));
    let long = entry(&source, &at, "long").await;
    let body = source.open(&at, &long).await;
    assert!(matches!(body, Ok(Body::Chunks(_))));
    assert_eq!(read(body).await.unwrap(), text.as_bytes());
}

#[tokio::test]
async fn troubles_come_so_often_as_they_were_told_to_and_heal() {
    let source = MemorySource::new("memory:x");
    let at = source.commit(tree(&[("a", "text"), ("empty", "")]));
    let a = entry(&source, &at, "a").await;
    let empty = entry(&source, &at, "empty").await;
    source.alter(&a.path, 2);
    for _ in 0..2 {
        let other = read(source.open(&at, &a).await).await.unwrap();
        assert!(other.len() == 4 && other != b"text");
    }
    assert_eq!(read(source.open(&at, &a).await).await.unwrap(), b"text");
    source.alter(&empty.path, 1);
    assert_eq!(read(source.open(&at, &empty).await).await.unwrap(), b"!");
    source.vanish(&a.path, 1);
    assert!(matches!(source.open(&at, &a).await, Err(SourceError::Changed { .. })));
    source.change_while_read(&a.path, 1);
    let mut body = source.open(&at, &a).await.unwrap();
    assert_eq!(body.next_chunk().await.unwrap().unwrap(), "text");
    assert!(matches!(body.next_chunk().await, Err(SourceError::Changed { .. })));
    assert_eq!(read(source.open(&at, &a).await).await.unwrap(), b"text");
    assert_eq!(read(source.open(&at, &empty).await).await.unwrap(), b"");
}
