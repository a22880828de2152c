//! Brings changes into a ledger by rewriting only the ranges that they touch.

use futures::{Stream, TryStreamExt as _};
use serde::{Deserialize, Serialize};

use super::{LedgerError, LedgerReader, RangeRef, RangeWriter, Record};
use crate::model::RelPath;

/// What becomes of one path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Edit {
    /// The ledger is to hold this record, whether it knew the path or not.
    Set(Record),
    /// The ledger is not to hold this path, whether it knew it or not.
    Drop(RelPath),
}

impl Edit {
    /// The path.
    pub fn path(&self) -> &RelPath {
        match self {
            Self::Set(record) => &record.path,
            Self::Drop(path) => path,
        }
    }
}

/// Carries edits, strictly sorted by path, into the ranges `old`, and gives the new ones.
///
/// A path belongs to the first range that ends at it or behind it; behind all it belongs to the last range, unless
/// that one is as long as it gets. A range
/// without an edit is passed through where the one before ended at a cut, else read and written until cuts meet
/// again. One range is in memory at a time.
pub async fn rewrite<E: From<LedgerError>>(
    reader: &LedgerReader,
    mut writer: RangeWriter,
    old: &[RangeRef],
    edits: impl Stream<Item = Result<Edit, E>>,
) -> Result<Vec<RangeRef>, E> {
    let mut edits = std::pin::pin!(edits);
    let mut edit = edits.try_next().await?;
    for (at, range) in old.iter().enumerate() {
        let takes_later = at + 1 == old.len() && !writer.is_whole(range);
        let is_here = |edit: &Edit| takes_later || *edit.path() <= range.last;
        if writer.is_at_cut() && !edit.as_ref().is_some_and(is_here) {
            writer.pass(range.clone())?;
            continue;
        }
        for record in reader.read_range(range).await? {
            let record = record?;
            while let Some(earlier) = edit.take_if(|edit| *edit.path() < record.path) {
                apply(&mut writer, earlier).await?;
                edit = edits.try_next().await?;
            }
            match edit.take_if(|edit| *edit.path() == record.path) {
                Some(same) => {
                    apply(&mut writer, same).await?;
                    edit = edits.try_next().await?;
                }
                None => writer.push(&record).await?,
            }
        }
    }
    while let Some(later) = edit {
        apply(&mut writer, later).await?;
        edit = edits.try_next().await?;
    }
    Ok(writer.finish().await?)
}

async fn apply(writer: &mut RangeWriter, edit: Edit) -> Result<(), LedgerError> {
    match edit {
        Edit::Set(record) => writer.push(&record).await,
        Edit::Drop(_) => Ok(()),
    }
}
