//! `export --continuous`: watchers on real folders, and the real program on a real server.

mod clocks;
mod commands;
mod equal;
mod lakefs;
mod lease;
mod program;
mod reftable;
mod trouble;
mod watching;

use std::process::Output;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lakesync::status::{ExportState, StatusHead, read_newest};
use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

use crate::git_source::repository::Repository;
use crate::process::{PATIENCE, Room, ended, send};
use crate::servers;

/// The program, and all that it has said so far.
struct Follower {
    child: Child,
    said: Arc<Mutex<String>>,
    news: watch::Sender<u64>,
}

impl Follower {
    fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let news = watch::Sender::new(0);
        listen(child.stdout.take().unwrap(), &said, &news);
        listen(child.stderr.take().unwrap(), &said, &news);
        Self { child, said, news }
    }

    fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Waits until it has said this.
    async fn until_said(&mut self, text: &str) {
        let mut news = self.news.subscribe();
        let said = Arc::clone(&self.said);
        let waiting = news.wait_for(|_| said.lock().unwrap().contains(text));
        let found = tokio::time::timeout(PATIENCE, waiting).await.is_ok();
        assert!(found, "it never said {text:?}: {}", self.said());
    }

    fn send(&self, signal: Signal) {
        send(&self.child, signal);
    }

    /// Asks it to end, and checks that it does so in time and in good order.
    async fn ends(self, signal: Signal, code: i32) -> String {
        self.send(signal);
        let asked = std::time::Instant::now();
        let Self { child, said, .. } = self;
        let output: Output = ended(child).await;
        let said = said.lock().unwrap().clone();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(asked.elapsed() < Duration::from_secs(11), "{:?}", asked.elapsed());
        said
    }
}

/// Keeps what comes out of the program; it ends with it.
fn listen(from: impl AsyncRead + Unpin + Send + 'static, said: &Arc<Mutex<String>>, news: &watch::Sender<u64>) {
    let (said, news) = (Arc::clone(said), news.clone());
    tokio::spawn(async move {
        let mut lines = BufReader::new(from).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            said.lock().unwrap().push_str(&(line + "\n"));
            news.send_modify(|count| *count += 1);
        }
    });
}

impl Room {
    /// The newest status, if there is one already.
    async fn status_now(&self) -> Option<StatusHead> {
        let store = self.bucket.store_at(&self.bucket.server.endpoint).await;
        let newest = read_newest(&store, &self.export_path.prefix).await.unwrap();
        newest.map(|newest| newest.head)
    }

    /// Waits until the newest status is a success of which this is true.
    async fn until_out(&self, follower: &Follower, is_it: impl Fn(&StatusHead) -> bool) -> StatusHead {
        let waiting = async {
            loop {
                match self.status_now().await {
                    Some(head) if head.status == ExportState::Success && is_it(&head) => return head,
                    _ => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        };
        match tokio::time::timeout(PATIENCE, waiting).await {
            Ok(head) => head,
            Err(_) => panic!("it never came out: {}", follower.said()),
        }
    }

    /// Waits until the bucket is the folder.
    async fn until_as_the_folder(&self, follower: &Follower) {
        let listed = async {
            loop {
                let is_out = matches!(self.status_now().await, Some(head) if head.status == ExportState::Success);
                if is_out && self.is_as_the_folder().await {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, listed).await.is_ok();
        assert!(in_time, "the bucket never was the folder: {}", follower.said());
        self.check().await;
    }

    /// Whether the bucket is the folder just now.
    pub async fn is_as_the_folder(&self) -> bool {
        let prefix = self.export_path.prefix.to_string();
        let client = self.bucket.server.client();
        let bucket = self.bucket.bucket.to_string();
        let listed = client
            .list_objects_v2()
            .bucket(&bucket)
            .prefix(&prefix)
            .send()
            .await
            .unwrap();
        let mut found = std::collections::BTreeMap::new();
        for object in listed.contents() {
            let path = object.key().unwrap().strip_prefix(&prefix).unwrap();
            if path.starts_with("_lakesync/") || path.starts_with("_STATUS_") {
                continue;
            }
            let got = client
                .get_object()
                .bucket(&bucket)
                .key(object.key().unwrap())
                .send()
                .await;
            // Deleted meanwhile.
            let Ok(got) = got else { return false };
            let Ok(bytes) = got.body.collect().await else {
                return false;
            };
            found.insert(path.to_owned(), bytes.into_bytes().to_vec());
        }
        let files = crate::audit::files_below(&self.tree());
        files.into_iter().map(|(path, bytes)| (path, bytes.to_vec())).eq(found)
    }

    /// Exports the folder continuously.
    fn follow(&self, endpoint: &str, words: &[&str]) -> Follower {
        let export_path = self.export_path.to_string();
        let first = ["export", "dir:tree", "--export-path", &export_path, "--continuous"];
        Follower::start(self.program(endpoint, &[&first[..], words].concat()))
    }

    /// Exports a branch continuously.
    fn follow_git(&self, endpoint: &str, repository: &Repository, words: &[&str]) -> Follower {
        let (export_path, source) = (self.export_path.to_string(), git(repository));
        let first = ["export", &source, "--export-path", &export_path, "--continuous"];
        Follower::start(self.program(endpoint, &[&first[..], words].concat()))
    }
}

/// A repository as SOURCE.
fn git(repository: &Repository) -> String {
    format!("git:{}", repository.path.display())
}

async fn room() -> Room {
    Room::new(servers::seaweedfs()).await
}
