//! Which headers an object goes out with: the table's content type, what the source knows, `--header`.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as _;
use std::fmt;

use super::content_type::{TABLE_VERSION, content_type};
use crate::ledger::HeadersDigest;
use crate::model::{Attributes, Entry, Mark, NoticeKind, RelPath};
use crate::source::Filter;
use crate::store::ObjectHeaders;

/// What S3 allows for all user metadata of an object, names and values together.
const METADATA_LIMIT_BYTES: usize = 2_048;

/// The longest mark with its name: a run, `/`, and `addr:` with 32 bytes in hex.
const MARK_BYTES: usize = Mark::METADATA_KEY.len() + 26 + 1 + 5 + 64;

/// How user metadata is called in a request.
const METADATA_PREFIX: &str = "x-amz-meta-";

/// Says which headers each object goes out with.
#[derive(Clone, Debug, Default)]
pub struct HeaderRules {
    rules: Vec<Rule>,
    /// The globs of all rules: most files match none, which one look tells.
    any: Filter,
    preserve_mode: bool,
    preserve_mtime: bool,
}

#[derive(Clone, Debug)]
struct Rule {
    glob: String,
    files: Filter,
    name: HeaderName,
    /// Empty: the header is left out.
    value: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum HeaderName {
    ContentType,
    CacheControl,
    ContentDisposition,
    ContentEncoding,
    ContentLanguage,
    Metadata(String),
}

/// What is wrong with a `--header`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderRuleError {
    /// It cannot be taken apart.
    #[error("--header {rule:?}: write it as 'GLOB: Name=value'")]
    Form {
        /// What was given.
        rule: String,
    },
    /// The glob cannot be read.
    #[error("--header {rule:?}: {reason}")]
    Glob {
        /// What was given.
        rule: String,
        /// What is wrong with the glob.
        reason: String,
    },
    /// A header that is not set by rules.
    #[error(
        "--header {rule:?}: {name:?} cannot be set; use Content-Type, Cache-Control, Content-Disposition, \
         Content-Encoding, Content-Language or x-amz-meta-NAME"
    )]
    Name {
        /// What was given.
        rule: String,
        /// The header in it.
        name: String,
    },
    /// The name of our own mark.
    #[error("--header {rule:?}: x-amz-meta-lakesync is kept for lakesync's own mark; choose another name")]
    Reserved {
        /// What was given.
        rule: String,
    },
    /// A value that a request cannot carry.
    #[error(
        "--header {rule:?}: the value may hold printable ASCII only; encode the rest, as in filename*=UTF-8''%C3%A4"
    )]
    Value {
        /// What was given.
        rule: String,
    },
}

/// Headers that no store takes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// There is too much metadata.
    #[error("{path}: {bytes} bytes of metadata, and S3 takes {METADATA_LIMIT_BYTES}; remove some with --header")]
    TooLong {
        /// The file.
        path: RelPath,
        /// The length of all names and values, the mark's included.
        bytes: usize,
    },
}

impl HeaderRules {
    /// Reads `--header 'GLOB: Name=value'` and `--preserve mode,mtime`. Globs are those of `.gitignore`.
    pub fn new(rules: &[String], preserve_mode: bool, preserve_mtime: bool) -> Result<Self, HeaderRuleError> {
        let rules: Vec<Rule> = rules.iter().map(|rule| Rule::read(rule)).collect::<Result<_, _>>()?;
        let globs: Vec<String> = rules.iter().map(|rule| rule.glob.clone()).collect();
        let any = Filter::new(&globs, &[]).map_err(|error| HeaderRuleError::Glob {
            rule: globs.join(" "),
            reason: error.to_string(),
        })?;
        Ok(Self {
            rules,
            any,
            preserve_mode,
            preserve_mtime,
        })
    }

    /// Makes the headers of one entry, without mark and class. What the source knows goes before the
    /// table, and rules go before both, the last one that matches first.
    pub fn headers(&self, entry: &Entry) -> ObjectHeaders {
        self.headers_and_left_out(entry).0
    }

    /// [`Self::headers`], and what the source knows of the entry and no header can carry, each reason once.
    pub fn headers_and_left_out(&self, entry: &Entry) -> (ObjectHeaders, BTreeSet<NoticeKind>) {
        let mut headers = ObjectHeaders::default();
        let attributes = &entry.attributes;
        let carried = Carried::of(attributes);
        headers.content_type = Some(match carried.content_type {
            Some(known) => known.to_owned(),
            None => content_type(&entry.path).to_owned(),
        });
        headers.metadata = carried.metadata;
        if let Some(mode) = self.mode(entry) {
            headers.metadata.insert("mode".to_owned(), mode_text(mode));
        }
        if let Some(mtime) = self.mtime(entry) {
            headers.metadata.insert("mtime".to_owned(), mtime.to_string());
        }
        if self.has_rule_for(&entry.path) {
            let matching = self.rules.iter().filter(|rule| rule.files.wants_file(&entry.path));
            matching.for_each(|rule| rule.apply(&mut headers));
        }
        (headers, carried.left_out)
    }

    /// The digest of [`Self::headers`] of an entry, without making them where only the table speaks: as it
    /// is for nearly all of ten million entries.
    pub fn entry_digest(&self, entry: &Entry) -> HeadersDigest {
        let attributes = &entry.attributes;
        let plain = attributes.content_type.is_none()
            && attributes.metadata.is_empty()
            && self.mode(entry).is_none()
            && self.mtime(entry).is_none()
            && !self.has_rule_for(&entry.path);
        if plain {
            digest(
                [Some(content_type(&entry.path)), None, None, None, None],
                [].into_iter(),
            )
        } else {
            Self::digest(&self.headers(entry))
        }
    }

    /// Digests headers, without mark and class; never zero, which stands for "not known".
    pub fn digest(headers: &ObjectHeaders) -> HeadersDigest {
        let metadata = headers.metadata.iter();
        digest(
            fields(headers).map(|(_, value)| value),
            metadata.map(|(name, value)| (name.as_str(), value.as_str())),
        )
    }

    /// Says whether two sets of rules give every entry the same headers: equal texts, equal headers.
    pub fn fingerprint(&self) -> String {
        let mut form = Vec::new();
        form.extend_from_slice(&TABLE_VERSION.to_le_bytes());
        form.extend_from_slice(&[u8::from(self.preserve_mode), u8::from(self.preserve_mtime)]);
        for rule in &self.rules {
            for text in [&rule.glob, &rule.name.to_string(), &rule.value] {
                push(&mut form, text);
            }
        }
        blake3::hash(&form).to_hex()[..32].to_owned()
    }

    /// Checks that a store can take the headers together with our mark: rules and `--preserve` come on top of what
    /// the source has.
    pub fn check(path: &RelPath, headers: &ObjectHeaders) -> Result<(), HeaderError> {
        let metadata = headers.metadata.iter();
        let bytes = MARK_BYTES + metadata.map(|(name, value)| name.len() + value.len()).sum::<usize>();
        if bytes > METADATA_LIMIT_BYTES {
            return Err(HeaderError::TooLong {
                path: path.clone(),
                bytes,
            });
        }
        Ok(())
    }

    fn has_rule_for(&self, path: &RelPath) -> bool {
        // A filter without globs wants every file.
        !self.rules.is_empty() && self.any.wants_file(path)
    }

    fn mode(&self, entry: &Entry) -> Option<u32> {
        entry.attributes.mode.filter(|_| self.preserve_mode)
    }

    fn mtime(&self, entry: &Entry) -> Option<i64> {
        entry.attributes.mtime_unix.filter(|_| self.preserve_mtime)
    }
}

/// What of a source's knowledge a request can carry.
struct Carried<'a> {
    content_type: Option<&'a str>,
    /// Names in lower case.
    metadata: BTreeMap<String, String>,
    left_out: BTreeSet<NoticeKind>,
}

impl<'a> Carried<'a> {
    fn of(attributes: &'a Attributes) -> Self {
        let mut carried = Self {
            content_type: attributes.content_type.as_deref(),
            metadata: BTreeMap::new(),
            left_out: BTreeSet::new(),
        };
        if carried.content_type.is_some_and(|known| !is_value(known)) {
            carried.content_type = None;
            carried.left_out.insert(NoticeKind::ContentType);
        }
        let mut room = METADATA_LIMIT_BYTES - MARK_BYTES;
        for (name, value) in &attributes.metadata {
            let name = name.to_ascii_lowercase();
            // The mark of an earlier export is not the entry's: it says who wrote an object.
            if name == Mark::METADATA_KEY {
                continue;
            }
            let length = name.len() + value.len();
            let problem = if !is_name(&name) {
                Some(NoticeKind::MetadataName)
            } else if !is_value(value) {
                Some(NoticeKind::MetadataValue)
            } else if length > room {
                Some(NoticeKind::MetadataLength)
            } else {
                None
            };
            if let Some(problem) = problem {
                carried.left_out.insert(problem);
                continue;
            }
            room -= length;
            carried.metadata.insert(name, value.clone());
        }
        carried
    }
}

impl Rule {
    fn read(text: &str) -> Result<Self, HeaderRuleError> {
        let rule = text.to_owned();
        let (glob, name, value) = take_apart(text).ok_or_else(|| HeaderRuleError::Form { rule: rule.clone() })?;
        let Some(header) = HeaderName::read(name) else {
            let name = name.to_owned();
            return Err(HeaderRuleError::Name { rule, name });
        };
        if header == HeaderName::Metadata(Mark::METADATA_KEY.to_owned()) {
            return Err(HeaderRuleError::Reserved { rule });
        }
        if !is_value(value) {
            return Err(HeaderRuleError::Value { rule });
        }
        // In a list of globs these have a meaning that one glob alone cannot have.
        if glob.is_empty() || glob.starts_with(['!', '#']) {
            let reason = "a glob can neither be empty nor start with `!` or `#`".to_owned();
            return Err(HeaderRuleError::Glob { rule, reason });
        }
        let files = Filter::new(&[glob.to_owned()], &[]).map_err(|error| HeaderRuleError::Glob {
            rule,
            reason: error.source().map_or_else(|| error.to_string(), ToString::to_string),
        })?;
        Ok(Self {
            glob: glob.to_owned(),
            files,
            name: header,
            value: value.to_owned(),
        })
    }

    fn apply(&self, headers: &mut ObjectHeaders) {
        let value = (!self.value.is_empty()).then(|| self.value.clone());
        let field = match &self.name {
            HeaderName::ContentType => &mut headers.content_type,
            HeaderName::CacheControl => &mut headers.cache_control,
            HeaderName::ContentDisposition => &mut headers.content_disposition,
            HeaderName::ContentEncoding => &mut headers.content_encoding,
            HeaderName::ContentLanguage => &mut headers.content_language,
            HeaderName::Metadata(name) => {
                match value {
                    Some(value) => headers.metadata.insert(name.clone(), value),
                    None => headers.metadata.remove(name),
                };
                return;
            }
        };
        *field = value;
    }
}

/// Cuts a rule at the colon behind which a header stands: globs and values may hold colons, too. Where no
/// known header follows any of them, the first one that could begin a header is taken, for the message.
fn take_apart(text: &str) -> Option<(&str, &str, &str)> {
    let cuts = text.match_indices(':').filter_map(|(at, _)| {
        let (name, value) = text[at + 1..].split_once('=')?;
        let name = name.trim();
        is_name(name).then(|| (text[..at].trim(), name, value.trim()))
    });
    let known = cuts.clone().find(|(_, name, _)| HeaderName::read(name).is_some());
    known.or_else(|| cuts.into_iter().next())
}

impl HeaderName {
    fn read(text: &str) -> Option<Self> {
        let lower = text.to_ascii_lowercase();
        Some(match lower.as_str() {
            "content-type" => Self::ContentType,
            "cache-control" => Self::CacheControl,
            "content-disposition" => Self::ContentDisposition,
            "content-encoding" => Self::ContentEncoding,
            "content-language" => Self::ContentLanguage,
            other => {
                let name = other.strip_prefix(METADATA_PREFIX).filter(|name| is_name(name))?;
                Self::Metadata(name.to_owned())
            }
        })
    }
}

impl fmt::Display for HeaderName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ContentType => out.write_str("Content-Type"),
            Self::CacheControl => out.write_str("Cache-Control"),
            Self::ContentDisposition => out.write_str("Content-Disposition"),
            Self::ContentEncoding => out.write_str("Content-Encoding"),
            Self::ContentLanguage => out.write_str("Content-Language"),
            Self::Metadata(name) => write!(out, "{METADATA_PREFIX}{name}"),
        }
    }
}

fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !text.is_empty() && text.bytes().all(allowed)
}

fn is_value(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// A file's mode as `git` and `stat` show it, with the type that it has by being a file.
fn mode_text(mode: u32) -> String {
    const REGULAR_FILE: u32 = 0o100_000;
    format!("{:o}", mode & 0o7777 | REGULAR_FILE)
}

fn fields(headers: &ObjectHeaders) -> [(HeaderName, Option<&str>); 5] {
    [
        (HeaderName::ContentType, headers.content_type.as_deref()),
        (HeaderName::CacheControl, headers.cache_control.as_deref()),
        (HeaderName::ContentDisposition, headers.content_disposition.as_deref()),
        (HeaderName::ContentEncoding, headers.content_encoding.as_deref()),
        (HeaderName::ContentLanguage, headers.content_language.as_deref()),
    ]
}

/// The form must never change: ledgers keep the outcome, and another one re-writes every object.
fn digest<'a>(fields: [Option<&str>; 5], metadata: impl Iterator<Item = (&'a str, &'a str)>) -> HeadersDigest {
    let mut form = Vec::with_capacity(128);
    for field in fields {
        form.push(u8::from(field.is_some()));
        push(&mut form, field.unwrap_or_default());
    }
    for (name, value) in metadata {
        push(&mut form, name);
        push(&mut form, value);
    }
    let hash = blake3::hash(&form);
    let (first, _) = hash.as_bytes().split_first_chunk().expect("a hash has 32 bytes");
    HeadersDigest(u64::from_le_bytes(*first).max(1))
}

fn push(form: &mut Vec<u8>, text: &str) {
    form.extend_from_slice(&(text.len() as u64).to_le_bytes());
    form.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests;
