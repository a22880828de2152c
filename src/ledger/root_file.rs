//! Reads the root and swaps it for the next: the swap is the commit point of every run.

use bytes::Bytes;

use super::envelope::Envelope;
use super::file::{needs_a_look, read_file};
use super::folder::place;
use super::{LedgerError, LedgerFolder, Root};
use crate::model::ETag;
use crate::store::{Condition, Put, Store, StoreErrorKind, StoreTime};
use crate::switches::{Switch, is_out};

const ENVELOPE: Envelope = Envelope {
    format: "lakesync root",
    version: 1,
};

/// A root as it stands in the bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The root.
    pub root: Root,
    /// What the next swap must find.
    pub etag: ETag,
    /// The store's clock when it was read.
    pub date: Option<StoreTime>,
}

/// A swap that did not happen, or of which nobody knows.
#[derive(Debug, thiserror::Error)]
pub enum SwapError {
    /// Another root stands there: somebody else swapped it, or removed it.
    #[error("the ledger's root was changed by another run meanwhile")]
    Lost {
        /// What stands there now.
        found: Option<Box<Root>>,
    },
    /// The store did not do it, or what stands there cannot be read. After a lost reply the old root was still
    /// there, and the new one may yet land.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Reads the root; `None` where there never was one.
pub async fn load_root(store: &dyn Store, folder: &LedgerFolder) -> Result<Option<Loaded>, LedgerError> {
    let key = folder.root();
    let Some((meta, bytes)) = read_file(store, &key).await? else {
        return Ok(None);
    };
    Ok(Some(Loaded {
        root: ENVELOPE.open(&place(store.bucket(), &key), &bytes)?,
        etag: meta.etag,
        date: meta.date,
    }))
}

/// Puts `root`, whose generation is already one more, in the place of the one with the etag `expected`, or
/// where there is none. Gives the new etag.
///
/// Where the store cannot guard the write, it goes out after a read that shows what is expected; the caller
/// has said then that this is all there is (`--lease required` refuses such stores).
pub async fn swap_root(
    store: &dyn Store,
    folder: &LedgerFolder,
    root: &Root,
    expected: Option<&ETag>,
) -> Result<ETag, SwapError> {
    let key = folder.root();
    let body = Bytes::from(ENVELOPE.seal(root));
    let (is_guarded, guard) = match expected {
        _ if is_out(Switch::RootGuard) => (true, Condition::Always),
        Some(etag) => (root.store.put_matches, Condition::Matches(etag.clone())),
        None => (root.store.put_absent, Condition::Absent),
    };
    let condition = if is_guarded {
        guard
    } else {
        let found = load_root(store, folder).await?;
        if found.as_ref().map(|found| &found.etag) != expected {
            return Err(SwapError::Lost {
                found: found.map(|found| Box::new(found.root)),
            });
        }
        Condition::Always
    };
    let put = Put {
        checksum: root.store.checksum,
        ..Put::new(body.clone(), condition)
    };
    let error = match store.put(&key, put).await {
        Ok(written) => return Ok(written.etag),
        Err(error) => error,
    };
    // S3 answers 404 to `If-Match` where the object is gone.
    if !needs_a_look(&error.kind) && error.kind != StoreErrorKind::NotFound {
        return Err(LedgerError::from(error).into());
    }
    // The reply to this write, or to an earlier try of it, may have been lost.
    let found = read_file(store, &key).await?;
    match found {
        Some((meta, bytes)) if bytes == body => Ok(meta.etag),
        Some((meta, _)) if Some(&meta.etag) == expected => Err(LedgerError::from(error).into()),
        None if expected.is_none() => Err(LedgerError::from(error).into()),
        Some((_, bytes)) => {
            let found: Root = ENVELOPE.open(&place(store.bucket(), &key), &bytes)?;
            Err(SwapError::Lost {
                found: Some(Box::new(found)),
            })
        }
        None => Err(SwapError::Lost { found: None }),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::testing::{bucket, folder, root, shared};
    use super::*;
    use crate::store::RequestKind;
    use crate::store::faulty::{Fault, FaultyStore, Matching};
    use crate::store::memory::MemoryStore;

    async fn first(store: &MemoryStore) -> ETag {
        swap_root(store, &folder(), &root(1), None).await.unwrap()
    }

    fn failing(store: &MemoryStore, fault: Fault) -> FaultyStore {
        FaultyStore::new(shared(store), Matching::new(fault).kind(RequestKind::Put))
    }

    #[tokio::test]
    async fn a_root_is_read_back_as_it_was_swapped_in() {
        let store = bucket();
        assert_eq!(load_root(&store, &folder()).await.unwrap(), None);
        let etag = first(&store).await;
        let loaded = load_root(&store, &folder()).await.unwrap().unwrap();
        assert_eq!((&loaded.root, &loaded.etag), (&root(1), &etag));
        let etag = swap_root(&store, &folder(), &root(2), Some(&loaded.etag))
            .await
            .unwrap();
        let loaded = load_root(&store, &folder()).await.unwrap().unwrap();
        assert_eq!((&loaded.root, &loaded.etag), (&root(2), &etag));
    }

    #[tokio::test]
    async fn the_second_of_two_swaps_is_lost_and_told_what_it_lost_to() {
        let store = bucket();
        let etag = first(&store).await;
        swap_root(&store, &folder(), &root(2), Some(&etag)).await.unwrap();
        for expected in [Some(&etag), None] {
            let mut other = root(2);
            other.source = "git:another".to_owned();
            match swap_root(&store, &folder(), &other, expected).await {
                Err(SwapError::Lost { found: Some(found) }) => assert_eq!(*found, root(2)),
                outcome => panic!("{outcome:?}"),
            }
        }
        store.foreign_delete(&folder().root());
        let outcome = swap_root(&store, &folder(), &root(2), Some(&etag)).await;
        assert!(matches!(outcome, Err(SwapError::Lost { found: None })), "{outcome:?}");
    }

    #[tokio::test]
    async fn a_lost_reply_is_settled_by_one_read() {
        use StoreErrorKind::{ConditionFailed, Conflict, NoReply, Unavailable};
        for kind in [NoReply, Unavailable, ConditionFailed, Conflict] {
            let store = bucket();
            let etag = first(&store).await;
            store.clear_log();
            let faulty = failing(&store, Fault::After(kind.clone()));
            let etag = swap_root(&faulty, &folder(), &root(2), Some(&etag)).await.unwrap();
            assert_eq!(store.object(&folder().root()).unwrap().meta.etag, etag, "{kind:?}");
            assert_eq!(store.count(RequestKind::Get), 1);
        }
    }

    #[tokio::test]
    async fn a_write_that_never_arrived_is_not_called_lost() {
        for expects_one in [true, false] {
            let store = bucket();
            let etag = if expects_one { Some(first(&store).await) } else { None };
            let faulty = failing(&store, Fault::Before(StoreErrorKind::NoReply));
            let outcome = swap_root(&faulty, &folder(), &root(2), etag.as_ref()).await;
            assert!(
                matches!(outcome, Err(SwapError::Ledger(LedgerError::Store(_)))),
                "{outcome:?}"
            );
        }
    }

    #[tokio::test]
    async fn an_unguarded_swap_goes_out_only_after_a_look() {
        let store = bucket();
        let etag = first(&store).await;
        let mut next = root(2);
        next.store.put_matches = false;
        let stale = ETag::new("stale");
        let outcome = swap_root(&store, &folder(), &next, Some(&stale)).await;
        assert!(matches!(outcome, Err(SwapError::Lost { .. })), "{outcome:?}");
        swap_root(&store, &folder(), &next, Some(&etag)).await.unwrap();
        assert_eq!(load_root(&store, &folder()).await.unwrap().unwrap().root, next);
    }

    #[tokio::test]
    async fn a_damaged_or_newer_root_is_an_error_for_the_reader_and_for_the_loser() {
        for (bytes, says) in [
            ("", "ledger rebuild"),
            (r#"{"format":"lakesync root","version":2}"#, "update lakesync"),
        ] {
            let store = bucket();
            store.foreign_put(&folder().root(), bytes);
            let error = load_root(&store, &folder()).await.unwrap_err().to_string();
            assert!(
                error.contains(says) && error.contains("s3://bucket/export/_lakesync/root.json"),
                "{error}"
            );
            let store: Arc<dyn Store> = shared(&store);
            let error = swap_root(&*store, &folder(), &root(1), None)
                .await
                .unwrap_err()
                .to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
