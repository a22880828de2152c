//! `lakesync serve` as a process of its own: its API, its registry, its clients, and a real bucket behind it.

mod access;
mod browser;
mod clients;
mod disk;
mod crowd;
mod fuzz;
mod hooks;
mod http;
mod idle;
mod lakefs;
mod page;
mod registry;
mod stream;

use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::git_source::repository::Repository;
use crate::process::{PATIENCE, Room, ended, said};
use crate::servers;
use http::{Reply, Request};

/// A server with a home, a registry and a bucket; its process ends when this is dropped.
pub struct Serving {
    pub room: Room,
    pub repository: Repository,
    pub address: String,
    pub child: Child,
    /// What it says on stderr, line by line.
    said: std::sync::Arc<std::sync::Mutex<String>>,
}

impl Serving {
    /// Starts a server with nothing in its registry.
    pub async fn start(words: &[&str]) -> Self {
        let room = Room::new(servers::seaweedfs()).await;
        std::fs::create_dir_all(room.folder().join("exports")).unwrap();
        Self::start_in(room, Repository::new(), words).await
    }

    /// Starts a server where another was before, or where files were written.
    pub async fn start_in(room: Room, repository: Repository, words: &[&str]) -> Self {
        let command = command(&room, words);
        Self::start_by(command, room, repository).await
    }

    /// Starts a server by a command of one's own.
    pub async fn start_by(command: Command, room: Room, repository: Repository) -> Self {
        let (child, address, said) = spawn(command).await;
        Self {
            room,
            repository,
            address,
            child,
            said,
        }
    }

    /// Ends the process as `kill -9` does, and starts another on the same registry.
    pub async fn killed_and_started(mut self, words: &[&str]) -> Self {
        self.child.kill().await.unwrap();
        let (child, address, said) = spawn(command(&self.room, words)).await;
        Self {
            child,
            address,
            said,
            ..self
        }
    }

    pub fn registry(&self) -> PathBuf {
        self.room.folder().join("exports")
    }

    pub fn define(&self, name: &str, text: &str) {
        std::fs::write(self.registry().join(format!("{name}.toml")), text).unwrap();
    }

    /// The definition of an export of the repository.
    pub fn definition(&self, path: &str) -> String {
        format!(
            "source = \"git:{}\"\nbranch = \"main\"\nexport-path = \"{}\"\n",
            self.repository.path.display(),
            self.export_path(path)
        )
    }

    pub fn export_path(&self, path: &str) -> String {
        format!("s3://{}/{path}/", self.room.bucket.bucket)
    }

    /// What it said so far.
    pub fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    pub async fn get(&self, path: &str) -> Reply {
        Request::new("GET", path).send(&self.address).await
    }

    pub async fn post(&self, path: &str, body: Option<&Value>) -> Reply {
        let mut request = Request::new("POST", path);
        if let Some(body) = body {
            request = request.json(body);
        }
        request.send(&self.address).await
    }

    /// Creates an export of the repository, which must be new.
    pub async fn create(&self, name: &str, path: &str) -> Value {
        let reply = self.post("/api/v1/exports", Some(&self.request(name, path))).await;
        assert_eq!(reply.status, 201, "{}", reply.text());
        reply.json()
    }

    pub fn request(&self, name: &str, path: &str) -> Value {
        json!({
            "name": name,
            "options": {
                "source": format!("git:{}", self.repository.path.display()),
                "branch": "main",
                "export-path": self.export_path(path),
            },
        })
    }

    pub async fn export(&self, name: &str) -> Value {
        let reply = self.get(&format!("/api/v1/exports/{name}")).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()
    }

    /// Waits until an export is as wanted, and says what it is then.
    pub async fn until(&self, name: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                let reply = self.get(&format!("/api/v1/exports/{name}")).await;
                last = reply.json();
                if reply.status == 200 && is_so(&last) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        let waited = waited.await;
        assert!(waited.is_ok(), "{name} stays {last}\n{}", self.said());
        last
    }

    /// Waits until a commit is out.
    pub async fn until_out(&self, name: &str, commit: &str) -> Value {
        self.until(name, |export| export["exported"] == commit && export["state"] == "idle")
            .await
    }

    /// The files of the repository are the objects below a path, and no others.
    pub async fn check(&self, path: &str, expected: &[(&str, &str)]) {
        let prefix = format!("{path}/");
        let keys = self.room.bucket.keys().await;
        let is_data = |path: &&str| !path.starts_with("_lakesync/") && !path.starts_with("_STATUS_");
        let found: Vec<&str> = keys
            .iter()
            .filter_map(|key| key.strip_prefix(&prefix))
            .filter(is_data)
            .collect();
        let wanted: Vec<&str> = expected.iter().map(|(path, _)| *path).collect();
        assert_eq!(found, wanted);
        for (path, text) in expected {
            let bytes = self.room.bucket.read(&format!("{prefix}{path}")).await;
            assert_eq!(String::from_utf8(bytes).unwrap(), *text, "{path}");
        }
    }

    /// Runs a client of this server.
    pub async fn client(&self, words: &[&str]) -> Output {
        let server = format!("http://{}", self.address);
        let all = [words, &["--server", &server]].concat();
        let endpoint = &self.room.bucket.server.endpoint;
        ended(self.room.program(endpoint, &all).spawn().unwrap()).await
    }

    /// Runs a client that must succeed; gives what it printed.
    pub async fn client_done(&self, words: &[&str]) -> String {
        let output = self.client(words).await;
        assert_eq!(
            output.status.code(),
            Some(0),
            "{words:?}: {}\n{}",
            said(&output),
            self.said()
        );
        String::from_utf8(output.stdout).unwrap()
    }
}

/// The program, told to serve at a free port, once it does.
async fn spawn(mut command: Command) -> (Child, String, std::sync::Arc<std::sync::Mutex<String>>) {
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let all = std::sync::Arc::<std::sync::Mutex<String>>::default();
    let address = tokio::time::timeout(PATIENCE, async {
        let mut before = String::new();
        while let Some(line) = lines.next_line().await.unwrap() {
            if let Some((_, rest)) = line.split_once("Serving http://") {
                return rest.split_once('/').unwrap().0.to_owned();
            }
            before.push_str(&line);
        }
        panic!("it does not serve: {before}");
    });
    let address = address.await.expect("the program hangs");
    let kept = all.clone();
    tokio::spawn(async move {
        while let Ok(Some(line)) = lines.next_line().await {
            let mut kept = kept.lock().unwrap();
            kept.push_str(&line);
            kept.push('\n');
        }
    });
    (child, address, all)
}

/// `lakesync serve` with more words, not yet started.
pub fn command(room: &Room, words: &[&str]) -> Command {
    let registry = room.folder().join("exports");
    let first = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--registry",
        registry.to_str().unwrap(),
    ];
    let has_address = words.contains(&"--listen");
    let first = if has_address {
        &[first[0], first[3], first[4]][..]
    } else {
        &first[..]
    };
    let mut command = room.program(&room.bucket.server.endpoint, &[first, words].concat());
    command.stdout(Stdio::null());
    command
}
