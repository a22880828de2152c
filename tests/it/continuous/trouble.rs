//! A store that fails for a while, and a process that sleeps for too long.

use rustix::process::Signal;

use super::*;
use crate::process::said;
use crate::weather::{Mood, Weather};
use crate::wire::{Action, Seen, Wire};

/// What is committed while the store is away arrives by itself when it is back.
#[tokio::test]
async fn a_store_that_was_down_gets_what_it_missed() {
    let room = room().await;
    let repository = Repository::new();
    let first = repository.commit_files(&["a", "b/c"]);
    let wire = Wire::open(room.bucket.server).await;
    let weather = Weather::over(&wire, 1);
    let mut follower = room.follow_git(&wire.endpoint, &repository, &[]);
    room.until_out(&follower, |head| head.commit == first.as_str()).await;
    // All of the run, what it cleans up included: one that is under way waits for its lease as long as that may live.
    follower.until_said(&format!("Exported {}", first.short())).await;
    weather.turn(Mood::Outage);
    let mut last = first;
    for number in 0..5 {
        repository.write("a", number.to_string());
        last = repository.commit("while it is down");
    }
    follower.until_said("next try in").await;
    assert!(weather.total() >= 8, "it gave up after {} requests", weather.total());
    let head = room.status_now().await.unwrap();
    assert_eq!(
        (head.status, head.put),
        (ExportState::Success, 2),
        "{}",
        follower.said()
    );
    weather.turn(Mood::Clear);
    let head = room.until_out(&follower, |head| head.commit == last.as_str()).await;
    assert_eq!((head.put, head.kept), (1, 1));
    follower.ends(Signal::TERM, 143).await;
}

/// Where three requests of ten are refused, commits take longer, and arrive all the same.
#[tokio::test]
async fn a_store_that_refuses_three_of_ten_gets_everything_all_the_same() {
    let mut room = room().await;
    // A run cleans up after its success, which takes its time where three of ten deletes are refused.
    room.others.unswept = true;
    for number in 0..40 {
        room.write(&format!("f/{number}"), number.to_string());
    }
    let wire = Wire::open(room.bucket.server).await;
    let weather = Weather::over(&wire, 2);
    let follower = room.follow(&wire.endpoint, &["--concurrency", "8"]);
    // What the store can do is found out once, and takes no second answer to one question.
    room.until_as_the_folder(&follower).await;
    wire.reset();
    weather.turn(Mood::Storm);
    for round in 0..3 {
        for number in 0..10 {
            room.write(&format!("f/{number}"), format!("{round} {number}"));
        }
        std::fs::remove_file(room.tree().join(format!("f/{}", 20 + round))).unwrap();
        room.until_as_the_folder(&follower).await;
    }
    let refused = weather.counts()["answered 503"];
    assert!(
        refused * 5 > wire.len() as u64,
        "only {refused} of {} were refused",
        wire.len()
    );
    weather.turn(Mood::Clear);
    // The clear sky shows that nothing of the bad times is left.
    room.write("f/0", "the last");
    room.until_as_the_folder(&follower).await;
    follower.ends(Signal::TERM, 143).await;
    room.others.unswept = false;
    room.check().await;
}

fn writes(log: &[Seen]) -> Vec<&Seen> {
    let is_refused_lease = |seen: &Seen| seen.key.ends_with("/_lakesync/lease.json") && seen.status == Some(412);
    let is_write = |seen: &&Seen| seen.kind.is_none_or(|kind| kind.is_write()) && !is_refused_lease(seen);
    log.iter().filter(is_write).collect()
}

/// P5: stopped in the middle of a run for longer than its lease, it leaves to the other what the other has done, and
/// then goes on as if nothing had been.
#[tokio::test]
async fn a_program_that_was_stopped_for_longer_than_its_lease_starts_no_further_write_and_follows_again() {
    let room = room().await;
    for number in 0..60 {
        room.write(&format!("f/{number}"), format!("old {number}"));
    }
    let wire = Wire::open(room.bucket.server).await;
    wire.when(room.is_write(10), Action::FreezeAfter);
    let words = ["--concurrency", "4", "--lease-ttl", "10s", "--rescan-interval", "1h"];
    let mut follower = room.follow(&wire.endpoint, &words);
    tokio::time::timeout(PATIENCE, wire.triggered())
        .await
        .expect("it hangs");
    follower.send(Signal::STOP);
    let stat = format!("/proc/{}/stat", follower.child.id().unwrap());
    while !std::fs::read_to_string(&stat).unwrap().contains(") T ") {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // What it has sent already lands, and its replies wait for it.
    wire.thaw();
    let mut sent = 0;
    while sent != wire.len() {
        sent = wire.len();
        // What it wrote into a socket may be read much later where the machine is busy.
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    room.write("f/0", "new");
    let words = ["--lock-wait", "40s"];
    let other = ended(room.export(&room.bucket.server.endpoint, &words).spawn().unwrap()).await;
    assert_eq!(other.status.code(), Some(0), "{}", said(&other));
    assert_eq!(wire.len(), sent, "a stopped process sends nothing");

    follower.send(Signal::CONT);
    follower.until_said("waiting until it is free").await;
    let log = wire.log();
    assert!(writes(&log[sent..]).is_empty(), "{:#?}", writes(&log[sent..]));
    room.check().await;
    room.write("f/1", "newer");
    room.until_as_the_folder(&follower).await;
    follower.ends(Signal::TERM, 143).await;
}
