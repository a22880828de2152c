//! The program on a real server: what comes arrives, and it ends when it is asked.

use rustix::process::Signal;

use super::*;
use crate::process::in_a_namespace;
use crate::wire::Wire;

/// P6: each commit that is waited for arrives, and the program ends in good order.
#[tokio::test]
async fn commits_of_a_git_branch_arrive_until_it_is_told_to_stop() {
    let room = room().await;
    let repository = Repository::new();
    let first = repository.commit_files(&["a", "b/c"]);
    let mut follower = room.follow_git(&room.bucket.server.endpoint, &repository, &[]);
    room.until_out(&follower, |head| head.commit == first.as_str()).await;
    repository.write("a", "other");
    std::fs::remove_file(repository.path.join("b/c")).unwrap();
    let second = repository.commit("second");
    let head = room.until_out(&follower, |head| head.commit == second.as_str()).await;
    assert_eq!((head.put, head.deleted, head.kept), (1, 1, 0));
    // A merge moves the branch, too.
    repository.git(&["checkout", "--quiet", "-b", "side", "HEAD~1"]);
    repository.write("d", "d");
    repository.commit("side");
    repository.git(&["checkout", "--quiet", "main"]);
    repository.git(&["merge", "--quiet", "--no-edit", "side"]);
    let merge = repository.id("main");
    room.until_out(&follower, |head| head.commit == merge.as_str()).await;
    follower.until_said(&format!("Exported {}", merge.short())).await;
    let said = follower.ends(Signal::TERM, 143).await;
    assert!(said.contains("Stopped; "), "{said}");
    assert_eq!(room.status_now().await.unwrap().commit, merge.as_str());
}

/// P6: of 200 commits in a burst the last arrives, at a cost that is bounded by the runs, and only what was published
/// is ever called a success.
#[tokio::test]
async fn of_a_burst_of_200_commits_the_last_arrives() {
    let room = room().await;
    let repository = Repository::new();
    repository.commit_files(&["file"]);
    let wire = Wire::open(room.bucket.server).await;
    let words = ["--json", "--keep-status", "1000"];
    let follower = room.follow_git(&wire.endpoint, &repository, &words);
    let first = repository.id("main");
    room.until_out(&follower, |head| head.commit == first.as_str()).await;
    let before = wire.len();
    let tree = repository.git(&["rev-parse", "main^{tree}"]);
    let mut parent = first.to_string();
    for number in 0..200 {
        let message = format!("commit {number}");
        parent = repository.git(&["commit-tree", "-p", &parent, "-m", &message, &tree]);
        repository.git(&["update-ref", "refs/heads/main", &parent]);
    }
    repository.write("file", "the last");
    let last = repository.commit("the last");
    room.until_out(&follower, |head| head.commit == last.as_str()).await;
    let said = follower.ends(Signal::TERM, 143).await;
    let exported: Vec<String> = said
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|event| event["type"] == "summary")
        .map(|event| event["commit"].as_str().unwrap().to_owned())
        .collect();
    let requests = wire.len() - before;
    assert!(
        requests <= 40 * exported.len(),
        "{requests} for {}: {}",
        exported.len(),
        wire.table()
    );
    let store = room.bucket.store_at(&room.bucket.server.endpoint).await;
    let mut successes = Vec::new();
    for name in lakesync::status::list_names(&store, &room.export_path.prefix)
        .await
        .unwrap()
    {
        let key = room.export_path.prefix.join(&name.to_string());
        let (head, _) = lakesync::status::read_head(&store, &key).await.unwrap().unwrap();
        if head.status == ExportState::Success {
            successes.push(head.commit);
        }
    }
    assert_eq!(successes, exported, "{said}");
    assert_eq!(successes.last().map(String::as_str), Some(last.as_str()));
}

#[tokio::test]
async fn changes_of_a_directory_arrive_until_it_is_told_to_stop() {
    let room = room().await;
    room.write("a", "1");
    let follower = room.follow(&room.bucket.server.endpoint, &[]);
    room.until_as_the_folder(&follower).await;
    room.write("deep/in/folders/b", "2");
    room.until_as_the_folder(&follower).await;
    room.write("deep/in/folders/b", "3");
    std::fs::remove_file(room.tree().join("a")).unwrap();
    room.until_as_the_folder(&follower).await;
    follower.ends(Signal::INT, 130).await;
}

/// A folder that is gone is not an empty one.
#[tokio::test]
async fn a_directory_that_vanishes_is_held_and_goes_on_when_it_is_back() {
    let room = room().await;
    room.write("a", "1");
    room.write("b", "2");
    // Even where an empty tree would be allowed.
    let mut follower = room.follow(&room.bucket.server.endpoint, &["--allow-empty"]);
    room.until_as_the_folder(&follower).await;
    let away = room.folder().join("away");
    std::fs::rename(room.tree(), &away).unwrap();
    follower.until_said("nothing is exported until").await;
    // As an unmounted file system leaves its mount point.
    std::fs::create_dir(room.tree()).unwrap();
    follower.until_said("is empty").await;
    let head = room.status_now().await.unwrap();
    assert_eq!((head.status, head.deleted), (ExportState::Success, 0));
    std::fs::remove_dir(room.tree()).unwrap();
    std::fs::rename(&away, room.tree()).unwrap();
    room.write("b", "3");
    room.until_as_the_folder(&follower).await;
    follower.ends(Signal::TERM, 143).await;
}

/// Where nothing more can be watched it looks now and then, and says once how to be told.
#[tokio::test]
async fn where_the_watches_are_used_up_it_polls_and_names_the_sysctl() {
    let room = room().await;
    for number in 0..20 {
        room.write(&format!("{number}/file"), "1");
    }
    let export_path = room.export_path.to_string();
    let words = ["export", "dir:tree", "--export-path", &export_path, "--continuous"];
    let words = [&words[..], &["--poll-interval", "100ms"]].concat();
    let command = room.program(&room.bucket.server.endpoint, &words);
    // A limit of the namespace.
    let limited = in_a_namespace(&command, &[], "echo 10 > /proc/sys/user/max_inotify_watches");
    let mut follower = Follower::start(limited);
    follower.until_said("fs.inotify.max_user_watches").await;
    room.until_as_the_folder(&follower).await;
    room.write("19/file", "2");
    room.until_as_the_folder(&follower).await;
    let said = follower.ends(Signal::TERM, 143).await;
    assert_eq!(said.matches("max_user_watches").count(), 1, "{said}");
}

#[tokio::test]
async fn what_does_not_move_cannot_be_followed() {
    let room = room().await;
    let repository = Repository::new();
    let commit = repository.commit_files(&["a"]);
    repository.git(&["tag", "v1"]);
    let export_path = room.export_path.to_string();
    let source = git(&repository);
    let exported = |branch: Option<&str>| {
        let mut words = vec!["export", &source, "--export-path", &export_path, "--continuous"];
        words.extend(branch.into_iter().flat_map(|branch| ["--branch", branch]));
        room.program(&room.bucket.server.endpoint, &words).spawn().unwrap()
    };
    for branch in [Some("v1"), Some(commit.as_str()), None] {
        if branch.is_none() {
            repository.git(&["checkout", "--quiet", "--detach"]);
        }
        let output = ended(exported(branch)).await;
        let said = crate::process::said(&output);
        assert_eq!(output.status.code(), Some(2), "{branch:?}: {said}");
        assert!(said.contains("no branch") && said.contains("--branch"), "{said}");
    }
    assert!(room.status_now().await.is_none());
}

/// SIGHUP reads the file again; a broken one changes nothing.
#[tokio::test]
async fn a_hang_up_reads_the_configuration_again() {
    let room = room().await;
    let file = room.folder().join("lakesync.toml");
    std::fs::write(&file, "exclude = [\"*.tmp\"]\n").unwrap();
    room.write("a", "1");
    room.write("b.tmp", "2");
    let mut follower = room.follow(&room.bucket.server.endpoint, &[]);
    let head = room.until_out(&follower, |_| true).await;
    assert_eq!(head.put, 1);
    std::fs::write(&file, "exclude = 7\nunknown = true\n").unwrap();
    follower.send(Signal::HUP);
    follower.until_said("the old one goes on").await;
    room.write("a", "2");
    room.until_out(&follower, |now| now.run != head.run).await;
    std::fs::write(&file, "").unwrap();
    follower.send(Signal::HUP);
    follower.until_said("was read again").await;
    room.until_as_the_folder(&follower).await;
    follower.ends(Signal::TERM, 143).await;
}

/// systemd hears that it is ready, what it does, and that it lives.
#[tokio::test]
async fn the_service_manager_is_told() {
    let room = room().await;
    room.write("a", "1");
    let socket = tokio::net::UnixDatagram::bind(room.folder().join("notify")).unwrap();
    let export_path = room.export_path.to_string();
    let words = ["export", "dir:tree", "--export-path", &export_path, "--continuous"];
    let mut command = room.program(&room.bucket.server.endpoint, &words);
    command
        .env("NOTIFY_SOCKET", room.folder().join("notify"))
        .env("WATCHDOG_USEC", "200000");
    let mut follower = Follower::start(command);
    let mut heard = Vec::new();
    let has = |heard: &[String], text: &str| heard.iter().any(|one| one.starts_with(text));
    let hear = async |heard: &mut Vec<String>| {
        let mut buffer = [0; 4096];
        let received = tokio::time::timeout(PATIENCE, socket.recv(&mut buffer)).await;
        let length = received.expect("the program says nothing").unwrap();
        heard.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
    };
    while !(has(&heard, "STATUS=idle at b3tree:") && heard.iter().filter(|one| *one == "WATCHDOG=1").count() > 3) {
        hear(&mut heard).await;
    }
    assert_eq!(heard[0], "READY=1");
    follower.until_said("Exported").await;
    follower.send(Signal::TERM);
    while !has(&heard, "STOPPING=1") {
        hear(&mut heard).await;
    }
    assert_eq!(ended(follower.child).await.status.code(), Some(143));
}
