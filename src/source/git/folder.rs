//! One tree object, child by child, in the order of path bytes.

use std::cmp::Ordering;

use gix::ObjectId;
use gix::objs::TreeRefIter;
use gix::objs::tree::EntryKind;

use super::reader::{Place, Reader};
use crate::source::SourceError;

/// What a tree object says of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Child {
    pub(super) name: Vec<u8>,
    pub(super) kind: ChildKind,
    pub(super) id: ObjectId,
    /// Where it really lies, for what is shown by way of a link.
    pub(super) real: Option<Vec<u8>>,
}

/// The kinds of [`Child`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChildKind {
    File { executable: bool },
    Folder,
    Symlink,
    Submodule,
}

impl Child {
    pub(super) fn is_folder(&self) -> bool {
        self.kind == ChildKind::Folder
    }

    /// Compares as the paths of files do: a folder as `name/`, since that is how all paths below it begin.
    pub(super) fn path_order(&self, other: &Self) -> Ordering {
        path_order((&self.name, self.is_folder()), (&other.name, other.is_folder()))
    }
}

fn path_order(left: (&[u8], bool), right: (&[u8], bool)) -> Ordering {
    let common = left.0.len().min(right.0.len());
    // One byte behind the common part decides: no name holds a slash.
    let next = |(name, is_folder): (&[u8], bool)| name.get(common).copied().or(is_folder.then_some(b'/'));
    left.0[..common]
        .cmp(&right.0[..common])
        .then_with(|| next(left).cmp(&next(right)))
}

/// The children of one tree object; holds its raw bytes, which are a third of what parsed ones would take.
pub(super) struct Folder {
    id: ObjectId,
    data: Vec<u8>,
    offset: usize,
    /// The last name read and whether it was a folder, to see that the order is strict.
    last: Option<(Vec<u8>, bool)>,
    peeked: Option<Child>,
    /// Set where links are followed: what they lead to, last first.
    linked: Option<Vec<Child>>,
}

impl Folder {
    pub(super) fn read(reader: &Reader, id: ObjectId, place: Place<'_>) -> Result<Self, SourceError> {
        Ok(Self {
            id,
            data: reader.tree(id, place)?,
            offset: 0,
            last: None,
            peeked: None,
            linked: None,
        })
    }

    /// From here on gives these in the place of symlinks, and starts anew.
    pub(super) fn show_instead_of_links(&mut self, mut linked: Vec<Child>) {
        // A link to a folder sorts as a folder, which can be elsewhere than where the link stands.
        linked.sort_by(|left, right| right.path_order(left));
        self.linked = Some(linked);
        self.offset = 0;
        self.last = None;
        self.peeked = None;
    }

    /// The next child, without taking it.
    pub(super) fn peek(&mut self, place: Place<'_>) -> Result<Option<&Child>, SourceError> {
        if self.peeked.is_none() {
            self.peeked = self.next_stored(place)?;
            while self.linked.is_some()
                && self
                    .peeked
                    .as_ref()
                    .is_some_and(|child| child.kind == ChildKind::Symlink)
            {
                self.peeked = self.next_stored(place)?;
            }
        }
        let linked = self.linked.as_ref().and_then(|linked| linked.last());
        Ok(match (&self.peeked, linked) {
            (Some(stored), Some(linked)) if linked.path_order(stored).is_eq() => {
                return Err(place.malformed(self.id, "a name is there twice"));
            }
            (Some(stored), Some(linked)) if linked.path_order(stored).is_lt() => Some(linked),
            (None, linked) => linked,
            (stored, _) => stored.as_ref(),
        })
    }

    /// Takes what [`Folder::peek`] has shown.
    pub(super) fn take(&mut self) -> Option<Child> {
        let linked = self.linked.as_ref().and_then(|linked| linked.last());
        let is_linked = match (&self.peeked, linked) {
            (Some(stored), Some(linked)) => linked.path_order(stored).is_lt(),
            (None, linked) => linked.is_some(),
            (Some(_), None) => false,
        };
        if is_linked {
            self.linked.as_mut().and_then(Vec::pop)
        } else {
            self.peeked.take()
        }
    }

    /// Finds the child of a name, as it is stored, among those that were not read yet.
    pub(super) fn find(&mut self, name: &[u8], place: Place<'_>) -> Result<Option<Child>, SourceError> {
        while let Some(child) = self.next_stored(place)? {
            if child.name == name {
                return Ok(Some(child));
            }
        }
        Ok(None)
    }

    /// Reads the next child as it is stored, and refuses what Git would not write: such a tree has no order
    /// in which two of them could be compared.
    pub(super) fn next_stored(&mut self, place: Place<'_>) -> Result<Option<Child>, SourceError> {
        let rest = &self.data[self.offset..];
        let mut children = TreeRefIter::from_bytes(rest, self.id.kind());
        let child = match children.next() {
            None => return Ok(None),
            Some(Err(_)) => return Err(place.malformed(self.id, "it cannot be decoded")),
            Some(Ok(child)) => child,
        };
        let name: &[u8] = child.filename;
        let kind = match child.mode.kind() {
            EntryKind::Tree => ChildKind::Folder,
            EntryKind::Blob => ChildKind::File { executable: false },
            EntryKind::BlobExecutable => ChildKind::File { executable: true },
            EntryKind::Link => ChildKind::Symlink,
            // The library takes every mode that it does not know for a submodule.
            EntryKind::Commit if child.mode.value() == EntryKind::Commit as u16 => ChildKind::Submodule,
            EntryKind::Commit => return Err(place.malformed(self.id, "a mode is unknown")),
        };
        if name.is_empty() || name.contains(&b'/') {
            return Err(place.malformed(self.id, "a name is empty or holds a slash"));
        }
        let is_folder = kind == ChildKind::Folder;
        if let Some((last, was_folder)) = &self.last
            && path_order((last, *was_folder), (name, is_folder)).is_ge()
        {
            return Err(place.malformed(self.id, "its names are not in order"));
        }
        self.offset += children.offset_to_next_entry(rest);
        let (last, was_folder) = self.last.get_or_insert_default();
        last.clear();
        last.extend_from_slice(name);
        *was_folder = is_folder;
        Ok(Some(Child {
            name: name.to_vec(),
            kind,
            id: child.oid.to_owned(),
            real: None,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_sorts_as_its_files_do() {
        let names = [
            ("a", false),
            ("a-b", false),
            ("a", true),
            ("a0", false),
            ("ab", false),
            ("b", true),
        ];
        for pair in names.windows(2) {
            let [left, right] = [pair[0], pair[1]].map(|(name, is_folder)| (name.as_bytes(), is_folder));
            assert!(
                path_order(left, right).is_lt() && path_order(right, left).is_gt(),
                "{pair:?}"
            );
        }
        assert!(path_order((b"a", true), (b"a", true)).is_eq());
    }
}
