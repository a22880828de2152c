//! What a person, or the API, says of one export.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Options that run programs: a file on this machine may say them, a request never.
pub const ONLY_FROM_FILES: [&str; 3] = ["before-export", "after-export", "hook-timeout"];

/// An export as its file says it: which options, and whether it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// Whether it is to run.
    pub enabled: bool,
    /// The long flags of `lakesync export`, and `source`.
    pub options: Options,
}

/// Options by the name of their long flag, each as it would be typed; a flag that can be repeated has many words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options(BTreeMap<String, Vec<String>>);

/// A value as JSON says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum OptionValue {
    /// A switch.
    Truth(bool),
    /// A number.
    Number(i64),
    /// A text.
    Text(String),
    /// Values of a flag that can be repeated.
    List(Vec<String>),
}

/// What is wrong with an export, and the way out; one line each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Complaint {
    /// What is wrong.
    pub message: String,
    /// What helps, where the message does not say it.
    pub cure: Option<String>,
}

impl Complaint {
    /// Says what is wrong, the way out included.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            cure: None,
        }
    }
}

impl Options {
    /// The words of one option.
    pub fn get(&self, key: &str) -> Option<&[String]> {
        self.0.get(key).map(Vec::as_slice)
    }

    /// The one word of an option.
    pub fn word(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(<[String]>::first).map(String::as_str)
    }

    /// Sets an option; one without words is not there.
    pub fn set(&mut self, key: impl Into<String>, words: Vec<String>) {
        let key = key.into();
        if words.is_empty() {
            self.0.remove(&key);
        } else {
            self.0.insert(key, words);
        }
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.0.iter().map(|(key, words)| (key.as_str(), words.as_slice()))
    }

    /// Takes options of which `is_in` says no away.
    pub fn keep(&mut self, is_in: impl Fn(&str) -> bool) {
        self.0.retain(|key, _| is_in(key));
    }

    /// Reads what a request says.
    pub fn of_json(values: BTreeMap<String, OptionValue>) -> Self {
        let mut options = Self::default();
        for (key, value) in values {
            options.set(key, value.words());
        }
        options
    }

    /// As a reply says it.
    pub fn to_json(&self) -> BTreeMap<String, OptionValue> {
        let value = |words: &Vec<String>| match words.as_slice() {
            [one] => OptionValue::Text(one.clone()),
            many => OptionValue::List(many.to_vec()),
        };
        self.0.iter().map(|(key, words)| (key.clone(), value(words))).collect()
    }
}

impl OptionValue {
    fn words(self) -> Vec<String> {
        match self {
            Self::Truth(truth) => vec![truth.to_string()],
            Self::Number(number) => vec![number.to_string()],
            Self::Text(text) => vec![text],
            Self::List(words) => words,
        }
    }
}

impl Definition {
    /// The text of a new file.
    pub fn to_toml(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Definition {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |word: &String| toml::Value::String(word.clone()).to_string();
        writeln!(
            out,
            "# An export that `lakesync serve` holds; may be edited, changes are picked up."
        )?;
        writeln!(out, "enabled = {}", self.enabled)?;
        for (key, words) in &self.options.0 {
            match words.as_slice() {
                [one] if one == "true" || one == "false" => writeln!(out, "{key} = {one}")?,
                [one] => writeln!(out, "{key} = {}", quoted(one))?,
                many => {
                    let many: Vec<String> = many.iter().map(quoted).collect();
                    writeln!(out, "{key} = [{}]", many.join(", "))?;
                }
            }
        }
        Ok(())
    }
}

/// The text of a file with another `enabled`, all else as it stands: comments, order, unknown keys.
///
/// # Errors
/// Gives back what the parser says where the text is no TOML.
pub fn with_enabled(text: &str, enabled: bool) -> Result<String, String> {
    let table = toml::de::DeTable::parse(text).map_err(|error| error.message().to_owned())?;
    let found = table.get_ref().iter().find(|(key, _)| key.get_ref() == "enabled");
    Ok(match found {
        Some((_, value)) => {
            let span = value.span();
            format!("{}{enabled}{}", &text[..span.start], &text[span.end..])
        }
        None => format!("enabled = {enabled}\n{text}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(words: &[(&str, &[&str])]) -> Definition {
        let mut options = Options::default();
        for (key, values) in words {
            options.set(*key, values.iter().map(|word| (*word).to_owned()).collect());
        }
        Definition { enabled: true, options }
    }

    #[test]
    fn a_definition_is_written_as_toml_whatever_stands_in_it() {
        let hostile = "a\"b\\\n\u{1}<script>";
        let written = definition(&[
            ("branch", &[hostile]),
            ("adopt", &["true"]),
            ("exclude", &["*.a", "b'"]),
        ])
        .to_toml();
        let read: toml::Table = written.parse().unwrap();
        assert_eq!(read["branch"].as_str(), Some(hostile));
        assert_eq!(read["adopt"].as_bool(), Some(true));
        assert_eq!(read["exclude"].as_array().unwrap().len(), 2);
        assert_eq!(read["enabled"].as_bool(), Some(true));
    }

    #[test]
    fn switching_changes_one_word_of_a_file_that_somebody_wrote() {
        let text = "# mine\nsource = \"enabled = true\"\nenabled=true # why\n";
        let off = with_enabled(text, false).unwrap();
        assert_eq!(off, "# mine\nsource = \"enabled = true\"\nenabled=false # why\n");
        assert_eq!(
            with_enabled("source = \"x\"\n", false).unwrap(),
            "enabled = false\nsource = \"x\"\n"
        );
        assert!(with_enabled("source = ", false).is_err());
    }

    #[test]
    fn what_json_says_is_what_would_be_typed() {
        let json = r#"{"adopt":true,"concurrency":8,"exclude":["*.a","*.b"],"branch":"main","last":[]}"#;
        let options = Options::of_json(serde_json::from_str(json).unwrap());
        assert_eq!(options.word("adopt"), Some("true"));
        assert_eq!(options.word("concurrency"), Some("8"));
        assert_eq!(options.get("exclude").unwrap().len(), 2);
        assert!(options.get("last").is_none());
    }
}
