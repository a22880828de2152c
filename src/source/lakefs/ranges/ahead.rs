//! Ranges one after another, loaded ahead of who reads them.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::entry::RangeEntryRef;
use super::error::{TableFault, UnusableTable};
use super::metarange::RangeRef;
use super::reader::{Record, TableReader};
use super::table::VerifiedTable;
use super::tables::{Tables, unusable};
use crate::limits::{ByteBudget, BytesHeld};
use crate::source::SourceError;

/// How many bytes of tables one read holds: some ten full ranges, so that a few requests are always under way, and
/// two such reads beside each other (a comparison) stay far below a run's memory budget.
const AHEAD_BYTES: u64 = 48 << 20;

/// How many tables one read asks for at once: small ones should not open a connection each.
const AHEAD_TABLES: usize = 8;

/// A range on its way.
struct Coming {
    range: RangeRef,
    table: AbortOnDropHandle<Result<VerifiedTable, SourceError>>,
    held: BytesHeld,
}

/// The records of ranges, one range after another; for a thread that may wait.
pub(super) struct AheadReader {
    coming: mpsc::Receiver<Coming>,
    runtime: tokio::runtime::Handle,
    /// How many ranges have not come yet: a producer that dies must not look like the end of the tree.
    missing: usize,
    open: Option<Open>,
}

struct Open {
    range: RangeRef,
    reader: TableReader,
    _held: BytesHeld,
}

impl AheadReader {
    /// Begins to load ranges in their order. Must be called within a runtime.
    pub(super) fn begin(tables: &Tables, ranges: Vec<RangeRef>) -> Self {
        let (sender, coming) = mpsc::channel(AHEAD_TABLES);
        let missing = ranges.len();
        let tables = tables.clone();
        tokio::spawn(async move {
            let budget = Arc::new(ByteBudget::new(AHEAD_BYTES));
            for range in ranges {
                // A place in the queue and bytes are taken in the order of the ranges, before the load begins: so
                // the range that is read next is never the one that waits.
                let Ok(place) = sender.reserve().await else { return };
                let held = budget.take(range.estimated_size_bytes).await;
                let (id, tables) = (range.id, tables.clone());
                let table = AbortOnDropHandle::new(tokio::spawn(async move { tables.load(id).await }));
                place.send(Coming { range, table, held });
            }
        });
        Self {
            coming,
            runtime: tokio::runtime::Handle::current(),
            missing,
            open: None,
        }
    }

    /// Steps to the next record; `false` behind the last range.
    pub(super) fn advance(&mut self) -> Result<bool, SourceError> {
        loop {
            if let Some(open) = &mut self.open {
                if open.reader.advance().map_err(unusable(open.range.id))? {
                    if open.reader.records() == 1 {
                        open.check_first()?;
                    }
                    return Ok(true);
                }
                open.check_last()?;
                self.open = None;
            }
            if !self.open_next()? {
                return Ok(false);
            }
        }
    }

    /// The record last stepped to.
    pub(super) fn record(&self) -> Option<Record<'_>> {
        self.open.as_ref()?.reader.record()
    }

    /// Decodes the record last stepped to.
    pub(super) fn entry(&self) -> Result<Option<RangeEntryRef<'_>>, SourceError> {
        let Some(open) = &self.open else { return Ok(None) };
        Ok(open.reader.entry().map_err(unusable(open.range.id))?)
    }

    fn open_next(&mut self) -> Result<bool, SourceError> {
        let Some(next) = self.coming.blocking_recv() else {
            return if self.missing == 0 {
                Ok(false)
            } else {
                Err(SourceError::Interrupted)
            };
        };
        self.missing -= 1;
        let table = self.runtime.block_on(next.table);
        let table = table.map_err(|_| SourceError::Interrupted)??;
        let reader = table.read().map_err(unusable(next.range.id))?;
        self.open = Some(Open {
            range: next.range,
            reader,
            _held: next.held,
        });
        Ok(true)
    }
}

/// A range whose keys are not within the bounds that its metarange says may belong to a place in the order that has
/// gone by, or not have been asked for at all.
impl Open {
    fn check_first(&self) -> Result<(), UnusableTable> {
        self.check(self.reader.last_key() >= self.range.min_key.as_slice())
    }

    fn check_last(&self) -> Result<(), UnusableTable> {
        self.check(self.reader.last_key() <= self.range.max_key.as_slice())
    }

    fn check(&self, holds: bool) -> Result<(), UnusableTable> {
        if holds {
            return Ok(());
        }
        Err(unusable(self.range.id)(self.reader.fault(TableFault::Bounds)))
    }
}
