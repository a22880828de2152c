//! The folder of definitions, written by people.

use serde_json::json;

use super::http::Request;
use super::{Serving, command};
use crate::process::{ended, said};

#[tokio::test]
async fn a_broken_file_is_reported_with_its_line_and_the_others_go_on() {
    let serving = Serving::start(&[]).await;
    serving.repository.write("a", "1");
    let first = serving.repository.commit("first");
    serving.define(
        "broken",
        &format!("{}export-pth = \"x\"\n", serving.definition("broken")),
    );
    serving.define("good", &serving.definition("good"));
    serving.until_out("good", first.as_str()).await;
    let broken = serving.until("broken", |export| export["state"] == "broken").await;
    let message = broken["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("broken.toml:4: unknown key \"export-pth\""),
        "{message}"
    );
    // Mended, it runs; broken again, it goes on as it was, and says what is wrong.
    serving.define("broken", &serving.definition("broken"));
    serving.until_out("broken", first.as_str()).await;
    serving.define("broken", "source = \n");
    let slipped = serving.until("broken", |export| !export["error"].is_null()).await;
    assert_eq!(slipped["state"], "idle", "{slipped}");
    serving.repository.write("a", "2");
    let second = serving.repository.commit("second");
    serving.until_out("broken", second.as_str()).await;
    serving.check("broken", &[("a", "2")]).await;
}

#[tokio::test]
async fn a_file_that_is_switched_off_or_taken_away_ends_its_export_and_leaves_the_bucket() {
    let serving = Serving::start(&[]).await;
    serving.repository.write("a", "1");
    let first = serving.repository.commit("first");
    let text = format!("# mine\n{}", serving.definition("out"));
    serving.define("x", &text);
    serving.until_out("x", first.as_str()).await;
    serving.define("x", &format!("{text}enabled = false\n"));
    serving.until("x", |export| export["state"] == "stopped").await;
    // Switched on through the API, what a person wrote stays as it stands.
    assert_eq!(serving.post("/api/v1/exports/x/start", None).await.status, 200);
    serving.until_out("x", first.as_str()).await;
    let written = std::fs::read_to_string(serving.registry().join("x.toml")).unwrap();
    assert_eq!(written, format!("{text}enabled = true\n"));
    let removed = Request::new("DELETE", "/api/v1/exports/x").send(&serving.address).await;
    assert_eq!(removed.status, 204);
    assert_eq!(serving.get("/api/v1/exports/x").await.status, 404);
    assert!(!serving.registry().join("x.toml").exists());
    serving.check("out", &[("a", "1")]).await;
}

#[tokio::test]
async fn what_runs_programs_comes_from_files_alone() {
    let serving = Serving::start(&[]).await;
    serving.repository.write("a", "1");
    let first = serving.repository.commit("first");
    for option in ["before-export", "after-export", "hook-timeout"] {
        let mut request = serving.request("x", "out");
        request["options"][option] = json!("touch pwned");
        let reply = serving.post("/api/v1/exports", Some(&request)).await;
        assert_eq!(reply.status, 403, "{}", reply.text());
        assert!(reply.error().contains(option));
    }
    assert_eq!(serving.get("/api/v1/exports").await.json()["exports"], json!([]));
    let mark = serving.room.folder().join("mark");
    let hook = format!(
        "{}before-export = \"echo $LAKESYNC_COMMIT > {}\"\n",
        serving.definition("out"),
        mark.display()
    );
    serving.define("x", &hook);
    serving.until_out("x", first.as_str()).await;
    assert_eq!(std::fs::read_to_string(&mark).unwrap().trim(), first.as_str());
    // The same export without the command is no other one, since no request could say it.
    let reply = serving
        .post("/api/v1/exports", Some(&serving.request("x", "out")))
        .await;
    assert_eq!(reply.status, 200, "{}", reply.text());
}

#[tokio::test]
async fn two_exports_never_share_an_export_path_and_two_servers_never_a_registry() {
    let serving = Serving::start(&[]).await;
    serving.repository.write("a", "1");
    let first = serving.repository.commit("first");
    serving.create("one", "out").await;
    serving.until_out("one", first.as_str()).await;
    let reply = serving
        .post("/api/v1/exports", Some(&serving.request("two", "out")))
        .await;
    assert_eq!(reply.status, 422, "{}", reply.text());
    assert!(reply.error().contains("one"), "{}", reply.text());
    serving.define("two", &serving.definition("out"));
    let two = serving.until("two", |export| export["state"] == "broken").await;
    assert!(two["error"]["message"].as_str().unwrap().contains("one"), "{two}");
    // The way is free once the first is stopped.
    assert_eq!(serving.post("/api/v1/exports/one/stop", None).await.status, 200);
    serving.until_out("two", first.as_str()).await;
    let output = ended(command(&serving.room, &[]).spawn().unwrap()).await;
    assert_eq!(output.status.code(), Some(75), "{}", said(&output));
    assert!(said(&output).contains("another `lakesync serve`"), "{}", said(&output));
}

/// Nobody must be able to make the page or the registry believe that a name is more than a name.
#[tokio::test]
async fn a_name_or_a_branch_that_looks_like_markup_stays_text() {
    let serving = Serving::start(&[]).await;
    serving.repository.write("<img src=x onerror=alert(1)>.txt", "1");
    serving.repository.commit("first");
    let branch = "<script>alert(1)</script>";
    serving.repository.git(&["checkout", "--quiet", "-b", branch]);
    let first = serving.repository.commit("odd");
    let mut request = serving.request("odd", "out");
    request["options"]["branch"] = json!(branch);
    let reply = serving.post("/api/v1/exports", Some(&request)).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    let export = serving.until_out("odd", first.as_str()).await;
    assert_eq!(export["branch"], branch);
    for path in ["/api/v1/exports", "/api/v1/exports/odd", "/api/v1/exports/odd/records"] {
        let reply = serving.get(path).await;
        // What says that it is JSON, and may not be guessed at, is never markup.
        assert_eq!(reply.header("content-type"), Some("application/json"), "{path}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{path}");
    }
    let page = serving.get("/").await;
    assert!(
        !page.text().contains("alert(1)"),
        "the page itself holds nothing from outside"
    );
    let rule = page.header("content-security-policy").unwrap();
    assert!(
        rule.contains("default-src 'none'") && !rule.contains("unsafe"),
        "{rule}"
    );
    for word in [
        "require-trusted-types-for 'script'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    ] {
        assert!(rule.contains(word), "{rule}");
    }
}
