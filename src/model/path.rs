//! Paths of a tree, as the bytes they are.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A path inside a tree and below an export path: any bytes, never none.
///
/// Sources may hold names that are not UTF-8; the plan refuses those before the first write, so what
/// stands in a ledger or a status file always is. The order is that of the bytes, which is the order of
/// every stream of entries.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelPath(Box<[u8]>);

/// Why some bytes are no path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// There were no bytes.
    #[error("a path cannot be empty")]
    Empty,
}

impl RelPath {
    /// Takes the bytes as they are.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, PathError> {
        let bytes = bytes.into();
        if bytes.is_empty() {
            return Err(PathError::Empty);
        }
        Ok(Self(bytes.into_boxed_slice()))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The path as text, where it is text.
    pub fn to_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// The parts between the slashes, empty ones included.
    pub fn segments(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|byte| *byte == b'/')
    }

    /// The last segment.
    pub fn file_name(&self) -> &[u8] {
        let start = self
            .0
            .iter()
            .rposition(|byte| *byte == b'/')
            .map_or(0, |slash| slash + 1);
        &self.0[start..]
    }

    /// The folders this path lies in, outermost first: `a/b/c` gives `a` and `a/b`.
    pub fn folders(&self) -> impl Iterator<Item = &[u8]> {
        self.0
            .iter()
            .enumerate()
            .filter(|(at, byte)| **byte == b'/' && *at > 0)
            .map(|(at, _)| &self.0[..at])
    }
}

/// Prints text as it is, and escapes what would harm a terminal or is no text.
impl fmt::Display for RelPath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for letter in chunk.valid().chars() {
                if letter.is_control() {
                    write!(out, "{}", letter.escape_default())?;
                } else {
                    write!(out, "{letter}")?;
                }
            }
            for byte in chunk.invalid() {
                write!(out, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for RelPath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "RelPath({self})")
    }
}

impl AsRef<[u8]> for RelPath {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl std::borrow::Borrow<[u8]> for RelPath {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

/// As text where people read it (JSON), as bytes elsewhere.
impl Serialize for RelPath {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if to.is_human_readable() {
            match self.to_str() {
                Some(text) => to.serialize_str(text),
                None => to.serialize_str(&self.to_string()),
            }
        } else {
            to.serialize_bytes(&self.0)
        }
    }
}

impl<'de> Deserialize<'de> for RelPath {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let bytes = if from.is_human_readable() {
            String::deserialize(from)?.into_bytes()
        } else {
            Vec::<u8>::deserialize(from)?
        };
        Self::new(bytes).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_outermost_first_and_never_empty() {
        let path = RelPath::new("a/b//c").unwrap();
        let folders: Vec<&[u8]> = path.folders().collect();
        assert_eq!(folders, [&b"a"[..], b"a/b", b"a/b/"]);
        assert_eq!(path.file_name(), b"c");
        assert_eq!(RelPath::new("/x").unwrap().folders().count(), 0);
    }

    #[test]
    fn display_escapes_what_harms_a_terminal() {
        let path = RelPath::new(b"a\x1b[2J\xff".to_vec()).unwrap();
        assert_eq!(path.to_string(), "a\\u{1b}[2J\\xff");
    }

    #[test]
    fn bytes_survive_the_spool_format() {
        let path = RelPath::new(b"a\xff/b".to_vec()).unwrap();
        let stored = postcard::to_stdvec(&path).unwrap();
        assert_eq!(postcard::from_bytes::<RelPath>(&stored).unwrap(), path);
    }
}
