//! A request as the stand-in understands it, and what lakeFS calls it.

use axum::http::HeaderMap;
use bytes::Bytes;
use serde_json::Value;

use super::answer::Answer;
use super::view::Page;

/// A kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Call {
    Health,
    Config,
    StorageConfig,
    GetSetup,
    Setup,
    ListRepositories,
    CreateRepository,
    GetRepository,
    DeleteRepository,
    ListBranches,
    CreateBranch,
    GetBranch,
    DeleteBranch,
    ResetBranch,
    HardReset,
    Revert,
    Commit,
    Merge,
    Upload,
    DeleteObject,
    Import,
    ImportStatus,
    ListTags,
    CreateTag,
    GetTag,
    DeleteTag,
    GetCommit,
    Log,
    List,
    Stat,
    Read,
    Head,
    Diff,
    /// The bytes of a metarange.
    MetaRange,
    /// The bytes of a range.
    Range,
    MetaRangeLocation,
    RangeLocation,
    /// Below `/api/v1`, but nothing that lakeFS knows.
    Unknown,
    /// Anything else: the web page.
    WebPage,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Ask {
    pub call: Call,
    pub method: String,
    /// The segments below `/api/v1`, decoded.
    pub path: Vec<String>,
    /// Names and values, decoded; values may be any bytes.
    pub query: Vec<(String, Vec<u8>)>,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// What the path and the method of a request mean.
fn call(method: &str, path: &[&str]) -> Call {
    match (method, path) {
        ("GET", ["healthcheck"]) => Call::Health,
        ("GET", ["config"]) => Call::Config,
        ("GET", ["config", "storage"]) => Call::StorageConfig,
        ("GET", ["setup_lakefs"]) => Call::GetSetup,
        ("POST", ["setup_lakefs"]) => Call::Setup,
        ("GET", ["repositories"]) => Call::ListRepositories,
        ("POST", ["repositories"]) => Call::CreateRepository,
        ("GET", ["repositories", _]) => Call::GetRepository,
        ("DELETE", ["repositories", _]) => Call::DeleteRepository,
        (_, ["repositories", _, rest @ ..]) => in_repository(method, rest),
        _ => Call::Unknown,
    }
}

fn in_repository(method: &str, rest: &[&str]) -> Call {
    match (method, rest) {
        ("GET", ["branches"]) => Call::ListBranches,
        ("POST", ["branches"]) => Call::CreateBranch,
        ("GET", ["branches", _]) => Call::GetBranch,
        ("DELETE", ["branches", _]) => Call::DeleteBranch,
        ("PUT", ["branches", _]) => Call::ResetBranch,
        ("PUT", ["branches", _, "hard_reset"]) => Call::HardReset,
        ("POST", ["branches", _, "revert"]) => Call::Revert,
        ("POST", ["branches", _, "commits"]) => Call::Commit,
        ("POST", ["branches", _, "objects"]) => Call::Upload,
        ("DELETE", ["branches", _, "objects"]) => Call::DeleteObject,
        ("POST", ["branches", _, "import"]) => Call::Import,
        ("GET", ["branches", _, "import"]) => Call::ImportStatus,
        ("GET", ["tags"]) => Call::ListTags,
        ("POST", ["tags"]) => Call::CreateTag,
        ("GET", ["tags", _]) => Call::GetTag,
        ("DELETE", ["tags", _]) => Call::DeleteTag,
        ("GET", ["commits", _]) => Call::GetCommit,
        ("GET", ["refs", _, "commits"]) => Call::Log,
        ("POST", ["refs", _, "merge", _]) => Call::Merge,
        ("GET", ["refs", _, "objects", "ls"]) => Call::List,
        ("GET", ["refs", _, "objects", "stat"]) => Call::Stat,
        ("GET", ["refs", _, "objects"]) => Call::Read,
        ("HEAD", ["refs", _, "objects"]) => Call::Head,
        ("GET", ["refs", _, "diff", _]) => Call::Diff,
        ("GET", ["metadata", "object", "meta_range", _]) => Call::MetaRange,
        ("GET", ["metadata", "object", "range", _]) => Call::Range,
        ("GET", ["metadata", "meta_range", _]) => Call::MetaRangeLocation,
        ("GET", ["metadata", "range", _]) => Call::RangeLocation,
        _ => Call::Unknown,
    }
}

impl Ask {
    /// Takes a request apart; `path` and `query` are as they were sent.
    pub fn new(method: &str, path: &str, query: &str, headers: HeaderMap, body: Bytes) -> Self {
        let mut ask = Self {
            call: Call::WebPage,
            method: method.to_owned(),
            path: Vec::new(),
            query: query
                .split('&')
                .filter(|pair| !pair.is_empty())
                .map(|pair| {
                    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (text(&decode(name)), decode(value))
                })
                .collect(),
            headers,
            body,
        };
        if let Some(below) = path.strip_prefix("/api/v1/") {
            ask.path = below.split('/').map(|segment| text(&decode(segment))).collect();
            let path: Vec<&str> = ask.path.iter().map(String::as_str).collect();
            ask.call = call(method, &path);
        }
        ask
    }

    /// A value of the query; the last one counts.
    pub fn query(&self, name: &str) -> Option<&[u8]> {
        let found = self.query.iter().rfind(|(known, _)| known == name);
        found.map(|(_, value)| value.as_slice())
    }

    /// A value of the query that has to be there.
    pub fn required(&self, name: &str) -> Result<&[u8], Answer> {
        self.query(name).filter(|value| !value.is_empty()).ok_or_else(|| {
            Answer::error(
                400,
                format!("parameter \"{name}\" in query has an error: value is required but missing"),
            )
        })
    }

    /// Whether a value of the query is true.
    pub fn says(&self, name: &str, default: bool) -> bool {
        self.query(name).map_or(default, |value| value == b"true")
    }

    /// A header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body, which is JSON.
    pub fn json(&self) -> Result<Value, Answer> {
        serde_json::from_slice(&self.body).map_err(|error| Answer::error(400, format!("request body: {error}")))
    }

    /// The part of a listing that is asked for.
    pub fn page(&self) -> Result<Page, Answer> {
        let amount = match self.query("amount") {
            None => 100,
            Some(value) => {
                let text = String::from_utf8_lossy(value);
                let number: i64 = text.parse().map_err(|_| {
                    Answer::error(400, format!("parameter \"amount\" in query has an error: value {text}: an invalid integer: invalid syntax"))
                })?;
                match number {
                    1001.. => return Err(too_many(number)),
                    1..=1000 => usize::try_from(number).expect("1 to 1,000"),
                    0 | -1 => 100,
                    _ => return Err(Answer::error(400, "parameter \"amount\" in query has an error")),
                }
            }
        };
        let value = |name| self.query(name).unwrap_or_default().to_vec();
        Ok(Page {
            prefix: value("prefix"),
            after: value("after"),
            delimiter: value("delimiter"),
            amount,
        })
    }
}

fn too_many(number: i64) -> Answer {
    Answer::error(
        400,
        format!(
            "parameter \"amount\" in query has an error: number must be at most 1000\nSchema:\n  {{\n    \"default\": \
             100,\n    \"maximum\": 1000,\n    \"minimum\": -1,\n    \"type\": \"integer\"\n  }}\n\nValue:\n  {number}\n"
        ),
    )
}

/// Takes percent signs and plus signs out, in paths too: that is how lakeFS reads them.
pub fn decode(sent: &str) -> Vec<u8> {
    let bytes = sent.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut place = 0;
    while let Some(byte) = bytes.get(place) {
        let escaped = bytes.get(place + 1..place + 3).filter(|_| *byte == b'%');
        match escaped.and_then(|digits| hex::decode(digits).ok()) {
            Some(value) => {
                decoded.extend(value);
                place += 3;
            }
            None => {
                decoded.push(if *byte == b'+' { b' ' } else { *byte });
                place += 1;
            }
        }
    }
    decoded
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
