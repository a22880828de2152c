//! `lakesync.toml`: finding it, and reading it with the line of each key.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::{LayerError, Origin};
use crate::cli::world::World;

/// The name of the file, wherever it is.
const NAME: &str = "lakesync.toml";

/// A key of the file.
pub struct Item {
    /// The key, as it is written.
    pub key: String,
    /// Its value, or those of its array, as they would be typed.
    pub values: Vec<OsString>,
    /// Where it stands.
    pub origin: Origin,
}

/// Finds and reads the file: the one that was named, else the first there is.
pub fn find(named: Option<&Path>, world: &World) -> Result<Option<(PathBuf, String)>, LayerError> {
    let read = |path: &Path| std::fs::read_to_string(world.resolve(path));
    if let Some(path) = named {
        return match read(path) {
            Ok(text) => Ok(Some((path.to_owned(), text))),
            Err(source) => Err(LayerError::Read {
                path: path.to_owned(),
                source,
            }),
        };
    }
    let beside = Some(PathBuf::from(NAME));
    let of_user = world.config_folder().map(|folder| folder.join("lakesync").join(NAME));
    for path in beside.into_iter().chain(of_user) {
        match read(&path) {
            Ok(text) => return Ok(Some((path, text))),
            Err(error) if is_absent(&error) => {}
            Err(source) => return Err(LayerError::Read { path, source }),
        }
    }
    Ok(None)
}

fn is_absent(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}

/// Reads the keys of the file.
pub fn read(path: &Path, text: &str) -> Result<Vec<Item>, LayerError> {
    let place = |offset: usize| Origin::File {
        path: path.to_owned(),
        line: line_of(text, offset),
    };
    let table = DeTable::parse(text).map_err(|error| LayerError::Toml {
        place: place(error.span().map_or(0, |span| span.start)),
        problem: error.message().lines().collect::<Vec<_>>().join(" "),
    })?;
    let mut items = Vec::new();
    for (key, value) in table.get_ref() {
        let origin = place(key.span().start);
        let key = key.get_ref().to_string();
        let values = words(value.get_ref()).ok_or_else(|| LayerError::Value {
            place: origin.clone(),
            key: key.clone(),
            problem: format!(
                "takes text, a number, true, false or a list of these, and this is of type {}",
                value.get_ref().type_str()
            ),
        })?;
        items.push(Item { key, values, origin });
    }
    Ok(items)
}

/// A value as it would be typed, or each of an array.
fn words(value: &DeValue<'_>) -> Option<Vec<OsString>> {
    match value {
        DeValue::Array(values) => values.iter().map(|value| word(value.get_ref())).collect(),
        value => Some(vec![word(value)?]),
    }
}

fn word(value: &DeValue<'_>) -> Option<OsString> {
    match value {
        DeValue::String(text) => Some(text.as_ref().into()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().into()),
        DeValue::Float(number) => Some(number.as_str().into()),
        DeValue::Boolean(truth) => Some(truth.to_string().into()),
        DeValue::Integer(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    let before = &text.as_bytes()[..offset.min(text.len())];
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}
