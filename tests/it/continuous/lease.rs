//! Two programs on one export path.

use std::time::Instant;

use rustix::process::Signal;

use super::*;
use crate::process::met;
use crate::wire::{Action, Seen, Wire};

fn fill(room: &Room, text: &str) {
    for number in 0..60 {
        room.write(&format!("f/{number}"), format!("{text} {number}"));
    }
}

/// What changed anything.
fn writes_done(log: &[Seen]) -> Vec<&Seen> {
    log.iter()
        .filter(|seen| seen.kind.is_some_and(|kind| kind.is_write()) && seen.status == Some(200))
        .collect()
}

/// P5: the second waits and writes nothing; when the first is killed it takes over, and mends what was left half done.
#[tokio::test]
async fn a_second_program_waits_and_takes_over_from_one_that_was_killed() {
    let room = room().await;
    fill(&room, "content");
    let (first_wire, second_wire) = (
        Wire::open(room.bucket.server).await,
        Wire::open(room.bucket.server).await,
    );
    first_wire.when(room.is_write(10), Action::FreezeBefore);
    let mut first = room.follow(&first_wire.endpoint, &["--concurrency", "4"]);
    tokio::time::timeout(PATIENCE, first_wire.triggered())
        .await
        .expect("the first program hangs");

    let mut second = room.follow(&second_wire.endpoint, &[]);
    second.until_said("waiting until it is free").await;
    let holder = format!("process {} on ", first.child.id().unwrap());
    assert!(second.said().contains(&holder), "{}", second.said());
    assert_eq!(room.status_now().await.unwrap().status, ExportState::Creating);
    let log = second_wire.log();
    assert!(writes_done(&log).is_empty(), "{:#?}", writes_done(&log));

    first.child.kill().await.unwrap();
    drop(first_wire);
    let began = Instant::now();
    room.until_as_the_folder(&second).await;
    // The lease of the dead one lasts for a minute.
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    fill(&room, "later");
    room.until_as_the_folder(&second).await;
    second.ends(Signal::TERM, 143).await;
}

/// P5, P6: side by side they share the work, and what comes last arrives.
#[tokio::test]
async fn two_programs_side_by_side_never_interleave_and_the_last_change_arrives() {
    let room = room().await;
    fill(&room, "start");
    let one = room.follow(&room.bucket.server.endpoint, &["--concurrency", "4"]);
    let other = room.follow(&room.bucket.server.endpoint, &["--concurrency", "4"]);
    for round in 0..5 {
        fill(&room, &format!("round {round}"));
        room.until_out(&one, |_| true).await;
    }
    std::fs::remove_file(room.tree().join("f/7")).unwrap();
    room.until_as_the_folder(&one).await;
    one.ends(Signal::TERM, 143).await;
    room.write("f/7", "again");
    room.until_as_the_folder(&other).await;
    other.ends(Signal::TERM, 143).await;
}

/// P2: a program that is killed at a bad moment and started again goes on where it was.
#[tokio::test]
async fn a_killed_program_goes_on_when_it_is_started_again() {
    let room = room().await;
    fill(&room, "content");
    let wire = Wire::open(room.bucket.server).await;
    wire.when(room.is_write(20), Action::FreezeAfter);
    let export_path = room.export_path.to_string();
    let words = ["export", "dir:tree", "--export-path", &export_path, "--continuous"];
    let mut child = room.program(&wire.endpoint, &words).spawn().unwrap();
    met(&wire, &mut child).await;
    child.kill().await.unwrap();
    drop(wire);
    fill(&room, "other");
    let follower = room.follow(&room.bucket.server.endpoint, &[]);
    room.until_as_the_folder(&follower).await;
    follower.ends(Signal::TERM, 143).await;
}
