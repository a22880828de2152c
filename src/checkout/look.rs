//! What is to be done with each path: decided before anything is touched.

use std::io;

use rayon::prelude::*;
use rustix::fs::FileType;

use super::error::{LocalChange, LocalChangeKind};
use super::folder::{Folder, Standing};
use super::state::{Record, State};
use crate::files::FileStat;
use crate::model::{ContentIds, Entry, RelPath};

/// What lakectl keeps the time of a file under, in whole seconds since 1970.
const CLIENT_MTIME: &str = "::lakefs::client-mtime";

/// What the branch has at a path.
#[derive(Clone, Debug)]
pub(super) enum Target {
    /// A file.
    File(Entry),
    /// A link, and where it leads.
    Link(RelPath, Box<[u8]>),
}

impl Target {
    pub(super) fn path(&self) -> &RelPath {
        match self {
            Self::File(entry) => &entry.path,
            Self::Link(path, _) => path,
        }
    }

    pub(super) fn size(&self) -> u64 {
        match self {
            Self::File(entry) => entry.size,
            Self::Link(_, target) => target.len() as u64,
        }
    }

    pub(super) fn is_executable(&self) -> bool {
        match self {
            Self::File(entry) => is_executable(entry),
            Self::Link(..) => false,
        }
    }

    /// What is written down of its content.
    pub(super) fn content(&self) -> ContentIds {
        match self {
            Self::File(entry) => entry.content,
            Self::Link(_, target) => ContentIds {
                blake3: Some(*blake3::hash(target).as_bytes()),
                ..ContentIds::default()
            },
        }
    }

    /// Whether a record is of this very thing.
    fn is(&self, record: &Record) -> bool {
        let is_link = matches!(self, Self::Link(..));
        is_link == record.is_link
            && self.is_executable() == record.is_executable
            && self.content().same_content(&record.content)
    }
}

/// What is done with a path of the branch.
#[derive(Debug)]
pub(super) enum Decision {
    /// It is there already; the record, where it must be written down anew.
    Keep(Option<Record>),
    /// It is written.
    Write,
    /// It is written, if local changes may be lost.
    Lose(LocalChange),
}

/// Decides on some paths of the branch, all cores at once.
pub(super) fn decide_all(
    folder: &Folder,
    state: &State,
    targets: &[Target],
    is_lakectls: bool,
) -> io::Result<Vec<Decision>> {
    targets
        .par_iter()
        .with_min_len(16)
        .map(|target| decide(folder, state, target, is_lakectls))
        .collect()
}

fn decide(folder: &Folder, state: &State, target: &Target, is_lakectls: bool) -> io::Result<Decision> {
    let path = target.path();
    let lose = |path: &RelPath, kind| {
        let path = path.clone();
        Ok(Decision::Lose(LocalChange { path, kind }))
    };
    let stat = match folder.standing(path)? {
        Standing::Nothing => return Ok(Decision::Write),
        Standing::File(stat) => stat,
        Standing::Other => return lose(path, LocalChangeKind::InTheWay),
        // What the checkout wrote there goes first, if it is what it wrote.
        Standing::Below(above) => {
            return match state.records.get(&above) {
                Some(_) => Ok(Decision::Write),
                None => lose(&above, LocalChangeKind::InTheWay),
            };
        }
        Standing::Folder => {
            let mut foreign = None;
            folder.walk(Some(path), &mut |below| {
                if !state.records.contains_key(&below) {
                    foreign.get_or_insert(below);
                }
            })?;
            return match foreign {
                None => Ok(Decision::Write),
                Some(below) => lose(&below, LocalChangeKind::InTheWay),
            };
        }
    };
    match state.records.get(path) {
        Some(record) if record.stat == stat && target.is(record) => Ok(Decision::Keep(None)),
        Some(record) if record.stat == stat => Ok(Decision::Write),
        record => {
            let (blake3, is_target) = compare(folder, target, &stat)?;
            let is_target = is_target || (is_lakectls && is_as_lakectl_left_it(target, &stat));
            let found = Record {
                content: target.content(),
                blake3,
                is_link: stat.kind() == FileType::Symlink,
                is_executable: stat.mode & 0o111 != 0 && stat.kind() == FileType::RegularFile,
                stat,
            };
            let is_unchanged =
                record.is_some_and(|record| (record.blake3, record.is_link) == (found.blake3, found.is_link));
            if is_target && target.is(&found) {
                return Ok(Decision::Keep(Some(found)));
            }
            match record {
                Some(record) if is_unchanged && target.is(record) => {
                    let content = record.content;
                    Ok(Decision::Keep(Some(Record { content, ..found })))
                }
                Some(_) if is_unchanged => Ok(Decision::Write),
                Some(_) => lose(path, LocalChangeKind::Changed),
                // Only its mode is another.
                None if is_target => Ok(Decision::Write),
                None => lose(path, LocalChangeKind::Untracked),
            }
        }
    }
}

/// The BLAKE3 of what stands there, and whether it is what the branch has, as far as its ids tell of bytes.
fn compare(folder: &Folder, target: &Target, stat: &FileStat) -> io::Result<([u8; 32], bool)> {
    let content = target.content();
    let tells_bytes = content.git.is_some() || content.blake3.is_some();
    let hashed = folder.hash(target.path(), stat, content)?;
    let is_link = stat.kind() == FileType::Symlink;
    let is_alike = is_link == matches!(target, Target::Link(..)) && stat.size == target.size();
    Ok((hashed.blake3, tells_bytes && is_alike && hashed.is_expected))
}

/// Whether a file may be executed, as the source has it.
pub(super) fn is_executable(entry: &Entry) -> bool {
    entry.attributes.mode.is_some_and(|mode| mode & 0o111 != 0)
}

/// Whether lakectl takes a file for unchanged: by its length, and by the whole seconds of its time.
fn is_as_lakectl_left_it(target: &Target, stat: &FileStat) -> bool {
    let Target::File(entry) = target else { return false };
    stat.kind() == FileType::RegularFile
        && stat.size == entry.size
        && mtime(entry).is_some_and(|seconds| seconds == stat.modified.seconds)
}

/// When a file was last changed, as its maker says.
pub(super) fn mtime(entry: &Entry) -> Option<i64> {
    let attributes = &entry.attributes;
    let client = attributes.metadata.get(CLIENT_MTIME);
    client
        .and_then(|seconds| seconds.parse().ok())
        .or(attributes.mtime_unix)
}

/// Decides on a path that a checkout wrote and the branch has no more: whether it can go, or what would be lost.
pub(super) fn decide_gone(folder: &Folder, path: &RelPath, record: &Record) -> io::Result<Option<LocalChange>> {
    let Standing::File(stat) = folder.standing(path)? else {
        // It is gone, or something else stands there that stays.
        return Ok(None);
    };
    let is_link = stat.kind() == FileType::Symlink;
    if record.stat == stat
        || (is_link == record.is_link && folder.hash(path, &stat, ContentIds::default())?.blake3 == record.blake3)
    {
        return Ok(None);
    }
    Ok(Some(LocalChange {
        path: path.clone(),
        kind: LocalChangeKind::Removed,
    }))
}
