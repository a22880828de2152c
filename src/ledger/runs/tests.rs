use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt as _;
use tokio::time::{Instant, sleep};

use super::super::HeadersDigest;
use super::super::testing::{bucket, folder, run, shared};
use super::*;
use crate::model::{ContentId, ETag, RelPath};
use crate::store::faulty::{Fault, FaultyStore, Matching};
use crate::store::memory::MemoryStore;
use crate::store::{Checksum, RequestKind, Store, StoreErrorKind};

fn path(number: u64) -> RelPath {
    RelPath::new(format!("folder/{number:08}")).unwrap()
}

fn intent(number: u64) -> Intent {
    Intent {
        path: path(number),
        kind: match number % 3 {
            0 => IntentKind::Delete,
            _ => IntentKind::Put {
                content: ContentId::Blake3([number as u8; 32]).into(),
                size: number,
                headers: HeadersDigest(number),
            },
        },
        is_upload: number.is_multiple_of(5),
    }
}

fn done(number: u64) -> Done {
    Done {
        path: path(number),
        outcome: match number % 3 {
            0 => Outcome::Deleted,
            _ => Outcome::Put {
                etag: ETag::new("etag"),
                size: number,
                content: ContentId::Blake3([7; 32]).into(),
                headers: HeadersDigest(number),
                version_id: number.is_multiple_of(2).then(|| "version".into()),
            },
        },
    }
}

fn writer(store: Arc<dyn Store>) -> IntentWriter {
    IntentWriter::new(store, folder(), run(1), Checksum::None)
}

fn log(store: Arc<dyn Store>) -> DoneLog {
    DoneLog::new(store, folder(), run(1), Checksum::None)
}

async fn write(store: &MemoryStore, count: u64) {
    let mut writer = writer(shared(store));
    for number in 0..count {
        writer.push(&intent(number)).await.unwrap();
    }
    assert_eq!(writer.finish().await.unwrap(), count);
}

async fn intents(store: &MemoryStore) -> Result<Vec<Intent>, LedgerError> {
    read_intents(shared(store), folder(), run(1)).try_collect().await
}

async fn all_done(store: &MemoryStore) -> Result<Vec<Done>, LedgerError> {
    read_done(shared(store), &folder(), run(1)).await?.try_collect().await
}

fn assert_damaged<T: std::fmt::Debug>(outcome: &Result<T, LedgerError>) {
    assert!(matches!(outcome, Err(LedgerError::Damaged { .. })), "{outcome:?}");
}

#[tokio::test]
async fn intents_are_read_as_they_were_written_in_as_many_files_as_they_need() {
    for (count, files) in [(0, 1), (1, 1), (100_000, 1), (100_001, 2)] {
        let store = bucket();
        write(&store, count).await;
        assert_eq!(store.objects().len(), files, "{count}");
        let read = intents(&store).await.unwrap();
        assert!(read.into_iter().eq((0..count).map(intent)));
        assert_eq!(store.count(RequestKind::Get), files as u64);
    }
}

#[tokio::test]
async fn long_intents_fill_a_file_before_there_are_many() {
    let store = bucket();
    let mut writer = writer(shared(&store));
    for number in 0..12_u64 {
        let mut long = intent(number);
        long.path = RelPath::new(format!("{number:02}{}", "x".repeat(1 << 20))).unwrap();
        writer.push(&long).await.unwrap();
    }
    writer.finish().await.unwrap();
    assert_eq!(store.objects().len(), 2);
    assert_eq!(intents(&store).await.unwrap().len(), 12);
}

#[tokio::test]
async fn a_missing_or_damaged_piece_of_the_intents_is_an_error() {
    let store = bucket();
    write(&store, 100_001).await;
    let keys: Vec<_> = store.objects().into_keys().collect();
    assert!(
        keys[0]
            .as_str()
            .ends_with(&format!("_lakesync/runs/{}/intents-00001", run(1)))
    );
    for key in &keys {
        let whole = store.object(key).unwrap().bytes;
        store.foreign_delete(key);
        assert_damaged(&intents(&store).await);
        store.foreign_put(key, whole.slice(..whole.len() - 1));
        assert_damaged(&intents(&store).await);
        let other = store.object(keys.iter().find(|other| *other != key).unwrap()).unwrap();
        store.foreign_put(key, other.bytes);
        assert_damaged(&intents(&store).await);
        store.foreign_put(key, whole);
    }
    intents(&store).await.unwrap();
}

#[tokio::test]
async fn intents_of_a_run_that_died_while_it_wrote_them_are_never_taken_for_all() {
    let store = bucket();
    let mut writer = writer(shared(&store));
    for number in 0..100_001 {
        writer.push(&intent(number)).await.unwrap();
    }
    drop(writer);
    assert_eq!(store.objects().len(), 1);
    assert_damaged(&intents(&store).await);
}

#[tokio::test]
async fn unsorted_intents_are_refused() {
    let mut writer = writer(shared(&bucket()));
    writer.push(&intent(2)).await.unwrap();
    let outcome = writer.push(&intent(2)).await;
    assert!(matches!(outcome, Err(LedgerError::OutOfOrder { .. })), "{outcome:?}");
}

#[tokio::test]
async fn a_lost_reply_to_intents_is_settled_and_anothers_file_is_an_error() {
    use StoreErrorKind::{ConditionFailed, NoReply};
    for kind in [NoReply, ConditionFailed] {
        let store = bucket();
        let faulty = FaultyStore::new(shared(&store), Matching::new(Fault::After(kind)).kind(RequestKind::Put));
        let mut writer = writer(Arc::new(faulty));
        writer.push(&intent(1)).await.unwrap();
        writer.finish().await.unwrap();
        assert_eq!(intents(&store).await.unwrap(), [intent(1)]);
    }
    let store = bucket();
    write(&store, 1).await;
    let mut again = writer(shared(&store));
    again.push(&intent(7)).await.unwrap();
    let outcome = again.finish().await;
    assert!(matches!(outcome, Err(LedgerError::Store(_))), "{outcome:?}");
    assert_eq!(intents(&store).await.unwrap(), [intent(0)]);
}

#[tokio::test(start_paused = true)]
async fn done_records_are_written_after_five_seconds_or_ten_thousand() {
    let store = bucket();
    let mut log = log(shared(&store));
    assert_eq!(log.due(), None);
    for number in 0..9_999 {
        log.push(&done(number)).await.unwrap();
    }
    assert_eq!(store.objects().len(), 0);
    log.push(&done(9_999)).await.unwrap();
    assert_eq!(store.objects().len(), 1);
    log.push(&done(10_000)).await.unwrap();
    assert_eq!(log.due(), Some(Instant::now() + Duration::from_secs(5)));
    sleep(Duration::from_millis(4_999)).await;
    log.flush_if_due().await.unwrap();
    assert_eq!(store.objects().len(), 1);
    sleep(Duration::from_millis(1)).await;
    log.flush_if_due().await.unwrap();
    assert_eq!(store.objects().len(), 2);
    log.flush_if_due().await.unwrap();
    log.push(&done(10_001)).await.unwrap();
    log.finish().await.unwrap();
    assert_eq!(store.objects().len(), 3);
    let read = all_done(&store).await.unwrap();
    assert!(read.into_iter().eq((0..=10_001).map(done)));
}

#[tokio::test(start_paused = true)]
async fn a_done_file_that_cannot_be_written_is_let_go_and_a_lost_lease_is_not() {
    let store = bucket();
    let faults = Matching::new(Fault::Before(StoreErrorKind::Denied)).kind(RequestKind::Put);
    let mut log_to_full = log(Arc::new(FaultyStore::new(shared(&store), faults.times(1))));
    for number in 0..3 {
        log_to_full.push(&done(number)).await.unwrap();
        sleep(Duration::from_secs(5)).await;
        log_to_full.flush_if_due().await.unwrap();
    }
    log_to_full.finish().await.unwrap();
    assert_eq!(all_done(&store).await.unwrap(), [done(1), done(2)]);
    let faults = Matching::new(Fault::Before(StoreErrorKind::LeaseLost)).kind(RequestKind::Put);
    let mut log_without_lease = log(Arc::new(FaultyStore::new(shared(&store), faults)));
    log_without_lease.push(&done(1)).await.unwrap();
    log_without_lease.finish().await.unwrap_err();
}

#[tokio::test]
async fn done_files_are_read_in_the_order_of_their_numbers_and_of_this_run_alone() {
    let store = bucket();
    let mut page = Page::default();
    for (number, of) in [(100_000_u32, 1), (99_999, 1), (7, 1), (1, 2)] {
        page.push(&done(number.into()));
        let file = page.finish(&super::done::FORMAT, number, None);
        store.foreign_put(&folder().run_file(run(of), DONE, number), file);
    }
    write(&store, 1).await;
    store.foreign_put(&folder().prefix().join(&format!("runs/{}/done-notes", run(1))), "x");
    assert_eq!(all_done(&store).await.unwrap(), [done(7), done(99_999), done(100_000)]);
    store.foreign_put(&folder().run_file(run(1), DONE, 7), "x");
    assert_damaged(&all_done(&store).await);
}

#[test]
fn no_damage_makes_the_decoder_panic_or_take_memory() {
    let mut page = Page::default();
    for number in 0..20 {
        page.push(&intent(number));
    }
    let format = &super::intents::FORMAT;
    let body = format.unpack("f", &page.finish(format, 1, Some(20))).unwrap();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let mut refused = 0;
    for _ in 0..20_000 {
        let mut bad = body.clone();
        for _ in 0..=random(3) {
            let at = random(bad.len());
            match random(3) {
                0 => bad[at] ^= 1 << random(8),
                1 => bad[at] = 0xff,
                _ => bad.truncate(at.max(1)),
            }
        }
        refused += u32::from(read_page::<Intent>(format, "f", &format.pack(&bad)).is_err());
    }
    assert!(refused > 5_000, "{refused}");
}
