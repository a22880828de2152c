//! The first record of a status file.

use serde::{Deserialize, Serialize};

use crate::model::RelPath;

use super::record::HEAD_BYTES;

/// The longest message; the whole head but for `errors` must fit into [`HEAD_BYTES`].
const LONGEST_MESSAGE_BYTES: usize = 1000;

/// What begins the last field.
const ERRORS: &[u8] = b",\"errors\":";

/// How long the line may be without its last field: then the first 4 KiB tell where that begins.
const LONGEST_WITHOUT_ERRORS_BYTES: usize = HEAD_BYTES - ERRORS.len();

/// What a status file says of its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExportState {
    /// The run has begun and touched nothing yet.
    Creating,
    /// The run brings objects to its commit.
    InProgress,
    /// Every object of the commit is there.
    Success,
    /// The run ended before that.
    Failure,
}

impl std::fmt::Display for ExportState {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Self::Creating => "creating",
            Self::InProgress => "in-progress",
            Self::Success => "success",
            Self::Failure => "failure",
        })
    }
}

/// Which objects the records of a `success` are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecordsListed {
    /// All of the commit.
    #[default]
    All,
    /// Those that the run wrote.
    Changed,
}

/// One object that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectFailure {
    /// The path below the export path.
    pub path: RelPath,
    /// Why.
    pub error: String,
}

/// The first record: `status`, `message` and `commit` for every reader, the rest for those who want more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusHead {
    /// How far the run is.
    pub status: ExportState,
    /// For people; the error for `failure`.
    #[serde(default)]
    pub message: String,
    /// The commit that the run exports.
    #[serde(default)]
    pub commit: String,
    /// Of this format.
    #[serde(default)]
    pub version: u32,
    /// The branch.
    #[serde(default)]
    pub source: String,
    /// Where the objects are.
    #[serde(default)]
    pub export_path: String,
    /// The run's id.
    #[serde(default)]
    pub run: String,
    /// When the run began, on the store's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<jiff::Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<jiff::Timestamp>,
    /// Which objects are listed.
    #[serde(default)]
    pub records: RecordsListed,
    /// Objects sent.
    #[serde(default)]
    pub put: u64,
    /// Their bytes.
    #[serde(default)]
    pub put_bytes: u64,
    /// Objects that the store copied.
    #[serde(default)]
    pub copied: u64,
    /// Their bytes.
    #[serde(default)]
    pub copied_bytes: u64,
    /// Objects removed.
    #[serde(default)]
    pub deleted: u64,
    /// Objects that stayed as they were.
    #[serde(default)]
    pub kept: u64,
    /// Paths of the tree left out by a policy; `None` where the run did not read the whole tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<u64>,
    /// Objects that failed.
    #[serde(default)]
    pub failed: u64,
    /// What does not hold on this store: see P3 and P5.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unguarded: Vec<String>,
    /// The first of the objects that failed; last, since it may be long.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ObjectFailure>,
}

impl StatusHead {
    /// A head that says nothing but that a run has begun.
    pub fn empty() -> Self {
        Self {
            status: ExportState::Creating,
            message: String::new(),
            commit: String::new(),
            version: Self::VERSION,
            source: String::new(),
            export_path: String::new(),
            run: String::new(),
            started_at: None,
            finished_at: None,
            records: RecordsListed::All,
            put: 0,
            put_bytes: 0,
            copied: 0,
            copied_bytes: 0,
            deleted: 0,
            kept: 0,
            skipped: None,
            failed: 0,
            unguarded: Vec::new(),
            errors: Vec::new(),
        }
    }

    /// The format that this program writes.
    pub const VERSION: u32 = 1;

    /// How many failed objects a head lists.
    pub const MOST_ERRORS: usize = 100;

    /// The head as the first line, padded so that records may follow at a known place.
    pub(super) fn line(&self) -> Vec<u8> {
        let mut head = self.clone();
        let mut errors = std::mem::take(&mut head.errors);
        cut(&mut head.message, LONGEST_MESSAGE_BYTES);
        // A letter is a byte of the line at least: what is too much of the line goes from the text.
        let excess = head.json().len().saturating_sub(LONGEST_WITHOUT_ERRORS_BYTES);
        let longest = head.message.len().saturating_sub(excess);
        cut(&mut head.message, longest);
        let excess = head.json().len().saturating_sub(LONGEST_WITHOUT_ERRORS_BYTES);
        let longest = head.source.len().saturating_sub(excess);
        cut(&mut head.source, longest);
        errors.truncate(Self::MOST_ERRORS);
        head.errors = errors;
        let mut line = head.json();
        if line.len() < HEAD_BYTES {
            line.resize(HEAD_BYTES - 1, b' ');
        }
        line.push(b'\n');
        line
    }

    fn json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a head is plain data")
    }

    /// Reads a head from the first bytes of a file; `errors` may have been cut off.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
        match serde_json::from_slice(line) {
            Ok(head) => Ok(head),
            Err(error) => {
                let cut = line.windows(ERRORS.len()).position(|window| window == ERRORS);
                let whole = cut.map(|at| [&line[..at], b"}"].concat());
                whole
                    .and_then(|line| serde_json::from_slice(&line).ok())
                    .ok_or_else(|| error.to_string())
            }
        }
    }
}

/// Cuts a text to so many bytes at most, between two letters.
fn cut(text: &mut String, most: usize) {
    let at = (0..=most.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    text.truncate(at.unwrap_or(0));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> StatusHead {
        StatusHead::parse(br#"{"status":"failure","commit":"c"}"#).unwrap()
    }

    #[test]
    fn a_head_is_padded_and_cut_so_that_records_stand_at_a_known_place() {
        let long = StatusHead {
            message: "é".repeat(4000),
            ..head()
        };
        let line = long.line();
        assert_eq!(line.len(), HEAD_BYTES);
        let read = StatusHead::parse(&line).unwrap();
        assert!(read.message.len() <= LONGEST_MESSAGE_BYTES && read.message.starts_with('é'));
    }

    #[test]
    fn a_head_fits_its_first_4_kib_however_long_its_texts_are() {
        for errors in [0, 200] {
            let failure = ObjectFailure {
                path: RelPath::new("a").unwrap(),
                error: "x".repeat(100),
            };
            let long = StatusHead {
                message: "\u{1}".repeat(4000),
                source: "ö".repeat(4000),
                errors: vec![failure; errors],
                ..head()
            };
            let line = long.line();
            let read = StatusHead::parse(&line[..HEAD_BYTES]).unwrap();
            assert_eq!((read.commit.as_str(), read.errors.len()), ("c", 0));
            assert!(read.source.starts_with('ö'));
        }
    }

    #[test]
    fn a_head_reads_from_its_first_4_kib_although_its_errors_are_longer() {
        let failure = ObjectFailure {
            path: RelPath::new("a").unwrap(),
            error: "x".repeat(100),
        };
        let long = StatusHead {
            errors: vec![failure; 200],
            failed: 200,
            ..head()
        };
        let line = long.line();
        assert!(line.len() > HEAD_BYTES);
        let read = StatusHead::parse(&line[..HEAD_BYTES]).unwrap();
        assert_eq!((read.failed, read.errors.len()), (200, 0));
        assert_eq!(StatusHead::parse(&line).unwrap().errors.len(), StatusHead::MOST_ERRORS);
    }
}
