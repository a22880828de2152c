//! Who is let in, and with what.

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::http::Request;
use super::{Serving, command};
use crate::process::{PATIENCE, Room, ended, said};
use crate::servers;

const TOKEN: &str = "a-token-that-nobody-guesses";

#[tokio::test]
async fn an_address_that_others_can_reach_is_refused_without_a_token() {
    let room = Room::new(servers::seaweedfs()).await;
    let output = ended(command(&room, &["--listen", "0.0.0.0:0"]).spawn().unwrap()).await;
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("--token-file"), "{}", said(&output));
    std::fs::write(room.folder().join("weak"), "secret\n").unwrap();
    let output = ended(command(&room, &["--token-file", "weak"]).spawn().unwrap()).await;
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(
        !said(&output).contains("secret\n") && said(&output).contains("weak"),
        "{}",
        said(&output)
    );
}

#[tokio::test]
async fn with_a_token_the_api_is_closed_and_a_client_with_it_gets_in() {
    let room = Room::new(servers::seaweedfs()).await;
    std::fs::write(room.folder().join("token"), format!("{TOKEN}\n")).unwrap();
    let repository = crate::git_source::repository::Repository::new();
    let serving = Serving::start_in(room, repository, &["--token-file", "token"]).await;
    for path in ["/api/v1/exports", "/api/v1/events", "/api/v1/openapi.json", "/metrics"] {
        let reply = serving.get(path).await;
        assert_eq!(reply.status, 401, "{path}");
        assert!(reply.error().contains("token") && reply.header("www-authenticate").is_some());
    }
    for path in ["/", "/healthz", "/readyz"] {
        assert_eq!(serving.get(path).await.status, 200, "{path}");
    }
    let with_token = Request::new("GET", "/api/v1/exports").header("Authorization", &format!("Bearer {TOKEN}"));
    assert_eq!(with_token.send(&serving.address).await.status, 200);
    let words = ["repo", "export", "lakefs://repo", "--status"];
    let output = serving.client(&words).await;
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("--token-file"), "{}", said(&output));
    let output = serving.client(&[&words[..], &["--token-file", "token"]].concat()).await;
    assert!(
        said(&output).contains("repo: no export is called so"),
        "{}",
        said(&output)
    );
    assert!(!said(&output).contains(TOKEN));
}

#[tokio::test]
async fn a_foreign_name_or_origin_changes_nothing() {
    let serving = Serving::start(&[]).await;
    let body = serving.request("x", "out");
    let rebound = Request::new("GET", "/api/v1/exports")
        .host("evil.example")
        .send(&serving.address)
        .await;
    assert_eq!(rebound.status, 421, "{}", rebound.text());
    for (name, value) in [
        ("Origin", "http://evil.example"),
        ("Sec-Fetch-Site", "cross-site"),
        ("Origin", "null"),
    ] {
        let request = Request::new("POST", "/api/v1/exports").header(name, value).json(&body);
        let reply = request.send(&serving.address).await;
        assert_eq!(reply.status, 403, "{name}: {}", reply.text());
        assert!(reply.error().contains("origin"));
    }
    // What a form of another page can send without asking first.
    let form = Request::new("POST", "/api/v1/exports")
        .header("Content-Type", "text/plain")
        .body(body.to_string());
    assert_eq!(form.send(&serving.address).await.status, 415);
    assert_eq!(serving.get("/api/v1/exports").await.json()["exports"], json!([]));
    let own = Request::new("POST", "/api/v1/exports")
        .header("Origin", &format!("http://{}", serving.address))
        .header("Sec-Fetch-Site", "same-origin")
        .json(&body);
    let reply = own.send(&serving.address).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
}

#[tokio::test]
async fn what_is_too_long_or_no_request_is_refused_in_the_shape_of_every_error() {
    let serving = Serving::start(&[]).await;
    let long = Request::new("POST", "/api/v1/exports")
        .header("Content-Type", "application/json")
        .body(vec![b' '; 100 << 10]);
    let reply = long.send(&serving.address).await;
    assert_eq!(reply.status, 413, "{}", reply.text());
    assert!(reply.error().contains("too long"));
    for (method, path, status) in [
        ("GET", "/nothing", 404),
        ("GET", "/api/v1/exports/%3Cscript%3E", 404),
        ("GET", "/api/v1/exports/%FF", 404),
        ("GET", "/api/v1/exports/none", 404),
        ("DELETE", "/api/v1/exports/none", 404),
        ("POST", "/api/v1/exports/none/start", 404),
        ("POST", "/api/v1/exports/none/stop", 404),
        ("POST", "/api/v1/exports/none/run", 404),
        ("GET", "/api/v1/exports/none/runs", 404),
        ("GET", "/api/v1/exports/none/runs?limit=0", 400),
        ("GET", "/api/v1/exports/none/records?limit=x", 400),
        ("GET", "/api/v1/exports/none/records?odd=1", 400),
        ("PUT", "/api/v1/exports", 405),
        ("POST", "/metrics", 405),
    ] {
        let reply = Request::new(method, path).send(&serving.address).await;
        assert_eq!(reply.status, status, "{method} {path}: {}", reply.text());
        assert!(!reply.error().is_empty(), "{method} {path}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    }
    for body in [
        "",
        "{",
        "[]",
        r#"{"name":"../x","options":{}}"#,
        r#"{"name":"x","options":{},"odd":1}"#,
    ] {
        let request = Request::new("POST", "/api/v1/exports").header("Content-Type", "application/json");
        let reply = request.body(body).send(&serving.address).await;
        assert_eq!(reply.status, 400, "{body}: {}", reply.text());
    }
}

/// A client that sends its request byte by byte, or not at all, loses its place.
#[tokio::test]
async fn a_slow_client_is_let_go_and_others_are_served_meanwhile() {
    let serving = Serving::start(&[]).await;
    let mut slow = Vec::new();
    for _ in 0..100 {
        let mut stream = TcpStream::connect(&serving.address).await.unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: ").await.unwrap();
        slow.push(stream);
    }
    assert_eq!(serving.get("/healthz").await.status, 200);
    let gone = async {
        for stream in &mut slow {
            let mut bytes = Vec::new();
            // An end, or a reset; what counts is that it comes.
            let _reset = stream.read_to_end(&mut bytes).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone)
        .await
        .expect("the server waits for ever");
    assert_eq!(serving.get("/healthz").await.status, 200);
}

/// What the description says is what there is: each route answers, and no error is another than described.
#[tokio::test]
async fn the_description_names_every_route_and_every_status() {
    let serving = Serving::start(&[]).await;
    let description = serving.get("/api/v1/openapi.json").await.json();
    let paths = description["paths"].as_object().unwrap();
    let mut listed: Vec<String> = Vec::new();
    for (path, item) in paths {
        for method in item.as_object().unwrap().keys() {
            listed.push(format!("{} {path}", method.to_uppercase()));
            let there = path.replace("{name}", "none");
            let request = Request::new(&method.to_uppercase(), &there);
            if there == "/api/v1/events" {
                continue; // has no end; see the test of streams
            }
            let reply = request.send(&serving.address).await;
            assert_ne!(reply.status, 405, "{method} {path}");
            let described = &item[method]["responses"][reply.status.to_string()];
            assert!(
                described.is_object(),
                "{method} {path}: {} is not described",
                reply.status
            );
        }
    }
    listed.sort();
    assert_eq!(
        listed,
        [
            "DELETE /api/v1/exports/{name}",
            "GET /",
            "GET /api/v1/events",
            "GET /api/v1/exports",
            "GET /api/v1/exports/{name}",
            "GET /api/v1/exports/{name}/log",
            "GET /api/v1/exports/{name}/records",
            "GET /api/v1/exports/{name}/runs",
            "GET /api/v1/openapi.json",
            "GET /healthz",
            "GET /metrics",
            "GET /readyz",
            "POST /api/v1/exports",
            "POST /api/v1/exports/{name}/run",
            "POST /api/v1/exports/{name}/start",
            "POST /api/v1/exports/{name}/stop",
            "POST /hooks/github",
            "POST /hooks/lakefs",
        ]
    );
}
