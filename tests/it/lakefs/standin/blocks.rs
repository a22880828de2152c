//! Where the bytes of objects are: in memory, or on a real S3 server.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region, RequestChecksumCalculation};
use aws_sdk_s3::presigning::PresigningConfig;
use bytes::Bytes;
use md5::{Digest as _, Md5};

/// How long a pre-signed URL holds.
pub const URL_LIFE: Duration = Duration::from_secs(15 * 60);

/// An S3 server, and the keys for it.
#[derive(Clone, Debug)]
pub struct S3Place {
    pub endpoint: String,
    pub region: String,
    pub access_key_id: String,
    pub secret_access_key: String,
}

/// Where a stand-in keeps the bytes of objects.
#[derive(Clone, Debug)]
pub enum BlockStore {
    /// As lakeFS does with its block store `local`: addresses begin with `local://`, and nothing is pre-signed.
    Local,
    /// On a server.
    S3(S3Place),
    /// Addresses and pre-signed URLs as with a server; the bytes are in memory, so the URLs lead nowhere.
    S3InMemory(S3Place),
}

/// An object outside any repository, as an import finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outside {
    pub address: String,
    pub size_bytes: u64,
    pub checksum: String,
    pub mtime: (i64, u32),
}

/// The block store at work.
pub struct Blocks {
    kind: BlockStore,
    memory: Mutex<BTreeMap<String, Bytes>>,
    /// What is known of objects that were put with a time of their own.
    mtimes: Mutex<HashMap<String, (i64, u32)>>,
    client: Option<Client>,
}

impl Blocks {
    pub fn new(kind: BlockStore) -> Self {
        let client = match &kind {
            BlockStore::Local => None,
            BlockStore::S3(place) | BlockStore::S3InMemory(place) => Some(client(place)),
        };
        Self {
            kind,
            memory: Mutex::default(),
            mtimes: Mutex::default(),
            client,
        }
    }

    /// Whether addresses begin with `s3://`.
    pub fn is_s3(&self) -> bool {
        !matches!(self.kind, BlockStore::Local)
    }

    /// The client, where the bytes are on a server.
    fn server(&self) -> Option<&Client> {
        match self.kind {
            BlockStore::S3(_) => self.client.as_ref(),
            _ => None,
        }
    }

    /// Writes an object.
    pub async fn put(&self, address: &str, bytes: Bytes) {
        let Some(client) = self.server() else {
            self.memory.lock().unwrap().insert(address.to_owned(), bytes);
            return;
        };
        let (bucket, key) = split(address);
        let sent = client.put_object().bucket(bucket).key(key).body(bytes.into()).send();
        sent.await
            .unwrap_or_else(|error| panic!("{address} was not written: {error:?}"));
    }

    /// Writes an object in memory that was there before.
    pub fn put_dated(&self, address: &str, bytes: Bytes, mtime: (i64, u32)) {
        self.memory.lock().unwrap().insert(address.to_owned(), bytes);
        self.mtimes.lock().unwrap().insert(address.to_owned(), mtime);
    }

    /// Reads an object or a part of it; `None` where it is gone.
    pub async fn get(&self, address: &str, range: Option<Range<u64>>) -> Option<Bytes> {
        let Some(client) = self.server() else {
            let bytes = self.memory.lock().unwrap().get(address)?.clone();
            return Some(match range {
                Some(range) => {
                    let end = usize::try_from(range.end).expect("in memory").min(bytes.len());
                    bytes.slice(usize::try_from(range.start).expect("in memory").min(end)..end)
                }
                None => bytes,
            });
        };
        let (bucket, key) = split(address);
        let range = range.map(|range| format!("bytes={}-{}", range.start, range.end - 1));
        match client
            .get_object()
            .bucket(bucket)
            .key(key)
            .set_range(range)
            .send()
            .await
        {
            Ok(reply) => reply
                .body
                .collect()
                .await
                .ok()
                .map(aws_sdk_s3::primitives::AggregatedBytes::into_bytes),
            Err(error) => match error.raw_response().map(|raw| raw.status().as_u16()) {
                Some(404) => None,
                _ => panic!("{address} was not read: {error:?}"),
            },
        }
    }

    /// Deletes an object behind the back of all that name it.
    pub async fn delete(&self, address: &str) {
        let Some(client) = self.server() else {
            self.memory.lock().unwrap().remove(address);
            return;
        };
        let (bucket, key) = split(address);
        let sent = client.delete_object().bucket(bucket).key(key).send().await;
        sent.unwrap_or_else(|error| panic!("{address} was not deleted: {error:?}"));
    }

    /// All objects whose addresses begin with `prefix`, sorted.
    pub async fn list(&self, prefix: &str) -> Vec<Outside> {
        let Some(client) = self.server() else {
            let (memory, mtimes) = (self.memory.lock().unwrap(), self.mtimes.lock().unwrap());
            let found = memory
                .range(prefix.to_owned()..)
                .take_while(|(address, _)| address.starts_with(prefix));
            let outside = |(address, bytes): (&String, &Bytes)| Outside {
                address: address.clone(),
                size_bytes: bytes.len() as u64,
                checksum: md5_hex(bytes),
                mtime: mtimes.get(address).copied().unwrap_or((0, 0)),
            };
            return found.map(outside).collect();
        };
        let (bucket, key) = split(prefix);
        let (mut found, mut next) = (Vec::new(), None);
        loop {
            let request = client.list_objects_v2().bucket(bucket).prefix(key);
            let page = request.set_continuation_token(next).send().await;
            let page = page.unwrap_or_else(|error| panic!("{prefix} was not listed: {error:?}"));
            for object in page.contents() {
                let modified = object.last_modified().expect("every object has a time");
                found.push(Outside {
                    address: format!("s3://{bucket}/{}", object.key().expect("every object has a key")),
                    size_bytes: object.size().unwrap_or(0).cast_unsigned(),
                    checksum: object.e_tag().unwrap_or_default().trim_matches('"').to_owned(),
                    mtime: (modified.secs(), modified.subsec_nanos()),
                });
            }
            next = page.next_continuation_token().map(str::to_owned);
            if next.is_none() {
                found.sort_by(|left, right| left.address.cmp(&right.address));
                return found;
            }
        }
    }

    /// A URL that reads an object without keys, and the second at which it ends; `None` where there is no such thing.
    pub async fn presign(&self, address: &str, name: &str, began: SystemTime) -> Option<(String, u64)> {
        let client = self.client.as_ref()?;
        let (bucket, key) = split(address);
        let name = name.rsplit('/').next().unwrap_or_default();
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte);
        let name = if name.bytes().all(is_token) {
            name.to_owned()
        } else {
            format!("\"{}\"", name.escape_default())
        };
        let life = PresigningConfig::builder()
            .start_time(began)
            .expires_in(URL_LIFE)
            .build();
        let request = client
            .get_object()
            .bucket(bucket)
            .key(key)
            .response_content_disposition(format!("attachment; filename={name}"))
            .presigned(life.expect("15 minutes is a life"))
            .await
            .expect("it is signed here, without a server");
        let ends = began + URL_LIFE;
        let ends = ends
            .duration_since(SystemTime::UNIX_EPOCH)
            .expect("after 1970")
            .as_secs();
        Some((request.uri().to_owned(), ends))
    }
}

/// The bucket and the key of an `s3://` address.
fn split(address: &str) -> (&str, &str) {
    let rest = address
        .strip_prefix("s3://")
        .expect("with block store s3 addresses begin so");
    rest.split_once('/').unwrap_or((rest, ""))
}

fn client(place: &S3Place) -> Client {
    let keys = Credentials::new(&place.access_key_id, &place.secret_access_key, None, None, "tests");
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .endpoint_url(&place.endpoint)
        .region(Region::new(place.region.clone()))
        .credentials_provider(keys)
        .force_path_style(true)
        .retry_config(RetryConfig::standard())
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .build();
    Client::from_conf(config)
}

/// The MD5 of some bytes, in hex.
pub fn md5_hex(bytes: &[u8]) -> String {
    hex::encode(Md5::digest(bytes))
}
