//! Being asked to stop.

use std::time::{Duration, Instant};

use lakesync::status::ExportState;
use rustix::process::Signal;

use super::{Room, ended, met, said, send};
use crate::servers;
use crate::wire::{Action, Wire};

const FILES: u64 = 60;

/// So long may an end in good order take.
const IN_GOOD_ORDER: Duration = Duration::from_secs(10);

fn fill(room: &Room) {
    for number in 0..FILES {
        room.write(&format!("f/{number}"), format!("{number} ").repeat(16 << 10));
    }
}

/// P2: stopped in good order, what was done counts and the next run does the rest.
#[tokio::test]
async fn a_signal_ends_a_transfer_in_good_order_and_the_next_run_goes_on() {
    for (server, signal, code) in [
        (servers::seaweedfs(), Signal::TERM, 143),
        (servers::versitygw(), Signal::INT, 130),
    ] {
        let room = Room::new(server).await;
        fill(&room);
        let wire = Wire::open(server).await;
        wire.when(room.is_write(10), Action::Pass);
        let words = ["--concurrency", "4", "--bandwidth", "400KiB"];
        let mut child = room.export(&wire.endpoint, &words).spawn().unwrap();
        met(&wire, &mut child).await;
        let asked = Instant::now();
        send(&child, signal);
        let output = ended(child).await;
        assert!(asked.elapsed() < IN_GOOD_ORDER, "{:?}", asked.elapsed());
        assert_eq!(output.status.code(), Some(code), "{}: {}", server.name, said(&output));
        let status = room.newest_status().await;
        assert_eq!(status.status, ExportState::Failure, "{}", server.name);
        assert!(status.message.contains("interrupted"), "{}", status.message);
        let summary = room.exported().await;
        let (put, kept) = (summary["put"].as_u64().unwrap(), summary["kept"].as_u64().unwrap());
        assert_eq!(put + kept, FILES, "{}: {summary}", server.name);
        assert!(kept >= 6, "{}: {summary}", server.name);
        room.check().await;
    }
}

/// P2: where the server says nothing any more, it ends all the same.
#[tokio::test]
async fn a_signal_ends_a_run_whose_server_has_fallen_silent() {
    let server = servers::seaweedfs();
    let room = Room::new(server).await;
    fill(&room);
    let wire = Wire::open(server).await;
    wire.when(room.is_write(10), Action::FreezeAfter);
    let mut child = room.export(&wire.endpoint, &["--concurrency", "4"]).spawn().unwrap();
    met(&wire, &mut child).await;
    let asked = Instant::now();
    send(&child, Signal::TERM);
    let output = ended(child).await;
    assert!(
        asked.elapsed() < IN_GOOD_ORDER + Duration::from_secs(2),
        "{:?}",
        asked.elapsed()
    );
    assert_eq!(output.status.code(), Some(143), "{}", said(&output));
    drop(wire);
    room.exported().await;
    room.check().await;
}
