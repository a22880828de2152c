//! Streams of entries and of bytes, bounded, fed from threads or tasks.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;

use super::SourceError;
use crate::model::{Entry, Notice, RelPath};

/// How many items travel in one message: enough that the channel costs nothing beside an entry, few
/// enough that a batch stays below a megabyte.
const BATCH: usize = 512;

/// Batches under way: the producer is at most this far ahead.
const DEPTH: usize = 4;

/// One thing a source says of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item<T> {
    /// What was asked for.
    Entry(T),
    /// Something to be counted.
    Notice(Notice),
    /// Something that is in the tree and cannot be read, so that nobody knows what it holds: the others go
    /// out, this path fails, and nothing may be deleted in this run, since whatever the ledger holds at or
    /// below it may still be there.
    Failed {
        /// The file, or a folder and all below it: a folder's path ends in `/`, as it is sorted.
        path: RelPath,
        /// Why, in words, without the path.
        error: String,
    },
}

/// The entries of one tree, sorted by path bytes.
pub type EntryStream = Stream<Item<Entry>>;

/// The producer's side of an [`EntryStream`].
pub type EntrySink = Sink<Item<Entry>>;

/// A bounded stream of items that ends with the producer's error, if it had one.
pub struct Stream<T> {
    batches: mpsc::Receiver<Result<Vec<T>, SourceError>>,
    batch: std::vec::IntoIter<T>,
    ended: bool,
}

/// The producer's side: collects a batch, then hands it over.
pub struct Sink<T> {
    batches: mpsc::Sender<Result<Vec<T>, SourceError>>,
    batch: Vec<T>,
}

/// The reader is gone; the producer should stop, which is no error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed;

/// Makes the two sides of a stream.
///
/// A producer that is dropped without [`Sink::finish`] (a panic, a cancelled task) gives the reader
/// [`SourceError::Interrupted`], never a shorter tree.
pub fn channel<T: Send + 'static>() -> (Sink<T>, Stream<T>) {
    let (batches, receiver) = mpsc::channel(DEPTH);
    (
        Sink {
            batches,
            batch: Vec::with_capacity(BATCH),
        },
        Stream {
            batches: receiver,
            batch: Vec::new().into_iter(),
            ended: false,
        },
    )
}

impl<T> Stream<T> {
    /// Makes a stream of items that are in memory already.
    pub fn ready(items: Vec<T>) -> Self {
        let (_, batches) = mpsc::channel(1);
        Self {
            batches,
            batch: items.into_iter(),
            ended: true,
        }
    }

    /// Makes a stream that gives these items and then fails.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn ready_until(items: Vec<T>, error: SourceError) -> Self {
        let (sender, batches) = mpsc::channel(1);
        sender.try_send(Err(error)).expect("a new channel has room");
        Self {
            batches,
            batch: items.into_iter(),
            ended: false,
        }
    }

    /// Gives the next item; `None` at the end of a whole stream.
    pub async fn next(&mut self) -> Result<Option<T>, SourceError> {
        loop {
            if let Some(item) = self.batch.next() {
                return Ok(Some(item));
            }
            if self.ended {
                return Ok(None);
            }
            match self.batches.recv().await {
                // An empty batch is how the producer says that it is done.
                Some(Ok(batch)) if batch.is_empty() => self.ended = true,
                Some(Ok(batch)) => self.batch = batch.into_iter(),
                Some(Err(error)) => {
                    self.ended = true;
                    return Err(error);
                }
                None => {
                    self.ended = true;
                    return Err(SourceError::Interrupted);
                }
            }
        }
    }

    /// Reads the stream to its end. For tests and for small streams only.
    pub async fn collect(mut self) -> Result<Vec<T>, SourceError> {
        let mut all = Vec::new();
        while let Some(item) = self.next().await? {
            all.push(item);
        }
        Ok(all)
    }
}

impl<T> Sink<T> {
    /// Hands an item over from a plain thread; waits while the reader is behind.
    pub fn send_blocking(&mut self, item: T) -> Result<(), Closed> {
        self.batch.push(item);
        if self.batch.len() < BATCH {
            Ok(())
        } else {
            self.flush_blocking()
        }
    }

    /// Hands an item over from a task; waits while the reader is behind.
    pub async fn send(&mut self, item: T) -> Result<(), Closed> {
        self.batch.push(item);
        if self.batch.len() < BATCH {
            return Ok(());
        }
        let batch = std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH));
        self.batches.send(Ok(batch)).await.map_err(|_| Closed)
    }

    /// Ends the stream from a plain thread, with the producer's outcome.
    pub fn finish_blocking(mut self, outcome: Result<(), SourceError>) {
        let told = match outcome {
            Ok(()) => self
                .flush_blocking()
                .and_then(|()| self.batches.blocking_send(Ok(Vec::new())).map_err(|_| Closed)),
            Err(error) => self.batches.blocking_send(Err(error)).map_err(|_| Closed),
        };
        if told.is_err() {
            tracing::trace!("the reader of a stream is gone; it needs neither the rest nor the error");
        }
    }

    /// Ends the stream from a task, with the producer's outcome.
    pub async fn finish(mut self, outcome: Result<(), SourceError>) {
        let rest = std::mem::take(&mut self.batch);
        let messages = match outcome {
            Ok(()) if rest.is_empty() => vec![Ok(Vec::new())],
            Ok(()) => vec![Ok(rest), Ok(Vec::new())],
            Err(error) => vec![Err(error)],
        };
        for message in messages {
            if self.batches.send(message).await.is_err() {
                return;
            }
        }
    }

    fn flush_blocking(&mut self) -> Result<(), Closed> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let batch = std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH));
        self.batches.blocking_send(Ok(batch)).map_err(|_| Closed)
    }
}

/// The bytes of one entry.
pub enum Body {
    /// All of them, for what is small or comes whole anyway.
    Whole(Bytes),
    /// Chunk by chunk, in order.
    Chunks(mpsc::Receiver<Result<Bytes, SourceError>>),
}

impl Body {
    /// Gives the next bytes; `None` at the end. A source that finds at the end that the file changed
    /// meanwhile gives [`SourceError::Changed`] here.
    pub async fn next_chunk(&mut self) -> Result<Option<Bytes>, SourceError> {
        match self {
            Self::Whole(bytes) if bytes.is_empty() => Ok(None),
            Self::Whole(bytes) => Ok(Some(std::mem::take(bytes))),
            Self::Chunks(chunks) => chunks.recv().await.transpose(),
        }
    }

    /// Reads it to its end and keeps what lies within `range`.
    pub async fn part(mut self, range: Range<u64>) -> Result<Bytes, SourceError> {
        let mut kept = BytesMut::new();
        let mut at = 0_u64;
        while let Some(chunk) = self.next_chunk().await? {
            let end = at + chunk.len() as u64;
            let (from, to) = (range.start.clamp(at, end), range.end.clamp(at, end));
            if from < to {
                let within = |position: u64| usize::try_from(position - at).expect("it lies within the chunk");
                if kept.is_empty() && to == range.end {
                    // Most often one chunk holds it all, which then need not be copied.
                    return Ok(chunk.slice(within(from)..within(to)));
                }
                kept.extend_from_slice(&chunk[within(from)..within(to)]);
            }
            at = end;
        }
        Ok(kept.freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_producer_that_dies_gives_an_error_and_not_a_shorter_tree() {
        let (mut sink, mut stream) = channel();
        sink.send(1).await.unwrap();
        drop(sink);
        assert!(matches!(stream.next().await, Err(SourceError::Interrupted)));
    }

    #[tokio::test]
    async fn a_part_of_a_body_is_the_same_however_it_comes() {
        let text = b"0123456789";
        for (from, to) in [(0, 10), (0, 0), (2, 5), (4, 9), (3, 99), (10, 12), (20, 30)] {
            let expected = &text[from.min(10)..to.min(10)];
            let range = from as u64..to as u64;
            let whole = Body::Whole(Bytes::from_static(text)).part(range.clone()).await.unwrap();
            assert_eq!(whole, expected);
            let (sender, chunks) = mpsc::channel(4);
            for chunk in text.chunks(3) {
                sender.try_send(Ok(Bytes::from_static(chunk))).unwrap();
            }
            drop(sender);
            assert_eq!(Body::Chunks(chunks).part(range).await.unwrap(), expected);
        }
    }

    #[tokio::test]
    async fn items_arrive_in_order_and_the_end_is_told() {
        let (mut sink, stream) = channel();
        let thread = std::thread::spawn(move || {
            for item in 0..2_000 {
                sink.send_blocking(item).unwrap();
            }
            sink.finish_blocking(Ok(()));
        });
        assert_eq!(stream.collect().await.unwrap(), (0..2_000).collect::<Vec<_>>());
        thread.join().unwrap();
    }
}
