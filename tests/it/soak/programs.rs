//! The programs under test, and what is done to them.

use std::fs::File;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use lakesync::model::S3Url;
use rustix::process::Signal;
use tokio::process::Child;

use super::pace::LEASE;
use crate::git_source::repository::Repository;
use crate::process::{Room, send};
use crate::servers;

/// So long may an end in good order take: 10 s for the run, and a little for the rest.
const IN_GOOD_ORDER: Duration = Duration::from_secs(20);

/// Which program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// `serve`, which holds an export of the repository and one of the directory.
    Server,
    /// `export --continuous` of the repository to the same place, as on a second machine.
    StandBy,
}

/// Both programs; they end when this is dropped.
pub struct Programs<'a> {
    room: &'a Room,
    source: String,
    branch_path: String,
    endpoint: &'a str,
    server: Child,
    stand_by: Child,
}

impl<'a> Programs<'a> {
    /// Starts both: the tree of the room goes to its own export path, the branch to another.
    pub fn start(room: &'a Room, repository: &Repository, endpoint: &'a str, branch_path: &S3Url) -> Self {
        let registry = room.folder().join("exports");
        std::fs::create_dir_all(&registry).unwrap();
        let define = |name: &str, lines: &[(&str, &str)]| {
            let lines = lines.iter().chain(&[("lease-ttl", LEASE)]);
            let text: String = lines.map(|(key, value)| format!("{key} = \"{value}\"\n")).collect();
            std::fs::write(registry.join(name), text).unwrap();
        };
        let source = format!("git:{}", repository.path.display());
        let branch_path = branch_path.to_string();
        let branch = [
            ("source", source.as_str()),
            ("branch", "main"),
            ("export-path", &branch_path),
        ];
        define("branch.toml", &branch);
        let (tree, path) = (format!("dir:{}", room.tree().display()), room.export_path.to_string());
        define("directory.toml", &[("source", &tree), ("export-path", &path)]);
        let [server, stand_by] =
            [Which::Server, Which::StandBy].map(|which| which.start(room, endpoint, &source, &branch_path));
        Self {
            room,
            source,
            branch_path,
            endpoint,
            server,
            stand_by,
        }
    }

    fn child(&mut self, which: Which) -> &mut Child {
        match which {
            Which::Server => &mut self.server,
            Which::StandBy => &mut self.stand_by,
        }
    }

    /// Fails where one has ended although nobody asked it to.
    pub fn check(&mut self) {
        for which in [Which::Server, Which::StandBy] {
            if let Some(status) = self.child(which).try_wait().unwrap() {
                panic!("{which:?} ended by itself: {status}\n{}", said(self.room, which));
            }
        }
    }

    pub async fn kill(&mut self, which: Which) {
        self.child(which).kill().await.unwrap();
    }

    /// Asks one to end, which it must do in time.
    pub async fn terminate(&mut self, which: Which) {
        let child = self.child(which);
        send(child, Signal::TERM);
        let ended = tokio::time::timeout(IN_GOOD_ORDER, child.wait()).await;
        let status = match ended {
            Ok(status) => status.unwrap(),
            Err(_) => panic!("{which:?} did not end in {IN_GOOD_ORDER:?}\n{}", said(self.room, which)),
        };
        assert!(is_as_asked(status), "{which:?}: {status}\n{}", said(self.room, which));
    }

    pub fn restart(&mut self, which: Which) {
        let child = which.start(self.room, self.endpoint, &self.source, &self.branch_path);
        *self.child(which) = child;
    }

    /// Stops one where it stands, and lets it go on later.
    pub async fn pause(&mut self, which: Which, time: Duration) {
        send(self.child(which), Signal::STOP);
        tokio::time::sleep(time).await;
        send(self.child(which), Signal::CONT);
    }

    /// The last that both have said.
    pub fn said(&self) -> String {
        [Which::Server, Which::StandBy]
            .map(|which| said(self.room, which))
            .concat()
    }
}

/// Ended by itself with the code for it, or by the signal where that came before the program had begun to listen.
fn is_as_asked(status: ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt as _;
    status.code() == Some(143) || status.signal() == Some(Signal::TERM.as_raw())
}

impl Which {
    /// What it says goes to a file, anew with each start: the last is what counts when something is wrong.
    fn log(self, room: &Room) -> PathBuf {
        room.folder().join(format!("{self:?}.log"))
    }

    fn start(self, room: &Room, endpoint: &str, source: &str, branch_path: &str) -> Child {
        let words = match self {
            Self::Server => vec!["serve", "--listen", "127.0.0.1:0", "--registry", "exports"],
            Self::StandBy => {
                let place = ["--branch", "main", "--export-path", branch_path, "--lease-ttl", LEASE];
                [&["export", source, "--continuous"], &place[..]].concat()
            }
        };
        let log = File::create(self.log(room)).unwrap();
        let mut command = room.program(endpoint, &words);
        command.stdout(Stdio::null()).stderr(log).spawn().unwrap()
    }
}

fn said(room: &Room, which: Which) -> String {
    format!("{which:?}:\n{}\n", servers::tail(&which.log(room)))
}
