use std::sync::Arc;

use super::*;
use crate::store::StoreErrorKind;
use crate::store::faulty::{Fault, FaultyStore, Nth};
use crate::store::memory::MemoryStore;

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
async fn a_store_that_can_do_everything_is_found_out_in_31_requests() {
    let store = store_that_can(Capabilities::ALL);
    // Spawned, since a service spawns its runs.
    let shared = store.clone();
    let found = tokio::spawn(async move { probe(&shared, PREFIX).await });
    let found = found.await.unwrap().unwrap();
    assert_eq!(found.capabilities, Capabilities::ALL);
    assert_eq!(found.leftovers, []);
    assert_eq!(store.log().len(), 31, "{:?}", store.counts());
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
    for number in 0..31 {
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
    for number in 0..31 {
        let memory = store_that_can(Capabilities::ALL);
        let fault = Fault::After(StoreErrorKind::NoReply);
        let store = FaultyStore::new(Arc::new(memory.clone()), Nth { number, fault });
        let found = probe(&store, PREFIX).await.unwrap();
        assert_eq!(found.capabilities, Capabilities::ALL, "at {number}");
        assert_nothing_is_left(&memory, &format!("at {number}"));
    }
}
