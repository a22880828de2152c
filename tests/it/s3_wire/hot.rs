//! Faults of the requests that come by the thousand.

use std::time::Duration;

use lakesync::model::ETag;
use lakesync::store::{
    Checksum, Condition, CopySource, ObjectHeaders, Put, S3Config, S3Store, Store as _, StoreError, StoreErrorKind,
    Upload,
};

use super::server::{Answer, Server};
use super::{config, key, retrying, store};

/// What each of the six makes of a server, and of one that cannot be reached.
async fn all_six(store: &S3Store) -> Vec<StoreError> {
    let upload = Upload {
        key: key("a"),
        id: "id".to_owned(),
        initiated: None,
    };
    let from = CopySource {
        bucket: store.bucket().clone(),
        key: key("b"),
        etag: Some(ETag::new("e")),
        size: 9,
    };
    let (to, put) = (key("a"), Put::new("x", Condition::Always));
    let headers = ObjectHeaders::default();
    let copied = store.copy(&from, &to, &Condition::Always, &headers).await;
    vec![
        store.put(&to, put).await.unwrap_err(),
        copied.unwrap_err(),
        store
            .upload_part(&upload, 1, "x".into(), Checksum::None, None)
            .await
            .unwrap_err(),
        store.upload_part_copy(&upload, 1, &from, 0..4).await.unwrap_err(),
        store.get(&key("a"), None).await.unwrap_err(),
        store.delete_many(&[(key("a"), None)]).await.unwrap_err(),
    ]
}

fn impatient(config: &mut S3Config) {
    config.read_timeout = Duration::from_millis(50);
    config.write_timeout = Duration::from_millis(50);
}

#[tokio::test]
async fn a_reply_that_never_comes_or_breaks_off_is_no_reply() {
    for answer in [
        Answer::never(),
        Answer::raw("").then_close(),
        Answer::raw("HTTP/1.1 200 OK\r\nETa").then_close(),
    ] {
        let server = Server::start(move |_, _| answer.clone()).await;
        let mut config = config(&server.url());
        impatient(&mut config);
        let store = S3Store::connect(config).await.unwrap();
        for error in all_six(&store).await {
            assert_eq!(error.kind, StoreErrorKind::NoReply, "{error}");
            assert!(error.kind.is_ambiguous());
        }
    }
}

#[tokio::test]
async fn nobody_there_is_unreachable_and_says_why() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    for url in [format!("http://{port}"), "http://no-such-host.invalid".to_owned()] {
        let store = S3Store::connect(config(&url)).await.unwrap();
        for error in all_six(&store).await {
            assert_eq!(error.kind, StoreErrorKind::Unreachable, "{error}");
            assert!(error.cause.is_some(), "{error:?}");
        }
    }
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_is_unreachable() {
    let server = Server::start(|_, _| Answer::written()).await;
    let mut config = config(&format!("https://{}", server.address));
    config.connect_timeout = Duration::from_millis(200);
    let store = S3Store::connect(config).await.unwrap();
    for error in all_six(&store).await {
        assert_eq!(error.kind, StoreErrorKind::Unreachable, "{error}");
    }
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_proxy_that_refuses_a_tunnel_makes_the_store_unreachable() {
    let proxy = Server::start(|_, _| Answer::new(403, "", "")).await;
    let mut config = config("https://s3.example.test");
    config.network.https_proxy = Some(format!("http://me:secret@{}", proxy.address));
    let store = S3Store::connect(config).await.unwrap();
    let errors = all_six(&store).await;
    for error in &errors {
        assert_eq!(error.kind, StoreErrorKind::Unreachable, "{error}");
    }
    for seen in proxy.seen() {
        assert_eq!(
            (seen.method.as_str(), seen.target.as_str()),
            ("CONNECT", "s3.example.test:443")
        );
        assert_eq!(seen.header("proxy-authorization"), Some("Basic bWU6c2VjcmV0"));
    }
}

#[tokio::test]
async fn a_connection_is_used_again_after_an_error() {
    let server = Server::start(|at, _| match at % 3 {
        0 => Answer::error(503, "SlowDown"),
        1 => Answer::error(412, "PreconditionFailed"),
        _ => Answer::written(),
    })
    .await;
    let store = store(&server).await;
    for at in 0..9 {
        let sent = store.put(&key("a"), Put::new("x", Condition::Always)).await;
        assert_eq!(sent.is_ok(), at % 3 == 2);
    }
    assert!(server.seen().iter().all(|request| request.connection == 0));
}

#[tokio::test]
async fn a_connection_that_the_server_gives_up_is_not_used_again() {
    let server = Server::start(|_, _| Answer::new(200, "ETag: \"e\"\nConnection: close", "").then_close()).await;
    let store = store(&server).await;
    for _ in 0..5 {
        store.put(&key("a"), Put::new("x", Condition::Always)).await.unwrap();
    }
    let connections: Vec<usize> = server.seen().iter().map(|request| request.connection).collect();
    assert_eq!(connections, [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn a_body_that_nobody_reads_to_its_end_costs_its_connection_only() {
    let body = "0123456789".repeat(100_000);
    let server = Server::start(move |_, seen| match seen.method.as_str() {
        "GET" => Answer::new(200, "ETag: \"e\"", &body),
        _ => Answer::written(),
    })
    .await;
    let store = store(&server).await;
    drop(store.get(&key("a"), None).await.unwrap());
    store.put(&key("a"), Put::new("x", Condition::Always)).await.unwrap();
    let (_, bytes) = store.get(&key("a"), None).await.unwrap().bytes().await.unwrap();
    assert_eq!(bytes.len(), 1_000_000);
}

#[tokio::test]
async fn requests_at_once_get_their_own_replies() {
    let server = Server::start(|_, seen| {
        let path = seen.target.split('?').next().unwrap();
        Answer::new(200, "ETag: \"e\"", path.rsplit('/').next().unwrap())
    })
    .await;
    let store = store(&server).await;
    let reads = (0..200).map(|at| {
        let store = &store;
        async move {
            let (_, bytes) = store
                .get(&key(&at.to_string()), None)
                .await
                .unwrap()
                .bytes()
                .await
                .unwrap();
            assert_eq!(bytes, at.to_string());
        }
    });
    futures::future::join_all(reads).await;
}

#[tokio::test]
async fn a_body_without_a_length_and_one_in_chunks_arrive_whole() {
    for (answer, is_whole) in [
        (
            "HTTP/1.1 200 OK\r\nETag: \"e\"\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
            true,
        ),
        (
            "HTTP/1.1 200 OK\r\nETag: \"e\"\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nd",
            false,
        ),
    ] {
        let server = Server::start(move |_, _| Answer::raw(answer).then_close()).await;
        let fetched = store(&server).await.get(&key("a"), None).await.unwrap();
        match fetched.bytes().await {
            Ok((_, bytes)) => assert!(is_whole && bytes == "abcde", "{answer}"),
            Err(error) => assert!(!is_whole && error.kind == StoreErrorKind::NoReply, "{error}"),
        }
    }
}

#[tokio::test]
async fn a_large_body_goes_out_and_comes_back_unchanged() {
    let sent: Vec<u8> = (0..5_000_000_u32)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let given = String::from_utf8(sent.iter().map(|byte| byte % 64 + 32).collect()).unwrap();
    let answer = given.clone();
    let server = Server::start(move |_, seen| match seen.method.as_str() {
        "GET" => Answer::new(200, "ETag: \"e\"", &answer),
        _ => Answer::written(),
    })
    .await;
    let (retrying, _) = retrying(&server, None).await;
    for checksum in [Checksum::None, Checksum::Crc64Nvme] {
        let mut put = Put::new(sent.clone(), Condition::Always);
        put.checksum = checksum;
        retrying.put(&key("a"), put).await.unwrap();
        assert!(server.seen().last().unwrap().body == sent, "the bytes are others");
    }
    let (_, bytes) = retrying.get(&key("a"), None).await.unwrap().bytes().await.unwrap();
    assert!(bytes == given, "the bytes are others");
}
