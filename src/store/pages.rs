//! Listings page by page, as one stream.

use futures::TryStreamExt as _;
use futures::stream::{self, BoxStream, StreamExt as _};

use super::{Listed, Store, StoreError, Upload};

/// How many rows are asked for at once: the most that S3 gives.
const PAGE_ROWS: u16 = 1_000;

/// Where a listing is: at its start, behind a page, or at its end.
enum Place {
    Start,
    Behind(String),
    End,
}

impl Place {
    /// The token to ask with; `None` at the end.
    fn token(&self) -> Option<Option<&str>> {
        match self {
            Self::Start => Some(None),
            Self::Behind(token) => Some(Some(token)),
            Self::End => None,
        }
    }
}

impl From<Option<String>> for Place {
    fn from(next: Option<String>) -> Self {
        next.map_or(Self::End, Self::Behind)
    }
}

/// Streams every object whose key starts with `prefix`, in the order of the store; ends after an error.
///
/// One page is in memory, and the next is asked for when the last row of it was taken: whoever stops early asks
/// for no more than was needed.
pub fn list_objects<'a>(store: &'a dyn Store, prefix: &'a str) -> BoxStream<'a, Result<Listed, StoreError>> {
    stream::try_unfold(Place::Start, move |place| async move {
        let Some(token) = place.token() else { return Ok(None) };
        let page = store.list(prefix, token, PAGE_ROWS).await?;
        Ok(Some((rows(page.objects), Place::from(page.next))))
    })
    .try_flatten()
    .boxed()
}

/// Streams every upload under way whose key starts with `prefix`, as [`list_objects`] does.
///
/// An upload may be aborted while the stream goes on: S3 goes on by key and id, not by number.
pub fn list_uploads<'a>(store: &'a dyn Store, prefix: &'a str) -> BoxStream<'a, Result<Upload, StoreError>> {
    stream::try_unfold(Place::Start, move |place| async move {
        let Some(token) = place.token() else { return Ok(None) };
        let page = store.list_uploads(prefix, token).await?;
        Ok(Some((rows(page.uploads), Place::from(page.next))))
    })
    .try_flatten()
    .boxed()
}

fn rows<T>(page: Vec<T>) -> impl futures::Stream<Item = Result<T, StoreError>> {
    stream::iter(page.into_iter().map(Ok))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::ObjectKey;
    use crate::store::faulty::{Fault, FaultyStore, Matching};
    use crate::store::memory::MemoryStore;
    use crate::store::{Capabilities, Checksum, ObjectHeaders, RequestKind, StoreErrorKind};

    fn bucket() -> MemoryStore {
        let store = MemoryStore::new("bucket".parse().unwrap(), Capabilities::ALL);
        store.set_page_limit(3);
        for number in 0..10 {
            store.foreign_put(&ObjectKey::new(format!("a/{number}")), "x");
            store.foreign_put(&ObjectKey::new(format!("b/{number}")), "x");
        }
        store
    }

    #[tokio::test]
    async fn every_object_of_every_page_comes_once() {
        let store = bucket();
        let keys: Vec<String> = list_objects(&store, "a/")
            .map_ok(|listed| listed.key.as_str().to_owned())
            .try_collect()
            .await
            .unwrap();
        assert_eq!(keys, (0..10).map(|number| format!("a/{number}")).collect::<Vec<_>>());
        assert_eq!(store.count(RequestKind::List), 4);
        assert_eq!(list_objects(&store, "c/").count().await, 0);
    }

    #[tokio::test]
    async fn who_stops_early_asks_for_no_more_pages() {
        let store = bucket();
        let first: Vec<_> = list_objects(&store, "").take(3).try_collect().await.unwrap();
        assert_eq!((first.len(), store.count(RequestKind::List)), (3, 1));
    }

    #[tokio::test]
    async fn an_error_on_a_later_page_is_given_and_ends_the_stream() {
        let faults = Matching::new(Fault::Before(StoreErrorKind::Denied)).skip(2);
        let store = FaultyStore::new(Arc::new(bucket()), faults);
        let outcomes: Vec<_> = list_objects(&store, "").collect().await;
        assert_eq!(outcomes.len(), 7);
        assert!(outcomes[..6].iter().all(Result::is_ok) && outcomes[6].is_err());
    }

    #[tokio::test]
    async fn uploads_can_be_aborted_while_they_are_listed() {
        let store = bucket();
        for number in 0..8 {
            let key = ObjectKey::new(format!("a/{number}"));
            store
                .create_upload(&key, &ObjectHeaders::default(), Checksum::None)
                .await
                .unwrap();
        }
        let mut uploads = list_uploads(&store, "a/");
        let mut seen = 0;
        while let Some(upload) = uploads.next().await.transpose().unwrap() {
            store.abort_upload(&upload).await.unwrap();
            seen += 1;
        }
        assert_eq!((seen, store.uploads().len()), (8, 0));
    }
}
