use std::sync::Arc;

use super::*;
use crate::store::faulty::{Call, Fault, FaultyStore, Matching, Nth, Script};
use crate::store::memory::MemoryStore;
use crate::store::{RequestKind, StoreErrorKind};

const PREFIX: &str = "exp/_lakesync/probe/run/";

fn store_that_can(capabilities: Capabilities) -> MemoryStore {
    let store = MemoryStore::new("bucket".parse().unwrap(), capabilities);
    store.foreign_put(&ObjectKey::new("exp/other"), "somebody else's");
    store
}

fn assert_nothing_is_left(store: &MemoryStore, when: &str) {
    let keys: Vec<_> = store.objects().into_keys().collect();
    assert_eq!(keys, [ObjectKey::new("exp/other")], "{when}");
    assert_eq!(store.uploads(), [], "{when}");
}

type Loss = fn(&mut Capabilities);

/// Each capability, with the least that goes when it goes.
fn losses() -> Vec<(&'static str, Loss)> {
    vec![
        ("put_absent", |can| can.put_absent = false),
        ("put_matches", |can| can.put_matches = false),
        ("complete_absent", |can| can.complete_absent = false),
        ("complete_matches", |can| can.complete_matches = false),
        ("copy_absent", |can| can.copy_absent = false),
        ("copy_matches", |can| can.copy_matches = false),
        ("copy_source_matches", |can| can.copy_source_matches = false),
        ("part_copy", |can| can.part_copy = false),
        ("delete_matches", |can| can.delete_matches = false),
        ("delete_many", |can| {
            can.delete_many = false;
            can.delete_many_matches = false;
        }),
        ("delete_many_matches", |can| can.delete_many_matches = false),
        ("file_beside_folder", |can| can.file_beside_folder = false),
        ("absent_over_folder", |can| can.absent_over_folder = false),
        ("odd_keys", |can| can.odd_keys = false),
        ("crc32c at best", |can| can.checksum = Checksum::Crc32c),
        ("crc32 at best", |can| can.checksum = Checksum::Crc32),
        ("md5 at best", |can| can.checksum = Checksum::Md5),
        ("sha256 at best", |can| can.checksum = Checksum::Sha256),
        ("no checksum", |can| can.checksum = Checksum::None),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_store_that_can_do_everything_is_found_out_in_32_requests() {
    let store = store_that_can(Capabilities::ALL);
    // Spawned, since a service spawns its runs.
    let shared = store.clone();
    let found = tokio::spawn(async move { probe(&shared, PREFIX).await });
    let found = found.await.unwrap().unwrap();
    assert_eq!(found.capabilities, Capabilities::ALL);
    assert_eq!(found.leftovers, []);
    assert_eq!(store.log().len(), 32, "{:?}", store.counts());
    assert_eq!(store.violations(), []);
    assert_nothing_is_left(&store, "all");
}

#[tokio::test(start_paused = true)]
async fn each_thing_that_a_store_cannot_do_is_found_and_nothing_else_is() {
    for (name, lose) in losses() {
        let mut can = Capabilities::ALL;
        lose(&mut can);
        let store = store_that_can(can);
        let found = probe(&store, PREFIX).await.unwrap();
        assert_eq!(found.capabilities, can, "{name}");
        assert_eq!(found.leftovers, [], "{name}");
        assert_nothing_is_left(&store, name);
        // A first export has 60 beside its objects, and about 20 go to lease, root, status and ranges.
        assert!(store.log().len() <= 40, "{name}: {} requests", store.log().len());
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_can_do_nothing_is_found_out_and_left_clean() {
    let mut can = Capabilities::ALL;
    losses().iter().for_each(|(_, lose)| lose(&mut can));
    // What ignores the condition does not stumble over it.
    can.absent_over_folder = true;
    let store = store_that_can(can);
    let found = probe(&store, PREFIX).await.unwrap();
    assert_eq!(found.capabilities, can);
    assert_nothing_is_left(&store, "nothing");
}

#[tokio::test(start_paused = true)]
async fn an_error_that_passes_at_any_request_only_begins_the_probe_anew() {
    for number in 0..32 {
        for kind in [StoreErrorKind::Throttled, StoreErrorKind::Unavailable] {
            let memory = store_that_can(Capabilities::ALL);
            let fault = Fault::Before(kind.clone());
            let store = FaultyStore::new(Arc::new(memory.clone()), Nth { number, fault });
            let found = probe(&store, PREFIX).await.unwrap();
            assert_eq!(found.capabilities, Capabilities::ALL, "{kind:?} at {number}");
            assert_nothing_is_left(&memory, &format!("{kind:?} at {number}"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_at_any_request_is_not_taken_for_a_guard_and_leaves_nothing() {
    for number in 0..32 {
        let memory = store_that_can(Capabilities::ALL);
        let fault = Fault::After(StoreErrorKind::NoReply);
        let store = FaultyStore::new(Arc::new(memory.clone()), Nth { number, fault });
        let found = probe(&store, PREFIX).await.unwrap();
        assert_eq!(found.capabilities, Capabilities::ALL, "at {number}");
        assert_nothing_is_left(&memory, &format!("at {number}"));
    }
}

/// Spoils, in each try of a probe, the n-th request of a kind for a key; of those for the key `k/1` the first
/// writes it, the second tries `If-None-Match`, the others `If-Match`.
fn each_try(kind: RequestKind, key: &'static str, nth: usize, fault: Fault) -> Script<impl Fn(&Call) -> Fault> {
    let seen = std::sync::Mutex::new(std::collections::BTreeMap::<ObjectKey, usize>::new());
    Script(move |call: &Call| {
        let Some(found) = call.key.clone().filter(|found| found.as_str().ends_with(key)) else {
            return Fault::None;
        };
        if call.kind != kind {
            return Fault::None;
        }
        let mut seen = seen.lock().unwrap();
        let count = seen.entry(found).or_default();
        *count += 1;
        if *count == nth + 1 { fault.clone() } else { Fault::None }
    })
}

const NO_ANSWERS: [fn() -> Fault; 3] = [
    || Fault::Before(StoreErrorKind::Unavailable),
    || Fault::Before(StoreErrorKind::NoReply),
    || Fault::After(StoreErrorKind::NoReply),
];

#[tokio::test(start_paused = true)]
async fn a_guard_that_is_never_answered_is_an_error_that_names_it_and_not_one_that_is_lacking() {
    use RequestKind::{CompleteUpload, Delete, Put};
    for (kind, key, nth, guard) in [
        (Put, "/k/1", 0, "If-None-Match"),
        (Put, "/k/1", 1, "If-None-Match"),
        (Put, "/k/1", 2, "If-Match"),
        (Put, "/k/1", 3, "If-Match"),
        (Delete, "/c", 0, "If-Match"),
        (Delete, "/c", 1, "If-Match"),
        (CompleteUpload, "/m", 0, "If-None-Match"),
        (CompleteUpload, "/m", 1, "If-None-Match"),
        (CompleteUpload, "/m", 2, "If-Match"),
        (CompleteUpload, "/m", 3, "If-Match"),
    ] {
        // Not after its effect: a 412 would come through, which is an answer.
        for fault in &NO_ANSWERS[..2] {
            let memory = store_that_can(Capabilities::ALL);
            let store = FaultyStore::new(Arc::new(memory.clone()), each_try(kind, key, nth, fault()));
            let found = probe(&store, PREFIX).await;
            let when = format!("{kind:?} {nth} {:?}: {found:?}", fault());
            let error = found.expect_err(&when);
            assert!(
                matches!(&error.kind, StoreErrorKind::Unclear { guard: named, .. } if *named == guard),
                "{when}"
            );
            let text = error.to_string();
            assert!(text.starts_with(kind.s3_name()) && text.contains(key), "{when}");
            assert!(
                text.contains("cannot tell whether the store honours") && text.contains("run again"),
                "{when}"
            );
            assert_nothing_is_left(&memory, &when);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_guard_that_is_denied_is_an_error_that_names_the_rights() {
    use RequestKind::{CompleteUpload, Delete, Put};
    for (kind, key, nth, rights) in [
        (Put, "/k/1", 1, "allow s3:PutObject and s3:GetObject"),
        (Put, "/k/1", 2, "allow s3:PutObject and s3:GetObject"),
        (Delete, "/c", 0, "allow s3:DeleteObject and s3:GetObject"),
        (CompleteUpload, "/m", 2, "allow s3:PutObject and s3:GetObject"),
        // Not a matter of the condition.
        (Put, "/k/1", 0, "the credentials need s3:PutObject"),
        (Delete, "/d", 0, "the credentials need s3:DeleteObject"),
    ] {
        let memory = store_that_can(Capabilities::ALL);
        let fault = each_try(kind, key, nth, Fault::Before(StoreErrorKind::Denied));
        let store = FaultyStore::new(Arc::new(memory.clone()), fault);
        let error = probe(&store, PREFIX).await.unwrap_err();
        assert!(error.to_string().contains(rights), "{kind:?} {nth}: {error}");
        // It will not pass, so one try is enough.
        assert!(store.calls() < 32 + 8, "{kind:?} {nth}: {} requests", store.calls());
        assert_nothing_is_left(&memory, &format!("{kind:?} {nth}"));
    }
}

#[tokio::test(start_paused = true)]
async fn without_the_right_to_delete_nothing_is_written() {
    let memory = store_that_can(Capabilities::ALL);
    let denied = Matching::new(Fault::Before(StoreErrorKind::Denied)).kind(RequestKind::Delete);
    let store = FaultyStore::new(Arc::new(memory.clone()), denied);
    let error = probe(&store, PREFIX).await.unwrap_err();
    assert_eq!(
        (error.request, error.kind),
        (RequestKind::Delete, StoreErrorKind::Denied)
    );
    assert_nothing_is_left(&memory, "no right to delete");
}

/// What saves time, with what is lacking where it cannot be had.
fn ways() -> Vec<(RequestKind, &'static str, Loss)> {
    vec![
        (RequestKind::Copy, "/c", |can| {
            can.copy_absent = false;
            can.copy_matches = false;
            can.copy_source_matches = false;
        }),
        (RequestKind::UploadPartCopy, "/m", |can| can.part_copy = false),
        (RequestKind::DeleteMany, "/m", |can| {
            can.delete_many = false;
            can.delete_many_matches = false;
        }),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_way_that_is_denied_or_unknown_is_lacking_and_nothing_else_is() {
    for (kind, _, lose) in ways() {
        for answer in [StoreErrorKind::Denied, StoreErrorKind::NotSupported] {
            let mut can = Capabilities::ALL;
            lose(&mut can);
            let memory = store_that_can(Capabilities::ALL);
            let fault = Matching::new(Fault::Before(answer.clone())).kind(kind);
            let store = FaultyStore::new(Arc::new(memory.clone()), fault);
            let found = probe(&store, PREFIX).await.unwrap();
            assert_eq!(found.capabilities, can, "{kind:?} {answer:?}");
            assert_nothing_is_left(&memory, &format!("{kind:?} {answer:?}"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_way_that_is_never_answered_is_an_error_since_it_would_be_gone_round_for_ever() {
    let more = [(RequestKind::CreateUpload, "/m"), (RequestKind::UploadPart, "/m")];
    for (kind, key) in ways().into_iter().map(|(kind, key, _)| (kind, key)).chain(more) {
        for fault in NO_ANSWERS {
            let memory = store_that_can(Capabilities::ALL);
            let store = FaultyStore::new(Arc::new(memory.clone()), Matching::new(fault()).kind(kind));
            let error = probe(&store, PREFIX).await.unwrap_err();
            assert!(error.request == kind && error.kind.is_ambiguous(), "{kind:?}: {error}");
            assert!(error.to_string().contains(key), "{kind:?}: {error}");
            assert_nothing_is_left(&memory, &format!("{kind:?}"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_odd_key_that_is_never_answered_is_one_that_cannot_be() {
    for fault in NO_ANSWERS {
        let memory = store_that_can(Capabilities::ALL);
        let store = FaultyStore::new(Arc::new(memory.clone()), Matching::new(fault()).key_contains("/o//"));
        let found = probe(&store, PREFIX).await.unwrap();
        assert_eq!(
            found.capabilities,
            Capabilities {
                odd_keys: false,
                ..Capabilities::ALL
            }
        );
    }
}
