//! Two processes and one export path.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{Room, ended, met, said, send};
use crate::servers::{self, Server};
use crate::wire::{Action, Seen, Wire};

/// The writes of a log, but for tries to get a lease back: those may be made, and are refused by their condition.
fn writes(log: &[Seen]) -> Vec<&Seen> {
    let is_refused_lease = |seen: &&Seen| seen.key.ends_with("/_lakesync/lease.json") && seen.status == Some(412);
    log.iter()
        .filter(|seen| seen.kind.is_none_or(|kind| kind.is_write()))
        .filter(|seen| !is_refused_lease(seen))
        .collect()
}

fn fill(room: &Room, text: &str) {
    for number in 0..60 {
        room.write(&format!("f/{number}"), format!("{text} {number}"));
    }
}

/// P5: the loser writes nothing, says who works, and exits 75; a dead holder is no hindrance.
#[tokio::test]
async fn of_two_processes_one_exits_75_and_a_killed_holder_is_followed_at_once() {
    for server in servers::both() {
        let room = Room::new(server).await;
        fill(&room, "content");
        let (first_wire, second_wire) = (Wire::open(server).await, Wire::open(server).await);
        first_wire.when(room.is_write(10), Action::FreezeBefore);
        let mut first = room
            .export(&first_wire.endpoint, &["--concurrency", "4"])
            .spawn()
            .unwrap();
        met(&first_wire, &mut first).await;

        let second = ended(room.export(&second_wire.endpoint, &[]).spawn().unwrap()).await;
        let text = said(&second);
        assert_eq!(second.status.code(), Some(75), "{}: {text}", server.name);
        assert!(text.contains(&format!("process {} on ", first.id().unwrap())), "{text}");
        let log = second_wire.log();
        let done: Vec<_> = writes(&log)
            .into_iter()
            .filter(|seen| seen.status == Some(200))
            .collect();
        assert!(done.is_empty(), "{}: {done:?}", server.name);

        first.kill().await.unwrap();
        drop(first_wire);
        let began = Instant::now();
        room.exported().await;
        // The lease of the dead one lasts for a minute.
        assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
        room.check().await;
    }
}

/// P5: started at the same moment, whoever loses does no harm.
#[tokio::test]
async fn of_several_at_the_same_moment_each_succeeds_or_exits_75() {
    for server in servers::both() {
        let room = Room::new(server).await;
        for round in 0..3 {
            fill(&room, &format!("round {round}"));
            let children: Vec<_> = (0..4)
                .map(|_| room.export(&server.endpoint, &[]).spawn().unwrap())
                .collect();
            let mut codes = Vec::new();
            for child in children {
                let output = ended(child).await;
                let code = output.status.code().unwrap();
                assert!(code == 0 || code == 75, "{}: {code}: {}", server.name, said(&output));
                codes.push(code);
            }
            assert!(codes.contains(&0), "{}: {codes:?}", server.name);
            room.check().await;
        }
    }
}

/// P5: a process that was stopped for longer than its lease lasts sends no write any more.
#[tokio::test]
async fn a_process_that_sleeps_over_its_lease_wakes_up_and_sends_nothing() {
    // Side by side, since a lease lasts for 10 s at least.
    let [one, other] = servers::both();
    futures::join!(sleeps_over_its_lease(one), sleeps_over_its_lease(other));
}

async fn sleeps_over_its_lease(server: &'static Server) {
    let room = Room::new(server).await;
    fill(&room, "old");
    let wire = Wire::open(server).await;
    wire.when(room.is_write(10), Action::FreezeAfter);
    let words = ["--concurrency", "4", "--lease-ttl", "10s"];
    let mut sleeper = room.export(&wire.endpoint, &words).spawn().unwrap();
    met(&wire, &mut sleeper).await;
    send(&sleeper, Signal::STOP);
    let stat = format!("/proc/{}/stat", sleeper.id().unwrap());
    while !std::fs::read_to_string(&stat).unwrap().contains(") T ") {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // What it has sent already lands, and its replies wait for it.
    wire.thaw();
    let mut sent = wire.len();
    loop {
        // What it wrote into a socket may be read much later where the machine is busy.
        tokio::time::sleep(Duration::from_secs(1)).await;
        match wire.len() {
            same if same == sent => break,
            more => sent = more,
        }
    }

    fill(&room, "new");
    std::fs::remove_file(room.tree().join("f/59")).unwrap();
    let other = ended(room.export(&server.endpoint, &["--lock-wait", "40s"]).spawn().unwrap()).await;
    assert_eq!(other.status.code(), Some(0), "{}: {}", server.name, said(&other));
    assert_eq!(wire.len(), sent, "a stopped process sends nothing");

    send(&sleeper, Signal::CONT);
    let woken = ended(sleeper).await;
    assert_eq!(woken.status.code(), Some(75), "{}: {}", server.name, said(&woken));
    let log = wire.log();
    assert!(
        writes(&log[sent..]).is_empty(),
        "{}: {:#?}",
        server.name,
        writes(&log[sent..])
    );
    room.check().await;
}
