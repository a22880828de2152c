//! Places in S3: buckets, prefixes, keys and `s3://` URLs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::RelPath;

/// The name of a bucket.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Bucket(Box<str>);

impl Bucket {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl FromStr for Bucket {
    type Err = UrlError;

    /// Checks what every S3 asks of a bucket name; the finer rules are the store's own.
    fn from_str(text: &str) -> Result<Self, UrlError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        if (3..=255).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.into()))
        } else {
            Err(UrlError::Bucket { name: text.to_owned() })
        }
    }
}

/// The start of keys: empty, or ending in `/`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Prefix(Box<str>);

impl Prefix {
    /// Takes a prefix and gives it its final `/`.
    pub fn new(text: &str) -> Self {
        if text.is_empty() || text.ends_with('/') {
            Self(text.into())
        } else {
            Self(format!("{text}/").into())
        }
    }

    /// The text, which is empty or ends in `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key of a name below this prefix.
    pub fn join(&self, name: &str) -> ObjectKey {
        ObjectKey(format!("{}{name}", self.0).into())
    }

    /// The key of a tree's path, where the path is text.
    pub fn key(&self, path: &RelPath) -> Option<ObjectKey> {
        path.to_str().map(|text| self.join(text))
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// The whole key of an object in its bucket.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ObjectKey(Box<str>);

impl ObjectKey {
    /// Takes a key as it is.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// The key.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path below a prefix, where the key lies there.
    pub fn below(&self, prefix: &Prefix) -> Option<RelPath> {
        RelPath::new(self.0.strip_prefix(prefix.as_str())?).ok()
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for letter in self.0.chars() {
            if letter.is_control() {
                write!(out, "{}", letter.escape_default())?;
            } else {
                write!(out, "{letter}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "ObjectKey({self})")
    }
}

/// A folder in S3: `s3://bucket/prefix/`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct S3Url {
    /// The bucket.
    pub bucket: Bucket,
    /// The prefix in it.
    pub prefix: Prefix,
}

impl fmt::Display for S3Url {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "s3://{}/{}", self.bucket, self.prefix)
    }
}

/// Why a text is no place in S3.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Another scheme, or none.
    #[error("{url:?} is not an S3 URL; write s3://BUCKET/PREFIX/")]
    NotS3 {
        /// What was given.
        url: String,
    },
    /// The name is one that no bucket has.
    #[error("{name:?} is not a bucket name (3 to 63 letters, digits, dots and hyphens); write s3://BUCKET/PREFIX/")]
    Bucket {
        /// What was given.
        name: String,
    },
    /// A prefix that no store lists back as it was written.
    #[error(
        "the prefix of {url:?} has an empty, `.` or `..` segment or a control character; write s3://BUCKET/PREFIX/"
    )]
    Prefix {
        /// What was given.
        url: String,
    },
}

impl FromStr for S3Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let rest = text
            .strip_prefix("s3://")
            .ok_or_else(|| UrlError::NotS3 { url: text.to_owned() })?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let bucket = bucket.parse()?;
        let bare = prefix.strip_suffix('/').unwrap_or(prefix);
        let odd = |segment: &str| matches!(segment, "" | "." | "..") || segment.chars().any(char::is_control);
        if !prefix.is_empty() && bare.split('/').any(odd) {
            return Err(UrlError::Prefix { url: text.to_owned() });
        }
        Ok(Self {
            bucket,
            prefix: Prefix::new(prefix),
        })
    }
}

impl Serialize for S3Url {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for S3Url {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_gets_its_final_slash_and_reads_back() {
        for (given, shown) in [
            ("s3://bucket", "s3://bucket/"),
            ("s3://bucket/", "s3://bucket/"),
            ("s3://bucket/a/b", "s3://bucket/a/b/"),
            ("s3://bucket/a b/", "s3://bucket/a b/"),
        ] {
            let url: S3Url = given.parse().unwrap();
            assert_eq!(url.to_string(), shown);
            assert_eq!(shown.parse::<S3Url>().unwrap(), url);
        }
    }

    #[test]
    fn what_is_no_place_in_s3_is_refused() {
        for bad in [
            "bucket/a",
            "https://bucket/a",
            "s3:/bucket",
            "s3://ab/x",
            "s3://b cket/",
            "s3://bucket//a",
            "s3://bucket/../a",
        ] {
            bad.parse::<S3Url>().unwrap_err();
        }
    }
}
