//! Many exports that have nothing to do.

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::Serving;
use crate::git_source::repository::Repository;
use crate::process::PATIENCE;

/// What a process at rest has used.
struct Rest {
    /// How often each of its threads was woken.
    wakes: BTreeMap<OsString, u64>,
    resident_kib: u64,
}

impl Rest {
    fn of(pid: u32) -> Self {
        let number = |text: &str, name: &str| -> u64 {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            let word = line.and_then(|rest| rest.split_whitespace().next());
            word.map_or(0, |word| word.parse().unwrap())
        };
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        let wakes = tasks.map(|task| {
            let task = task.unwrap();
            // It may have ended since it was listed.
            let text = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
            (task.file_name(), number(&text, "voluntary_ctxt_switches:"))
        });
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        Self {
            wakes: wakes.collect(),
            resident_kib: number(&status, "VmRSS:"),
        }
    }

    /// How often any thread was woken since.
    fn wakes_since(&self, before: &Self) -> u64 {
        let woken = |(task, now): (&OsString, &u64)| now.saturating_sub(before.wakes.get(task).copied().unwrap_or(0));
        self.wakes.iter().map(woken).sum()
    }
}

/// All exports of one repository have one watch, and one look at a bucket for each is all they ever ask; at rest they
/// ask nothing, and nothing wakes for each of them.
#[tokio::test]
async fn many_exports_of_some_repositories_share_watches_and_rest() {
    const COUNT: usize = 60;
    let serving = Serving::start(&[]).await;
    serving.repository.write("a", "1");
    let first = serving.repository.commit("first");
    let others: Vec<Repository> = (0..3).map(|_| Repository::new()).collect();
    for repository in &others {
        repository.commit_files(&["a"]);
    }
    for number in 0..COUNT {
        let mut text = serving.definition(&format!("out/{number}"));
        if let Some(other) = others.get(number % 4) {
            let own = serving.repository.path.to_str().unwrap();
            text = text.replace(own, other.path.to_str().unwrap());
        }
        serving.define(&format!("e{number}"), &text);
    }
    let idle = format!("lakesync_exports{{state=\"idle\"}} {COUNT}");
    let settled = async {
        while !serving.get("/metrics").await.text().lines().any(|line| line == idle) {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, settled).await;
    assert!(waited.is_ok(), "{}", serving.get("/metrics").await.text());
    serving.until_out("e7", first.as_str()).await;
    let before = serving.get("/metrics").await.text();
    assert!(before.lines().any(|line| line == "lakesync_watches 4"), "{before}");
    let requests = |text: &str| -> Vec<String> {
        let is_count = |line: &&str| line.starts_with("lakesync_s3_requests_total");
        text.lines().filter(is_count).map(str::to_owned).collect()
    };
    let pid = serving.child.id().unwrap();
    let rest = Rest::of(pid);
    // Three looks at the folder of definitions.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    let rested = Rest::of(pid);
    let wakes = rested.wakes_since(&rest);
    println!("{wakes} wake-ups in 3 s, {} KiB resident", rested.resident_kib);
    // Fewer than there are exports each second: whatever wakes does so for all.
    assert!(wakes < 3 * COUNT as u64, "{wakes} wake-ups in 3 s");
    assert!(rested.resident_kib < 400 << 10, "{} KiB resident", rested.resident_kib);
    let after = serving.get("/metrics").await.text();
    assert_eq!(
        requests(&before),
        requests(&after),
        "nothing is asked of a store while nothing happens"
    );
    serving.repository.write("a", "2");
    let second = serving.repository.commit("second");
    serving.until_out("e39", second.as_str()).await;
    serving.check("out/39", &[("a", "2")]).await;
}
