//! The definition of an export that a server holds, as a layer: the keys of `lakesync.toml` that say how an export goes.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use clap::{Arg, Command};

use super::{LayerError, Layers, Origin, definition_arguments, file, id_of_key, key_of_id, near};

/// The key that says whether an export is to run.
const ENABLED: &str = "enabled";

/// What a server's own layers do not say for its exports: which one it is.
const NOT_INHERITED: [&str; 4] = ["source", "branch", "export_path", "export_status_path"];

impl Layers {
    /// Reads the file of an export; says whether it is enabled, which it is unless it says otherwise.
    pub fn of_definition(command: &Command, path: &Path, text: &str) -> Result<(bool, Self), LayerError> {
        let known = definition_arguments(command);
        let (mut layers, mut enabled) = (Self::default(), true);
        for item in file::read(path, text)? {
            if item.key == ENABLED {
                enabled = match item.values.as_slice() {
                    [word] if word == "true" => true,
                    [word] if word == "false" => false,
                    _ => {
                        return Err(LayerError::Value {
                            place: item.origin,
                            key: item.key,
                            problem: "is neither true nor false".to_owned(),
                        });
                    }
                };
                continue;
            }
            layers.take(&known, &item.key, item.values, item.origin)?;
        }
        Ok((enabled, layers))
    }

    /// Reads options that came with a request.
    pub fn of_request<'a>(
        command: &Command,
        options: impl Iterator<Item = (&'a str, Vec<OsString>)>,
    ) -> Result<Self, LayerError> {
        let known = definition_arguments(command);
        let mut layers = Self::default();
        for (key, words) in options {
            layers.take(&known, key, words, Origin::Request)?;
        }
        Ok(layers)
    }

    fn take(
        &mut self,
        known: &BTreeMap<String, Arg>,
        key: &str,
        words: Vec<OsString>,
        origin: Origin,
    ) -> Result<(), LayerError> {
        let id = id_of_key(key);
        let Some((id, arg)) = id.and_then(|id| known.get(&id).map(|arg| (id, arg))) else {
            let names = known.keys();
            return Err(LayerError::UnknownKey {
                near: near(&key.replace('-', "_"), names).into_iter().map(key_of_id).collect(),
                place: origin,
                key: key.to_owned(),
            });
        };
        self.put(id, arg, words, origin)
    }

    /// These values over those of a server's own layers.
    pub fn over(&self, base: &Self) -> Self {
        let mut values = base.values.clone();
        values.retain(|id, _| !NOT_INHERITED.contains(&id.as_str()));
        values.extend(self.values.clone());
        Self { values }
    }

    /// All values as they would be typed, by their keys, but those that go without saying.
    pub fn words(&self, command: &Command) -> Vec<(String, Vec<String>)> {
        let known = definition_arguments(command);
        let is_said = |id: &String, words: &[OsString]| {
            let usual = known.get(id).map(|arg| arg.get_default_values()).unwrap_or_default();
            let is_usual =
                usual.len() == words.len() && usual.iter().zip(words).all(|(usual, word)| usual.as_os_str() == word);
            // A switch that is off is as good as none.
            let is_off = usual.is_empty() && words == ["false"] && known.get(id).is_some_and(is_switch);
            !is_usual && !is_off
        };
        let said = self.values.iter().filter(|(id, layered)| is_said(id, &layered.values));
        let text = |word: &OsString| word.to_string_lossy().into_owned();
        said.map(|(id, layered)| (key_of_id(id), layered.values.iter().map(text).collect()))
            .collect()
    }
}

fn is_switch(arg: &Arg) -> bool {
    matches!(arg.get_action(), clap::ArgAction::SetTrue)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::Cli;

    /// Each key with its values.
    type Words = Vec<(String, Vec<String>)>;

    fn read(text: &str) -> Result<(bool, Words), String> {
        let command = Cli::plain_command();
        let read = Layers::of_definition(&command, Path::new("x.toml"), text);
        let (enabled, layers) = read.map_err(|error| error.to_string())?;
        Ok((enabled, layers.words(&command)))
    }

    #[test]
    fn a_definition_has_the_keys_of_the_file_and_says_only_what_is_not_usual() {
        let text = "source = \"git:/x\"\nexport-path = \"s3://bucket/p/\"\npart-size = \"8MiB\"\nadopt = false\n\
                    overwrite = true\nexclude = [\"*.a\", \"*.b\"]\nconcurrency = 7\n";
        let (enabled, words) = read(text).unwrap();
        assert!(enabled);
        let shown: Vec<String> = words
            .iter()
            .map(|(key, words)| format!("{key}={}", words.join(",")))
            .collect();
        assert_eq!(
            shown,
            [
                "concurrency=7",
                "exclude=*.a,*.b",
                "export-path=s3://bucket/p/",
                "overwrite=true",
                "source=git:/x"
            ]
        );
        assert!(!read("enabled = false").unwrap().0);
    }

    #[test]
    fn a_mistake_is_named_with_its_line() {
        for (text, expected) in [
            (
                "source = \"x\"\nexport-pat = \"s3://b\"\n",
                "x.toml:2: unknown key \"export-pat\"; did you mean export-path",
            ),
            ("\nenabled = 3\n", "x.toml:2: enabled: is neither true nor false"),
            ("part-size = \"x\"\n", "x.toml:1: part-size: "),
            ("continuous = true\n", "x.toml:1: unknown key \"continuous\""),
            ("listen = \"127.0.0.1:1\"\n", "x.toml:1: unknown key \"listen\""),
            ("source = \n", "x.toml:1: not TOML: "),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn a_request_is_read_like_a_file_and_blamed_as_itself() {
        let command = Cli::plain_command();
        let options = [("part-size", vec!["nonsense".into()])];
        let error = Layers::of_request(&command, options.into_iter())
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("request: part-size: "), "{error}");
    }

    #[test]
    fn what_names_the_export_is_not_inherited_from_the_server() {
        let command = Cli::plain_command();
        let text = "source = \"a\"\nexport-path = \"s3://bucket/\"\nregion = \"r\"\nsse = \"AES256\"\n";
        let (_, base) = Layers::of_definition(&command, Path::new("base"), text).unwrap();
        let (_, own) = Layers::of_definition(&command, Path::new("own"), "source = \"z\"\nregion = \"s\"\n").unwrap();
        let shown: Vec<String> = own
            .over(&base)
            .words(&command)
            .iter()
            .map(|(key, words)| format!("{key}={}", words.join(",")))
            .collect();
        assert_eq!(shown, ["region=s", "source=z", "sse=AES256"]);
    }
}
