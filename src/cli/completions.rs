//! `lakesync completions`

use super::args::{Cli, CompletionsArgs};
use super::error::CliError;
use super::exit::Exit;
use super::ui::Ui;

/// Prints a completion script.
pub fn cmd_completions(ui: &Ui, args: &CompletionsArgs) -> Result<Exit, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::plain_command(), "lakesync", &mut script);
    ui.answer_text(String::from_utf8_lossy(&script).into_owned())?;
    Ok(Exit::Done)
}
