//! `Expect: 100-continue`: a large body that is not wanted is not sent.

use lakesync::store::{Condition, Put, Store as _, StoreErrorKind};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::{config, key};

const SIZE: usize = 3 << 20;

/// Reads the head of a request.
async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

async fn reads_body(stream: &mut TcpStream) -> Vec<u8> {
    let mut body = vec![0; SIZE];
    stream.read_exact(&mut body).await.unwrap();
    stream
        .write_all(b"HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: 0\r\n\r\n")
        .await
        .unwrap();
    body
}

async fn listener() -> (TcpListener, lakesync::store::S3Store) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let store = lakesync::store::S3Store::connect(config(&url)).await.unwrap();
    (listener, store)
}

fn large() -> Put {
    Put::new(vec![7; SIZE], Condition::Always)
}

#[tokio::test]
async fn a_large_body_waits_until_it_is_wanted() {
    let (listener, store) = listener().await;
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let asked = head(&mut stream).await;
        assert!(asked.contains("expect: 100-continue\r\n"), "{asked}");
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.unwrap();
        reads_body(&mut stream).await
    };
    let to = key("a");
    let (sent, body) = tokio::join!(store.put(&to, large()), server);
    sent.unwrap();
    assert_eq!(body, vec![7; SIZE]);
}

#[tokio::test]
async fn a_large_body_that_is_refused_is_not_sent() {
    let (listener, store) = listener().await;
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        head(&mut stream).await;
        let refused = b"HTTP/1.1 412 X\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(refused).await.unwrap();
        // Neither the body nor another request comes over a connection on which a body is owed.
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"");
        let (mut stream, _) = listener.accept().await.unwrap();
        let small = head(&mut stream).await;
        assert!(!small.contains("expect:"), "{small}");
        stream.read_u8().await.unwrap();
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: 0\r\n\r\n")
            .await
            .unwrap();
    };
    let client = async {
        let refused = store.put(&key("a"), large()).await.unwrap_err();
        assert_eq!(refused.kind, StoreErrorKind::ConditionFailed);
        store.put(&key("a"), Put::new("x", Condition::Always)).await.unwrap();
    };
    tokio::join!(client, server);
}

#[tokio::test]
async fn a_server_that_does_not_know_the_question_gets_the_body_all_the_same() {
    let (listener, store) = listener().await;
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        head(&mut stream).await;
        reads_body(&mut stream).await
    };
    let to = key("a");
    let (sent, body) = tokio::join!(store.put(&to, large()), server);
    sent.unwrap();
    assert_eq!(body.len(), SIZE);
}
