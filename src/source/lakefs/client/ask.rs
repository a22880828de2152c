//! One request: what is asked, of what, and its URL.

use std::fmt;
use std::ops::Range;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Url;
use serde::Serialize;

use super::super::config::Endpoint;

/// The kinds of request, for counts and messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LakeFsRequest {
    /// Whether the server is there.
    HealthCheck,
    /// A repository.
    GetRepository,
    /// How the server keeps bytes.
    GetStorageConfig,
    /// A branch.
    GetBranch,
    /// Branches by the beginning of their names.
    ListBranches,
    /// A commit, by any name of it.
    GetCommit,
    /// A page of a tree.
    ListObjects,
    /// A page of what differs between two trees.
    Diff,
    /// One object without its bytes.
    Stat,
    /// The bytes of an object, or where they are.
    GetObject,
    /// A range or a metarange, or where it is.
    GetTable,
    /// Bytes from the store behind the server, by a pre-signed URL.
    ReadStore,
}

impl LakeFsRequest {
    /// The right of lakeFS that it needs.
    pub fn right(self) -> &'static str {
        match self {
            Self::HealthCheck => "no right",
            Self::GetRepository => "fs:ReadRepository",
            Self::GetStorageConfig => "fs:ReadConfig",
            Self::GetBranch => "fs:ReadBranch",
            Self::ListBranches => "fs:ListBranches",
            Self::GetCommit => "fs:ReadCommit",
            Self::ListObjects | Self::Diff => "fs:ListObjects",
            Self::Stat | Self::GetObject | Self::ReadStore => "fs:ReadObject",
            Self::GetTable => "fs:ListObjects and fs:ReadRepository",
        }
    }

    /// Whether it is about a repository as such, or something that has a name in it, and not about data.
    pub(super) fn is_about_names(self) -> bool {
        matches!(
            self,
            Self::GetRepository | Self::GetBranch | Self::ListBranches | Self::GetCommit
        )
    }
}

/// What stays as it is in a URL; to encode more than is needed does no harm.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A request to be sent, as often as need be.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) kind: LakeFsRequest,
    /// What it is about, for messages.
    pub(super) place: String,
    pub(super) url: Url,
    /// Which bytes are wanted, where not all of them.
    pub(super) span: ByteSpan,
}

/// Which bytes of a body are wanted: from one on, up to another where that is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByteSpan {
    /// The first one.
    pub from: u64,
    /// The one behind the last.
    pub end: Option<u64>,
}

impl ByteSpan {
    /// All bytes from one on.
    pub fn from(from: u64) -> Self {
        Self { from, end: None }
    }

    /// The bytes of a range, which is not empty.
    pub fn of(range: &Range<u64>) -> Self {
        Self {
            from: range.start,
            end: Some(range.end),
        }
    }

    /// The header that asks for them; `None` where they are all.
    pub(super) fn header(self) -> Option<String> {
        match self {
            Self { from: 0, end: None } => None,
            Self { from, end: None } => Some(format!("bytes={from}-")),
            Self { from, end: Some(end) } => Some(format!("bytes={from}-{}", end.saturating_sub(1))),
        }
    }
}

impl Ask {
    /// Begins a request about something; `segments` follow the path of the endpoint.
    pub(super) fn new(endpoint: &Endpoint, kind: LakeFsRequest, place: impl fmt::Display, segments: &[&str]) -> Self {
        let mut path = endpoint.url().path().trim_end_matches('/').to_owned();
        for segment in segments {
            path.push('/');
            path.push_str(&encode_segment(segment));
        }
        let mut url = endpoint.url().clone();
        url.set_path(&path);
        Self {
            kind,
            place: place.to_string(),
            url,
            span: ByteSpan::default(),
        }
    }

    /// Adds a parameter.
    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        let value = utf8_percent_encode(value, KEPT);
        let query = match self.url.query() {
            Some(query) => format!("{query}&{name}={value}"),
            None => format!("{name}={value}"),
        };
        self.url.set_query(Some(&query));
        self
    }
}

/// Encodes one segment of a path.
///
/// The server decodes a segment twice where its encoding is the one that Go itself would choose, which spoils a
/// percent sign (a tag may have one). With a letter encoded, too, it is not, and the segment is decoded once.
fn encode_segment(segment: &str) -> String {
    if segment.contains('%') {
        segment.bytes().map(percent_encoding::percent_encode_byte).collect()
    } else {
        utf8_percent_encode(segment, KEPT).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(segments: &[&str]) -> Ask {
        let endpoint = "http://h:1/base/api/v1".parse().unwrap();
        Ask::new(&endpoint, LakeFsRequest::GetCommit, "", segments)
    }

    #[test]
    fn each_part_of_a_path_is_one_segment_whatever_it_holds() {
        for (segment, encoded) in [
            ("main", "main"),
            ("main~1", "main~1"),
            ("main^2", "main%5E2"),
            ("main@", "main%40"),
            ("v1.0-rc_2", "v1.0-rc_2"),
            ("v1+build", "v1%2Bbuild"),
            ("feature/x", "feature%2Fx"),
            ("é", "%C3%A9"),
            ("a?b#c", "a%3Fb%23c"),
            ("5%", "%35%25"),
        ] {
            let url = ask(&["commits", segment]).url;
            assert_eq!(
                url.as_str(),
                format!("http://h:1/base/api/v1/commits/{encoded}"),
                "{segment}"
            );
        }
    }

    #[test]
    fn a_path_of_an_object_goes_through_a_query_unharmed() {
        for (path, encoded) in [
            ("a/b", "a%2Fb"),
            ("sp ace/+plus%25?q#h.txt", "sp%20ace%2F%2Bplus%2525%3Fq%23h.txt"),
            ("a//b/../c/", "a%2F%2Fb%2F..%2Fc%2F"),
            ("ключ&x=1", "%D0%BA%D0%BB%D1%8E%D1%87%26x%3D1"),
        ] {
            let url = ask(&["x"]).with("amount", "5").with("path", path).url;
            assert_eq!(url.query(), Some(format!("amount=5&path={encoded}").as_str()));
            let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
            assert_eq!(pairs[1].1, path);
        }
    }
}
