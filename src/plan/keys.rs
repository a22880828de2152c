//! Which paths can be keys of objects, and which are ours.

use std::fmt;

use crate::ledger::StatusName;
use crate::model::{Prefix, RelPath};

/// The longest key that S3 takes, in bytes of UTF-8.
const LONGEST_KEY_BYTES: usize = 1024;

/// The folder of the ledger below the export path.
pub const LEDGER_FOLDER: &str = "_lakesync";

/// `--odd-keys error|skip|send`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OddKeys {
    /// Refuses the tree, naming them.
    #[default]
    Error,
    /// Leaves them out and counts them.
    Skip,
    /// Sends them where the probe says that the store keeps them.
    Send,
}

/// Why a path cannot be a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyProblem {
    /// An empty, `.` or `..` segment, a backslash or a control character: S3 keeps such keys, many stores do not.
    Odd,
    /// No UTF-8.
    NotText,
    /// Longer than a key may be, with the prefix.
    TooLong,
    /// A name of the ledger or of a status file.
    Reserved,
}

impl fmt::Display for KeyProblem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Odd => {
                "empty, `.` or `..` segment, backslash or control character (--odd-keys skip leaves such paths out)"
            }
            Self::NotText => "not UTF-8 (--exclude it, or rename it)",
            Self::TooLong => "longer than 1,024 bytes with the prefix (use a shorter prefix, or --exclude it)",
            Self::Reserved => {
                "a name that lakesync keeps for itself: _lakesync/ and _STATUS_* (--exclude it, or rename it)"
            }
        })
    }
}

/// Says which paths can be keys under one export path.
#[derive(Clone, Debug)]
pub struct KeyRules {
    prefix_bytes: usize,
    odd_pass: bool,
}

impl KeyRules {
    /// Takes the export path's prefix, and whether odd keys go out as they are.
    pub fn new(prefix: &Prefix, odd_pass: bool) -> Self {
        Self {
            prefix_bytes: prefix.as_str().len(),
            odd_pass,
        }
    }

    /// Checks a path; `size` tells a folder's empty key, whose final `/` is no odd segment.
    pub fn check(&self, path: &RelPath, size: u64) -> Result<(), KeyProblem> {
        let Some(text) = path.to_str() else {
            return Err(KeyProblem::NotText);
        };
        if self.prefix_bytes + text.len() > LONGEST_KEY_BYTES {
            return Err(KeyProblem::TooLong);
        }
        let first = text.split('/').next().unwrap_or(text);
        if first == LEDGER_FOLDER || first.starts_with(StatusName::PREFIX) {
            return Err(KeyProblem::Reserved);
        }
        if !self.odd_pass && is_odd(text, size) {
            return Err(KeyProblem::Odd);
        }
        Ok(())
    }
}

fn is_odd(text: &str, size: u64) -> bool {
    // XML 1.0, in which stores answer, cannot carry the last two; some stores make `/` of a backslash.
    let bad_letter = |letter: char| letter.is_control() || matches!(letter, '\\' | '\u{FFFE}' | '\u{FFFF}');
    let bare = if size == 0 {
        text.strip_suffix('/').unwrap_or(text)
    } else {
        text
    };
    text.chars().any(bad_letter) || bare.split('/').any(|segment| matches!(segment, "" | "." | ".."))
}

/// Whether a key below an export path is one of lakesync's own files and not of the tree.
pub fn is_own_file(path: &RelPath) -> bool {
    let first = path.segments().next().unwrap_or_default();
    first == LEDGER_FOLDER.as_bytes() || first.starts_with(StatusName::PREFIX.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &[u8], size: u64) -> Result<(), KeyProblem> {
        KeyRules::new(&Prefix::new("p/"), false).check(&RelPath::new(path).unwrap(), size)
    }

    #[test]
    fn paths_that_stores_do_not_keep_are_named_with_their_reason() {
        assert_eq!(check("é/ü +%?#&.txt".as_bytes(), 1), Ok(()));
        assert_eq!(check(b"a//b", 1), Err(KeyProblem::Odd));
        assert_eq!(check(b"./b", 1), Err(KeyProblem::Odd));
        assert_eq!(check(b"a/..", 1), Err(KeyProblem::Odd));
        assert_eq!(check(b"a\nb", 1), Err(KeyProblem::Odd));
        assert_eq!(check(b"a\\b", 1), Err(KeyProblem::Odd));
        assert_eq!(check(b"folder/", 1), Err(KeyProblem::Odd));
        assert_eq!(check(b"folder/", 0), Ok(()));
        assert_eq!(check(b"a\xff", 1), Err(KeyProblem::NotText));
        assert_eq!(check(&[b'a'; 1022], 1), Ok(()));
        assert_eq!(check(&[b'a'; 1023], 1), Err(KeyProblem::TooLong));
    }

    #[test]
    fn own_names_are_refused_in_the_root_only() {
        assert_eq!(check(b"_lakesync/x", 1), Err(KeyProblem::Reserved));
        assert_eq!(check(b"_STATUS_x.json", 1), Err(KeyProblem::Reserved));
        assert_eq!(check(b"a/_STATUS_x.json", 1), Ok(()));
        assert_eq!(check(b"_lakesync2/x", 1), Ok(()));
    }
}
