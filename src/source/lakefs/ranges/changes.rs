//! What differs between two trees, in the order of the keys.

use std::cmp::Ordering;
use std::collections::HashSet;

use super::ahead::AheadReader;
use super::entry::RangeEntryRef;
use super::id::{MetaRangeId, RangeId};
use super::metarange::RangeRef;
use super::span::KeySpan;
use super::tables::Tables;
use super::tree::{ranges_of, stream_of};
use crate::source::{Sink, SourceError, Stream};

/// How one key differs between two trees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeChange<'a> {
    /// The newer tree has this entry, and the older one has it otherwise or not at all.
    Put(RangeEntryRef<'a>),
    /// The newer tree does not have this key.
    Gone(&'a [u8]),
}

/// Streams what differs from one tree to another, in the order of the keys; `None` is the tree without files.
///
/// Ranges that both trees have are not read: they hold the same entries, and no other range of either tree has their
/// keys. An entry whose identity is the same is not different, even where its address or its time is.
///
/// `make` turns a change into what the caller wants of it, or into nothing; it runs on the thread that decodes, and
/// its error ends the stream. Must be called within a runtime.
pub fn read_changes<T, F>(
    tables: &Tables,
    from: Option<MetaRangeId>,
    to: Option<MetaRangeId>,
    span: KeySpan,
    make: F,
) -> Stream<T>
where
    T: Send + 'static,
    F: FnMut(RangeChange<'_>) -> Result<Option<T>, SourceError> + Send + 'static,
{
    let tables = tables.clone();
    stream_of(
        async move {
            if from == to {
                return Ok(Merge::of(&tables, Vec::new(), Vec::new(), span));
            }
            let (old, new) = tokio::try_join!(ranges_of(&tables, from), ranges_of(&tables, to))?;
            let (old, new) = unshared(old, new, &span);
            Ok(Merge::of(&tables, old, new, span))
        },
        move |merge: Merge, sink| merge.run(make, sink),
    )
}

/// Leaves out the ranges that both trees have, and those in which nothing is asked for.
fn unshared(mut old: Vec<RangeRef>, mut new: Vec<RangeRef>, span: &KeySpan) -> (Vec<RangeRef>, Vec<RangeRef>) {
    let ids = |ranges: &[RangeRef]| ranges.iter().map(|range| range.id).collect::<HashSet<RangeId>>();
    let (old_ids, new_ids) = (ids(&old), ids(&new));
    old.retain(|range| !new_ids.contains(&range.id) && span.touches(range));
    new.retain(|range| !old_ids.contains(&range.id) && span.touches(range));
    (old, new)
}

/// The two sides, stepped through together.
struct Merge {
    old: AheadReader,
    new: AheadReader,
    span: KeySpan,
}

impl Merge {
    fn of(tables: &Tables, old: Vec<RangeRef>, new: Vec<RangeRef>, span: KeySpan) -> Self {
        Self {
            old: AheadReader::begin(tables, old),
            new: AheadReader::begin(tables, new),
            span,
        }
    }

    fn run<T>(
        mut self,
        mut make: impl FnMut(RangeChange<'_>) -> Result<Option<T>, SourceError>,
        sink: &mut Sink<T>,
    ) -> Result<(), SourceError> {
        self.old.advance()?;
        self.new.advance()?;
        while let Some((key, order)) = self.compare() {
            if self.span.ends_before(key) {
                break;
            }
            let item = match order {
                _ if !self.span.contains(key) => None,
                Ordering::Less => make(RangeChange::Gone(key))?,
                Ordering::Equal if self.is_same() => None,
                Ordering::Equal | Ordering::Greater => match self.new.entry()? {
                    Some(entry) => make(RangeChange::Put(entry))?,
                    None => None,
                },
            };
            if let Some(item) = item
                && sink.send_blocking(item).is_err()
            {
                break;
            }
            if order.is_le() {
                self.old.advance()?;
            }
            if order.is_ge() {
                self.new.advance()?;
            }
        }
        Ok(())
    }

    /// The lesser key of the two, and on which side it is; `None` at the end of both.
    fn compare(&self) -> Option<(&[u8], Ordering)> {
        match (self.old.record(), self.new.record()) {
            (None, None) => None,
            (Some(old), None) => Some((old.key, Ordering::Less)),
            (None, Some(new)) => Some((new.key, Ordering::Greater)),
            (Some(old), Some(new)) => Some((old.key.min(new.key), old.key.cmp(new.key))),
        }
    }

    fn is_same(&self) -> bool {
        match (self.old.record(), self.new.record()) {
            (Some(old), Some(new)) => old.identity == new.identity,
            _ => false,
        }
    }
}
