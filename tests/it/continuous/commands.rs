//! The commands around an export: hooks, `wait` and `status --watch`.

use rustix::process::Signal;

use super::*;
use crate::process::said;

impl Room {
    async fn once(&self, words: &[&str]) -> Output {
        let export_path = self.export_path.to_string();
        let first = ["export", "dir:tree", "--export-path", &export_path];
        let command = self
            .program(&self.bucket.server.endpoint, &[&first[..], words].concat())
            .spawn();
        ended(command.unwrap()).await
    }

    async fn wait(&self, words: &[&str]) -> Output {
        let export_path = self.export_path.to_string();
        let words = [&["wait", &export_path][..], words].concat();
        ended(self.program(&self.bucket.server.endpoint, &words).spawn().unwrap()).await
    }
}

/// P9: a check that fails stops the run before its first write.
#[tokio::test]
async fn a_check_that_fails_stops_the_export_with_4() {
    let room = room().await;
    room.write("a", "1");
    let check = "echo checking $LAKESYNC_COMMIT; echo no good >&2; exit 3";
    let output = room.once(&["--before-export", check]).await;
    let text = said(&output);
    assert_eq!(output.status.code(), Some(4), "{text}");
    assert!(text.contains("failed with 3: no good"), "{text}");
    assert!(room.status_now().await.is_none());
    let good = "test \"$LAKESYNC_PUT\" = 1 && test -z \"$LAKESYNC_PREVIOUS_COMMIT\"";
    let output = room.once(&["--before-export", good]).await;
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    room.check().await;
}

/// What runs after an export can run the program itself, and finds the export path in its environment.
#[tokio::test]
async fn what_runs_afterwards_hears_how_it_went_and_changes_nothing() {
    let room = room().await;
    room.write("a", "1");
    let file = room.folder().join("heard");
    let program = env!("CARGO_BIN_EXE_lakesync");
    let after = format!("{program} status > {0} && env | grep ^LAKESYNC_ >> {0}", file.display());
    let output = room.once(&["--after-export", &after]).await;
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let heard = std::fs::read_to_string(&file).unwrap();
    assert!(heard.starts_with("success, "), "{heard}");
    for line in [
        "LAKESYNC_HOOK=after-export",
        "LAKESYNC_RESULT=success",
        "LAKESYNC_PUT=1",
        &format!("LAKESYNC_EXPORT_PATH={}", room.export_path),
    ] {
        assert!(heard.lines().any(|heard| heard == line), "{line}: {heard}");
    }
    // Nothing to do is no run.
    std::fs::remove_file(&file).unwrap();
    assert_eq!(room.once(&["--after-export", &after]).await.status.code(), Some(0));
    assert!(!file.exists());

    room.write("a", "2");
    let output = room.once(&["--after-export", "echo it broke; exit 9"]).await;
    let text = said(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("failed with 9") && text.contains("it broke"), "{text}");
    room.check().await;
}

/// A failing check under `--continuous` is tried again, and does not end the program.
#[tokio::test]
async fn a_check_that_fails_holds_a_continuous_export_until_it_passes() {
    let room = room().await;
    room.write("a", "1");
    let gate = room.folder().join("open");
    let check = format!("test -e {} || {{ echo closed; exit 1; }}", gate.display());
    let mut follower = room.follow(&room.bucket.server.endpoint, &["--before-export", &check]);
    follower.until_said("failed with 1: closed").await;
    follower.until_said("next try in").await;
    assert!(room.status_now().await.is_none());
    std::fs::write(&gate, "").unwrap();
    room.until_as_the_folder(&follower).await;
    follower.ends(Signal::TERM, 143).await;
}

/// A stop ends a command that would go on for ever.
#[tokio::test]
async fn a_stop_ends_a_check_that_hangs() {
    let room = room().await;
    room.write("a", "1");
    let began = room.folder().join("began");
    let check = format!("touch {}; sleep 1000", began.display());
    let follower = room.follow(&room.bucket.server.endpoint, &["--before-export", &check]);
    while !began.exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    follower.ends(Signal::TERM, 143).await;
    assert!(room.status_now().await.is_none());
}

#[tokio::test]
async fn waiting_ends_when_the_commit_or_a_later_one_is_out() {
    let room = room().await;
    let repository = Repository::new();
    let skipped = repository.commit_files(&["a"]);
    let first = repository.commit_files(&["b"]);
    let nothing = room.wait(&["--commit", first.as_str(), "--timeout", "1s"]).await;
    assert_eq!(nothing.status.code(), Some(1), "{}", said(&nothing));
    assert!(
        said(&nothing).contains("nothing was exported yet"),
        "{}",
        said(&nothing)
    );

    let export_path = room.export_path.to_string();
    let words = ["wait", &export_path, "--timeout", "50s"];
    let waiting = room.program(&room.bucket.server.endpoint, &words).spawn().unwrap();
    let follower = room.follow_git(&room.bucket.server.endpoint, &repository, &[]);
    let waited = ended(waiting).await;
    assert_eq!(waited.status.code(), Some(0), "{}", said(&waited));
    assert_eq!(said(&waited).trim(), first.as_str());

    // It was never exported, and what was is after it.
    let waited = room.wait(&["--commit", skipped.as_str()]).await;
    assert_eq!((waited.status.code(), said(&waited).trim()), (Some(0), first.as_str()));
    let second = repository.commit_files(&["c"]);
    let waited = room.wait(&["--commit", &second.as_str()[..10]]).await;
    assert_eq!((waited.status.code(), said(&waited).trim()), (Some(0), second.as_str()));
    let waited = room.wait(&["--commit", first.as_str()]).await;
    assert_eq!((waited.status.code(), said(&waited).trim()), (Some(0), second.as_str()));
    follower.ends(Signal::TERM, 143).await;

    // A commit that nobody exports any more.
    let third = repository.commit_files(&["d"]);
    let waited = room.wait(&["--timeout", "1500ms"]).await;
    assert_eq!(waited.status.code(), Some(1), "{}", said(&waited));
    assert!(said(&waited).contains(third.as_str()), "{}", said(&waited));
}

#[tokio::test]
async fn the_head_of_a_directory_must_be_named() {
    let room = room().await;
    room.write("a", "1");
    let commit = room.exported().await;
    assert_eq!(commit["put"], 1);
    let waited = room.wait(&[]).await;
    assert_eq!(waited.status.code(), Some(2), "{}", said(&waited));
    assert!(said(&waited).contains("--commit"), "{}", said(&waited));
    let commit = room.status_now().await.unwrap().commit;
    let waited = room.wait(&["--commit", &commit]).await;
    assert_eq!((waited.status.code(), said(&waited).trim()), (Some(0), commit.as_str()));
}

#[tokio::test]
async fn a_watched_status_is_printed_each_time_it_changes() {
    let room = room().await;
    room.write("a", "1");
    let export_path = room.export_path.to_string();
    let words = ["status", &export_path, "--watch"];
    let mut watching = Follower::start(room.program(&room.bucket.server.endpoint, &words));
    watching.until_said("no status file yet").await;
    room.exported().await;
    let first = room.status_now().await.unwrap();
    watching.until_said(&format!("run     {}", first.run)).await;
    room.write("a", "2");
    room.exported().await;
    let second = room.status_now().await.unwrap();
    watching.until_said(&format!("run     {}", second.run)).await;
    watching.send(Signal::INT);
    assert_eq!(ended(watching.child).await.status.code(), Some(130));
}
