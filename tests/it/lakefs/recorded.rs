//! What a real server answered: see `tests/data/lakefs/README.md`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use base64::Engine as _;
use serde::Deserialize;
use serde_json::Value;

/// One request and its answer.
#[derive(Clone, Debug, Deserialize)]
pub struct Exchange {
    pub note: String,
    pub method: String,
    /// Encoded, as it was sent.
    pub path: String,
    pub query: BTreeMap<String, Value>,
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub request: Option<Value>,
    /// The answer, where it was JSON.
    pub body: Option<Value>,
    body_base64: Option<String>,
    body_file: Option<String>,
}

/// A webhook as it came.
#[derive(Clone, Debug, Deserialize)]
pub struct Webhook {
    pub path: String,
    pub headers: BTreeMap<String, String>,
    pub body: Value,
}

impl Exchange {
    /// The answer, where it was not JSON; empty where it had no body.
    pub fn bytes(&self) -> Vec<u8> {
        match (&self.body_base64, &self.body_file) {
            (Some(text), _) => base64::engine::general_purpose::STANDARD.decode(text).unwrap(),
            (_, Some(file)) => std::fs::read(folder().join(file)).unwrap(),
            _ => Vec::new(),
        }
    }

    /// Whether the answer is a range or a metarange.
    pub fn is_table(&self) -> bool {
        self.body_file.is_some()
    }

    /// The values of the query, as texts.
    pub fn query(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        self.query
            .iter()
            .map(|(name, value)| (name.clone(), text(value)))
            .collect()
    }

    /// The path of an upload.
    pub fn object_path(&self) -> &str {
        self.query["path"].as_str().unwrap()
    }
}

/// The exchanges of one story, in order.
pub fn exchanges(story: &str) -> Vec<Exchange> {
    lines(&format!("{story}.jsonl"))
}

/// The webhooks of the story with block store S3.
pub fn webhooks() -> Vec<Webhook> {
    lines("s3-store.webhooks.jsonl")
}

/// A recorded table: `kind` is `range` or `meta_range`.
pub fn table(kind: &str, id: &str) -> Vec<u8> {
    std::fs::read(folder().join(format!("tables/{kind}-{id}.sst"))).unwrap()
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/lakefs")
}

fn lines<T: serde::de::DeserializeOwned>(file: &str) -> Vec<T> {
    let text = std::fs::read_to_string(folder().join(file)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
