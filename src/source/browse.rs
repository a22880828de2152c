//! Looking into one commit folder by folder and file by file, as a mount does, instead of reading the whole tree.

use std::ops::Range;

use async_trait::async_trait;

use super::{Body, Item, Source, SourceError, Stream};
use crate::model::{CommitId, Entry, RelPath};

/// What stands under one name in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Child {
    /// The last segment of its path: any bytes but a slash, or none at all where the key of an object ends in `/` or
    /// has `//` in it.
    pub name: Box<[u8]>,
    /// What it is.
    pub node: Node,
}

/// What a path of a tree names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A file.
    File(Entry),
    /// Something that other paths lie below; of a submodule there are none.
    Folder,
    /// A symbolic link, with what it leads to. No policy applies: whoever shows a folder can show a link.
    Link(Box<[u8]>),
}

/// A source whose commits can be looked into without reading the whole tree.
///
/// What is given is what [`Source::tree`] gives, cut another way: the same entries, the same filters.
#[async_trait]
pub trait Browse: Source {
    /// Streams what stands directly in one folder of `at`; `None` is the root. Sorted by path bytes, in which a
    /// folder is `name/`, so one name can come twice: as a file and as a folder. A folder that is not there is empty.
    async fn folder(&self, at: &CommitId, folder: Option<&RelPath>) -> Result<Stream<Item<Child>>, SourceError>;

    /// Finds what a path of `at` names, a file before a folder; `None` where there is nothing.
    async fn find(&self, at: &CommitId, path: &RelPath) -> Result<Option<Node>, SourceError>;

    /// Opens some bytes of one entry of `at`: all that lie within `range` and within the file.
    async fn read(&self, at: &CommitId, entry: &Entry, range: Range<u64>) -> Result<Body, SourceError>;

    /// Whether a part of a file costs as much as all of it, so that who will read more should keep the whole.
    fn reads_whole(&self) -> bool;

    /// When `at` was committed, in whole seconds since 1970; `None` where nobody commits.
    async fn committed_at(&self, at: &CommitId) -> Result<Option<i64>, SourceError>;
}

/// The part of the path behind a folder, where it lies below that: `b/c` of `a/b/c` in `a`.
pub(super) fn below<'path>(path: &'path [u8], folder: Option<&RelPath>) -> Option<&'path [u8]> {
    match folder {
        None => Some(path),
        Some(folder) => path.strip_prefix(folder.as_bytes())?.strip_prefix(b"/"),
    }
}

/// Picks what stands directly in one folder out of entries that come sorted by path.
pub(super) struct Children<'a> {
    folder: Option<&'a RelPath>,
    /// The folder that was given last, with its slash.
    given: Vec<u8>,
}

impl<'a> Children<'a> {
    pub(super) fn of(folder: Option<&'a RelPath>) -> Self {
        Self {
            folder,
            given: Vec::new(),
        }
    }

    /// The child that an entry is, or that it is the first to lie in.
    pub(super) fn take(&mut self, entry: Entry) -> Option<Child> {
        let rest = below(entry.path.as_bytes(), self.folder)?;
        match rest.iter().position(|byte| *byte == b'/') {
            None => Some(Child {
                name: rest.into(),
                node: Node::File(entry),
            }),
            Some(slash) if self.given == rest[..=slash] => None,
            Some(slash) => {
                self.given.clear();
                self.given.extend_from_slice(&rest[..=slash]);
                Some(Child {
                    name: rest[..slash].into(),
                    node: Node::Folder,
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ContentIds;

    #[test]
    fn of_each_entry_the_folder_shows_the_name_that_stands_in_it_once() {
        let entry = |path: &str| Entry {
            path: RelPath::new(path).unwrap(),
            size: 0,
            content: ContentIds::default(),
            origin: None,
            attributes: crate::model::Attributes::default(),
        };
        let shown = |folder: Option<&str>, paths: &[&str]| -> Vec<String> {
            let folder = folder.map(|folder| RelPath::new(folder).unwrap());
            let mut children = Children::of(folder.as_ref());
            let taken = paths.iter().filter_map(|path| children.take(entry(path)));
            taken
                .map(|child| {
                    let slash = if child.node == Node::Folder { "/" } else { "" };
                    format!("{}{slash}", String::from_utf8_lossy(&child.name))
                })
                .collect()
        };
        let paths = ["/x", "a", "a/", "a//b", "a/b", "a/c/d", "a/c/e", "a0"];
        assert_eq!(shown(None, &paths), ["/", "a", "a/", "a0"]);
        assert_eq!(shown(Some("a"), &paths), ["", "/", "b", "c/"]);
        assert_eq!(shown(Some("a/c"), &paths), ["d", "e"]);
        assert_eq!(shown(Some("nothing"), &paths), [""; 0]);
    }
}
