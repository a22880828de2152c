//! The real program as a process of its own, on real servers: leases, signals, secrets.

mod lease;
mod secrets;
mod signals;

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use lakesync::model::S3Url;
use lakesync::status::{StatusHead, read_newest};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use crate::audit::{Audit, Expected, files_below};
use crate::servers::{Server, TestBucket};
use crate::wire::{Seen, Wire};

/// Longer than any run of a test takes, so that one that hangs is a failure and not a wait.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A folder of files, a bucket, and a home for the program.
pub struct Room {
    pub bucket: TestBucket,
    pub export_path: S3Url,
    /// What others have there.
    pub others: Expected,
    folder: tempfile::TempDir,
}

impl Room {
    pub async fn new(server: &'static Server) -> Self {
        let bucket = server.new_bucket().await;
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("tree")).unwrap();
        Self {
            export_path: format!("s3://{}/out/", bucket.bucket).parse().unwrap(),
            bucket,
            others: Expected::default(),
            folder,
        }
    }

    pub fn tree(&self) -> PathBuf {
        self.folder.path().join("tree")
    }

    pub fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.tree().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    /// The program with some words, in an environment with nothing in it but keys and a home.
    pub fn program(&self, endpoint: &str, words: &[&str]) -> Command {
        let server = self.bucket.server;
        let mut command = Command::new(program());
        command
            .args(words)
            .current_dir(self.folder.path())
            .env_clear()
            .env("HOME", self.folder.path())
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_ACCESS_KEY_ID", server.access_key)
            .env("AWS_SECRET_ACCESS_KEY", server.secret_key)
            .env("AWS_REGION", server.region)
            .env("AWS_ENDPOINT_URL", endpoint)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// An export of the folder, and more words.
    pub fn export(&self, endpoint: &str, words: &[&str]) -> Command {
        let export_path = self.export_path.to_string();
        let first = ["export", "dir:tree", "--export-path", &export_path, "--json"];
        self.program(endpoint, &[&first[..], words].concat())
    }

    /// Exports straight to the server, which must succeed.
    pub async fn exported(&self) -> serde_json::Value {
        let output = ended(self.export(&self.bucket.server.endpoint, &[]).spawn().unwrap()).await;
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        summary(&output)
    }

    /// The bucket is the folder, and everything says so.
    pub async fn check(&self) {
        let audit = Audit {
            server: self.bucket.server,
            export_path: self.export_path.clone(),
            status_path: self.export_path.clone(),
        };
        let expected = Expected {
            files: files_below(&self.tree()),
            ..self.others.clone()
        };
        audit.check(&expected).await;
    }

    pub async fn newest_status(&self) -> StatusHead {
        let store = self.bucket.store_at(&self.bucket.server.endpoint).await;
        read_newest(&store, &self.export_path.prefix)
            .await
            .unwrap()
            .unwrap()
            .head
    }

    /// Says of a request whether it is for an object of the tree.
    pub fn is_data(&self) -> impl Fn(&Seen) -> bool + Send + 'static {
        let prefix = self.export_path.prefix.to_string();
        move |seen| {
            let path = seen.key.strip_prefix(&prefix);
            path.is_some_and(|path| !path.starts_with("_lakesync/") && !path.starts_with("_STATUS_"))
        }
    }

    /// Says of a log whether its last request is the `number`-th write of an object of the tree.
    pub fn is_write(&self, number: usize) -> impl FnMut(&[Seen]) -> bool + Send + 'static {
        let is_data = self.is_data();
        move |log| {
            let is_write = |seen: &&Seen| is_data(seen) && seen.kind.is_some_and(|kind| kind.is_write());
            is_write(&log.last().unwrap()) && log.iter().filter(is_write).count() == number
        }
    }

    /// Forgets what the program keeps locally.
    pub fn lose_cache(&self) {
        let cache = self.folder.path().join(".cache");
        if cache.exists() {
            std::fs::remove_dir_all(cache).unwrap();
        }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// The program under test: the one that cargo has just built, unless somebody names another build of it.
fn program() -> PathBuf {
    std::env::var_os("LAKESYNC_TEST_PROGRAM").map_or_else(|| env!("CARGO_BIN_EXE_lakesync").into(), PathBuf::from)
}

/// The same program in a user namespace of its own, and whatever others `flags` name, after a script that may do there
/// what only root may: neither the machine's limits nor its mounts are touched, and nobody need be root.
pub fn in_a_namespace(command: &Command, flags: &[&str], script: &str) -> Command {
    let command = command.as_std();
    let script = format!("{script} && exec \"$@\"");
    let mut inside = Command::new("unshare");
    inside
        .args(["--user", "--map-root-user"])
        .args(flags)
        .args(["sh", "-c", &script, "sh"])
        .arg(command.get_program())
        .args(command.get_args())
        .current_dir(command.get_current_dir().expect("it has a room"))
        .env_clear()
        .envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .env("PATH", std::env::var_os("PATH").unwrap())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    inside
}

/// Waits until a run comes to the request that a wire waits for; fails where it ends before.
pub async fn met(wire: &Wire, child: &mut Child) {
    let met = tokio::time::timeout(PATIENCE, async {
        tokio::select! {
            _ = wire.triggered() => true,
            _ = child.wait() => false,
        }
    });
    if met.await.expect("the program hangs") {
        return;
    }
    let mut text = String::new();
    let stderr = child.stderr.as_mut().unwrap();
    tokio::io::AsyncReadExt::read_to_string(stderr, &mut text)
        .await
        .unwrap();
    panic!("it ended too early: {text}");
}

/// Waits for the end of a process.
pub async fn ended(child: Child) -> Output {
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
    output.expect("the program hangs").unwrap()
}

/// All that a process said.
pub fn said(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&both).into_owned()
}

/// The data of its last event, which is the summary.
pub fn summary(output: &Output) -> serde_json::Value {
    let text = String::from_utf8_lossy(&output.stdout);
    let mut events = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let last = events.rfind(|event| event["type"] == "summary");
    last.unwrap_or_else(|| panic!("no summary: {}", said(output)))["data"].clone()
}

pub fn send(child: &Child, signal: Signal) {
    let id = i32::try_from(child.id().expect("it runs")).unwrap();
    kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
}
