//! Endurance: commits, kills, stops and a store that fails, for as long as is asked; then the bucket is the tree.
//!
//! With the other tests it runs for some seconds with the same seed each time. `make soak MINUTES=…` runs this very test
//! for longer, at another pace.

mod files;
mod lag;
mod pace;
mod programs;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use lakesync::model::S3Url;
use lakesync::status::{ExportState, StatusHead, read_newest};
use tokio_util::task::AbortOnDropHandle;

use crate::audit::{Audit, Expected, files_below, python};
use crate::git_source::repository::Repository;
use crate::process::{Room, ended, said};
use crate::servers;
use crate::weather::{Mood, Weather};
use crate::wire::Wire;
use files::Files;
use lag::{Lag, LagReport};
use pace::{Lasts, Pace, some};
use programs::{Programs, Which};

/// So long may the last commit take once all is well: a lease that a dead or sleeping process holds, and what it takes
/// to try again.
const SETTLES: Duration = Duration::from_secs(90);

/// What is done to the programs and to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Trouble {
    Kill,
    Restart,
    Stop,
    Outage,
    Storm,
}

impl Trouble {
    fn name(self) -> &'static str {
        match self {
            Self::Kill => "kills and restarts",
            Self::Restart => "ends in good order and restarts",
            Self::Stop => "stops for longer than a lease",
            Self::Outage => "outages",
            Self::Storm => "storms",
        }
    }
}

/// What happens, and how often it did.
struct Soak<'a> {
    pace: Pace,
    programs: Programs<'a>,
    weather: Weather,
    wire: &'a Wire,
    random: fastrand::Rng,
    troubles: BTreeMap<Trouble, usize>,
}

impl Soak<'_> {
    /// Makes trouble until it is enough.
    async fn trouble(&mut self) {
        let began = Instant::now();
        let mut waiting = self.round();
        loop {
            self.weather.turn(Mood::Changeable);
            tokio::time::sleep(some(&self.pace.trouble_after, &mut self.random)).await;
            self.programs.check();
            let is_enough = match self.pace.lasts {
                Lasts::OneRound => waiting.is_empty(),
                Lasts::For(time) => began.elapsed() >= time,
            };
            if is_enough {
                break;
            }
            if waiting.is_empty() {
                waiting = self.round();
            }
            let trouble = waiting.pop().expect("a round is never empty");
            *self.troubles.entry(trouble).or_default() += 1;
            // Most of what goes through the server goes wrong there.
            let which = if self.random.u8(0..3) == 0 {
                Which::StandBy
            } else {
                Which::Server
            };
            self.make(trouble, which).await;
        }
        self.weather.turn(Mood::Clear);
    }

    /// Each trouble about as often as it deserves, in any order.
    fn round(&mut self) -> Vec<Trouble> {
        let mut round = vec![
            Trouble::Kill,
            Trouble::Kill,
            Trouble::Kill,
            Trouble::Restart,
            Trouble::Storm,
        ];
        round.extend(self.pace.stop.map(|_| Trouble::Stop));
        // A minute each time would be nearly half of all the time.
        if matches!(self.pace.lasts, Lasts::OneRound) || self.random.u8(0..3) == 0 {
            round.push(Trouble::Outage);
        }
        self.random.shuffle(&mut round);
        round
    }

    async fn make(&mut self, trouble: Trouble, which: Which) {
        match trouble {
            Trouble::Kill => {
                self.programs.kill(which).await;
                // What it had sent arrives before another goes on: that it may not is the limit of P5.
                self.wire.quiet().await;
                self.programs.restart(which);
            }
            Trouble::Restart => {
                self.programs.terminate(which).await;
                self.programs.restart(which);
            }
            Trouble::Stop => {
                let time = self.pace.stop.expect("it is in the round only where there is one");
                self.programs.pause(which, time).await;
            }
            Trouble::Outage => {
                self.weather.turn(Mood::Outage);
                tokio::time::sleep(self.pace.outage).await;
            }
            Trouble::Storm => {
                self.weather.turn(Mood::Storm);
                tokio::time::sleep(self.pace.storm).await;
            }
        }
    }

    /// What happened, in lines.
    fn summary(&self, seen: &LagReport, merges: usize, changes: usize) -> String {
        let LagReport {
            commits,
            runs,
            successes,
            ..
        } = seen;
        let lag = |percent| seen.percentile(percent).as_secs_f64();
        let mut text = format!(
            "\n{commits} commits, of these {merges} merges; {runs} runs, {successes} of them seen as success\n\
             {changes} changes of the directory\n\
             lag from a commit to the success of it or of a later one: p50 {:.2} s, p90 {:.2} s, p99 {:.2} s, max {:.2} s\n",
            lag(50),
            lag(90),
            lag(99),
            lag(100),
        );
        if seen.back > 0 {
            writeln!(
                text,
                "{} times an older commit came after a newer one, for a moment",
                seen.back
            )
            .unwrap();
        }
        let troubles = self
            .troubles
            .iter()
            .map(|(trouble, count)| format!("{count} {}", trouble.name()));
        writeln!(text, "{}", troubles.collect::<Vec<_>>().join(", ")).unwrap();
        let faults = self.weather.counts();
        let faults = faults.iter().map(|(name, count)| format!("{count} {name}"));
        let faults = faults.collect::<Vec<_>>().join(", ");
        writeln!(text, "{} requests, of these {faults}", self.wire.len()).unwrap();
        text
    }

    /// Waits until the last of everything is out.
    async fn settle(&mut self, lag: &Lag, room: &Room) {
        let settled = async {
            while !(lag.all_out() && room.is_as_the_folder().await) {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let in_time = tokio::time::timeout(SETTLES, settled).await.is_ok();
        self.programs.check();
        assert!(in_time, "not settled after {SETTLES:?}\n{}", self.programs.said());
    }
}

/// P2, P5, P6: whatever happens to programs and store, in the end the bucket is the tree, and says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_happens_in_the_end_the_bucket_is_the_tree() {
    let pace = Pace::from_environment();
    println!("soak: seed {}, {}", pace.seed, pace.lasts);
    let mut random = fastrand::Rng::with_seed(pace.seed);
    let server = servers::seaweedfs();
    // Its own tree is the directory that is exported beside the repository.
    let room = Room::new(server).await;
    let repository = Repository::new();
    let branch_path: S3Url = format!("s3://{}/branch/", room.bucket.bucket).parse().unwrap();
    let mut branch = Files::new(&repository.path, pace.files, random.u64(..));
    let mut directory = Files::new(&room.tree(), pace.files / 3, random.u64(..));
    let lag = Lag::default();
    let commit = |branch: &mut Files, random: &mut fastrand::Rng| {
        let before = Instant::now();
        let is_merge = tokio::task::block_in_place(|| files::commit(&repository, branch, random));
        lag.made(repository.id("main"), before);
        is_merge
    };
    // Before it there is no branch to merge into.
    let before = Instant::now();
    lag.made(repository.commit("first"), before);

    let wire = Wire::open(server).await;
    let store = room.bucket.store_at(&server.endpoint).await;
    let watching = lag.clone().watch(store, branch_path.prefix.clone());
    let watching = AbortOnDropHandle::new(tokio::spawn(watching));
    let mut soak = Soak {
        weather: Weather::over(&wire, random.u64(..)),
        programs: Programs::start(&room, &repository, &wire.endpoint, &branch_path),
        wire: &wire,
        random: random.fork(),
        troubles: BTreeMap::new(),
        pace: pace.clone(),
    };
    // What a store can do is found out once, in good weather: a probe takes no second answer to one question.
    soak.settle(&lag, &room).await;
    let (mut merges, mut changes) = (0, 1);
    let working = async {
        loop {
            tokio::time::sleep(some(&pace.change_after, &mut random)).await;
            if random.u8(0..4) == 0 {
                tokio::task::block_in_place(|| directory.change());
                changes += 1;
            } else {
                merges += usize::from(commit(&mut branch, &mut random));
            }
        }
    };
    tokio::select! {
        () = soak.trouble() => {}
        () = working => unreachable!("work is never done"),
    }
    // What comes now is tried at once, however long the waits have grown.
    commit(&mut branch, &mut random);
    directory.change();
    soak.settle(&lag, &room).await;
    assert!(!watching.is_finished(), "the reader gave up");
    for which in [Which::Server, Which::StandBy] {
        soak.programs.terminate(which).await;
    }
    let places = [
        (&room.export_path, room.tree()),
        (&branch_path, repository.path.clone()),
    ];
    let text = soak.summary(&lag.report(), merges, changes);
    println!("{text}");
    for (export_path, folder) in &places {
        println!("{export_path}: {}", compared(&room, export_path, folder).await);
    }
    let head = repository.id("main");
    let status = newest(&room, &branch_path).await;
    assert_eq!(
        (status.status, status.commit.as_str()),
        (ExportState::Success, head.as_str())
    );
    assert_eq!(newest(&room, &room.export_path).await.status, ExportState::Success);
    let kinds = match pace.lasts {
        Lasts::OneRound => 4,
        Lasts::For(_) => 1,
    };
    let happened = (soak.troubles.len(), soak.weather.total(), lag.report().successes);
    assert!(
        happened.0 >= kinds && happened.1 >= 10 && happened.2 >= 3,
        "too little happened: {happened:?}\n{text}"
    );
}

/// Compares folder and bucket by clients that share nothing with the program, and by the program; says how much is equal.
async fn compared(room: &Room, export_path: &S3Url, folder: &Path) -> String {
    let server = room.bucket.server;
    let audit = Audit {
        server,
        export_path: export_path.clone(),
        status_path: export_path.clone(),
    };
    let expected = Expected {
        files: files_below(folder),
        ..Expected::default()
    };
    audit.check(&expected).await;
    let mut script = python::script("compare_tree.py", server);
    script.args([
        &server.endpoint,
        export_path.bucket.as_str(),
        export_path.prefix.as_str(),
    ]);
    let output = script.arg(folder).output().unwrap();
    let same = said(&output).trim().to_owned();
    assert_eq!(output.status.code(), Some(0), "{export_path}: {same}");
    let url = export_path.to_string();
    let mut verify = room.program(&server.endpoint, &["verify", "--level", "bytes", &url]);
    let output = ended(verify.spawn().unwrap()).await;
    assert_eq!(output.status.code(), Some(0), "{export_path}: {}", said(&output));
    assert!(
        said(&output).contains("0 differences"),
        "{export_path}: {}",
        said(&output)
    );
    format!("{same}; verify --level bytes: 0 differences")
}

async fn newest(room: &Room, export_path: &S3Url) -> StatusHead {
    let store = room.bucket.store_at(&room.bucket.server.endpoint).await;
    read_newest(&store, &export_path.prefix).await.unwrap().unwrap().head
}
