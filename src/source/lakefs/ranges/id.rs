//! The ids of tables: SHA-256 of what they hold.

use std::fmt;
use std::str::FromStr;

/// The two kinds of table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TableKind {
    /// Entries of a tree, sorted by key.
    Range,
    /// The ranges that make up a tree.
    MetaRange,
}

impl TableKind {
    /// The kind as it stands in the API's paths: `range`, `meta_range`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Range => "range",
            Self::MetaRange => "meta_range",
        }
    }

    /// The kind as a table tells it in its property `type`; it is part of what the id is made of.
    pub fn property(self) -> &'static str {
        match self {
            Self::Range => "ranges",
            Self::MetaRange => "metaranges",
        }
    }
}

impl fmt::Display for TableKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// A text that is not 64 lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no id of a lakeFS table: 64 hexadecimal digits in lower case were expected")]
pub struct IdError {
    text: String,
}

macro_rules! table_id {
    ($name:ident, $kind:ident, $what:literal) => {
        #[doc = concat!("The id of a ", $what, ".")]
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 32]);

        impl $name {
            /// Takes the hash that the id is.
            pub const fn from_hash(hash: [u8; 32]) -> Self {
                Self(hash)
            }

            /// Reads 64 hexadecimal digits.
            pub fn from_hex(digits: &[u8]) -> Result<Self, IdError> {
                hash_from_hex(digits).map(Self)
            }

            /// The hash that the id is.
            pub const fn hash(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl From<$name> for TableId {
            fn from(id: $name) -> Self {
                Self::$kind(id)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::from_hex(text.as_bytes())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(&self.0, out)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(out, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}

table_id!(RangeId, Range, "range");
table_id!(MetaRangeId, MetaRange, "metarange");

/// The id of a table of either kind; prints as its 64 digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TableId {
    /// A range.
    Range(RangeId),
    /// A metarange.
    MetaRange(MetaRangeId),
}

impl TableId {
    /// Makes the id of a table of this kind and hash.
    pub fn new(kind: TableKind, hash: [u8; 32]) -> Self {
        match kind {
            TableKind::Range => Self::Range(RangeId(hash)),
            TableKind::MetaRange => Self::MetaRange(MetaRangeId(hash)),
        }
    }

    /// Which kind of table it names.
    pub fn kind(&self) -> TableKind {
        match self {
            Self::Range(_) => TableKind::Range,
            Self::MetaRange(_) => TableKind::MetaRange,
        }
    }

    /// The hash that the id is.
    pub fn hash(&self) -> &[u8; 32] {
        match self {
            Self::Range(id) => id.hash(),
            Self::MetaRange(id) => id.hash(),
        }
    }
}

impl fmt::Display for TableId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(self.hash(), out)
    }
}

fn hash_from_hex(digits: &[u8]) -> Result<[u8; 32], IdError> {
    let mut hash = [0; 32];
    let lower = !digits.iter().any(u8::is_ascii_uppercase);
    if lower && hex::decode_to_slice(digits, &mut hash).is_ok() {
        return Ok(hash);
    }
    Err(IdError {
        text: String::from_utf8_lossy(&digits[..digits.len().min(80)]).into_owned(),
    })
}

fn write_hex(hash: &[u8; 32], out: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut digits = [0; 64];
    hex::encode_to_slice(hash, &mut digits).expect("64 digits hold 32 bytes");
    out.write_str(std::str::from_utf8(&digits).expect("digits are ASCII"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_printed_as_it_was_read_and_nothing_else_is_one() {
        let text = "279934c5fe2591ced2625dcc652e6b0cde60dd2dc8559a44c9c1b99fc510bb1c";
        let id: RangeId = text.parse().unwrap();
        assert_eq!(id.to_string(), text);
        assert_eq!(TableId::from(id).to_string(), text);
        for wrong in [
            "",
            &text[1..],
            &text.to_uppercase(),
            &format!("{text}0"),
            &text.replace('2', "g"),
        ] {
            assert!(wrong.parse::<RangeId>().is_err(), "{wrong}");
        }
    }
}
