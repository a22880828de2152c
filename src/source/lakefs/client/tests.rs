use std::time::Duration;

use axum::body::Body;
use axum::http::{Response, header};

use super::super::fake::{Fake, SECRET, config, cut, error, json, never, redirect, typed};
use super::*;

const COMMIT: &str = r#"{"id": "c1", "meta_range_id": "", "parents": [], "new_field": 1}"#;

async fn commit_error(answer: impl Fn() -> Response<Body> + Send + Sync + 'static) -> (Box<LakeFsError>, usize) {
    let server = Fake::serve(move |_| answer()).await;
    let error = server.client().commit("repo", "main").await.unwrap_err();
    (error, server.seen().len())
}

#[tokio::test]
async fn each_status_means_one_thing_and_only_passing_ones_are_asked_for_again() {
    for (status, message, kind, attempts) in [
        (400, "bad ref", Kind::BadRequest, 1),
        (401, "error authenticating request", Kind::BadKeys, 1),
        (401, "insufficient permissions", Kind::Denied, 1),
        (401, "", Kind::BadKeysOrDenied, 1),
        (403, "forbidden", Kind::Denied, 1),
        (404, "commit not found", Kind::NotFound, 1),
        (404, "repository not found", Kind::NoSuchRepository, 1),
        (404, "invalid API endpoint", Kind::NotOffered, 1),
        (410, "repository in deletion", Kind::RepositoryDeleting, 1),
        (
            418,
            "teapot",
            Kind::BadAnswer {
                problem: "its status is none that lakeFS has for this",
            },
            1,
        ),
        (429, "slow down", Kind::Throttled, 3),
        (500, "oh", Kind::Unavailable { status: 500 }, 3),
        (501, "not implemented", Kind::NotOffered, 1),
        (502, "bad gateway", Kind::Unavailable { status: 502 }, 3),
        (503, "throttled", Kind::Unavailable { status: 503 }, 3),
    ] {
        let (found, seen) = commit_error(move || error(status, message)).await;
        assert_eq!((&found.kind, seen), (&kind, attempts), "{status} {message}: {found}");
        assert!(
            found.to_string().contains("lakefs://repo/main") || found.kind == Kind::BadKeys,
            "{found}"
        );
    }
}

#[tokio::test]
async fn data_that_is_gone_is_told_from_a_repository_that_goes() {
    let server = Fake::serve(|_| error(410, "No data")).await;
    let client = server.client();
    let stat = client.stat("repo", "c1", "a/b").await.unwrap_err();
    assert_eq!(stat.kind, Kind::DataGone);
    assert!(
        stat.to_string()
            .starts_with("lakefs://repo/c1/a/b: data is gone (garbage collected"),
        "{stat}"
    );
    assert_eq!(
        client.repository("repo").await.unwrap_err().kind,
        Kind::RepositoryDeleting
    );
    assert_eq!(
        client.table("repo", "range", "00", 10).await.unwrap_err().kind,
        Kind::DataGone
    );
}

#[tokio::test]
async fn a_missing_right_is_named() {
    let (found, _) = commit_error(|| error(401, "insufficient permissions")).await;
    assert_eq!(
        found.to_string(),
        "lakefs://repo/main: the access key may not read this; it needs fs:ReadCommit there"
    );
}

#[tokio::test]
async fn a_page_for_people_is_not_the_api() {
    for status in [200, 401, 403, 404] {
        let (found, seen) = commit_error(move || typed(status, "text/html; charset=utf-8", "<html>hi")).await;
        assert_eq!((found.kind.clone(), seen), (Kind::WebPage, 1), "{status}");
        assert!(found.to_string().contains("/api/v1: that is the web page"), "{found}");
    }
    // A balancer says that the server behind it is not there.
    let (found, seen) = commit_error(|| typed(503, "text/html", "<html>")).await;
    assert_eq!((found.kind, seen), (Kind::Unavailable { status: 503 }, 3));
    let server = Fake::serve(|_| typed(200, "text/html", "<html>")).await;
    assert_eq!(server.client().health().await.unwrap_err().kind, Kind::WebPage);
}

#[tokio::test]
async fn json_that_is_something_else_is_no_answer() {
    for body in ["", "{", "[]", r#"{"id": 5}"#] {
        let (found, _) = commit_error(move || json(200, body)).await;
        assert!(matches!(found.kind, Kind::BadAnswer { .. }), "{body}: {found}");
    }
}

#[tokio::test]
async fn a_passing_failure_is_survived_and_counted() {
    let server = Fake::serve(|seen| match seen.before {
        0 => {
            let mut slower = error(429, "too many");
            slower
                .headers_mut()
                .insert(header::RETRY_AFTER, "3600".parse().unwrap());
            slower
        }
        1 => cut(200, "application/json", b"{\"id\"", 100),
        _ => json(200, COMMIT),
    })
    .await;
    let client = server.client();
    assert_eq!(client.commit("repo", "main").await.unwrap().id, "c1");
    let totals = client.counts().totals();
    assert_eq!((totals.of(LakeFsRequest::GetCommit), totals.retries), (3, 2));
    assert!(totals.bytes_in >= COMMIT.len() as u64);
}

#[tokio::test]
async fn an_answer_that_is_always_cut_off_is_an_error() {
    let (found, seen) = commit_error(|| cut(200, "application/json", b"{", 100)).await;
    assert_eq!((&found.kind, seen), (&Kind::CutOff, 3), "{found}");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up() {
    let server = Fake::serve(|_| never(json(200, COMMIT))).await;
    let mut config = server.config();
    config.request_timeout = Duration::from_millis(30);
    let client = LakeFsClient::new(config.clone()).unwrap();
    assert_eq!(client.commit("repo", "main").await.unwrap_err().kind, Kind::TimedOut);
    assert_eq!(server.seen().len(), 3);
    // All attempts together have a deadline, however many there could be.
    config.retry.max_attempts = 1_000_000;
    config.deadline = Duration::from_millis(100);
    let client = LakeFsClient::new(config).unwrap();
    assert_eq!(client.commit("repo", "main").await.unwrap_err().kind, Kind::TimedOut);
    assert!(client.counts().totals().requests() < 10);
}

#[tokio::test]
async fn nobody_there_is_told_with_the_address() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let client = LakeFsClient::new(config(&format!("http://{address}"))).unwrap();
    let found = client.commit("repo", "main").await.unwrap_err();
    assert_eq!(found.kind, Kind::Unreachable);
    assert!(
        found
            .to_string()
            .starts_with(&format!("http://{address}/api/v1: cannot be reached")),
        "{found}"
    );
    assert_eq!(client.counts().totals().requests(), 3);
}

#[tokio::test]
async fn a_redirect_of_the_api_is_not_followed_and_only_its_server_is_named() {
    let other = Fake::serve(|_| json(200, COMMIT)).await;
    let target = format!("http://localhost:{}/login?token={SECRET}", other.address.port());
    let (found, seen) = commit_error(move || redirect(&target)).await;
    assert_eq!(
        (found.kind.clone(), seen),
        (
            Kind::Redirected {
                at: format!("http://localhost:{}", other.address.port())
            },
            1
        )
    );
    assert!(!format!("{found} {found:?}").contains(SECRET));
    assert!(other.seen().is_empty());
}

#[tokio::test]
async fn each_request_says_who_asks_and_names_parts_exactly() {
    let server = Fake::serve(|_| json(200, r#"{"pagination": {"has_more": false}, "results": []}"#)).await;
    let client = server.client();
    let page = PageParams {
        prefix: "a b/+",
        after: "a b/+%?#",
        delimiter: "",
        amount: 5_000,
    };
    client.objects("repo", "c1", page).await.unwrap();
    client.diff("repo", "c1", "v1+x~1", page).await.unwrap();
    let seen = server.seen();
    let query = "amount=1000&prefix=a%20b%2F%2B&after=a%20b%2F%2B%25%3F%23";
    assert_eq!(
        seen[0].target,
        format!("/api/v1/repositories/repo/refs/c1/objects/ls?{query}")
    );
    assert_eq!(
        seen[1].target,
        format!("/api/v1/repositories/repo/refs/c1/diff/v1%2Bx~1?type=two_dot&{query}")
    );
    let version = concat!("lakesync/", env!("CARGO_PKG_VERSION"));
    assert_eq!(seen[0].header("x-lakefs-client"), Some(version));
    assert_eq!(seen[0].header("authorization"), Some("Basic QUtJQVRFU1Q6aHVudGVyMg=="));
}

#[tokio::test]
async fn a_store_gets_neither_our_key_nor_is_it_followed_elsewhere() {
    let elsewhere = Fake::serve(|_| typed(200, "text/plain", "stolen")).await;
    let leads_on = elsewhere.url();
    let store = Fake::serve(move |seen| match seen.path.as_str() {
        "/leads/on" => redirect(&leads_on),
        _ => typed(206, "text/plain", "lo").map_range(3, 5),
    })
    .await;
    let (target, on) = (
        format!("{}/b/k?X-Amz-Signature={SECRET}", store.url()),
        format!("{}/leads/on", store.url()),
    );
    let server = Fake::serve(move |seen| {
        redirect(if seen.query("path").unwrap() == "on" {
            &on
        } else {
            &target
        })
    })
    .await;
    let client = server.client();
    let bytes = client.object_bytes("repo", "c1", "k");
    let Delivery::Elsewhere(url) = client.presign(&bytes).await.unwrap() else {
        panic!("a URL was given")
    };
    assert!(!format!("{url:?} {client:?}").contains(SECRET));
    let etag = HeaderValue::from_static("\"e\"");
    let stream = client
        .read_presigned(&bytes, &url, ByteSpan::from(3), Some(&etag))
        .await
        .unwrap();
    assert_eq!(stream.whole(100).await.unwrap(), "lo");
    let seen = &store.seen()[0];
    assert_eq!(seen.header("authorization"), None);
    assert_eq!(seen.header("x-lakefs-client"), None);
    assert_eq!(
        (seen.header("range"), seen.header("if-match")),
        (Some("bytes=3-"), Some("\"e\""))
    );

    let bytes = client.object_bytes("repo", "c1", "on");
    let Delivery::Elsewhere(url) = client.presign(&bytes).await.unwrap() else {
        panic!("a URL was given")
    };
    let found = client
        .read_presigned(&bytes, &url, ByteSpan::default(), None)
        .await
        .unwrap_err();
    assert!(matches!(found.kind, Kind::Redirected { .. }), "{found}");
    assert!(elsewhere.seen().is_empty());
}

trait MapRange {
    fn map_range(self, from: u64, size: u64) -> Self;
}

impl MapRange for Response<Body> {
    fn map_range(mut self, from: u64, size: u64) -> Self {
        let range = format!("bytes {from}-{}/{size}", size - 1);
        self.headers_mut().insert(header::CONTENT_RANGE, range.parse().unwrap());
        self
    }
}

#[tokio::test]
async fn a_name_that_leads_into_this_machine_is_not_read_where_lakefs_is_elsewhere() {
    let store = Fake::serve(|_| typed(200, "text/plain", "internal")).await;
    // lakeFS is elsewhere, for all that this client can see.
    let client = LakeFsClient::new(config("http://192.0.2.1:1")).unwrap();
    let bytes = client.object_bytes("repo", "c1", "k");
    for host in ["localhost", "127.0.0.1"] {
        let url = PresignedUrl(
            format!("http://{host}:{}/k?sig={SECRET}", store.address.port())
                .parse()
                .unwrap(),
        );
        let found = client
            .read_presigned(&bytes, &url, ByteSpan::default(), None)
            .await
            .unwrap_err();
        assert!(matches!(found.kind, Kind::RefusedAddress { .. }), "{host}: {found:?}");
        assert!(!format!("{found} {found:?}").contains(SECRET));
    }
    assert!(store.seen().is_empty());
}

#[tokio::test]
async fn a_server_that_cannot_presign_is_asked_for_it_once() {
    let server = Fake::serve(|seen| match seen.query("presign") {
        Some(_) => error(400, "local adapter presigned URL: operation not supported"),
        None => typed(200, "application/octet-stream", "table"),
    })
    .await;
    let client = server.client();
    for _ in 0..2 {
        assert_eq!(client.table("repo", "range", "00", 100).await.unwrap(), "table");
    }
    assert_eq!((server.count("presign=true"), server.seen().len()), (1, 3));
}

#[tokio::test]
async fn a_store_that_cannot_be_reached_is_not_tried_for_each_table() {
    let store = Fake::serve(|_| error(500, "never asked")).await;
    let url = store.url();
    drop(store);
    let server = Fake::serve(move |seen| match seen.query("presign") {
        Some(_) => redirect(&url),
        None => typed(200, "application/octet-stream", "table"),
    })
    .await;
    let client = server.client();
    for _ in 0..3 {
        assert_eq!(client.table("repo", "range", "00", 5).await.unwrap(), "table");
    }
    assert_eq!((server.count("presign=true"), server.seen().len()), (1, 4));
}

#[tokio::test]
async fn what_stands_before_a_store_and_repeats_the_url_is_not_quoted() {
    let store = Fake::serve(|seen| error(502, &format!("no way to {}", seen.target))).await;
    let url = format!("{}/k?sig={SECRET}", store.url());
    let server = Fake::serve(move |_| redirect(&url)).await;
    let client = server.client();
    let bytes = client.object_bytes("repo", "c1", "a");
    let Delivery::Elsewhere(url) = client.presign(&bytes).await.unwrap() else {
        panic!("no URL")
    };
    let found = client
        .read_presigned(&bytes, &url, ByteSpan::default(), None)
        .await
        .unwrap_err();
    assert!(!format!("{found} {found:?}").contains(SECRET), "{found:?}");
}

#[tokio::test]
async fn a_table_that_breaks_off_is_read_again_and_one_without_end_is_not() {
    let server = Fake::serve(|seen| match seen.before {
        0 => cut(200, "application/octet-stream", b"ta", 5),
        _ => typed(200, "application/octet-stream", "table"),
    })
    .await;
    let client = server.client();
    assert_eq!(client.table("repo", "range", "00", 5).await.unwrap(), "table");
    let found = client.table("repo", "range", "00", 4).await.unwrap_err();
    assert!(matches!(found.kind, Kind::BadAnswer { .. }), "{found}");
}

#[tokio::test]
async fn bytes_that_begin_elsewhere_than_asked_are_refused() {
    let server = Fake::serve(|_| typed(200, "text/plain", "hello")).await;
    let client = server.client();
    let found = client
        .read(&client.object_bytes("repo", "c1", "k"), ByteSpan::from(3))
        .await
        .unwrap_err();
    assert!(matches!(found.kind, Kind::BadAnswer { .. }), "{found}");
}

#[tokio::test]
async fn a_proxy_is_asked_unless_the_host_is_excepted() {
    let proxy = Fake::serve(|_| json(200, COMMIT)).await;
    let server = Fake::serve(|_| json(200, COMMIT)).await;
    let mut config = config("http://lake.invalid");
    config.network.http_proxy = Some(format!("user:{SECRET}@{}", proxy.address));
    config.network.no_proxy = Some("127.0.0.1,other.invalid".to_owned());
    let client = LakeFsClient::new(config.clone()).unwrap();
    client.commit("repo", "main").await.unwrap();
    assert_eq!(
        proxy.seen()[0].target,
        "http://lake.invalid/api/v1/repositories/repo/commits/main"
    );
    assert!(proxy.seen()[0].header("proxy-authorization").is_some());
    config.endpoint = server.url().parse().unwrap();
    LakeFsClient::new(config).unwrap().commit("repo", "main").await.unwrap();
    assert_eq!((proxy.seen().len(), server.seen().len()), (1, 1));
}

#[test]
fn what_cannot_be_used_is_told_before_anything_is_sent() {
    let broken = |change: fn(&mut LakeFsConfig)| {
        let mut config = config("http://h");
        change(&mut config);
        LakeFsClient::new(config).unwrap_err().to_string()
    };
    let proxy = broken(|config| config.network.https_proxy = Some("socks5://u:hunter2@h".to_owned()));
    assert_eq!(proxy, "HTTPS_PROXY: not a proxy URL; write http://HOST:PORT");
    let bundle = broken(|config| config.network.ca_bundle = Some("/nowhere/ca.pem".into()));
    assert!(
        bundle.starts_with("AWS_CA_BUNDLE: cannot read /nowhere/ca.pem"),
        "{bundle}"
    );
    let keys = broken(|config| config.keys.secret_access_key = "hunter2\n".to_owned());
    assert!(keys.contains("access key") && !keys.contains("hunter2"), "{keys}");
}
