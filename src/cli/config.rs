//! `lakesync config`

use clap::ArgMatches;
use clap::parser::ValueSource;
use serde::Serialize;

use super::args::Cli;
use super::error::CliError;
use super::exit::Exit;
use super::lakefs;
use super::layers::{Layers, Origin, is_layered, key_of_id};
use super::ui::{EventKind, Ui, mask};
use super::world::World;

/// The data of a `value` event.
#[derive(Serialize)]
struct ValueData<'a> {
    key: &'a str,
    /// As it would be typed; none where there is no value.
    values: &'a [String],
    origin: String,
}

/// Prints each value and where it comes from.
pub fn cmd_config(ui: &Ui, matches: &ArgMatches, layers: &Layers, world: &World) -> Result<Exit, CliError> {
    let command = Cli::plain_command();
    let (Some(own), Some((_, matches))) = (command.find_subcommand("config"), matches.subcommand()) else {
        return Ok(Exit::Done);
    };
    let args = own
        .get_arguments()
        .chain(command.get_arguments().filter(|arg| arg.is_global_set()));
    let mut rows = Vec::new();
    for id in args.filter(|arg| is_layered(arg)).map(|arg| arg.get_id().as_str()) {
        let raw = matches.get_raw(id).into_iter().flatten();
        let values: Vec<String> = raw.map(|value| mask(&value.to_string_lossy()).into_owned()).collect();
        let origin = match matches.value_source(id) {
            Some(ValueSource::CommandLine) => Origin::CommandLine,
            _ => layers.origin(id),
        };
        rows.push((key_of_id(id), values, origin));
    }
    add_lakefs(ui, world, &mut rows);
    rows.sort_by(|left, right| left.0.cmp(&right.0));
    let width = rows.iter().map(|(key, _, _)| key.len()).max().unwrap_or(0);
    for (key, values, origin) in &rows {
        if ui.is_json() {
            ui.event(
                EventKind::Value,
                &ValueData {
                    key,
                    values,
                    origin: origin.to_string(),
                },
            )?;
        } else {
            ui.answer(format!("{key:width$}  {}  ({origin})", shown(values)))?;
        }
    }
    Ok(Exit::Done)
}

/// Adds what lakectl's file and variables say: all of it, but for an endpoint that a flag or a layer of ours says.
fn add_lakefs(ui: &Ui, world: &World, rows: &mut Vec<(String, Vec<String>, Origin)>) {
    let shown = match lakefs::shown(world) {
        Ok(shown) => shown,
        // Who does not use lakeFS must not be kept from seeing the rest.
        Err(error) => return ui.warn(&error.to_string()),
    };
    for (key, value, origin) in shown {
        let values: Vec<String> = value.iter().map(|value| mask(value).into_owned()).collect();
        match rows.iter_mut().find(|(other, _, _)| other == key) {
            Some(row) if row.1.is_empty() => *row = (key.to_owned(), values, origin),
            Some(_) => {}
            None => rows.push((key.to_owned(), values, origin)),
        }
    }
}

/// Values as they stand in the file, so that a line can be copied there.
fn shown(values: &[String]) -> String {
    let quoted = |value: &String| format!("{value:?}");
    match values {
        [] => "-".to_owned(),
        [one] => quoted(one),
        many => format!("[{}]", many.iter().map(quoted).collect::<Vec<_>>().join(", ")),
    }
}
