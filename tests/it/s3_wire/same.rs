//! Both clients are one store: the same on the wire, and the same made of what comes back.

use std::collections::BTreeMap;
use std::sync::Arc;

use lakesync::model::{ETag, Mark};
use lakesync::store::{
    Checksum, Condition, CopySource, HttpClient, ObjectHeaders, Put, S3Config, S3Store, Store as _, StoreError, Upload,
    WriteClass,
};

use super::server::{Answer, Seen, Server};
use super::{config, key};

/// Keys that are changed, doubled or cut short by who is not careful.
const KEYS: [&str; 9] = [
    "a",
    "a b+c%20d",
    "//a//b/",
    "./a/../b/.",
    "é✓𝄞",
    "a?b#c&d=e",
    "~!$'()*,;:@[]{}|\\^`\"<>",
    "tab\tand\u{7f}",
    "x/_lakesync/ranges/0",
];

/// What the SDK says of itself, and what is of the moment.
const OWN: [&str; 6] = [
    "user-agent",
    "x-amz-user-agent",
    "amz-sdk-invocation-id",
    "amz-sdk-request",
    "x-amz-date",
    "authorization",
];

/// A request as both should send it; of the signature, what it covers.
#[derive(Debug, PartialEq, Eq)]
struct Sent {
    line: String,
    headers: BTreeMap<String, String>,
    covered: Vec<String>,
    body: Vec<u8>,
}

impl Sent {
    fn new(seen: Seen) -> Self {
        let (path, query) = seen.target.split_once('?').unwrap_or((&seen.target, ""));
        let mut query: Vec<&str> = query.split('&').map(|part| part.trim_end_matches('=')).collect();
        query.sort_unstable();
        let covered = seen.header("authorization").unwrap();
        let covered = covered
            .split("SignedHeaders=")
            .nth(1)
            .unwrap()
            .split(',')
            .next()
            .unwrap();
        let covered = covered.split(';').filter(|name| !OWN.contains(name));
        Self {
            line: format!("{} {path}?{}", seen.method, query.join("&")),
            covered: covered.map(str::to_owned).collect(),
            headers: seen
                .headers
                .into_iter()
                .filter(|(name, _)| !OWN.contains(&name.as_str()))
                .collect(),
            body: seen.body,
        }
    }
}

fn from(name: &str) -> CopySource {
    CopySource {
        bucket: "other".parse().unwrap(),
        key: key(name),
        etag: Some(ETag::new("src")),
        size: 9,
    }
}

fn upload(name: &str) -> Upload {
    Upload {
        key: key(name),
        id: "an/odd+id==".to_owned(),
        initiated: None,
    }
}

/// Sends each of the six, and tells what came of it.
async fn all_six(store: &S3Store, name: &str, headers: &ObjectHeaders) -> Vec<Result<String, StoreError>> {
    let mut told = Vec::new();
    for (condition, checksum) in [
        (Condition::Always, Checksum::None),
        (Condition::Absent, Checksum::Crc64Nvme),
        (Condition::Matches(ETag::new("old")), Checksum::Md5),
    ] {
        let put = Put {
            headers: headers.clone(),
            checksum,
            ..Put::new("hello", condition.clone())
        };
        told.push(store.put(&key(name), put).await.map(|it| format!("{it:?}")));
        let copied = store.copy(&from(name), &key(name), &condition, headers).await;
        told.push(copied.map(|it| format!("{it:?}")));
        let part = store
            .upload_part(&upload(name), 7, "hello".into(), checksum, None)
            .await;
        told.push(part.map(|it| format!("{it:?}")));
    }
    for range in [0..9, 2..4] {
        let part = store
            .upload_part_copy(&upload(name), 8, &from(name), range.clone())
            .await;
        told.push(part.map(|it| format!("{it:?}")));
        for range in [None, Some(range)] {
            told.push(match store.get(&key(name), range).await {
                Ok(fetched) => fetched.bytes().await.map(|it| format!("{it:?}")),
                Err(error) => Err(error),
            });
        }
    }
    let put = Put::new("", Condition::Always);
    told.push(store.put(&key(name), put).await.map(|it| format!("{it:?}")));
    let keys = [(key(name), None), (key("other"), Some(ETag::new("e")))];
    told.push(store.delete_many(&keys).await.map(|it| format!("{it:?}")));
    told
}

async fn over(http_client: HttpClient, server: &Server, set: impl FnOnce(&mut S3Config)) -> S3Store {
    let mut config = config(&server.url());
    config.http_client = http_client;
    set(&mut config);
    S3Store::connect(config).await.unwrap()
}

/// A store that does all that it is asked.
fn willing(_: usize, seen: &Seen) -> Answer {
    let named = "ETag: \"e1\"\nx-amz-version-id: v1\nx-amz-meta-Who: me\nContent-Type: text/plain\n\
                 Last-Modified: Mon, 23 Nov 2026 03:00:21 GMT";
    let result = "<CopyObjectResult><ETag>&quot;e2&quot;</ETag><ChecksumCRC32>AAAAAA==</ChecksumCRC32>\
                  </CopyObjectResult>";
    match seen.method.as_str() {
        "POST" => Answer::new(200, "", "<DeleteResult/>"),
        "GET" if seen.header("range").is_some() => {
            Answer::new(206, &format!("{named}\nContent-Range: bytes 0-4/9"), "hello")
        }
        "GET" => Answer::new(200, named, "hello"),
        _ if seen.header("x-amz-copy-source").is_some() => Answer::new(200, named, result),
        _ => Answer::new(200, named, ""),
    }
}

#[tokio::test]
async fn every_hot_request_goes_out_as_the_sdk_sends_it() {
    let mark: Mark = format!("01ARZ3NDEKTSV4RRFFQ69G5FAV/b3:{}", "ab".repeat(32))
        .parse()
        .unwrap();
    let full = ObjectHeaders {
        content_type: Some("text/plain;  charset=utf-8 ".to_owned()),
        cache_control: Some("no-cache".to_owned()),
        content_disposition: Some("attachment; filename=\"a  b\"".to_owned()),
        content_encoding: Some("gzip".to_owned()),
        content_language: Some("en".to_owned()),
        metadata: [("who".to_owned(), "me".to_owned()), ("empty".to_owned(), String::new())].into(),
        mark: Some(mark),
        class: Some(Arc::new(WriteClass {
            storage_class: Some("STANDARD_IA".to_owned()),
            acl: Some("public-read".to_owned()),
            tagging: Some("a=b&c=d e".to_owned()),
        })),
    };
    for (is_full, headers) in [(false, ObjectHeaders::default()), (true, full)] {
        let server = Server::start(willing).await;
        let set = |config: &mut S3Config| {
            config.request_payer = is_full;
            config.expected_bucket_owner = is_full.then(|| "123456789012".to_owned());
            config.sse = is_full.then(|| "aws:kms".to_owned());
            config.sse_kms_key_id = is_full.then(|| "key-1".to_owned());
        };
        let lean = over(HttpClient::Lean, &server, set).await;
        let sdk = over(HttpClient::Sdk, &server, set).await;
        for name in KEYS {
            let before = server.seen().len();
            let by_lean = all_six(&lean, name, &headers).await;
            let between = server.seen().len();
            let by_sdk = all_six(&sdk, name, &headers).await;
            let mut seen = server.seen().split_off(before);
            let theirs = seen.split_off(between - before);
            assert_eq!(seen.len(), theirs.len(), "{name}");
            for (ours, theirs) in seen.into_iter().zip(theirs) {
                assert!(
                    ours.header("user-agent").unwrap().starts_with("lakesync/"),
                    "the lean client sent it"
                );
                assert!(theirs.header("amz-sdk-request").is_some(), "the SDK sent it");
                assert_eq!(Sent::new(ours), Sent::new(theirs), "{name}");
            }
            for (ours, theirs) in by_lean.into_iter().zip(by_sdk) {
                assert_eq!(ours.unwrap(), theirs.unwrap(), "{name}");
            }
        }
    }
}

#[tokio::test]
async fn both_make_the_same_of_every_answer() {
    let long = "<Error><Code>AccessDenied</Code><Message>".to_owned() + &"no ".repeat(200) + "</Message></Error>";
    let answers = [
        Answer::error(503, "SlowDown"),
        Answer::error(500, "InternalError"),
        Answer::error(404, "NoSuchKey"),
        Answer::error(404, "NoSuchUpload"),
        Answer::error(404, "NoSuchBucket"),
        Answer::error(412, "PreconditionFailed"),
        Answer::error(409, "ConditionalRequestConflict"),
        Answer::error(403, "RequestTimeTooSkewed"),
        Answer::error(403, "InvalidAccessKeyId"),
        Answer::error(403, "SignatureDoesNotMatch"),
        Answer::error(400, "ExpiredToken"),
        Answer::error(400, "BadDigest"),
        Answer::error(403, "InvalidObjectState"),
        Answer::error(418, "Teapot"),
        Answer::new(
            301,
            "x-amz-bucket-region: ap-south-1\nLocation: http://127.0.0.1:1/",
            "",
        ),
        Answer::new(307, "Location: http://127.0.0.1:1/", ""),
        Answer::new(
            301,
            "",
            "<Error><Code>PermanentRedirect</Code><Region>ap-south-1</Region><Message>there</Message></Error>",
        ),
        Answer::new(
            400,
            "",
            "<Error><Code>AuthorizationHeaderMalformed</Code><Region>r2</Region></Error>",
        ),
        Answer::new(403, "x-amz-request-id: RID", ""),
        Answer::new(404, "", ""),
        Answer::new(405, "", ""),
        Answer::new(400, "x-amz-bucket-region: ap-south-1", ""),
        Answer::new(412, "", ""),
        Answer::new(429, "", "slower"),
        Answer::new(502, "Content-Type: text/html", "<html><h1>Bad Gateway</h1></html>"),
        Answer::new(504, "", "<Error><Code>Nonsense"),
        Answer::new(403, "", &long),
    ];
    for answer in answers {
        let given = answer.clone();
        let server = Server::start(move |_, _| given.clone()).await;
        let lean = over(HttpClient::Lean, &server, |_| {}).await;
        let sdk = over(HttpClient::Sdk, &server, |_| {}).await;
        let headers = ObjectHeaders::default();
        let pairs = all_six(&lean, "a", &headers)
            .await
            .into_iter()
            .zip(all_six(&sdk, "a", &headers).await);
        for (ours, theirs) in pairs {
            let (ours, theirs) = (ours.unwrap_err(), theirs.unwrap_err());
            assert_eq!(ours.kind, theirs.kind, "{answer:?}");
            assert_eq!(ours.to_string(), theirs.to_string(), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn a_success_with_a_broken_or_strange_body_is_the_same_kind_to_both() {
    for answer in [
        Answer::error(200, "InternalError"),
        Answer::error(200, "SlowDown"),
        Answer::new(200, "ETag: \"e\"", ""),
        Answer::new(200, "", "no XML"),
        Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n<CopyObjectResult><ETag>\"e\"</ETag>").then_close(),
        Answer::raw("HTTP/1.1 200 O").then_close(),
        Answer::raw("SSH-2.0\r\n").then_close(),
        Answer::raw("").then_close(),
    ] {
        let given = answer.clone();
        let server = Server::start(move |_, _| given.clone()).await;
        let mut kinds = Vec::new();
        for client in [HttpClient::Lean, HttpClient::Sdk] {
            let store = over(client, &server, |_| {}).await;
            let told = all_six(&store, "a", &ObjectHeaders::default()).await;
            kinds.push(Vec::from_iter(
                told.into_iter().map(|told| told.map_err(|error| error.kind)),
            ));
        }
        assert_eq!(kinds[0], kinds[1], "{answer:?}");
    }
}
