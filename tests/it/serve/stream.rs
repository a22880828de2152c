//! Events, as they come over the wire.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Serving;
use super::http::Request;
use crate::process::PATIENCE;

/// A client that listens.
struct Listener {
    stream: TcpStream,
    waiting: String,
}

impl Listener {
    async fn new(address: &str) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = Request::new("GET", "/api/v1/events").head(address);
        stream.write_all(head.as_bytes()).await.unwrap();
        Self {
            stream,
            waiting: String::new(),
        }
    }

    /// The next event of a kind. The chunks' own lines are in between, and hold no such words.
    async fn next(&mut self, kind: &str) -> Value {
        let found = async {
            loop {
                let begin = format!("event: {kind}\ndata: ");
                if let Some((_, rest)) = self.waiting.split_once(&begin)
                    && let Some((data, rest)) = rest.split_once("\n\n")
                {
                    let value = serde_json::from_str(data).unwrap();
                    self.waiting = rest.to_owned();
                    return value;
                }
                let mut bytes = vec![0; 64 << 10];
                let length = self.stream.read(&mut bytes).await.unwrap();
                assert!(length > 0, "the stream ended: {}", self.waiting);
                self.waiting.push_str(&String::from_utf8_lossy(&bytes[..length]));
            }
        };
        tokio::time::timeout(PATIENCE, found).await.expect("no such event")
    }
}

#[tokio::test]
async fn a_listener_hears_of_all_exports_first_and_then_of_each_change() {
    let serving = Serving::start(&[]).await;
    serving.repository.write("a", "1");
    let first = serving.repository.commit("first");
    let mut listener = Listener::new(&serving.address).await;
    assert_eq!(listener.next("exports").await["exports"], serde_json::json!([]));
    serving.create("x", "out").await;
    assert_eq!(listener.next("export").await["name"], "x");
    loop {
        let export = listener.next("export").await;
        if export["exported"] == first.as_str() {
            break;
        }
    }
    let removed = Request::new("DELETE", "/api/v1/exports/x").send(&serving.address).await;
    assert_eq!(removed.status, 204);
    assert_eq!(listener.next("gone").await["name"], "x");
}

/// A run that takes its time is followed while it goes on.
#[tokio::test]
async fn a_listener_sees_a_run_get_on() {
    let serving = Serving::start(&["--bandwidth", "100KiB"]).await;
    for number in 0..30 {
        serving
            .repository
            .write(format!("{number}"), format!("{number} ").repeat(4 << 10));
    }
    let commit = serving.repository.commit("slow");
    let mut listener = Listener::new(&serving.address).await;
    serving.create("x", "out").await;
    let mut seen = Vec::new();
    while seen.len() < 3 {
        let progress = listener.next("progress").await;
        assert_eq!(progress["name"], "x");
        if progress["objects_total"] == 30 {
            seen.push(progress["bytes"].as_u64().unwrap());
        }
    }
    assert!(seen.is_sorted() && seen[2] > seen[0], "{seen:?}");
    // Stopped in the middle, it ends in good order; started again, it goes on.
    let stopped = serving.post("/api/v1/exports/x/stop", None).await;
    assert_eq!(stopped.json()["state"], "stopped", "{}", stopped.text());
    let runs = serving.get("/api/v1/exports/x/runs").await.json();
    assert_eq!(runs["runs"][0]["result"], "interrupted", "{runs}");
    serving.post("/api/v1/exports/x/start", None).await;
    serving.until_out("x", commit.as_str()).await;
}

/// Who goes makes room for another.
#[tokio::test]
async fn the_places_of_listeners_come_back() {
    let serving = Serving::start(&[]).await;
    let mut open = Vec::new();
    for _ in 0..128 {
        let mut listener = Listener::new(&serving.address).await;
        listener.next("exports").await;
        open.push(listener);
    }
    assert_eq!(serving.get("/api/v1/events").await.status, 503);
    drop(open);
    let freed = async {
        loop {
            let mut stream = TcpStream::connect(&serving.address).await.unwrap();
            let head = Request::new("GET", "/api/v1/events").head(&serving.address);
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut begin = [0; 12];
            stream.read_exact(&mut begin).await.unwrap();
            if begin.ends_with(b"200") {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, freed).await.expect("places come back");
}
