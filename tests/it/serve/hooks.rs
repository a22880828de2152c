//! Webhooks: hints from outside, each with its secret.

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use super::Serving;
use super::http::{Reply, Request};

const SECRET: &str = "a-secret-between-two-servers";

async fn with_secret() -> Serving {
    let room = crate::process::Room::new(crate::servers::seaweedfs()).await;
    std::fs::write(
        room.folder().join("hooks"),
        format!("an-older-secret-of-them\n{SECRET}\n"),
    )
    .unwrap();
    let repository = crate::git_source::repository::Repository::new();
    Serving::start_in(room, repository, &["--webhook-secret-file", "hooks"]).await
}

fn signature(secret: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

fn push(name: &str) -> Value {
    json!({"ref": "refs/heads/main", "repository": {"full_name": name}, "commits": []})
}

impl Serving {
    async fn github(&self, body: &Value, secret: &str) -> Reply {
        let body = body.to_string();
        let signature = signature(secret, &body);
        let request = Request::new("POST", "/hooks/github").header("X-Hub-Signature-256", &signature);
        request.body(body).send(&self.address).await
    }

    async fn lakefs(&self, query: &str, header: Option<&str>, body: &Value) -> Reply {
        let mut request = Request::new("POST", &format!("/hooks/lakefs{query}"));
        if let Some(secret) = header {
            request = request.header("X-Lakesync-Secret", secret);
        }
        request.body(body.to_string()).send(&self.address).await
    }
}

#[tokio::test]
async fn a_signed_push_wakes_and_all_else_is_refused() {
    let serving = with_secret().await;
    serving
        .repository
        .git(&["remote", "add", "origin", "git@github.com:Owner/data.git"]);
    serving.repository.write("a", "1");
    let first = serving.repository.commit("first");
    serving.create("x", "out").await;
    serving.until_out("x", first.as_str()).await;
    for _ in 0..2 {
        let reply = serving.github(&push("owner/data"), SECRET).await;
        assert_eq!(reply.status, 202, "a replay is harmless: {}", reply.text());
        assert_eq!(reply.json()["exports"], 1);
    }
    assert_eq!(
        serving
            .github(&push("owner/data"), "an-older-secret-of-them")
            .await
            .status,
        202
    );
    assert_eq!(serving.github(&push("owner/other"), SECRET).await.status, 404);
    assert_eq!(serving.github(&json!({"zen": "x"}), SECRET).await.status, 400);
    let wrong = serving.github(&push("owner/data"), "another-secret-of-nobody").await;
    assert_eq!(wrong.status, 401);
    assert!(!wrong.text().contains(SECRET));
    let unsigned = Request::new("POST", "/hooks/github").body(push("owner/data").to_string());
    assert_eq!(unsigned.send(&serving.address).await.status, 401);
    let long = Request::new("POST", "/hooks/github")
        .header("X-Hub-Signature-256", "sha256=00")
        .body(vec![b' '; 2 << 20]);
    assert_eq!(long.send(&serving.address).await.status, 413);
}

#[tokio::test]
async fn an_action_of_lakefs_knows_the_secret_by_header_or_query() {
    let serving = with_secret().await;
    let event = json!({"event_type": "post-commit", "repository_id": "repo", "branch_id": "main"});
    let found = |reply: Reply| {
        assert_eq!(reply.status, 404, "{}", reply.text());
        assert!(reply.error().contains("repo: no export reads this repository"));
    };
    found(serving.lakefs("", Some(SECRET), &event).await);
    found(serving.lakefs(&format!("?secret={SECRET}"), None, &event).await);
    for (query, header) in [
        ("", None),
        ("?secret=wrong", None),
        ("", Some("wrong")),
        ("?secret=", Some("")),
    ] {
        let reply = serving.lakefs(query, header, &event).await;
        assert_eq!(reply.status, 401, "{query} {header:?}");
    }
    assert_eq!(serving.lakefs("", Some(SECRET), &json!({"odd": 1})).await.status, 400);
}

/// With a server that does not exist the export cannot open, and the hint is still taken: it is known by its words.
#[tokio::test]
async fn a_hint_about_a_repository_that_is_exported_is_taken_at_once() {
    let serving = with_secret().await;
    let text = format!(
        "source = \"lakefs://repo/main\"\nexport-path = \"{}\"\n",
        serving.export_path("out")
    );
    serving.define("x", &text);
    // Without a server and an access key there is no export at all, and that is said.
    let broken = serving.until("x", |export| export["state"] == "broken").await;
    assert!(
        broken["error"]["message"].as_str().unwrap().contains("lakeFS server"),
        "{broken}"
    );
    let lakectl = "server:\n  endpoint_url: http://127.0.0.1:1\n\
                   credentials:\n  access_key_id: AKIA1\n  secret_access_key: hunter2\n";
    std::fs::write(serving.room.folder().join(".lakectl.yaml"), lakectl).unwrap();
    serving.define("x", &format!("{text}enabled = true\n"));
    let begun = serving.until("x", |export| export["state"] != "broken").await;
    assert!(!begun.to_string().contains("hunter2"));
    for branch in [json!("main"), json!("other"), json!(null)] {
        let event = json!({"event_type": "post-merge", "repository_id": "repo", "branch_id": branch});
        let reply = serving.lakefs("", Some(SECRET), &event).await;
        assert_eq!((reply.status, &reply.json()["exports"]), (202, &json!(1)), "{branch}");
    }
}

#[tokio::test]
async fn without_secrets_no_webhook_is_taken() {
    let serving = Serving::start(&[]).await;
    let reply = serving
        .lakefs("", Some(SECRET), &json!({"repository_id": "repo"}))
        .await;
    assert_eq!(reply.status, 401);
    assert!(reply.error().contains("takes no webhooks"));
    assert_eq!(serving.github(&push("o/n"), SECRET).await.status, 401);
}
