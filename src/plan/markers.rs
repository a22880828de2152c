//! The empty `_lakefs_success` that `--prefix-regex` puts into each matching folder.

use regex::bytes::Regex;

use crate::model::{Attributes, ContentId, ContentIds, Entry, RelPath};

use super::order::MARKER_NAME;

/// Adds markers to a stream of entries, in the order of paths.
///
/// A folder is matched by its path without a final `/`. Holds one waiting marker for each folder that is
/// open, so at most the depth of the tree.
pub struct Markers {
    folders: Option<Regex>,
    waiting: Vec<RelPath>,
    last: Option<RelPath>,
}

impl Markers {
    /// Takes the regular expression of `--prefix-regex`; without one nothing is added.
    pub fn new(folders: Option<Regex>) -> Self {
        Self {
            folders,
            waiting: Vec::new(),
            last: None,
        }
    }

    /// Takes the next entry of the tree, or its end, and gives what comes out, in the order of paths.
    pub fn push(&mut self, entry: Option<Entry>) -> Vec<Entry> {
        let Some(entry) = entry else {
            let mut rest = std::mem::take(&mut self.waiting);
            rest.sort();
            return rest.into_iter().map(marker).collect();
        };
        let mut out = self.before(&entry.path);
        out.push(entry);
        out
    }

    /// Gives what comes out before a path of the tree that is no entry: one that cannot be read.
    pub fn before(&mut self, path: &RelPath) -> Vec<Entry> {
        self.open_folders(path);
        // A file of the tree that has a marker's name stands for the marker.
        self.waiting.retain(|waiting| waiting != path);
        let mut due: Vec<RelPath> = self.waiting.extract_if(.., |waiting| *waiting < *path).collect();
        due.sort();
        self.last = Some(path.clone());
        due.into_iter().map(marker).collect()
    }

    fn open_folders(&mut self, path: &RelPath) {
        let Some(folders) = &self.folders else { return };
        for folder in path.folders() {
            // All paths of a folder stand together, so it is new when the last path was outside.
            let is_new = !self.last.as_ref().is_some_and(|last| {
                last.as_bytes()
                    .strip_prefix(folder)
                    .is_some_and(|rest| rest.first() == Some(&b'/'))
            });
            if is_new && folders.is_match(folder) {
                let path = [folder, b"/", MARKER_NAME.as_bytes()].concat();
                self.waiting.push(RelPath::new(path).expect("a marker has a name"));
            }
        }
    }
}

fn marker(path: RelPath) -> Entry {
    let empty = ContentIds::from(ContentId::Blake3(*blake3::hash(b"").as_bytes()));
    Entry {
        path,
        size: 0,
        content: empty,
        origin: None,
        attributes: Attributes::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(regex: &str, paths: &[&str]) -> Vec<String> {
        let mut markers = Markers::new(Some(Regex::new(regex).unwrap()));
        let mut out = Vec::new();
        for path in paths {
            out.extend(markers.push(Some(marker(RelPath::new(*path).unwrap()))));
        }
        out.extend(markers.push(None));
        out.iter().map(|entry| entry.path.to_string()).collect()
    }

    #[test]
    fn each_matching_folder_gets_one_marker_and_the_order_holds() {
        let paths = ["a", "t-x", "t/A", "t/Z/b", "t/Z/z", "t/y", "t0/a", "u/_lakefs_success"];
        let out = through("^[tu](/Z)?$", &paths);
        let expected = [
            "a",
            "t-x",
            "t/A",
            "t/Z/_lakefs_success",
            "t/Z/b",
            "t/Z/z",
            "t/_lakefs_success",
            "t/y",
            "t0/a",
            "u/_lakefs_success",
        ];
        assert_eq!(out, expected);
        assert!(out.is_sorted());
        assert_eq!(through("nothing", &paths), paths);
    }
}
