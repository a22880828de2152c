//! Which paths a folder can hold.

use std::collections::BTreeMap;

use crate::model::RelPath;

/// The longest name that file systems take.
const LONGEST_NAME_BYTES: usize = 255;

/// Why a path of the tree is not in the folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hidden {
    /// A segment is empty: `a//b`, or a key that ends in a slash.
    EmptyName,
    /// A segment is `.` or `..`.
    DotName,
    /// A segment holds a zero byte, or more than 255 bytes.
    BadName,
    /// A segment is `.git`, in which programs would be found and run.
    GitFolder,
    /// A file whose path other files lie below; the folder wins.
    FileAndFolder,
    /// A submodule, or something else that is no file.
    NoFile,
    /// The path is that of a file of the checkout's own.
    Reserved,
}

impl Hidden {
    /// What such paths are, for people.
    pub fn text(self) -> &'static str {
        match self {
            Self::EmptyName => "with an empty name between or behind slashes",
            Self::DotName => "with `.` or `..` in them",
            Self::BadName => "with a name that no file can have",
            Self::GitFolder => "in a folder `.git`",
            Self::FileAndFolder => "whose path is also a folder's",
            Self::NoFile => "that are no files",
            Self::Reserved => "with a name that lakesync needs",
        }
    }
}

/// How many paths are hidden, by reason.
pub type HiddenCounts = BTreeMap<Hidden, u64>;

/// Why a folder cannot hold a path by itself; `None` where it can.
pub(super) fn unfit(path: &RelPath, reserved: &[&[u8]]) -> Option<Hidden> {
    if reserved.contains(&path.as_bytes()) {
        return Some(Hidden::Reserved);
    }
    path.segments().find_map(|name| {
        if name.is_empty() {
            Some(Hidden::EmptyName)
        } else if name == b"." || name == b".." {
            Some(Hidden::DotName)
        } else if name.len() > LONGEST_NAME_BYTES || name.contains(&0) {
            Some(Hidden::BadName)
        } else if name.eq_ignore_ascii_case(b".git") {
            Some(Hidden::GitFolder)
        } else {
            None
        }
    })
}

/// Finds files whose path is also a folder's, in paths that come sorted.
#[derive(Default)]
pub(super) struct Clashes {
    /// Files that the paths to come may lie below; each is the beginning of the next.
    above: Vec<RelPath>,
}

impl Clashes {
    /// Takes the next path, and gives the file that it lies below, the first time that one does.
    pub(super) fn take(&mut self, path: &RelPath) -> Option<RelPath> {
        let bytes = path.as_bytes();
        while self
            .above
            .last()
            .is_some_and(|above| !bytes.starts_with(above.as_bytes()))
        {
            self.above.pop();
        }
        let is_folder = |above: &RelPath| bytes.get(above.as_bytes().len()) == Some(&b'/');
        let clash = self.above.iter().position(is_folder).map(|at| self.above.remove(at));
        self.above.push(path.clone());
        clash
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RelPath {
        RelPath::new(text).unwrap()
    }

    #[test]
    fn what_no_folder_can_hold_is_told_by_reason() {
        for (text, expected) in [
            ("a/b", None),
            ("a//b", Some(Hidden::EmptyName)),
            ("/a", Some(Hidden::EmptyName)),
            ("a/", Some(Hidden::EmptyName)),
            ("../a", Some(Hidden::DotName)),
            ("a/./b", Some(Hidden::DotName)),
            ("a/.GIT/hooks/x", Some(Hidden::GitFolder)),
            (".gitignore", None),
            ("a\0b", Some(Hidden::BadName)),
            (".own", Some(Hidden::Reserved)),
            ("a/.own", None),
        ] {
            assert_eq!(unfit(&path(text), &[b".own"]), expected, "{text:?}");
        }
        assert_eq!(unfit(&path(&"x".repeat(256)), &[]), Some(Hidden::BadName));
    }

    #[test]
    fn a_file_that_is_a_folder_too_is_found_once_however_far_its_files_are_behind_it() {
        let mut clashes = Clashes::default();
        let mut found = Vec::new();
        for text in ["a", "a-b", "a-b/c", "a/b", "a/c", "ab", "b", "b0", "c", "c/d", "c/d/e"] {
            found.extend(clashes.take(&path(text)).map(|clash| clash.to_string()));
        }
        assert_eq!(found, ["a-b", "a", "c", "c/d"]);
    }
}
