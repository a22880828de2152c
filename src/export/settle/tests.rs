use super::*;
use crate::ledger::{Done, DoneLog, DoneOutcome, HeadersDigest, Intent, IntentKind, IntentWriter, StatusName};
use crate::model::{CommitId, ContentId, ContentIds, ETag, ObjectKey, RunId};
use crate::store::memory::MemoryStore;
use crate::store::{Capabilities, Checksum, RequestKind};

const PATHS: u64 = 3_000;

fn path(number: u64) -> RelPath {
    RelPath::new(format!("folder-{}/{number:05}", number % 7)).unwrap()
}

fn run(number: u64) -> RunRef {
    let now: StoreTime = "2026-11-22T07:14:22Z".parse().unwrap();
    RunRef {
        run: RunId::from_parts(number, number.into()),
        commit: CommitId::new(format!("commit {number}")),
        status: StatusName::next(now, None),
        lease_taken: now,
    }
}

fn content(number: u64, by: &RunRef) -> ContentIds {
    ContentId::Blake3(*blake3::hash(format!("{number} {}", by.run).as_bytes()).as_bytes()).into()
}

fn intent(number: u64, by: &RunRef) -> Intent {
    let put = IntentKind::Put {
        content: content(number, by),
        size: 4,
        headers: HeadersDigest(1),
    };
    Intent {
        path: path(number),
        kind: if number.is_multiple_of(11) {
            IntentKind::Delete
        } else {
            put
        },
        is_upload: false,
    }
}

fn done(number: u64, by: &RunRef, etag: ETag) -> Done {
    Done {
        path: path(number),
        outcome: DoneOutcome::Put {
            etag,
            size: 4,
            content: content(number, by),
            headers: HeadersDigest(1),
            version_id: None,
        },
    }
}

/// What the numbers of a run are: the first run meant two paths of three, the second the other half of all.
fn meant_by(runs: &[RunRef], by: &RunRef, number: u64) -> bool {
    if by == &runs[0] {
        !number.is_multiple_of(3)
    } else {
        number.is_multiple_of(2)
    }
}

/// A bucket in which two runs died: each wrote down half of what it put, and of that a part was replaced since.
async fn bucket(runs: &[RunRef], folder: &LedgerFolder, prefix: &Prefix) -> MemoryStore {
    let store = MemoryStore::new("bucket".parse().unwrap(), Capabilities::ALL);
    let shared: Arc<dyn Store> = Arc::new(store.clone());
    for by in runs {
        let mut intents = IntentWriter::new(shared.clone(), folder.clone(), by.run, Checksum::None);
        let mut log = DoneLog::new(shared.clone(), folder.clone(), by.run, Checksum::None);
        let mut numbers: Vec<u64> = (0..PATHS).filter(|number| meant_by(runs, by, *number)).collect();
        numbers.sort_by_key(|number| path(*number));
        for number in &numbers {
            intents.push(&intent(*number, by)).await.unwrap();
        }
        intents.finish().await.unwrap();
        // Outcomes come in any order.
        numbers.sort_by_key(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        for number in numbers.into_iter().filter(|number| !number.is_multiple_of(5)) {
            let key = prefix.key(&path(number)).unwrap();
            let etag = store.foreign_put(&key, format!("{number} of {}", by.run));
            if number.is_multiple_of(2) || number.is_multiple_of(7) {
                log.push(&done(number, by, etag)).await.unwrap();
            }
            if number.is_multiple_of(13) {
                store.foreign_put(&key, "somebody else's");
            }
        }
        log.finish().await.unwrap();
    }
    store.foreign_put(&ObjectKey::new("export/nobody/meant/this"), "x");
    store.clear_log();
    store
}

struct Bench {
    runs: Vec<RunRef>,
    folder: LedgerFolder,
    prefix: Prefix,
    bucket: MemoryStore,
}

async fn bench() -> Bench {
    let prefix = Prefix::new("export/");
    let (runs, folder) = (vec![run(1), run(2)], LedgerFolder::of(&prefix));
    let bucket = bucket(&runs, &folder, &prefix).await;
    Bench {
        runs,
        folder,
        prefix,
        bucket,
    }
}

impl Bench {
    /// Settles; gives what was found, how much was held at once, and how many HEADs it took.
    async fn settle(&self, trusted: bool, items_at_once: usize, ledger_objects: u64) -> (Vec<Found>, usize, u64) {
        self.bucket.clear_log();
        let store: Arc<dyn Store> = Arc::new(self.bucket.clone());
        let settler = Settler {
            store: &store,
            folder: &self.folder,
            prefix: &self.prefix,
            ledger_objects,
        };
        let gathered = settler.gather(&self.runs, |_| trusted, items_at_once).await.unwrap();
        let found = settler.look_at_all(&gathered).await.unwrap();
        let found = found.iter().map(Result::unwrap).collect();
        (found, gathered.most_held(), self.bucket.count(RequestKind::Head))
    }

    /// Every path that a run meant, what is there and what the runs meant to put there.
    fn assert_right(&self, found: &[Found]) {
        let mut paths: Vec<u64> = (0..PATHS)
            .filter(|number| self.runs.iter().any(|by| meant_by(&self.runs, by, *number)))
            .collect();
        paths.sort_by_key(|number| path(*number));
        assert_eq!(found.len(), paths.len());
        for (found, number) in found.iter().zip(paths) {
            assert_eq!(found.path, path(number));
            let there = self.bucket.object(&self.prefix.key(&found.path).unwrap());
            match (&found.object, there) {
                (FoundObject::Nothing, None) => {}
                (FoundObject::Object { etag, size, .. }, Some(there)) => {
                    assert_eq!((etag, *size), (&there.meta.etag, there.meta.size), "{number}");
                }
                other => panic!("{number}: {other:?}"),
            }
            let puts = self
                .runs
                .iter()
                .filter(|by| meant_by(&self.runs, by, number) && !number.is_multiple_of(11));
            let meant: Vec<RunId> = found.intended.iter().map(|intended| intended.run).collect();
            assert_eq!(meant, puts.map(|by| by.run).collect::<Vec<_>>(), "{number}");
        }
    }
}

#[tokio::test]
async fn dead_runs_are_settled_with_a_bounded_number_of_records_in_memory() {
    let bench = bench().await;
    let (found, held, heads) = bench.settle(true, 100, 0).await;
    bench.assert_right(&found);
    assert_eq!(held, 100, "of {PATHS} paths");
    let (again, held_all, heads_again) = bench.settle(true, usize::MAX, 0).await;
    assert!(held_all >= 2_000, "{held_all}");
    assert_eq!((format!("{again:?}"), heads_again), (format!("{found:?}"), heads));
}

#[tokio::test]
async fn a_listing_saves_the_looks_that_done_records_bear_out() {
    let bench = bench().await;
    let (found, _, heads) = bench.settle(true, 100, 0).await;
    bench.assert_right(&found);
    let by_record = found.iter().filter(|found| {
        matches!(&found.object, FoundObject::Object { mark: Some(mark), .. }
            if found.intended.last().is_some_and(|last| last.run == mark.run))
    });
    let absent = found
        .iter()
        .filter(|found| matches!(found.object, FoundObject::Nothing));
    let settled = (by_record.count() + absent.count()) as u64;
    assert!(settled > 1_000, "{settled}");
    assert_eq!(heads, found.len() as u64 - settled);
    let (found, _, heads_without_trust) = bench.settle(false, 100, 0).await;
    bench.assert_right(&found);
    assert!(heads_without_trust > heads, "{heads_without_trust} of {}", found.len());
    // A ledger so long that its listing costs more than all looks.
    let (found, _, all_heads) = bench.settle(true, 100, 10_000_000).await;
    bench.assert_right(&found);
    assert_eq!(all_heads, found.len() as u64);
    assert_eq!(bench.bucket.count(RequestKind::List), 0);
}

#[test]
fn a_listing_in_any_order_and_records_of_any_file_are_paired() {
    let runs = [run(1), run(2)];
    let mut gathering = Gathering::new(2);
    for by in &runs {
        // In the order of bytes `a-b` comes before `a/b`; SeaweedFS lists it after.
        for name in ["a", "a-b", "a/b", "a0"] {
            let path = RelPath::new(name).unwrap();
            let intent = Intent { path, ..intent(1, by) };
            gathering.intent(by.run, intent).unwrap();
        }
    }
    for name in ["a0", "a/b", "a-b"] {
        for (at, by) in runs.iter().enumerate() {
            let path = RelPath::new(name).unwrap();
            let etag = ETag::new(&format!("{name} {at}"));
            let old = done(1, by, ETag::new("old"));
            gathering
                .done(
                    by.run,
                    Done {
                        path: path.clone(),
                        ..old
                    },
                )
                .unwrap();
            gathering
                .done(
                    by.run,
                    Done {
                        path,
                        ..done(1, by, etag)
                    },
                )
                .unwrap();
        }
    }
    for (name, etag) in [("z", "z"), ("a/b", "a/b 1"), ("a-b", "a-b 0"), ("a0", "old")] {
        gathering.seen(RelPath::new(name).unwrap(), ETag::new(etag), 1).unwrap();
    }
    let gathered = gathering.finish(true).unwrap();
    let answers: Vec<_> = gathered
        .questions()
        .map(|question| {
            let question = question.unwrap();
            assert_eq!(question.intended.len(), 2);
            let answer = match question.answer {
                None => "look",
                Some(FoundObject::Nothing) => "nothing",
                Some(_) => "known",
            };
            (question.path.to_string(), answer)
        })
        .collect();
    // Only the last run's last record counts; whatever an earlier one says is to be looked at.
    let expected = [("a", "nothing"), ("a-b", "look"), ("a/b", "known"), ("a0", "look")];
    assert_eq!(answers, expected.map(|(path, answer)| (path.to_owned(), answer)));
}
