//! What dead runs meant and did, beside what a listing shows: three lists, sorted by path and read as one.

use std::cmp::Ordering;
use std::iter::Peekable;

use serde::{Deserialize, Serialize};

use crate::ledger::{Done, DoneOutcome, Intent, IntentKind};
use crate::model::{ETag, Mark, RelPath, RunId};
use crate::spool::{Merge, Sorted, Sorter, SpoolError};

use super::super::known::{FoundObject, Intended};

/// A path that a dead run meant to touch.
#[derive(Serialize, Deserialize)]
struct Meant {
    path: RelPath,
    /// What it meant to put there; `None`: to remove what is there.
    put: Option<Intended>,
}

/// An object that a dead run says it has put.
#[derive(Serialize, Deserialize)]
struct Put {
    path: RelPath,
    run: RunId,
    etag: ETag,
}

/// An object that is there.
#[derive(Serialize, Deserialize)]
struct Seen {
    path: RelPath,
    etag: ETag,
    size: u64,
}

/// Something that is about one path.
trait AtPath {
    fn path(&self) -> &RelPath;
}

impl AtPath for Meant {
    fn path(&self) -> &RelPath {
        &self.path
    }
}

impl AtPath for Put {
    fn path(&self) -> &RelPath {
        &self.path
    }
}

impl AtPath for Seen {
    fn path(&self) -> &RelPath {
        &self.path
    }
}

fn by_path<T: AtPath>(left: &T, right: &T) -> Ordering {
    left.path().cmp(right.path())
}

/// Takes what is found in any order; of one path, runs must come in their order, and records of a run in theirs.
///
/// The intents of one run are sorted already. They are sorted once more all the same: so one list on disk holds
/// those of all dead runs, however many died, where a merge would hold a decoded file of each.
pub(super) struct Gathering {
    meant: Sorter<Meant>,
    put: Sorter<Put>,
    seen: Sorter<Seen>,
}

impl Gathering {
    /// Begins; each of the three lists holds up to `items` items in memory.
    pub(super) fn new(items: usize) -> Self {
        Self {
            meant: Sorter::new(None, items, by_path),
            put: Sorter::new(None, items, by_path),
            seen: Sorter::new(None, items, by_path),
        }
    }

    pub(super) fn intent(&mut self, run: RunId, intent: Intent) -> Result<(), SpoolError> {
        let put = match intent.kind {
            IntentKind::Put { content, headers, .. } => Some(Intended { run, content, headers }),
            IntentKind::Delete => None,
        };
        self.meant.push(Meant { path: intent.path, put })
    }

    pub(super) fn done(&mut self, run: RunId, done: Done) -> Result<(), SpoolError> {
        let path = done.path;
        match done.outcome {
            DoneOutcome::Put { etag, .. } => self.put.push(Put { path, run, etag }),
            DoneOutcome::Deleted => Ok(()),
        }
    }

    pub(super) fn seen(&mut self, path: RelPath, etag: ETag, size: u64) -> Result<(), SpoolError> {
        self.seen.push(Seen { path, etag, size })
    }

    /// Ends it; `is_listed`: everything that is there was seen.
    pub(super) fn finish(self, is_listed: bool) -> Result<Gathered, SpoolError> {
        Ok(Gathered {
            meant: self.meant.finish()?,
            put: self.put.finish()?,
            seen: self.seen.finish()?,
            is_listed,
        })
    }
}

/// The three lists, sorted.
pub(super) struct Gathered {
    meant: Sorted<Meant>,
    put: Sorted<Put>,
    seen: Sorted<Seen>,
    is_listed: bool,
}

impl Gathered {
    /// How many items of the longest list are in memory at once.
    #[cfg(test)]
    pub(super) fn most_held(&self) -> usize {
        self.meant
            .most_held()
            .max(self.put.most_held())
            .max(self.seen.most_held())
    }

    /// Gives every path that a run meant to touch, once, sorted.
    pub(super) fn questions(&self) -> Questions<'_> {
        Questions {
            meant: self.meant.iter().peekable(),
            put: self.put.iter().peekable(),
            seen: self.seen.iter().peekable(),
            is_listed: self.is_listed,
        }
    }
}

/// A path that dead runs meant to touch.
pub(super) struct Question {
    pub(super) path: RelPath,
    /// What they meant to put there, in the order of the runs.
    pub(super) intended: Vec<Intended>,
    /// What is there, where the listing and the records tell.
    pub(super) answer: Option<FoundObject>,
}

/// Reads the three lists side by side.
pub(super) struct Questions<'a> {
    meant: Peekable<Merge<'a, Meant>>,
    put: Peekable<Merge<'a, Put>>,
    seen: Peekable<Merge<'a, Seen>>,
    is_listed: bool,
}

impl Questions<'_> {
    fn read(&mut self, first: Meant) -> Result<Question, SpoolError> {
        let path = first.path;
        let mut intended = Vec::from_iter(first.put);
        while let Some(more) = next_of(&mut self.meant, &path)? {
            intended.extend(more.put);
        }
        let answer = if self.is_listed {
            self.answer(&path, intended.last())?
        } else {
            None
        };
        Ok(Question { path, intended, answer })
    }

    /// What a listing alone settles: a path that is not there, or whose etag is the one of a done record.
    fn answer(&mut self, path: &RelPath, last: Option<&Intended>) -> Result<Option<FoundObject>, SpoolError> {
        let mut seen = None;
        while let Some(one) = next_of(&mut self.seen, path)? {
            seen = Some(one);
        }
        // Of the run that meant it last: a later run may have written the same bytes with other headers, which an
        // etag does not show. Of several records of a run the last one counts.
        let mut put = None;
        while let Some(one) = next_of(&mut self.put, path)? {
            if last.is_some_and(|last| last.run == one.run) {
                put = Some(one);
            }
        }
        let Some(Seen { etag, size, .. }) = seen else {
            return Ok(Some(FoundObject::Nothing));
        };
        let content = last.and_then(|last| last.content.primary());
        let (Some(put), Some(content)) = (put.filter(|put| put.etag == etag), content) else {
            return Ok(None);
        };
        Ok(Some(FoundObject::Object {
            etag,
            size,
            version_id: None,
            mark: Some(Mark { run: put.run, content }),
        }))
    }
}

impl Iterator for Questions<'_> {
    type Item = Result<Question, SpoolError>;

    fn next(&mut self) -> Option<Self::Item> {
        let first = self.meant.next()?;
        Some(first.and_then(|first| self.read(first)))
    }
}

/// Gives the next item that is of `path`, and lets those before it go.
fn next_of<T>(items: &mut Peekable<Merge<'_, T>>, path: &RelPath) -> Result<Option<T>, SpoolError>
where
    T: AtPath + serde::de::DeserializeOwned,
{
    let is_due = |item: &Result<T, SpoolError>| item.as_ref().map_or(true, |item| item.path() <= path);
    while let Some(item) = items.next_if(is_due) {
        let item = item?;
        if item.path() == path {
            return Ok(Some(item));
        }
    }
    Ok(None)
}
