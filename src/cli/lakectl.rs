//! What lakectl's file and variables say, for people who have them already.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use saphyr::{MarkedYaml, YamlData, YamlLoader};
use saphyr_parser::{Parser, ScalarStyle};

use super::layers::Origin;
use super::world::World;

/// The file in the user's own folder.
const NAME: &str = ".lakectl.yaml";

/// What we read of it. What else stands there is lakectl's alone.
pub const ENDPOINT_URL: &str = "server.endpoint_url";
pub const ACCESS_KEY_ID: &str = "credentials.access_key_id";
pub const SECRET_ACCESS_KEY: &str = "credentials.secret_access_key";
pub const PROVIDER: &str = "credentials.provider.type";
pub const RETRIES_ENABLED: &str = "server.retries.enabled";
pub const MAX_ATTEMPTS: &str = "server.retries.max_attempts";
pub const MIN_WAIT: &str = "server.retries.min_wait_interval";
pub const MAX_WAIT: &str = "server.retries.max_wait_interval";

const KEYS: [&str; 8] = [
    ENDPOINT_URL,
    ACCESS_KEY_ID,
    SECRET_ACCESS_KEY,
    PROVIDER,
    RETRIES_ENABLED,
    MAX_ATTEMPTS,
    MIN_WAIT,
    MAX_WAIT,
];

/// A value, and who said it. No `Debug`: it can be a secret.
#[derive(Clone)]
pub struct Told {
    /// The value.
    pub value: String,
    /// Who said it.
    pub origin: Origin,
}

/// What lakectl would use.
#[derive(Clone, Default)]
pub struct Lakectl(BTreeMap<&'static str, Told>);

/// Why lakectl's file cannot be used. No line of it is shown, since it holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum LakectlError {
    /// The file cannot be read.
    #[error("{}: cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no YAML.
    #[error("{place}: not YAML: {problem}; `lakectl config` writes it anew")]
    Yaml {
        /// Where.
        place: Origin,
        /// What the parser says.
        problem: String,
    },
}

impl Lakectl {
    /// Reads the file, if there is one, and what variables say instead of it.
    pub fn read(world: &World) -> Result<Self, LakectlError> {
        let named = world.variable("LAKECTL_CONFIG_FILE").map(PathBuf::from);
        let path = named.clone().or_else(|| world.home().map(|home| home.join(NAME)));
        let mut values = Self::default();
        if let Some(path) = path {
            match std::fs::read_to_string(world.resolve(&path)) {
                Ok(text) => values.take_file(&path, &text)?,
                Err(error) if named.is_none() && is_absent(&error) => {}
                Err(source) => return Err(LakectlError::Read { path, source }),
            }
        }
        for key in KEYS {
            let name = variable_of(key);
            // As for lakectl, an empty variable is none.
            if let Some(value) = world.variable(&name) {
                let value = value.to_string_lossy().into_owned();
                values.0.insert(
                    key,
                    Told {
                        value,
                        origin: Origin::Variable { name },
                    },
                );
            }
        }
        Ok(values)
    }

    /// What is said of a key.
    pub fn get(&self, key: &str) -> Option<&Told> {
        self.0.get(key).filter(|told| !told.value.is_empty())
    }

    fn take_file(&mut self, path: &Path, text: &str) -> Result<(), LakectlError> {
        let place = |line: usize| Origin::File {
            path: path.to_owned(),
            line,
        };
        let mut loader = YamlLoader::<MarkedYaml<'_>>::default();
        // As it was written: a key of digits alone is no number.
        loader.early_parse(false);
        let parsed = Parser::new_from_str(text).load(&mut loader, false);
        let error = parsed.err().or_else(|| loader.error().cloned());
        if let Some(error) = error {
            return Err(LakectlError::Yaml {
                place: place(error.marker().line()),
                problem: error.info().to_owned(),
            });
        }
        for document in loader.into_documents() {
            self.take_node("", &document, &place);
        }
        Ok(())
    }

    fn take_node(&mut self, prefix: &str, node: &MarkedYaml<'_>, place: &dyn Fn(usize) -> Origin) {
        match &node.data {
            YamlData::Mapping(mapping) => {
                for (key, value) in mapping {
                    let YamlData::Representation(key, _, _) = &key.data else {
                        continue;
                    };
                    let dot = if prefix.is_empty() { "" } else { "." };
                    // lakectl does not mind the case of keys.
                    let key = format!("{prefix}{dot}{}", key.to_lowercase());
                    self.take_node(&key, value, place);
                }
            }
            YamlData::Representation(value, style, _) if !is_null(value, *style) => {
                if let Some(key) = KEYS.into_iter().find(|key| *key == prefix) {
                    let origin = place(node.span.start.line());
                    let value = value.clone().into_owned();
                    self.0.insert(key, Told { value, origin });
                }
            }
            _ => {}
        }
    }
}

/// What YAML calls no value: where somebody leaves a key empty, some tools write it so.
fn is_null(value: &str, style: ScalarStyle) -> bool {
    style == ScalarStyle::Plain && matches!(value, "" | "~" | "null" | "Null" | "NULL")
}

fn is_absent(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}

/// `server.endpoint_url` is `LAKECTL_SERVER_ENDPOINT_URL`.
fn variable_of(key: &str) -> String {
    format!("LAKECTL_{}", key.replace('.', "_").to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(file: Option<&str>, environment: &[(&str, &str)]) -> Result<Lakectl, String> {
        let folder = tempfile::tempdir().unwrap();
        if let Some(text) = file {
            std::fs::write(folder.path().join(NAME), text).unwrap();
        }
        Lakectl::read(&World::sealed(folder.path(), environment)).map_err(|error| error.to_string())
    }

    const FILE: &str = "credentials:\n  access_key_id: AKIA1\n  secret_access_key: \"00123\"\n\
                        server:\n  endpoint_url: http://127.0.0.1:8000/api/v1\n  retries:\n    max_attempts: 9\n\
                        metastore:\n  glue:\n    catalog_id: \"\"\nexperimental: [1, {a: b}]\n";

    #[test]
    fn the_file_is_read_as_lakectl_writes_it_with_the_line_of_each_value() {
        let told = told(Some(FILE), &[]).unwrap();
        let shown = |key| {
            let told = told.get(key).unwrap();
            let Origin::File { line, .. } = &told.origin else {
                panic!("{}", told.origin)
            };
            (told.value.clone(), *line)
        };
        assert_eq!(shown(ACCESS_KEY_ID), ("AKIA1".to_owned(), 2));
        assert_eq!(shown(SECRET_ACCESS_KEY), ("00123".to_owned(), 3));
        assert_eq!(shown(ENDPOINT_URL), ("http://127.0.0.1:8000/api/v1".to_owned(), 5));
        assert_eq!(shown(MAX_ATTEMPTS), ("9".to_owned(), 7));
        assert!(told.get(PROVIDER).is_none());
    }

    #[test]
    fn digits_are_no_number_and_keys_have_no_case() {
        let told = told(Some("Credentials:\n  Access_Key_ID: 0123\n"), &[]).unwrap();
        assert_eq!(told.get(ACCESS_KEY_ID).unwrap().value, "0123");
    }

    #[test]
    fn a_key_without_a_value_says_nothing() {
        for nothing in ["", "~", "null", "NULL"] {
            let file = format!("credentials:\n  access_key_id: {nothing}\n  secret_access_key: \"null\"\n");
            let told = told(Some(&file), &[]).unwrap();
            assert!(told.get(ACCESS_KEY_ID).is_none(), "{nothing}");
            assert_eq!(told.get(SECRET_ACCESS_KEY).unwrap().value, "null");
        }
    }

    #[test]
    fn an_alias_stands_for_what_it_names() {
        let file = "keys: &keys\n  access_key_id: AKIA1\n  secret_access_key: s\ncredentials: *keys\n";
        let told = told(Some(file), &[]).unwrap();
        assert_eq!(told.get(ACCESS_KEY_ID).unwrap().value, "AKIA1");
    }

    #[test]
    fn a_variable_counts_more_than_the_file_unless_it_is_empty() {
        let environment = [
            ("LAKECTL_SERVER_ENDPOINT_URL", "http://other"),
            ("LAKECTL_CREDENTIALS_ACCESS_KEY_ID", ""),
        ];
        let told = told(Some(FILE), &environment).unwrap();
        let endpoint = told.get(ENDPOINT_URL).unwrap();
        assert_eq!(endpoint.value, "http://other");
        assert_eq!(endpoint.origin.to_string(), "LAKECTL_SERVER_ENDPOINT_URL");
        assert_eq!(told.get(ACCESS_KEY_ID).unwrap().value, "AKIA1");
    }

    #[test]
    fn a_file_that_is_no_yaml_is_named_with_its_line_and_not_shown() {
        let error = told(Some("server:\n  a: b\n c: [hunter2\n"), &[]).err().unwrap();
        assert!(
            error.contains(".lakectl.yaml:") && error.contains("not YAML"),
            "{error}"
        );
        assert!(!error.contains("hunter2"), "{error}");
        assert!(told(None, &[]).unwrap().get(ENDPOINT_URL).is_none());
        assert!(told(Some(""), &[]).unwrap().get(ENDPOINT_URL).is_none());
        let missing = told(None, &[("LAKECTL_CONFIG_FILE", "gone.yaml")]).err().unwrap();
        assert!(missing.starts_with("gone.yaml: cannot be read"), "{missing}");
    }
}
