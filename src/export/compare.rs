//! Makes the plan: the source's own list of changes where there is one, else tree against ledger.

use std::collections::BTreeSet;

use crate::ledger::{Edit, LedgerReader, RangeRecords, RangeRef, Record};
use crate::model::{Change, CommitId, Entry, RelPath, RunId};
use crate::plan::{Draft, Markers, Plan, PlanRules, Planner, Standing};
use crate::source::{Item, Source, Stream};
use crate::spool::Spool;

use super::ExportError;
use super::known::{Found, Known};

/// What the plan is made of.
pub(super) struct Comparison<'a> {
    pub(super) source: &'a dyn Source,
    pub(super) head: &'a CommitId,
    /// The commit that the ranges hold wholly, where the source's own changes from it can be used.
    pub(super) since: Option<&'a CommitId>,
    pub(super) reader: &'a LedgerReader,
    pub(super) ranges: &'a [RangeRef],
    pub(super) found: &'a Spool<Found>,
    pub(super) kin: &'a BTreeSet<RunId>,
    pub(super) markers: Option<regex::bytes::Regex>,
}

/// A plan, and what the ledger is to be told whatever comes of it.
pub(super) struct Compared {
    pub(super) plan: Plan,
    pub(super) corrections: Spool<Edit>,
}

impl Comparison<'_> {
    /// Makes the plan.
    pub(super) async fn plan(self, rules: PlanRules<'_>) -> Result<Compared, ExportError> {
        // Markers depend on what else is in a folder, which changes do not tell.
        if let Some(since) = self.since
            && self.markers.is_none()
            && self.found.is_empty()
            && let Some(changes) = self.source.changes(since, self.head).await?
        {
            match self.by_changes(changes, Planner::of_changes(rules.clone())).await {
                // Only in their midst did it come out that the older commit cannot be read any more. Whether the head
                // can, its tree tells; else one lost commit would end every run from now on.
                Err(ExportError::Source(error)) if error.is_data_gone() => {
                    tracing::warn!(%error, "the commits cannot be compared; the whole tree is read");
                }
                planned => return planned,
            }
        }
        self.by_trees(Planner::new(rules)).await
    }

    async fn by_trees(self, mut planner: Planner<'_>) -> Result<Compared, ExportError> {
        let mut tree = self.source.tree(self.head).await?;
        let mut known = Known::new(self.reader.records(self.ranges.to_vec()), self.found, self.kin);
        let mut markers = Markers::new(self.markers.clone());
        let mut standing = known.next().await?;
        loop {
            let entries = match tree.next().await? {
                Some(Item::Entry(entry)) => markers.push(Some(entry)),
                Some(Item::Notice(notice)) => {
                    planner.notice(&notice);
                    continue;
                }
                Some(Item::Failed { path, error }) => {
                    pair_up(&mut planner, markers.before(&path), &mut standing, &mut known).await?;
                    leave_before(&mut planner, &path, &mut standing, &mut known).await?;
                    let same = standing.take_if(|standing| *standing.path() == path);
                    if same.is_some() {
                        standing = known.next().await?;
                    }
                    // What stands there stays, whatever the file holds now.
                    if let Some(Standing::Ours(record)) = same {
                        planner.keep(&record);
                    }
                    planner.unreadable(path, error)?;
                    continue;
                }
                None => {
                    pair_up(&mut planner, markers.push(None), &mut standing, &mut known).await?;
                    while let Some(rest) = standing {
                        planner.pair(None, Some(rest))?;
                        standing = known.next().await?;
                    }
                    break;
                }
            };
            pair_up(&mut planner, entries, &mut standing, &mut known).await?;
        }
        let corrections = known.into_corrections();
        let mut draft = planner.finish()?;
        if draft.wants_offers() && !self.ranges.is_empty() {
            let mut known = Known::new(self.reader.records(self.ranges.to_vec()), self.found, self.kin);
            while let Some(standing) = known.next().await? {
                if let Standing::Ours(record) = standing {
                    draft.offer(&record);
                }
            }
        }
        Ok(Compared {
            plan: draft.finish()?,
            corrections,
        })
    }

    async fn by_changes(
        &self,
        mut changes: Stream<Item<Change>>,
        mut planner: Planner<'_>,
    ) -> Result<Compared, ExportError> {
        let mut cursor = Cursor::new(self.reader, self.ranges);
        while let Some(item) = changes.next().await? {
            match item {
                Item::Entry(change) => {
                    let record = cursor.seek(&change, &mut planner).await?;
                    let entry = match change {
                        Change::Put(entry) => Some(entry),
                        Change::Gone(_) => None,
                    };
                    planner.pair(entry, record.map(Standing::Ours))?;
                }
                Item::Notice(notice) => planner.notice(&notice),
                Item::Failed { path, error } => planner.unreadable(path, error)?,
            }
        }
        let touched = cursor.finish(&mut planner)?;
        let mut draft = planner.finish()?;
        self.offer_touched(&mut draft, &touched).await?;
        Ok(Compared {
            plan: draft.finish()?,
            corrections: Spool::new(None),
        })
    }

    /// Only ranges that the changes touch are read, so that the cost stays that of the change (P8); a rename
    /// touches the range of its old path.
    async fn offer_touched(&self, draft: &mut Draft, touched: &[RangeRef]) -> Result<(), ExportError> {
        if draft.wants_offers() {
            for range in touched {
                for record in self.reader.read_range(range).await? {
                    draft.offer(&record?);
                }
            }
        }
        Ok(())
    }
}

/// Pairs entries of the tree with what stands under their paths and before them.
async fn pair_up(
    planner: &mut Planner<'_>,
    entries: Vec<Entry>,
    standing: &mut Option<Standing>,
    known: &mut Known<'_>,
) -> Result<(), ExportError> {
    for entry in entries {
        leave_before(planner, &entry.path, standing, known).await?;
        let same = standing.take_if(|standing| *standing.path() == entry.path);
        if same.is_some() {
            *standing = known.next().await?;
        }
        planner.pair(Some(entry), same)?;
    }
    Ok(())
}

/// Hands over what stands before a path, which the head does not want.
async fn leave_before(
    planner: &mut Planner<'_>,
    path: &RelPath,
    standing: &mut Option<Standing>,
    known: &mut Known<'_>,
) -> Result<(), ExportError> {
    while let Some(before) = standing.take_if(|standing| *standing.path() < *path) {
        planner.pair(None, Some(before))?;
        *standing = known.next().await?;
    }
    Ok(())
}

/// Goes through the ledger from change to change and reads only the ranges that hold one.
struct Cursor<'a> {
    reader: &'a LedgerReader,
    ranges: &'a [RangeRef],
    at: usize,
    open: Option<std::iter::Peekable<RangeRecords>>,
    touched: Vec<RangeRef>,
}

impl<'a> Cursor<'a> {
    fn new(reader: &'a LedgerReader, ranges: &'a [RangeRef]) -> Self {
        Self {
            reader,
            ranges,
            at: 0,
            open: None,
            touched: Vec::new(),
        }
    }

    /// Finds the record of the change's path; what lies before it is kept.
    async fn seek(&mut self, change: &Change, planner: &mut Planner<'_>) -> Result<Option<Record>, ExportError> {
        let path = change.path();
        while self.ranges.get(self.at).is_some_and(|range| range.last < *path) {
            self.leave(planner)?;
        }
        let Some(range) = self.ranges.get(self.at) else {
            return Ok(None);
        };
        if range.first > *path && self.open.is_none() {
            return Ok(None);
        }
        let records = match &mut self.open {
            Some(records) => records,
            None => {
                self.touched.push(range.clone());
                self.open.insert(self.reader.read_range(range).await?.peekable())
            }
        };
        while let Some(record) = records.next_if(|record| record.as_ref().map_or(true, |record| record.path < *path)) {
            planner.keep(&record?);
        }
        let same = records.next_if(|record| record.as_ref().map_or(true, |record| record.path == *path));
        Ok(same.transpose()?)
    }

    fn leave(&mut self, planner: &mut Planner<'_>) -> Result<(), ExportError> {
        match self.open.take() {
            Some(records) => {
                for record in records {
                    planner.keep(&record?);
                }
            }
            None => {
                let range = &self.ranges[self.at];
                planner.keep_many(range.count, range.object_bytes);
            }
        }
        self.at += 1;
        Ok(())
    }

    fn finish(mut self, planner: &mut Planner<'_>) -> Result<Vec<RangeRef>, ExportError> {
        while self.at < self.ranges.len() {
            self.leave(planner)?;
        }
        Ok(self.touched)
    }
}
