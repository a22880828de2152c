//! Where a value comes from: the command line, the environment, a file, or the program's own default.
//!
//! There is one mechanism: what environment and file say becomes the *default* of the same clap argument, so every
//! layer is read by the same parsers, and clap itself tells a default from what was typed.

#[cfg(feature = "serve")]
mod definition;
mod file;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, Command};

use super::lakefs::{ACCESS_KEY_ID, SECRET_ACCESS_KEY};
use super::world::World;
use crate::export::HOOK_VARIABLES;

/// What every variable of ours begins with.
const VARIABLE_PREFIX: &str = "LAKESYNC_";

/// Arguments that say what to do now; a file or variable that held them would change what a command is.
const NOT_LAYERED: [&str; 14] = [
    "help", "version", "once", "start", "stop", "status", "run_now", "name", "shell", "page", "dir", "commit",
    "timeout", "watch",
];

/// Arguments of `export` that are about one call, not about the export.
const NOT_OF_DEFINITIONS: [&str; 2] = ["continuous", "dry_run"];

/// Variables of ours that are no flags: what stands on a command line or in a file is read by others.
const SECRET_VARIABLES: [&str; 2] = [ACCESS_KEY_ID, SECRET_ACCESS_KEY];

/// Whether a variable is what a hook of ours was told, which only means something to the hook.
fn is_of_hook(name: &str, world: &World) -> bool {
    world.variable("LAKESYNC_HOOK").is_some() && HOOK_VARIABLES.contains(&name)
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The command line.
    CommandLine,
    /// A variable of the environment.
    Variable {
        /// Its name.
        name: String,
    },
    /// A line of a file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// A request to a server.
    #[cfg(feature = "serve")]
    Request,
    /// The program.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommandLine => out.write_str("command line"),
            Self::Variable { name } => out.write_str(name),
            Self::File { path, line } => write!(out, "{}:{line}", path.display()),
            #[cfg(feature = "serve")]
            Self::Request => out.write_str("request"),
            Self::Default => out.write_str("default"),
        }
    }
}

/// Why the layers below the command line cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// The file cannot be read.
    #[error("{}: cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no TOML.
    #[error("{place}: not TOML: {problem}")]
    Toml {
        /// Where.
        place: Origin,
        /// What the parser says.
        problem: String,
    },
    /// No flag has that name.
    #[error("{place}: unknown key {key:?}{}", near_text(near))]
    UnknownKey {
        /// Where.
        place: Origin,
        /// The key.
        key: String,
        /// Keys that look like it.
        near: Vec<String>,
    },
    /// No flag has that name.
    #[error("unknown variable {name}{}", near_text(near))]
    UnknownVariable {
        /// The variable.
        name: String,
        /// Variables that look like it.
        near: Vec<String>,
    },
    /// The flag does not take that value.
    #[error("{place}: {key}: {problem}")]
    Value {
        /// Where.
        place: Origin,
        /// The key.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
}

fn near_text(near: &[String]) -> String {
    if near.is_empty() {
        "; `lakesync config` shows all there are".to_owned()
    } else {
        format!("; did you mean {}?", near.join(" or "))
    }
}

/// A value of a layer below the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Layered {
    values: Vec<OsString>,
    origin: Origin,
}

/// What environment and file say, by the id of the argument.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    values: BTreeMap<String, Layered>,
}

impl Layers {
    /// Reads environment and file, and checks that each value is one that its flag takes.
    pub fn read(command: &Command, config: Option<&Path>, world: &World) -> Result<Self, LayerError> {
        let known = known_arguments(command);
        let mut layers = Self::default();
        let variable = world.variable("LAKESYNC_CONFIG").map(PathBuf::from);
        if let Some((path, text)) = file::find(config.or(variable.as_deref()), world)? {
            for item in file::read(&path, &text)? {
                let id = id_of_key(&item.key);
                let arg = id
                    .as_ref()
                    .and_then(|id| known.get(id))
                    .filter(|arg| arg.get_id() != "config");
                let (Some(id), Some(arg)) = (id, arg) else {
                    return Err(LayerError::UnknownKey {
                        near: near(&item.key.replace('-', "_"), known.keys().filter(|id| *id != "config"))
                            .into_iter()
                            .map(key_of_id)
                            .collect(),
                        place: item.origin,
                        key: item.key,
                    });
                };
                layers.put(id, arg, item.values, item.origin)?;
            }
        }
        for (name, value) in &world.environment {
            let Some(name) = name.to_str().filter(|name| name.starts_with(VARIABLE_PREFIX)) else {
                continue;
            };
            if SECRET_VARIABLES.contains(&name) || is_of_hook(name, world) {
                continue;
            }
            let id = name[VARIABLE_PREFIX.len()..].to_ascii_lowercase();
            let arg = known.get(&id).filter(|_| variable_of_id(&id) == name);
            let Some(arg) = arg else {
                return Err(LayerError::UnknownVariable {
                    name: name.to_owned(),
                    near: near(&id, known.keys()).into_iter().map(variable_of_id).collect(),
                });
            };
            // Compose files and CI forms set what they leave out to nothing.
            if !value.is_empty() {
                let values = lines_of(arg, value);
                layers.put(id, arg, values, Origin::Variable { name: name.to_owned() })?;
            }
        }
        Ok(layers)
    }

    /// Gives each argument of the command, and of those below it, what the layers say as its default.
    pub fn apply(&self, command: Command) -> Command {
        command
            .mut_args(|arg| match self.values.get(arg.get_id().as_str()) {
                Some(layered) => arg.default_values(layered.values.clone()),
                None => arg,
            })
            .mut_subcommands(|sub| self.apply(sub))
    }

    /// Says where a value comes from that was not typed.
    pub fn origin(&self, id: &str) -> Origin {
        self.values
            .get(id)
            .map_or(Origin::Default, |layered| layered.origin.clone())
    }

    fn put(&mut self, id: String, arg: &Arg, values: Vec<OsString>, origin: Origin) -> Result<(), LayerError> {
        let values = check(arg, values).map_err(|problem| LayerError::Value {
            place: origin.clone(),
            key: key_of_id(&id),
            problem,
        })?;
        self.values.insert(id, Layered { values, origin });
        Ok(())
    }
}

/// Whether a file or variable may say what this argument is.
pub fn is_layered(arg: &Arg) -> bool {
    !NOT_LAYERED.contains(&arg.get_id().as_str())
}

/// The key of `lakesync.toml` for an argument: `part_size` is `part-size`.
pub fn key_of_id(id: &str) -> String {
    id.replace('_', "-")
}

fn id_of_key(key: &str) -> Option<String> {
    (!key.contains('_')).then(|| key.replace('-', "_"))
}

fn variable_of_id(id: &str) -> String {
    format!("{VARIABLE_PREFIX}{}", id.to_ascii_uppercase())
}

/// All arguments of all commands, each once; a flag is preferred to the positional of the same meaning.
fn known_arguments(command: &Command) -> BTreeMap<String, Arg> {
    let mut known = BTreeMap::new();
    collect_arguments(command, &mut known);
    known
}

/// The arguments that a definition may say, by their ids.
pub fn definition_arguments(command: &Command) -> BTreeMap<String, Arg> {
    let export = command
        .find_subcommand("export")
        .expect("there is a command of that name");
    let may = |arg: &&Arg| is_layered(arg) && !NOT_OF_DEFINITIONS.contains(&arg.get_id().as_str());
    export
        .get_arguments()
        .filter(may)
        .map(|arg| (arg.get_id().to_string(), arg.clone()))
        .collect()
}

fn collect_arguments(command: &Command, known: &mut BTreeMap<String, Arg>) {
    for arg in command.get_arguments().filter(|arg| is_layered(arg)) {
        let id = arg.get_id().to_string();
        if !arg.is_positional() || !known.contains_key(&id) {
            known.insert(id, arg.clone());
        }
    }
    for sub in command.get_subcommands() {
        collect_arguments(sub, known);
    }
}

/// Splits a variable into the values of a flag that can be repeated: one in each line, since globs and header rules
/// hold every other separator.
fn lines_of(arg: &Arg, value: &OsStr) -> Vec<OsString> {
    match value.to_str() {
        Some(text) if is_list(arg) => text
            .lines()
            .filter(|line| !line.is_empty())
            .map(OsString::from)
            .collect(),
        _ => vec![value.to_owned()],
    }
}

fn is_list(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Append)
}

/// Has the argument's own parser look at the values; gives them as clap wants its defaults, or what is wrong.
fn check(arg: &Arg, values: Vec<OsString>) -> Result<Vec<OsString>, String> {
    if values.len() != 1 && !is_list(arg) {
        return Err("takes one value, not a list".to_owned());
    }
    let shown = |value: &OsStr| value.to_string_lossy().into_owned();
    match arg.get_action() {
        ArgAction::SetTrue => {
            let value = shown(&values[0]);
            let truth = match value.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "1" => "true",
                "false" | "no" | "off" | "0" => "false",
                _ => return Err(format!("{value:?} is neither true nor false")),
            };
            return Ok(vec![truth.into()]);
        }
        ArgAction::Count => {
            let value = shown(&values[0]);
            return match value.parse::<u8>() {
                Ok(_) => Ok(values),
                Err(_) => Err(format!("{value:?} is not a count")),
            };
        }
        _ => {}
    }
    let mut line = Vec::new();
    for value in &values {
        match arg.get_long() {
            Some(long) => {
                let mut word = OsString::from(format!("--{long}="));
                word.push(value);
                line.push(word);
            }
            None => line.extend([OsString::from("--"), value.clone()]),
        }
    }
    let alone = Command::new("check")
        .no_binary_name(true)
        .disable_help_flag(true)
        .arg(arg.clone().global(false));
    match alone.try_get_matches_from(line) {
        Ok(_) => Ok(values),
        Err(error) => Err(first_paragraph(&error.to_string())),
    }
}

/// Makes one line of what clap says in a few, without its advice to ask for help.
fn first_paragraph(text: &str) -> String {
    let text = text.strip_prefix("error: ").unwrap_or(text);
    let lines = text.lines().map(str::trim).take_while(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join(" ")
}

/// The ids that look most like `id`, best first.
fn near<'a>(id: &str, all: impl Iterator<Item = &'a String>) -> Vec<&'a str> {
    let mut scored: Vec<(f64, &str)> = all
        .map(|other| (strsim::jaro_winkler(id, other), other.as_str()))
        // Below this, names only share their start.
        .filter(|(score, _)| *score > 0.85)
        .collect();
    scored.sort_by(|left, right| right.0.total_cmp(&left.0));
    scored.into_iter().take(2).map(|(_, other)| other).collect()
}

#[cfg(test)]
mod tests;
