//! A wall clock that jumps while a program follows; the store's goes on as it was.
//!
//! The program's clock is faked by Debian's libfaketime, which reads from a file how far it is off. The clock by which
//! leases live is none that anybody can set, and is left alone.

use std::path::PathBuf;

use lakesync::status::list_names;
use rustix::process::Signal;

use super::*;
use crate::servers::Server;
use crate::wire::{Action, Wire};

/// Where Debian puts it.
fn library() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").unwrap();
    let mut found = folders.map(|entry| entry.unwrap().path().join("faketime/libfaketimeMT.so.1"));
    found
        .find(|path| path.exists())
        .unwrap_or_else(|| panic!("libfaketime is not installed; run tools/deps.sh"))
}

/// What a store's refusal is told as.
const REFUSED: &str = "this machine's clock differs too much";

/// A clock that can be set.
struct Clock(PathBuf);

impl Clock {
    fn new(room: &Room) -> Self {
        let clock = Self(room.folder().join("clock"));
        clock.set("+0");
        clock
    }

    /// Sets how many seconds it is off.
    fn set(&self, off: &str) {
        let young = self.0.with_extension("young");
        std::fs::write(&young, format!("{off}\n")).unwrap();
        std::fs::rename(young, &self.0).unwrap();
    }

    fn over(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", library())
            .env("FAKETIME_TIMESTAMP_FILE", &self.0)
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("DONT_FAKE_MONOTONIC", "1");
    }
}

fn fill(room: &Room, text: &str) {
    for number in 0..30 {
        room.write(&format!("f/{number}"), format!("{text} {number}"));
    }
}

/// The names of status files sort as they were made, whatever the clock said.
async fn names(room: &Room) -> Vec<String> {
    let store = room.bucket.store_at(&room.bucket.server.endpoint).await;
    let names = list_names(&store, &room.export_path.prefix).await.unwrap();
    names.iter().map(ToString::to_string).collect()
}

/// P1, P5: an hour forward or back in the middle of a run ends no lease and spoils no name; a store that minds it
/// refuses, and gets everything when the clock is right again.
#[tokio::test]
async fn a_clock_that_jumps_by_an_hour_in_the_middle_of_a_run_does_no_harm() {
    let [one, other] = servers::both();
    futures::join!(jumps(one), jumps(other));
}

async fn jumps(server: &'static Server) {
    let room = Room::new(server).await;
    let clock = Clock::new(&room);
    fill(&room, "start");
    let wire = Wire::open(server).await;
    let export_path = room.export_path.to_string();
    let words = ["export", "dir:tree", "--export-path", &export_path, "--continuous"];
    let words = [&words[..], &["--concurrency", "4", "--keep-status", "1000"]].concat();
    let mut command = room.program(&wire.endpoint, &words);
    clock.over(&mut command);
    let follower = Follower::start(command);
    room.until_as_the_folder(&follower).await;
    for off in ["+3600", "-3600"] {
        let before = names(&room).await;
        let refusals = follower.said().matches(REFUSED).count();
        // Numbers count from here.
        wire.reset();
        wire.when(room.is_write(10), Action::FreezeBefore);
        fill(&room, off);
        tokio::time::timeout(PATIENCE, wire.triggered())
            .await
            .expect("it hangs");
        clock.set(off);
        wire.thaw();
        let minded = async {
            while follower.said().matches(REFUSED).count() == refusals {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        // Both servers do.
        tokio::time::timeout(PATIENCE, minded)
            .await
            .expect("nobody minds the clock");
        clock.set("+0");
        room.until_as_the_folder(&follower).await;
        let after = names(&room).await;
        assert!(
            after.len() > before.len() && after.starts_with(&before),
            "{before:?}, {after:?}"
        );
        let text = follower.said();
        assert!(!text.contains("waiting until it is free"), "{text}");
    }
    follower.ends(Signal::TERM, 143).await;
}
