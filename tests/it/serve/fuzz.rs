//! The API against its own description: schemathesis makes requests of it, good and bad, and judges the answers.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::Serving;
use crate::git_source::repository::Repository;
use crate::process::{Room, said};
use crate::servers;

const TOKEN: &str = "a-token-that-nobody-guesses";
const SECRET: &str = "a-secret-between-two-servers";

/// Longer than hundreds of requests take.
const LONGEST: Duration = Duration::from_secs(300);

/// The same requests each time: a failure can be looked at again.
const SEED: &str = "20261125";

/// A server with an export, called as in the examples of the description, that has something to tell.
async fn serving(words: &[&str]) -> Serving {
    let room = Room::new(servers::seaweedfs()).await;
    std::fs::create_dir_all(room.folder().join("exports")).unwrap();
    std::fs::write(room.folder().join("token"), TOKEN).unwrap();
    std::fs::write(room.folder().join("hooks"), SECRET).unwrap();
    let words = [words, &["--webhook-secret-file", "hooks"]].concat();
    let serving = Serving::start_in(room, Repository::new(), &words).await;
    serving.repository.write("a", "1");
    serving.repository.commit("first");
    serving.define("data-main", &serving.definition("out"));
    serving
}

/// Has schemathesis judge a server; gives what it said.
async fn judged(serving: &Serving, words: &[&str]) -> String {
    let program = servers::installed("venv/bin/st").unwrap_or_else(|problem| panic!("{problem}"));
    let description = format!("http://{}/api/v1/openapi.json", serving.address);
    let mut command = Command::new(program);
    command
        .args([
            "run",
            &description,
            "--seed",
            SEED,
            "--max-examples",
            "15",
            "--no-color",
        ])
        .args(["--generation-database", "none", "--request-timeout", "20"])
        // As fast as the server bears it: what is refused for its haste is not looked at.
        .args(["--rate-limit", "45/s"])
        // Has no end; what it says is looked at in the tests of streams.
        .args(["--exclude-path", "/api/v1/events"])
        // Whether there is such a repository or bucket no schema can say.
        .args(["--exclude-checks", "positive_data_acceptance"])
        .args(["--header", &format!("X-Lakesync-Secret: {SECRET}")])
        .args(words)
        .env_clear()
        .env("HOME", serving.room.folder())
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("LC_ALL", "C.UTF-8")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(serving.room.folder())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(LONGEST, command.output()).await;
    let output = output.expect("schemathesis hangs").unwrap();
    let text = said(&output);
    assert!(output.status.success(), "{text}\n{}", serving.said());
    assert!(!text.contains("Rate limited"), "much was not looked at: {text}");
    assert!(text.contains("17 total"), "not all operations were read: {text}");
    text
}

/// No answer is a failure of the server, or another than the description says.
#[tokio::test]
async fn every_answer_is_as_described_whatever_is_asked() {
    let serving = serving(&[]).await;
    serving.until("data-main", |export| export["state"] == "idle").await;
    // What is deleted first could not be asked for anything else.
    let text = judged(&serving, &["--exclude-method", "DELETE"]).await;
    assert!(text.contains("15 selected"), "{text}");
    judged(&serving, &["--phases", "coverage,fuzzing,stateful"]).await;
    assert_eq!(serving.get("/readyz").await.status, 200);
}

/// The same where a token is asked for: whoever shows none, or a wrong one, is refused as described.
#[tokio::test]
async fn every_answer_is_as_described_where_a_token_is_asked_for() {
    let serving = serving(&["--token-file", "token"]).await;
    let header = format!("Authorization: Bearer {TOKEN}");
    let with_token =
        super::http::Request::new("GET", "/api/v1/openapi.json").header("Authorization", &format!("Bearer {TOKEN}"));
    let reply = with_token.send(&serving.address).await;
    assert_eq!(
        reply.json()["paths"]["/api/v1/exports"]["get"]["security"][0]["token"],
        serde_json::json!([])
    );
    assert_eq!(
        reply.json()["paths"]["/healthz"]["get"]["security"],
        serde_json::json!([])
    );
    let text = judged(&serving, &["--header", &header]).await;
    assert!(text.contains("16 selected"), "{text}");
}
