//! `lakesync man`

use clap::Command;

use super::args::{Cli, ManArgs};
use super::error::CliError;
use super::exit::Exit;
use super::ui::Ui;
use super::world::World;

/// Prints a manual page, or writes all of them.
pub fn cmd_man(ui: &Ui, args: &ManArgs, world: &World) -> Result<Exit, CliError> {
    let command = Cli::plain_command();
    if let Some(folder) = &args.dir {
        let path = world.resolve(folder);
        let written = std::fs::create_dir_all(&path).and_then(|()| clap_mangen::generate_to(command, &path));
        return match written {
            Ok(()) => Ok(Exit::Done),
            Err(source) => Err(CliError::Write {
                path: folder.clone(),
                source,
            }),
        };
    }
    let page = match &args.page {
        None => command,
        Some(name) => find(command, name).ok_or_else(|| CliError::NoSuchPage { name: name.clone() })?,
    };
    let mut text = Vec::new();
    clap_mangen::Man::new(page)
        .render(&mut text)
        .map_err(|source| CliError::Write {
            path: "the page".into(),
            source,
        })?;
    ui.answer_text(String::from_utf8_lossy(&text).into_owned())?;
    Ok(Exit::Done)
}

/// Finds `ledger-dump`, also written `ledger dump`, and gives it the name that its page has.
fn find(mut command: Command, name: &str) -> Option<Command> {
    command.build();
    let mut found = &command;
    for word in name.split(['-', ' ']) {
        found = found.find_subcommand(word)?;
    }
    let full = found.get_display_name().unwrap_or_else(|| found.get_name()).to_owned();
    Some(found.clone().name(full))
}
