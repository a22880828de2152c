//! One folder or one key of a tree, by seeking: what lies in its sub-folders is neither read nor, where a whole range
//! lies there, fetched.

use tokio_util::task::AbortOnDropHandle;

use super::entry::RangeEntryRef;
use super::id::{MetaRangeId, RangeId};
use super::metarange::RangeRef;
use super::table::VerifiedTable;
use super::tables::{Tables, unusable};
use super::tree::stream_of;
use crate::source::{SourceError, Stream};

/// So many entries of a sub-folder are stepped over before a seek costs less.
const STEPS: usize = 32;

/// What stands directly in a folder.
#[derive(Clone, Copy, Debug)]
pub enum RangeChild<'a> {
    /// An entry.
    File(RangeEntryRef<'a>),
    /// What the keys of a sub-folder begin with, its slash included.
    Folder(&'a [u8]),
}

/// Streams what stands directly in the folder whose keys begin with `prefix`, in the order of the keys; `None` is the
/// tree without files. `make` is as for a whole tree. Must be called within a runtime.
pub fn read_folder<T, F>(tables: &Tables, tree: Option<MetaRangeId>, prefix: Vec<u8>, mut make: F) -> Stream<T>
where
    T: Send + 'static,
    F: FnMut(RangeChild<'_>) -> Result<Option<T>, SourceError> + Send + 'static,
{
    let tables = tables.clone();
    let runtime = tokio::runtime::Handle::current();
    stream_of(
        async move {
            let ranges = touched(&tables, tree, &prefix).await?;
            Ok(FolderReader {
                from: prefix.clone(),
                prefix,
                tables,
                runtime,
                ranges,
                coming: None,
            })
        },
        move |mut reader: FolderReader, sink| {
            reader.run(&mut |child| match make(child)? {
                Some(item) => Ok(sink.send_blocking(item).is_ok()),
                None => Ok(true),
            })
        },
    )
}

/// Finds the entry of a key; `None` where there is none.
pub async fn find_entry<T>(
    tables: &Tables,
    tree: Option<MetaRangeId>,
    key: &[u8],
    make: impl FnOnce(RangeEntryRef<'_>) -> T,
) -> Result<Option<T>, SourceError> {
    let Some(range) = at_or_behind(tables, tree, key)
        .await?
        .filter(|range| *range.min_key <= *key)
    else {
        return Ok(None);
    };
    let table = tables.recent_range(range.id).await?;
    let read = || {
        let Some(reader) = table.read_from(key)? else {
            return Ok(None);
        };
        let entry = reader.entry()?;
        Ok(entry.filter(|entry| entry.key == key).map(make))
    };
    Ok(read().map_err(unusable(range.id))?)
}

/// Whether any key begins with `prefix`.
pub async fn has_prefix(tables: &Tables, tree: Option<MetaRangeId>, prefix: &[u8]) -> Result<bool, SourceError> {
    let Some(range) = at_or_behind(tables, tree, prefix).await? else {
        return Ok(false);
    };
    if range.min_key.starts_with(prefix) || range.max_key.starts_with(prefix) {
        return Ok(true);
    }
    if *range.min_key > *prefix {
        return Ok(false);
    }
    let table = tables.recent_range(range.id).await?;
    let reader = table.read_from(prefix).map_err(unusable(range.id))?;
    Ok(reader.is_some_and(|reader| reader.last_key().starts_with(prefix)))
}

/// How many ranges of a folder lie partly in sub-folders of it: what listing it by ranges has to fetch for little.
pub async fn ranges_across_folders(
    tables: &Tables,
    tree: Option<MetaRangeId>,
    prefix: &[u8],
) -> Result<usize, SourceError> {
    let ranges = touched(tables, tree, prefix).await?;
    let across = ranges.iter().filter(|range| {
        let (first, last) = (sub_folder(&range.min_key, prefix), sub_folder(&range.max_key, prefix));
        first != last
    });
    Ok(across.count())
}

/// The ranges that may hold keys of a folder.
async fn touched(tables: &Tables, tree: Option<MetaRangeId>, prefix: &[u8]) -> Result<Vec<RangeRef>, SourceError> {
    let Some(tree) = tree else { return Ok(Vec::new()) };
    let metarange = tables.recent_metarange(tree).await?;
    let ranges = metarange.ranges();
    let first = ranges.partition_point(|range| *range.max_key < *prefix);
    let may_hold = |range: &&RangeRef| *range.min_key <= *prefix || range.min_key.starts_with(prefix);
    Ok(ranges[first..].iter().take_while(may_hold).cloned().collect())
}

/// The first range with a key that is not less than `key`.
async fn at_or_behind(tables: &Tables, tree: Option<MetaRangeId>, key: &[u8]) -> Result<Option<RangeRef>, SourceError> {
    let Some(tree) = tree else { return Ok(None) };
    let metarange = tables.recent_metarange(tree).await?;
    let ranges = metarange.ranges();
    let first = ranges.partition_point(|range| *range.max_key < *key);
    Ok(ranges.get(first).cloned())
}

/// What the keys of the sub-folder begin with that a key of the folder lies in; `None` for what stands in the folder
/// itself, or elsewhere.
fn sub_folder<'key>(key: &'key [u8], prefix: &[u8]) -> Option<&'key [u8]> {
    let rest = key.strip_prefix(prefix)?;
    let slash = rest.iter().position(|byte| *byte == b'/')?;
    Some(&key[..=prefix.len() + slash])
}

/// The least bytes behind all keys of a sub-folder.
fn behind(sub_folder: &[u8]) -> Vec<u8> {
    let mut key = sub_folder.to_vec();
    if let Some(slash) = key.last_mut() {
        *slash += 1;
    }
    key
}

type Each<'e> = &'e mut dyn FnMut(RangeChild<'_>) -> Result<bool, SourceError>;

/// How reading a table ended.
enum Read {
    /// At its end.
    Through,
    /// At a sub-folder that is best sought past.
    Seek,
    /// The folder is at its end, or nobody wants more.
    Done,
}

struct FolderReader {
    tables: Tables,
    runtime: tokio::runtime::Handle,
    prefix: Vec<u8>,
    ranges: Vec<RangeRef>,
    /// The least key that was not dealt with.
    from: Vec<u8>,
    /// The range behind the one that is read, on its way.
    coming: Option<(usize, AbortOnDropHandle<Result<VerifiedTable, SourceError>>)>,
}

impl FolderReader {
    fn run(&mut self, each: Each<'_>) -> Result<(), SourceError> {
        let mut at = 0;
        while let Some(range) = self.ranges.get(at) {
            if *range.max_key < *self.from {
                at += 1;
                continue;
            }
            if let Some(within) = self.lies_within(range) {
                let within = within.to_vec();
                self.from = behind(&within);
                if !each(RangeChild::Folder(&within))? {
                    return Ok(());
                }
                continue;
            }
            let id = range.id;
            let table = self.load(at)?;
            match self.read(id, &table, each)? {
                Read::Through => at += 1,
                Read::Seek => {}
                Read::Done => return Ok(()),
            }
        }
        Ok(())
    }

    /// The sub-folder that all keys of a range lie in, where none of it was dealt with.
    fn lies_within<'range>(&self, range: &'range RangeRef) -> Option<&'range [u8]> {
        let first = sub_folder(&range.min_key, &self.prefix)?;
        (range.min_key >= self.from && range.max_key.starts_with(first)).then_some(first)
    }

    fn load(&mut self, at: usize) -> Result<VerifiedTable, SourceError> {
        let coming = self.coming.take_if(|(coming, _)| *coming == at);
        let table = match coming {
            Some((_, table)) => self.runtime.block_on(table).map_err(|_| SourceError::Interrupted)?,
            None => self.runtime.block_on(self.tables.recent_range(self.ranges[at].id)),
        };
        let next = at + 1;
        let is_wanted = |range: &RangeRef| self.lies_within(range).is_none();
        if self.coming.is_none() && self.ranges.get(next).is_some_and(is_wanted) {
            let (id, tables) = (self.ranges[next].id, self.tables.clone());
            let load = self.runtime.spawn(async move { tables.recent_range(id).await });
            self.coming = Some((next, AbortOnDropHandle::new(load)));
        }
        table
    }

    fn read(&mut self, id: RangeId, table: &VerifiedTable, each: Each<'_>) -> Result<Read, SourceError> {
        let Some(mut reader) = table.read_from(&self.from).map_err(unusable(id))? else {
            return Ok(Read::Through);
        };
        let mut steps = 0;
        loop {
            let key = reader.last_key();
            if !key.starts_with(&self.prefix) {
                return Ok(Read::Done);
            }
            if *key >= *self.from {
                match sub_folder(key, &self.prefix) {
                    None => {
                        steps = 0;
                        if let Some(entry) = reader.entry().map_err(unusable(id))?
                            && !each(RangeChild::File(entry))?
                        {
                            return Ok(Read::Done);
                        }
                    }
                    Some(folder) => {
                        steps = 1;
                        self.from = behind(folder);
                        if !each(RangeChild::Folder(folder))? {
                            return Ok(Read::Done);
                        }
                    }
                }
            } else {
                steps += 1;
                if steps > STEPS {
                    return Ok(Read::Seek);
                }
            }
            if !reader.advance().map_err(unusable(id))? {
                return Ok(Read::Through);
            }
        }
    }
}
