//! A source that fails on demand: any method, the n-th call, at once or in the middle of a stream.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::{Body, EntryStream, Item, Source, SourceError, Stream};
use crate::model::{Change, CommitId, Entry, RelPath};

/// The methods of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SourceCallKind {
    /// [`Source::head`].
    Head,
    /// [`Source::contains`].
    Contains,
    /// [`Source::tree`].
    Tree,
    /// [`Source::changes`].
    Changes,
    /// [`Source::open`].
    Open,
}

/// A call about to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceCall {
    /// How many calls went before it through this [`FaultySource`] and its clones.
    pub number: u64,
    /// What is asked.
    pub kind: SourceCallKind,
    /// Which file is opened.
    pub path: Option<RelPath>,
}

/// What goes wrong with a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceFault {
    /// Nothing.
    None,
    /// It fails as a whole, with [`SourceError::Injected`].
    Fail,
    /// There is no such branch any more.
    Gone,
    /// The file cannot be read, which concerns it alone; for all but an opening the same as `Fail`.
    Unreadable,
    /// It comes only after this long.
    Delay(Duration),
    /// It is never answered.
    Hang,
    /// The stream ends with [`SourceError::Injected`] after so many items, or bytes of a file; what is no
    /// stream fails.
    CutAfter(usize),
}

/// A source around another that asks a closure before each call; a clone counts on with the same numbers.
#[derive(Clone)]
pub struct FaultySource {
    inner: Arc<dyn Source>,
    script: Arc<dyn Fn(&SourceCall) -> SourceFault + Send + Sync>,
    calls: Arc<AtomicU64>,
}

impl FaultySource {
    /// Wraps a source.
    pub fn new(inner: Arc<dyn Source>, script: impl Fn(&SourceCall) -> SourceFault + Send + Sync + 'static) -> Self {
        Self {
            inner,
            script: Arc::new(script),
            calls: Arc::default(),
        }
    }

    /// Wraps a source of which one call fails, counted from 0.
    pub fn nth(inner: Arc<dyn Source>, number: u64, fault: SourceFault) -> Self {
        Self::new(inner, move |call| {
            if call.number == number {
                fault.clone()
            } else {
                SourceFault::None
            }
        })
    }

    /// How many calls were begun so far.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// Does what a fault does before the call; gives where to cut the stream.
    async fn before(&self, kind: SourceCallKind, path: Option<&RelPath>) -> Result<Option<usize>, SourceError> {
        let call = SourceCall {
            number: self.calls.fetch_add(1, Ordering::SeqCst),
            kind,
            path: path.cloned(),
        };
        match ((self.script)(&call), path) {
            (SourceFault::None, _) => Ok(None),
            (SourceFault::Unreadable, Some(path)) => Err(unreadable(path)),
            (SourceFault::Fail | SourceFault::Unreadable, _) => Err(SourceError::Injected),
            (SourceFault::Gone, _) => Err(SourceError::NoSuchPath {
                path: self.inner.name().into(),
            }),
            (SourceFault::Delay(delay), _) => {
                sleep(delay).await;
                Ok(None)
            }
            (SourceFault::Hang, _) => std::future::pending().await,
            (SourceFault::CutAfter(count), _) => Ok(Some(count)),
        }
    }
}

fn unreadable(path: &RelPath) -> SourceError {
    SourceError::Io {
        action: "cannot be read",
        path: path.to_string().into(),
        source: std::io::ErrorKind::PermissionDenied.into(),
    }
}

/// Lets a call that is no stream fail where it should be cut.
fn whole(cut: Option<usize>) -> Result<(), SourceError> {
    match cut {
        Some(_) => Err(SourceError::Injected),
        None => Ok(()),
    }
}

async fn cut_stream<T>(mut stream: Stream<T>, cut: Option<usize>) -> Result<Stream<T>, SourceError> {
    let Some(count) = cut else {
        return Ok(stream);
    };
    let mut items = Vec::new();
    while items.len() < count {
        match stream.next().await? {
            Some(item) => items.push(item),
            None => break,
        }
    }
    Ok(Stream::ready_until(items, SourceError::Injected))
}

async fn cut_body(mut body: Body, cut: Option<usize>) -> Result<Body, SourceError> {
    let Some(mut left) = cut else {
        return Ok(body);
    };
    let mut messages = Vec::new();
    while left > 0 {
        let Some(mut chunk) = body.next_chunk().await? else {
            break;
        };
        chunk.truncate(left);
        left -= chunk.len();
        messages.push(Ok(chunk));
    }
    messages.push(Err(SourceError::Injected));
    let (sender, receiver) = mpsc::channel(messages.len());
    for message in messages {
        sender.try_send(message).expect("the channel has room for every chunk");
    }
    Ok(Body::Chunks(receiver))
}

#[async_trait]
impl Source for FaultySource {
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn head(&self) -> Result<CommitId, SourceError> {
        whole(self.before(SourceCallKind::Head, None).await?)?;
        self.inner.head().await
    }

    async fn contains(&self, at: &CommitId) -> Result<bool, SourceError> {
        whole(self.before(SourceCallKind::Contains, None).await?)?;
        self.inner.contains(at).await
    }

    async fn tree(&self, at: &CommitId) -> Result<EntryStream, SourceError> {
        let cut = self.before(SourceCallKind::Tree, None).await?;
        cut_stream(self.inner.tree(at).await?, cut).await
    }

    async fn changes(&self, from: &CommitId, to: &CommitId) -> Result<Option<Stream<Item<Change>>>, SourceError> {
        let cut = self.before(SourceCallKind::Changes, None).await?;
        match self.inner.changes(from, to).await? {
            Some(changes) => cut_stream(changes, cut).await.map(Some),
            None => Ok(None),
        }
    }

    async fn open(&self, at: &CommitId, entry: &Entry) -> Result<Body, SourceError> {
        let cut = self.before(SourceCallKind::Open, Some(&entry.path)).await?;
        cut_body(self.inner.open(at, entry).await?, cut).await
    }

    fn parallelism(&self) -> NonZeroUsize {
        self.inner.parallelism()
    }
}

impl fmt::Debug for FaultySource {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("FaultySource")
            .field("name", &self.inner.name())
            .field("calls", &self.calls())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::memory::{MemoryFile, MemorySource};

    fn memory() -> (Arc<dyn Source>, CommitId) {
        let source = MemorySource::new("memory:x");
        let files = ["a", "b", "c"].map(|name| {
            let text = "0123456789".repeat(200);
            (RelPath::new(name).unwrap(), MemoryFile::new(text))
        });
        let at = source.commit(files.into());
        (Arc::new(source), at)
    }

    async fn first_entry(source: &dyn Source, at: &CommitId) -> Entry {
        match source.tree(at).await.unwrap().next().await.unwrap() {
            Some(Item::Entry(entry)) => entry,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn every_method_asks_the_script() {
        let (inner, at) = memory();
        let entry = first_entry(inner.as_ref(), &at).await;
        let source = FaultySource::new(inner, |call| {
            assert_eq!(call.path.is_some(), call.kind == SourceCallKind::Open);
            SourceFault::Fail
        });
        assert!(matches!(source.head().await, Err(SourceError::Injected)));
        assert!(matches!(source.contains(&at).await, Err(SourceError::Injected)));
        assert!(matches!(source.tree(&at).await, Err(SourceError::Injected)));
        assert!(matches!(source.changes(&at, &at).await, Err(SourceError::Injected)));
        assert!(matches!(source.open(&at, &entry).await, Err(SourceError::Injected)));
        assert_eq!(source.calls(), 5);
    }

    #[tokio::test]
    async fn only_the_nth_call_fails() {
        let (inner, _) = memory();
        let source = FaultySource::nth(inner, 1, SourceFault::Fail);
        let mut failed = Vec::new();
        for _ in 0..3 {
            failed.push(source.head().await.is_err());
        }
        assert_eq!(failed, [false, true, false]);
    }

    #[tokio::test]
    async fn a_stream_is_cut_after_exactly_so_many_items_and_never_looks_whole() {
        let (inner, at) = memory();
        for count in 0..5 {
            let source = FaultySource::nth(inner.clone(), 0, SourceFault::CutAfter(count));
            let mut stream = source.tree(&at).await.unwrap();
            for _ in 0..count.min(3) {
                assert!(stream.next().await.unwrap().is_some());
            }
            assert!(matches!(stream.next().await, Err(SourceError::Injected)));
        }
    }

    #[tokio::test]
    async fn an_opening_is_cut_after_exactly_so_many_bytes_or_concerns_one_file() {
        let (inner, at) = memory();
        let entry = first_entry(inner.as_ref(), &at).await;
        for count in [0, 5, 1_024, 1_500, 9_999] {
            let source = FaultySource::nth(inner.clone(), 0, SourceFault::CutAfter(count));
            let mut body = source.open(&at, &entry).await.unwrap();
            let mut got = 0;
            let error = loop {
                match body.next_chunk().await {
                    Ok(chunk) => got += chunk.expect("the error comes before the end").len(),
                    Err(error) => break error,
                }
            };
            assert!(matches!(error, SourceError::Injected));
            assert_eq!(got, count.min(2_000));
        }
        let source = FaultySource::nth(inner, 0, SourceFault::Unreadable);
        let error = source.open(&at, &entry).await.err().unwrap();
        assert!(error.is_about_one_file());
    }

    #[tokio::test(start_paused = true)]
    async fn calls_wait_or_hang() {
        let (inner, _) = memory();
        let minute = Duration::from_secs(60);
        let slow = FaultySource::nth(inner.clone(), 0, SourceFault::Delay(minute));
        let begun = tokio::time::Instant::now();
        slow.head().await.unwrap();
        assert_eq!(begun.elapsed(), minute);
        let hung = FaultySource::nth(inner, 0, SourceFault::Hang);
        assert!(tokio::time::timeout(minute, hung.head()).await.is_err());
    }
}
