//! Replies as they come in: wrong, late, cut, or not S3's at all.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use lakesync::model::ETag;
use lakesync::store::{Condition, Limiter, Put, RequestKind, S3Store, Store as _, StoreError, StoreErrorKind, Upload};

use super::server::{Answer, Server};
use super::{config, key, retrying, store};

fn upload() -> Upload {
    Upload {
        key: key("a"),
        id: "id".to_owned(),
        initiated: None,
    }
}

/// What a PUT makes of an answer.
async fn put_meets(answer: Answer) -> StoreError {
    let server = Server::start(move |_, _| answer.clone()).await;
    let put = Put::new("x", Condition::Always);
    store(&server).await.put(&key("a"), put).await.unwrap_err()
}

/// What a HEAD makes of an answer.
async fn head_meets(answer: Answer) -> StoreErrorKind {
    let server = Server::start(move |_, _| answer.clone()).await;
    store(&server).await.head(&key("a")).await.unwrap_err().kind
}

#[tokio::test]
async fn a_storm_of_slow_down_is_weathered_together() {
    // Three of ten are refused for a while, then none.
    let server = Server::start(|at, _| match at {
        0..400 if at % 10 < 3 => Answer::error(503, "SlowDown"),
        _ => Answer::written(),
    })
    .await;
    let limiter = Arc::new(Limiter::new(20));
    let (retrying, counts) = retrying(&server, Some(Arc::clone(&limiter))).await;
    let lowest = std::sync::atomic::AtomicUsize::new(20);
    futures::stream::iter(0..600)
        .for_each_concurrent(50, |at| {
            let (retrying, limiter, lowest) = (&retrying, &limiter, &lowest);
            async move {
                let put = Put::new("x", Condition::Always);
                retrying.put(&key(&format!("k{at}")), put).await.unwrap();
                lowest.fetch_min(limiter.limit(), std::sync::atomic::Ordering::Relaxed);
            }
        })
        .await;
    let totals = counts.totals();
    assert_eq!(totals.attempts[&RequestKind::Put], 600 + totals.retries);
    assert_eq!(totals.throttles, totals.retries);
    assert!(totals.throttles >= 100, "{totals:?}");
    assert!(lowest.into_inner() <= 14, "the limit did not go down");
    assert_eq!(limiter.limit(), 20, "the limit did not recover");
}

#[tokio::test]
async fn what_the_user_must_mend_is_said_in_words() {
    let malformed = "<Error><Code>AuthorizationHeaderMalformed</Code><Region>us-west-2</Region></Error>";
    for (answer, kind, words) in [
        (
            Answer::new(400, "", malformed),
            StoreErrorKind::WrongRegion {
                region: Some("us-west-2".to_owned()),
            },
            "--region us-west-2",
        ),
        (
            Answer::error(400, "ExpiredToken"),
            StoreErrorKind::ExpiredCredentials,
            "expired",
        ),
        (
            Answer::error(403, "RequestTimeTooSkewed"),
            StoreErrorKind::ClockSkew,
            "clock",
        ),
        (
            Answer::error(403, "InvalidAccessKeyId"),
            StoreErrorKind::BadCredentials,
            "AWS_ACCESS_KEY_ID",
        ),
        (Answer::error(403, "AccessDenied"), StoreErrorKind::Denied, "PutObject"),
        (
            Answer::error(404, "NoSuchBucket"),
            StoreErrorKind::NoSuchBucket,
            "bucket",
        ),
    ] {
        let error = put_meets(answer).await;
        assert_eq!(error.kind, kind);
        let text = error.to_string();
        assert!(text.contains(words) && text.contains("s3://bucket/a"), "{text}");
    }
    let text = put_meets(Answer::error(503, "SlowDown")).await.to_string();
    assert!(
        text.contains("503 SlowDown: the words for SlowDown; request id REQ1"),
        "{text}"
    );
}

#[tokio::test]
async fn a_redirect_to_the_right_region_is_named_and_not_followed() {
    let moved = Answer::new(
        301,
        "x-amz-bucket-region: ap-south-1\nLocation: http://127.0.0.1:1/",
        "",
    );
    let wanted = StoreErrorKind::WrongRegion {
        region: Some("ap-south-1".to_owned()),
    };
    assert_eq!(head_meets(moved).await, wanted);
    assert_eq!(
        head_meets(Answer::new(400, "x-amz-bucket-region: ap-south-1", "")).await,
        wanted
    );
}

#[tokio::test]
async fn a_403_without_a_body_is_denied() {
    assert_eq!(head_meets(Answer::new(403, "", "")).await, StoreErrorKind::Denied);
    assert_eq!(head_meets(Answer::new(404, "", "")).await, StoreErrorKind::NotFound);
}

#[tokio::test]
async fn a_gateway_that_answers_in_html_had_no_reply() {
    let html = Answer::new(502, "Content-Type: text/html", "<html><h1>Bad Gateway</h1></html>");
    assert_eq!(put_meets(html).await.kind, StoreErrorKind::NoReply);
    let html = Answer::new(403, "Content-Type: text/html", "<html>no</html>");
    assert_eq!(put_meets(html).await.kind, StoreErrorKind::Denied);
}

#[tokio::test]
async fn a_200_that_holds_an_error_is_an_error() {
    let server = Server::start(|_, _| Answer::error(200, "InternalError")).await;
    let store = store(&server).await;
    let error = store
        .complete_upload(&upload(), &[], &Condition::Always)
        .await
        .unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unavailable);
    let from = lakesync::store::CopySource {
        bucket: store.bucket().clone(),
        key: key("b"),
        etag: Some(ETag::new("e")),
        size: 1,
    };
    let error = store
        .copy(&from, &key("a"), &Condition::Always, &Default::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unavailable);
    let error = store.upload_part_copy(&upload(), 1, &from, 0..1).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unavailable);
}

#[tokio::test]
async fn a_write_without_an_etag_is_not_believed() {
    let error = put_meets(Answer::new(200, "", "")).await;
    assert!(error.to_string().contains("without an etag"), "{error}");
}

#[tokio::test]
async fn an_upload_that_is_gone_counts_as_given_up() {
    let server = Server::start(|_, _| Answer::error(404, "NoSuchUpload")).await;
    let store = store(&server).await;
    store.abort_upload(&upload()).await.unwrap();
    let error = store
        .complete_upload(&upload(), &[], &Condition::Always)
        .await
        .unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::NoSuchUpload);
}

#[tokio::test]
async fn an_object_that_is_gone_counts_as_deleted_only_where_nothing_was_asked_of_it() {
    let server = Server::start(|_, _| Answer::error(404, "NoSuchKey")).await;
    let store = store(&server).await;
    store.delete(&key("a"), &Condition::Always).await.unwrap();
    let guarded = store.delete(&key("a"), &Condition::Matches(ETag::new("e"))).await;
    assert_eq!(guarded.unwrap_err().kind, StoreErrorKind::NotFound);
}

#[tokio::test]
async fn a_reply_cut_in_its_head_or_body_is_no_reply() {
    for cut in [
        "",
        "HTTP/1.1 200 OK\r\nETa",
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n<ListBu",
    ] {
        let server = Server::start(move |_, _| Answer::raw(cut).then_close()).await;
        let error = store(&server).await.list("", None, 10).await.unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::NoReply, "{cut:?}: {error}");
    }
}

#[tokio::test]
async fn a_body_cut_short_is_an_error_and_never_an_end() {
    let head = "HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: 10\r\n\r\nhalf";
    let server = Server::start(move |_, _| Answer::raw(head).then_close()).await;
    let fetched = store(&server).await.get(&key("a"), None).await.unwrap();
    assert_eq!(fetched.meta.size, 10);
    let error = fetched.bytes().await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::NoReply);
    assert!(error.to_string().contains("s3://bucket/a"), "{error}");
}

#[tokio::test]
async fn a_slow_body_arrives_whole() {
    let head = "HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: 10\r\n\r\n";
    let mut answer = Answer::raw(head);
    for digit in 0..10 {
        answer = answer.then_slowly(digit.to_string().as_bytes());
    }
    let server = Server::start(move |_, _| answer.clone()).await;
    let (retrying, counts) = retrying(&server, None).await;
    let (_, bytes) = retrying.get(&key("a"), None).await.unwrap().bytes().await.unwrap();
    assert_eq!(bytes, "0123456789");
    assert_eq!(counts.totals().bytes_in, 10);
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    let server = Server::start(|_, _| Answer::never()).await;
    let mut config = config(&server.url());
    config.read_timeout = Duration::from_millis(50);
    let store = S3Store::connect(config).await.unwrap();
    for _ in 0..4 {
        let error = store.head(&key("a")).await.unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::NoReply, "{error}");
    }
}

#[tokio::test]
async fn a_server_that_closes_idle_connections_at_once_loses_nothing() {
    let server = Server::start(|_, _| Answer::written().then_close()).await;
    let (retrying, _) = retrying(&server, None).await;
    for at in 0..50 {
        let put = Put::new("x", Condition::Always);
        retrying.put(&key(&at.to_string()), put).await.unwrap();
    }
    let seen = server.seen();
    assert!((0..50).all(|at| {
        seen.iter()
            .any(|request| request.target.ends_with(&format!("/{at}?x-id=PutObject")))
    }));
}

#[tokio::test]
async fn connections_are_used_again() {
    let server = Server::start(|_, _| Answer::written()).await;
    let store = store(&server).await;
    for _ in 0..5 {
        store.put(&key("a"), Put::new("x", Condition::Always)).await.unwrap();
    }
    assert!(server.seen().iter().all(|request| request.connection == 0));
}

#[tokio::test]
async fn a_port_that_nobody_listens_on_is_unreachable() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    for url in [format!("http://{port}"), "http://no-such-host.invalid".to_owned()] {
        let store = S3Store::connect(config(&url)).await.unwrap();
        let error = store.head(&key("a")).await.unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Unreachable, "{error}");
        assert!(error.cause.is_some());
    }
}

#[tokio::test]
async fn a_handshake_that_nobody_answers_is_unreachable() {
    let server = Server::start(|_, _| Answer::written()).await;
    let mut config = config(&format!("https://{}", server.address));
    config.connect_timeout = Duration::from_millis(100);
    let store = S3Store::connect(config).await.unwrap();
    let error = store.head(&key("a")).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unreachable, "{error}");
}

#[tokio::test]
async fn reading_past_the_end_reads_nothing() {
    let server = Server::start(|_, seen| match seen.method.as_str() {
        "GET" => Answer::error(416, "InvalidRange"),
        _ => Answer::raw("HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: 0\r\n\r\n"),
    })
    .await;
    let store = store(&server).await;
    let (meta, bytes) = store
        .get(&key("a"), Some(0..4096))
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();
    assert_eq!((meta.etag.as_str(), meta.size, bytes.len()), ("e", 0, 0));
    assert_eq!(server.seen()[0].header("range"), Some("bytes=0-4095"));
}

#[tokio::test]
async fn a_store_that_ignores_ranges_is_found_out() {
    let server = Server::start(|_, _| Answer::new(200, "ETag: \"e\"", "0123456789")).await;
    let store = store(&server).await;
    for range in [2..4, 0..4, 2..u64::MAX] {
        let error = store.get(&key("a"), Some(range)).await.unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::NotSupported);
    }
    // Here the whole is what was asked for.
    let whole = store.get(&key("a"), Some(0..4096)).await.unwrap();
    assert_eq!(whole.bytes().await.unwrap().1, "0123456789");
}
