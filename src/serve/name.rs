//! What an export is called: in the API, on the page, and as the stem of its file.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// So long may a name be: a file name with its ending has 255 bytes, and a name stands in many lines.
const LONGEST_BYTES: usize = 100;

/// The name of an export: letters, digits, `.`, `_` and `-`, beginning with a letter or digit.
///
/// So it is a file name everywhere, never hidden, never a way out of the folder, and needs no escape in a URL.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ExportName(Box<str>);

/// A text that is no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{given:?} is no name for an export; take up to 100 letters, digits, `.`, `_` and `-`, a letter or digit first"
)]
pub struct ExportNameError {
    given: String,
}

impl ExportName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Makes a name of any text: what may not stand in one becomes `-`.
    pub fn of_text(text: &str) -> Result<Self, ExportNameError> {
        let allowed = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
        let letters = text.chars().map(|letter| if allowed(letter) { letter } else { '-' });
        let name: String = letters.take(LONGEST_BYTES).collect();
        let name = name.trim_start_matches(|first: char| !first.is_ascii_alphanumeric());
        name.parse().map_err(|_| ExportNameError { given: text.to_owned() })
    }
}

impl FromStr for ExportName {
    type Err = ExportNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let letters = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let begins = text.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric());
        if begins && text.len() <= LONGEST_BYTES && text.bytes().all(letters) {
            Ok(Self(text.into()))
        } else {
            Err(ExportNameError { given: text.to_owned() })
        }
    }
}

impl fmt::Display for ExportName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ExportName {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_file_name_that_leads_nowhere_else() {
        for good in ["a", "data-main", "0.x_Y"] {
            assert_eq!(good.parse::<ExportName>().unwrap().to_string(), good);
        }
        let long = "x".repeat(101);
        for bad in [
            "", ".", "..", ".hidden", "-x", "a/b", "../a", "a b", "ä", "<script>", "a\n", &long,
        ] {
            assert!(bad.parse::<ExportName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn any_text_with_a_letter_gives_a_name() {
        assert_eq!(
            ExportName::of_text("lake-feature/ä<b>").unwrap().as_str(),
            "lake-feature---b-"
        );
        assert_eq!(ExportName::of_text("./-x").unwrap().as_str(), "x");
        assert!(ExportName::of_text("/..").is_err());
    }
}
