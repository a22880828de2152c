//! All entries of a tree, in the order of their keys.

use super::ahead::AheadReader;
use super::entry::RangeEntryRef;
use super::id::MetaRangeId;
use super::metarange::RangeRef;
use super::span::KeySpan;
use super::tables::Tables;
use crate::source::{Sink, SourceError, Stream, channel};

/// Streams the entries of a tree in the order of their keys; `None` is the tree without files. Only the ranges that
/// the span touches are read.
///
/// `make` turns an entry into what the caller wants of it, or into nothing; it runs on the thread that decodes, and
/// its error ends the stream. Must be called within a runtime.
pub fn read_tree<T, F>(tables: &Tables, tree: Option<MetaRangeId>, span: KeySpan, mut make: F) -> Stream<T>
where
    T: Send + 'static,
    F: FnMut(RangeEntryRef<'_>) -> Result<Option<T>, SourceError> + Send + 'static,
{
    let tables = tables.clone();
    stream_of(
        async move {
            let ranges = ranges_of(&tables, tree).await?;
            let touched = ranges.into_iter().filter(|range| span.touches(range)).collect();
            Ok((AheadReader::begin(&tables, touched), span))
        },
        move |(mut reader, span): (AheadReader, KeySpan), sink| {
            while reader.advance()? {
                let Some(record) = reader.record() else { continue };
                if span.ends_before(record.key) {
                    break;
                }
                if !span.contains(record.key) {
                    continue;
                }
                let Some(entry) = reader.entry()? else { continue };
                if let Some(item) = make(entry)?
                    && sink.send_blocking(item).is_err()
                {
                    break;
                }
            }
            Ok(())
        },
    )
}

/// The ranges of a tree.
pub(super) async fn ranges_of(tables: &Tables, tree: Option<MetaRangeId>) -> Result<Vec<RangeRef>, SourceError> {
    match tree {
        Some(id) => Ok(tables.recent_metarange(id).await?.ranges().to_vec()),
        None => Ok(Vec::new()),
    }
}

/// Begins in a task, then goes on in a thread that may wait, and streams what that gives.
pub(super) fn stream_of<T, B, W>(
    begin: impl Future<Output = Result<B, SourceError>> + Send + 'static,
    work: W,
) -> Stream<T>
where
    T: Send + 'static,
    B: Send + 'static,
    W: FnOnce(B, &mut Sink<T>) -> Result<(), SourceError> + Send + 'static,
{
    let (mut sink, stream) = channel();
    tokio::spawn(async move {
        match begin.await {
            // Nobody waits for the thread: the stream ends when it does.
            Ok(begun) => drop(tokio::task::spawn_blocking(move || {
                let outcome = work(begun, &mut sink);
                sink.finish_blocking(outcome);
            })),
            Err(error) => sink.finish(Err(error)).await,
        }
    });
    stream
}
