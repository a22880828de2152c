//! The seed's own words, on a real bucket.

use crate::process::said;

use super::Serving;

/// The commands as the seed says them, from a commit to a merge and a stop.
#[tokio::test]
async fn an_export_is_started_follows_its_branch_and_is_stopped() {
    let serving = Serving::start(&[]).await;
    let repository = &serving.repository;
    repository.write("a", "1");
    let first = repository.commit("first");
    let path = repository.path.to_str().unwrap().to_owned();
    let export_path = serving.export_path("out");
    let start = [
        "repo",
        "export",
        &path,
        "--branch",
        "main",
        "--start",
        "--export-path",
        &export_path,
    ];
    let text = serving.client_done(&start).await;
    assert!(text.starts_with("Started repository-main: "), "{text}");
    serving.until_out("repository-main", first.as_str()).await;
    serving.check("out", &[("a", "1")]).await;

    repository.write("b", "2");
    let second = repository.commit("second");
    serving.until_out("repository-main", second.as_str()).await;
    repository.git(&["checkout", "--quiet", "-b", "other"]);
    repository.write("c", "3");
    repository.commit("on another branch");
    repository.git(&["checkout", "--quiet", "main"]);
    repository.git(&["merge", "--quiet", "--no-ff", "--message", "merged", "other"]);
    let merged = repository.id("main");
    serving.until_out("repository-main", merged.as_str()).await;
    serving.check("out", &[("a", "1"), ("b", "2"), ("c", "3")]).await;

    // Said again, it is fine; said otherwise, the difference is shown and nothing changes.
    serving.client_done(&start).await;
    let otherwise = [&start[..], &["--exclude", "*.tmp"]].concat();
    let output = serving.client(&otherwise).await;
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    let text = said(&output);
    assert!(text.contains("exclude is not set, and *.tmp was asked for"), "{text}");

    let short = ["branch", "export", &path, "--branch", "main"];
    let text = serving.client_done(&[&short[..], &["--status"]].concat()).await;
    assert!(
        text.starts_with("repository-main, idle\n") && text.contains(merged.as_str()),
        "{text}"
    );
    serving.client_done(&[&short[..], &["--run-now"]].concat()).await;
    let text = serving.client_done(&[&short[..], &["--stop"]].concat()).await;
    assert!(text.starts_with("Stopped repository-main: "), "{text}");
    let export = serving.export("repository-main").await;
    assert_eq!(
        (&export["state"], &export["enabled"]),
        (&"stopped".into(), &false.into())
    );
    let output = serving.client(&[&short[..], &["--run-now"]].concat()).await;
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));

    let keys = serving.room.bucket.keys().await;
    repository.write("d", "4");
    let last = repository.commit("while stopped");
    serving.client_done(&start).await;
    serving.until_out("repository-main", last.as_str()).await;
    assert!(
        keys.iter()
            .all(|key| key.contains("_STATUS_") || key.contains("_lakesync/") || key.starts_with("out/"))
    );
    serving
        .check("out", &[("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")])
        .await;
}

/// Killed at any point, it goes on with all that was enabled, and with nothing that was not.
#[tokio::test]
async fn after_a_kill_what_was_enabled_goes_on_and_what_was_stopped_stays_so() {
    let serving = Serving::start(&[]).await;
    serving.repository.write("a", "1");
    let first = serving.repository.commit("first");
    serving.create("on", "on").await;
    serving.create("off", "off").await;
    serving.until_out("on", first.as_str()).await;
    serving.until_out("off", first.as_str()).await;
    assert_eq!(serving.post("/api/v1/exports/off/stop", None).await.status, 200);
    serving.repository.write("big", "x".repeat(1 << 20));
    let second = serving.repository.commit("second");
    let serving = serving.killed_and_started(&[]).await;
    let export = serving.until_out("on", second.as_str()).await;
    assert_eq!(export["behind_since"], serde_json::Value::Null);
    assert_eq!(serving.export("off").await["state"], "stopped");
    serving.check("off", &[("a", "1")]).await;
    // Runs of before are read from the bucket.
    let runs = serving.get("/api/v1/exports/on/runs").await.json();
    let commits: Vec<&str> = runs["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| run["commit"].as_str().unwrap())
        .collect();
    assert!(
        commits.contains(&first.as_str()) && commits.contains(&second.as_str()),
        "{runs}"
    );
}

#[tokio::test]
async fn without_a_server_the_two_ways_out_are_named() {
    let serving = Serving::start(&[]).await;
    serving.repository.write("a", "1");
    serving.repository.commit("first");
    let path = serving.repository.path.to_str().unwrap().to_owned();
    let words = [
        "repo",
        "export",
        &path,
        "--start",
        "--export-path",
        "s3://bucket",
        "--server",
        "http://127.0.0.1:1",
    ];
    let endpoint = serving.room.bucket.server.endpoint.clone();
    let output = crate::process::ended(serving.room.program(&endpoint, &words).spawn().unwrap()).await;
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let text = said(&output);
    assert!(
        text.contains("lakesync serve") && text.contains("--continuous"),
        "{text}"
    );
}

#[tokio::test]
async fn history_records_and_numbers_tell_what_was_done() {
    let serving = Serving::start(&[]).await;
    for number in 0..5 {
        serving.repository.write(format!("f/{number}"), format!("{number}"));
    }
    let commit = serving.repository.commit("five");
    serving.create("x", "out").await;
    serving.until_out("x", commit.as_str()).await;
    let runs = serving.get("/api/v1/exports/x/runs").await.json();
    let run = &runs["runs"][0];
    assert_eq!((&run["result"], &run["put"]), (&"exported".into(), &5.into()), "{runs}");
    let (mut paths, mut after) = (Vec::new(), String::new());
    loop {
        let page = serving
            .get(&format!("/api/v1/exports/x/records?limit=2{after}"))
            .await
            .json();
        let records = page["records"].as_array().unwrap();
        paths.extend(records.iter().map(|record| record["path"].as_str().unwrap().to_owned()));
        assert_eq!(page["head"]["commit"], commit.as_str());
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(paths, ["f/0", "f/1", "f/2", "f/3", "f/4"]);
    let metrics = serving.get("/metrics").await.text();
    for line in [
        "lakesync_exports{state=\"idle\"} 1",
        "lakesync_runs_total{export=\"x\",result=\"exported\"} 1",
        "lakesync_objects_total{action=\"put\"} 5",
        "lakesync_head_lag_seconds{export=\"x\"} 0",
        "lakesync_watches 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line}\n{metrics}");
    }
    assert!(metrics.contains("lakesync_last_success_timestamp_seconds{export=\"x\"} "));
    assert!(metrics.contains("lakesync_s3_requests_total{op=\"PutObject\",status=\"ok\"} "));
    assert!(metrics.contains("lakesync_s3_request_seconds_count{op=\"PutObject\"} "));
}
