//! Removes the ledger's files that nothing names any more.

use std::collections::BTreeSet;
use std::str::FromStr as _;

use futures::StreamExt as _;

use super::LedgerFolder;
use super::range_file::hash_in_name;
use super::runs::{DONE, INTENTS};
use crate::model::{ObjectKey, RunId};
use crate::store::{Capabilities, Condition, Listed, Store, StoreError, list_objects};

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// Files that are gone now.
    pub deleted: u64,
    /// Files that could not be deleted; the next run tries again.
    pub failed: u64,
}

/// Deletes ranges, files of runs and what a probe left, save the ranges in `keep` and the files of `keep_runs`.
/// Root, lease and every name that we do not understand stay.
///
/// To be called only by the holder of the lease, through its fenced store, after it has swapped the root to
/// clean: `keep` are the ranges that this root names, and `keep_runs` the runs that it calls unsettled. Then this
/// is safe: a later root names only ranges of this one and new ones, and whoever still works with an older root
/// either reads, meets a 404 and reads the root again, or is a former holder, whose swap cannot succeed any more.
///
/// # Errors
///
/// Where nothing more can be done: no listing, a lost lease. Files that cannot be deleted are counted.
pub async fn cleanup(
    store: &dyn Store,
    folder: &LedgerFolder,
    capabilities: &Capabilities,
    keep: &BTreeSet<String>,
    keep_runs: &BTreeSet<RunId>,
) -> Result<Cleaned, StoreError> {
    let prefix = folder.prefix().as_str();
    // Listed wholly before anything goes: it is a key for each 40,000 objects and for each file of a dead run.
    let mut garbage: Vec<(ObjectKey, _)> = Vec::new();
    let mut files = list_objects(store, prefix);
    while let Some(Listed { key, .. }) = files.next().await.transpose()? {
        let name = key.as_str().strip_prefix(prefix);
        if name.is_some_and(|name| is_garbage(name, keep, keep_runs)) {
            garbage.push((key, None));
        }
    }
    let mut cleaned = Cleaned::default();
    if capabilities.delete_many {
        for batch in garbage.chunks(1_000) {
            match store.delete_many(batch).await {
                Ok(outcomes) => outcomes.into_iter().try_for_each(|outcome| cleaned.count(1, outcome))?,
                Err(error) => cleaned.count(batch.len() as u64, Err(error))?,
            }
        }
    } else {
        for (key, _) in &garbage {
            cleaned.count(1, store.delete(key, &Condition::Always).await)?;
        }
    }
    Ok(cleaned)
}

impl Cleaned {
    fn count(&mut self, files: u64, outcome: Result<(), StoreError>) -> Result<(), StoreError> {
        match outcome {
            Ok(()) => self.deleted += files,
            Err(error) if error.kind.is_fatal() => return Err(error),
            Err(error) => {
                tracing::debug!(%error, "files of the ledger that nobody needs any more stay for now");
                self.failed += files;
            }
        }
        Ok(())
    }
}

/// Whether a name below `_lakesync/` is one of ours that nobody needs any more.
fn is_garbage(name: &str, keep: &BTreeSet<String>, keep_runs: &BTreeSet<RunId>) -> bool {
    let is_dead_run =
        |text: &str| RunId::from_str(text).is_ok_and(|run| run.to_string() == text && !keep_runs.contains(&run));
    match name.split_once('/') {
        Some(("ranges", range)) => hash_in_name(range).is_some() && !keep.contains(range),
        Some(("runs", rest)) => rest
            .split_once('/')
            .is_some_and(|(run, file)| is_dead_run(run) && is_run_file(file)),
        Some(("probe", rest)) => rest.split_once('/').is_some_and(|(run, _)| is_dead_run(run)),
        _ => false,
    }
}

fn is_run_file(name: &str) -> bool {
    name.rsplit_once('-').is_some_and(|(kind, number)| {
        [INTENTS, DONE].contains(&kind) && !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::super::range_file::range_name;
    use super::super::testing::{bucket, folder, run, shared};
    use super::*;
    use crate::store::faulty::{Call, Fault, FaultyStore, Script};
    use crate::store::memory::MemoryStore;
    use crate::store::{RequestKind, StoreErrorKind};

    /// Puts some files there; gives the ranges and the runs to keep, and the keys that must stay.
    fn filled(store: &MemoryStore) -> (BTreeSet<String>, BTreeSet<RunId>, Vec<ObjectKey>) {
        let kept_range = range_name(run(1), b"kept");
        let kept = [
            "root.json".to_owned(),
            "lease.json".to_owned(),
            "ranges/notes.txt".to_owned(),
            "ranges".to_owned(),
            "news/of/a/later/version".to_owned(),
            format!("ranges/{kept_range}"),
            format!("ranges/{kept_range}.later"),
            format!("runs/{}/intents-00001", run(2)),
            format!("runs/{}/later-00001", run(3)),
            format!("runs/{}/done-x", run(3)),
            "runs/nobody/intents-00001".to_owned(),
            "probe/strange".to_owned(),
        ];
        let gone = [
            format!("ranges/{}", range_name(run(1), b"gone")),
            format!("ranges/{}", range_name(run(3), b"kept")),
            format!("runs/{}/intents-00001", run(3)),
            format!("runs/{}/done-123456", run(3)),
            format!("probe/{}/a//b", run(3)),
        ];
        let key = |name: &String| folder().prefix().join(name);
        for name in kept.iter().chain(&gone) {
            store.foreign_put(&key(name), "x");
        }
        let mut keys: Vec<_> = kept.iter().map(key).collect();
        keys.push(ObjectKey::new("export/file"));
        keys.sort();
        store.foreign_put(&ObjectKey::new("export/file"), "x");
        (BTreeSet::from([kept_range]), BTreeSet::from([run(2)]), keys)
    }

    #[tokio::test]
    async fn what_nobody_names_goes_and_what_nobody_understands_stays() {
        for delete_many in [true, false] {
            let store = bucket();
            store.set_page_limit(3);
            let (ranges, runs, kept) = filled(&store);
            let capabilities = Capabilities {
                delete_many,
                ..Capabilities::ALL
            };
            let cleaned = cleanup(&store, &folder(), &capabilities, &ranges, &runs).await.unwrap();
            assert_eq!(cleaned, Cleaned { deleted: 5, failed: 0 });
            assert_eq!(store.objects().into_keys().collect::<Vec<_>>(), kept);
        }
    }

    #[tokio::test]
    async fn what_cannot_be_deleted_is_counted_and_a_lost_lease_ends_it() {
        for delete_many in [true, false] {
            let capabilities = Capabilities {
                delete_many,
                ..Capabilities::ALL
            };
            for (kind, expected) in [
                (StoreErrorKind::Denied, Some(Cleaned { deleted: 0, failed: 5 })),
                (StoreErrorKind::LeaseLost, None),
            ] {
                let store = bucket();
                let (ranges, runs, _) = filled(&store);
                let fault = Fault::Before(kind.clone());
                let script = Script(move |call: &Call| match call.kind {
                    RequestKind::Delete | RequestKind::DeleteMany => fault.clone(),
                    _ => Fault::None,
                });
                let faulty = FaultyStore::new(shared(&store), script);
                let outcome = cleanup(&faulty, &folder(), &capabilities, &ranges, &runs).await;
                assert_eq!(outcome.ok(), expected, "{kind:?}");
            }
        }
    }
}
