//! Real S3 servers for the tests: SeaweedFS and versitygw, one of each for the whole test binary.
//!
//! A test that asks for a server that is not installed or does not start fails; none is skipped.
//! The programs are looked for in `LAKESYNC_TEST_SERVERS`, else in `.servers` beside `Cargo.toml`.

mod process;
mod recipe;

use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region, RequestChecksumCalculation};
use lakesync::disk_cache::DiskCacheConfig;
use lakesync::export::{ExportConfig, testing};
use lakesync::model::{Bucket, S3Url};
use lakesync::store::{Keys, S3Config, S3Store};

pub use process::{free_ports, shelf, tail};
use recipe::Recipe;
pub use recipe::{installed, tied_to_this_thread};

/// A server that runs until this process ends.
pub struct Server {
    /// Its name, for messages.
    pub name: &'static str,
    /// `http://127.0.0.1:port`.
    pub endpoint: String,
    /// The access key that may do everything.
    pub access_key: &'static str,
    /// Its secret.
    pub secret_key: &'static str,
    /// The region that requests are signed for.
    pub region: &'static str,
    buckets: AtomicU32,
}

/// A bucket that one test has for itself.
pub struct TestBucket {
    /// Its name.
    pub bucket: Bucket,
    /// The server that holds it.
    pub server: &'static Server,
}

/// SeaweedFS; started by the first test that asks.
pub fn seaweedfs() -> &'static Server {
    static SERVER: OnceLock<Result<Server, String>> = OnceLock::new();
    shared(&SERVER, Recipe::SeaweedFs)
}

/// Another SeaweedFS, which knows nothing of the first.
pub fn apart() -> &'static Server {
    static SERVER: OnceLock<Result<Server, String>> = OnceLock::new();
    shared(&SERVER, Recipe::SeaweedApart)
}

/// The Versity gateway over a plain folder; started by the first test that asks.
pub fn versitygw() -> &'static Server {
    static SERVER: OnceLock<Result<Server, String>> = OnceLock::new();
    shared(&SERVER, Recipe::VersityGw)
}

/// Both servers.
pub fn both() -> [&'static Server; 2] {
    [seaweedfs(), versitygw()]
}

fn shared(server: &'static OnceLock<Result<Server, String>>, recipe: Recipe) -> &'static Server {
    // The failure is kept, so that each test says it and none waits for a second start.
    match server.get_or_init(|| process::start(recipe)) {
        Ok(server) => server,
        Err(problem) => panic!("{problem}"),
    }
}

impl Server {
    /// A client of its own for each caller: pooled connections die with the runtime of a test.
    pub fn client(&self) -> Client {
        self.client_at(&self.endpoint)
    }

    /// A client that goes through another door, such as a wire that counts.
    pub fn client_at(&self, endpoint: &str) -> Client {
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .endpoint_url(endpoint)
            .region(Region::new(self.region))
            .credentials_provider(Credentials::new(self.access_key, self.secret_key, None, None, "tests"))
            .force_path_style(true)
            .retry_config(RetryConfig::disabled())
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .build();
        Client::from_conf(config)
    }

    /// Makes a bucket that no other test has.
    pub async fn new_bucket(&'static self) -> TestBucket {
        let number = self.buckets.fetch_add(1, Ordering::Relaxed);
        let name = format!("bucket-{number}");
        let made = self.client().create_bucket().bucket(&name).send().await;
        made.unwrap_or_else(|error| panic!("{}: bucket {name} was not made: {error:?}", self.name));
        TestBucket {
            bucket: name.parse().unwrap(),
            server: self,
        }
    }
}

impl TestBucket {
    /// The settings of an export to `out/`, with a cache in a folder.
    pub fn config(&self, room: &Path) -> ExportConfig {
        let path: S3Url = format!("s3://{}/out/", self.bucket).parse().unwrap();
        ExportConfig {
            cache: Some(DiskCacheConfig {
                folder: room.join("cache"),
                limit_bytes: 1 << 30,
            }),
            ..testing::config(&path)
        }
    }

    /// The store as lakesync sees it, through another door such as a wire that counts.
    pub async fn store_at(&self, endpoint: &str) -> S3Store {
        let mut config = S3Config::new(self.bucket.clone());
        config.endpoint_url = Some(endpoint.to_owned());
        config.region = Some(self.server.region.to_owned());
        config.keys = Some(Keys {
            access_key_id: self.server.access_key.to_owned(),
            secret_access_key: self.server.secret_key.to_owned(),
            session_token: None,
        });
        S3Store::connect(config).await.unwrap()
    }

    /// All its keys, sorted as bytes.
    pub async fn keys(&self) -> Vec<String> {
        let client = self.server.client();
        let mut keys = Vec::new();
        let mut next = None;
        loop {
            let request = client.list_objects_v2().bucket(self.bucket.as_str());
            let page = request.set_continuation_token(next).send().await.unwrap();
            keys.extend(page.contents().iter().map(|object| object.key().unwrap().to_owned()));
            next = page.next_continuation_token().map(str::to_owned);
            if next.is_none() {
                keys.sort();
                return keys;
            }
        }
    }

    /// The keys of all uploads that nobody completed or aborted, sorted as bytes.
    pub async fn uploads(&self) -> Vec<String> {
        let client = self.server.client();
        let request = client.list_multipart_uploads().bucket(self.bucket.as_str());
        let page = request.send().await.unwrap();
        assert_ne!(page.is_truncated(), Some(true), "over 1,000 uploads were left");
        let mut keys: Vec<_> = page
            .uploads()
            .iter()
            .map(|upload| upload.key().unwrap().to_owned())
            .collect();
        keys.sort();
        keys
    }

    /// The bytes of an object.
    pub async fn read(&self, key: &str) -> Vec<u8> {
        let request = self.server.client().get_object().bucket(self.bucket.as_str()).key(key);
        let reply = request.send().await.unwrap_or_else(|error| panic!("{key}: {error:?}"));
        reply.body.collect().await.unwrap().to_vec()
    }

    /// Writes an object as somebody else would.
    pub async fn write(&self, key: &str, body: impl Into<Vec<u8>>) {
        let request = self.server.client().put_object().bucket(self.bucket.as_str()).key(key);
        let sent = request.body(body.into().into()).send().await;
        sent.unwrap_or_else(|error| panic!("{key}: {error:?}"));
    }
}

#[tokio::test]
async fn both_servers_keep_what_they_are_given_and_ask_for_a_signature() {
    for server in both() {
        let bucket = server.new_bucket().await;
        assert!(bucket.bucket.as_str().len() >= 3);
        bucket.write("a/b", "hello").await;
        assert_eq!(bucket.read("a/b").await, b"hello", "{}", server.name);
        assert_eq!(bucket.keys().await, ["a/b"], "{}", server.name);
        assert!(bucket.uploads().await.is_empty(), "{}", server.name);

        let stranger = Server {
            secret_key: "wrong",
            endpoint: server.endpoint.clone(),
            buckets: AtomicU32::new(0),
            ..*server
        };
        let refused = stranger.client().list_buckets().send().await.unwrap_err();
        let status = refused.raw_response().unwrap().status().as_u16();
        assert_eq!(status, 403, "{} takes any signature", server.name);
    }
}

#[tokio::test]
async fn two_buckets_do_not_see_each_other() {
    for server in both() {
        let (one, two) = (server.new_bucket().await, server.new_bucket().await);
        one.write("only-here", "x").await;
        assert!(two.keys().await.is_empty(), "{}", server.name);
    }
}
