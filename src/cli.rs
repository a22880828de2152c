//! The command line: what was typed, what it means, and how it is answered.
//!
//! ```text
//! words ─▶ args (clap) ─┐
//! environment, file ────┴▶ layers ─▶ job (sense) ─▶ wire (rooms of the library) ─▶ ui, exit
//! ```
//!
//! Nothing but `main` knows this room, and only this room prints, reads the environment or knows clap.

mod args;
mod checkout;
mod client;
mod completions;
mod config;
mod continuous;
#[cfg(test)]
mod docs;
mod doctor;
mod error;
mod exit;
mod export;
mod flags;
mod human;
mod job;
mod lakectl;
mod lakefs;
mod layers;
mod ledger;
mod logs;
mod ls;
mod man;
mod named;
mod opened;
mod origins;
mod place;
mod progress;
#[cfg(feature = "serve")]
mod serve;
mod service;
mod signals;
mod status;
mod summary;
mod ui;
mod verify;
mod wait;
mod wire;
mod world;

pub use world::World;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgMatches, FromArgMatches as _};

use args::{Cli, CommandArgs, ExportArgs, LedgerAction, RepoAction};
use error::CliError;
use exit::Exit;
use job::ExportJob;
use layers::Layers;
use signals::Signals;
use ui::{Settings, Talk, Ui};

/// A command line that was read, with all its layers.
pub struct Invocation {
    cli: Cli,
    matches: ArgMatches,
    layers: Layers,
    world: World,
    ui: Ui,
}

impl Invocation {
    /// Reads words, environment and file. Help and version end here, before anything can fail.
    ///
    /// # Errors
    /// Gives the exit code of whatever was answered or complained of already.
    pub fn read(world: World) -> Result<Self, ExitCode> {
        let command = Cli::plain_command();
        let mut settings = Settings {
            json: false,
            talk: Talk::default(),
            stderr_moves: world.stderr_moves,
            stderr_colours: world.stderr_colours,
            stdout_colours: world.stdout_colours,
        };
        let typed = match command.clone().try_get_matches_from(&world.words) {
            Ok(typed) => typed,
            Err(error) => return Err(refuse(settings, &error.into())),
        };
        // A mistake in the file is reported in the way that was typed.
        settings = in_the_way_of(&typed, settings);
        let config = typed.get_one::<PathBuf>("config").map(PathBuf::as_path);
        let layers = match typed.subcommand_name() {
            // These answer from the program alone; a broken file must not stand in their way.
            Some("completions" | "man") => Layers::default(),
            _ => Layers::read(&command, config, &world).map_err(|error| refuse(settings, &error.into()))?,
        };
        let read = with_layers(command, &layers, &world);
        let (cli, matches) = read.map_err(|error| refuse(settings, &error.into()))?;
        settings = in_the_way_of(&matches, settings);
        let ui = Ui::start(settings).map_err(|_| no_threads())?;
        Ok(Self {
            cli,
            matches,
            layers,
            world,
            ui,
        })
    }

    /// Does what was asked, and says what came of it.
    pub async fn run(self) -> ExitCode {
        let ui = self.ui.clone();
        let exit = match Box::pin(self.answer()).await {
            Ok(exit) => exit,
            Err(error) => ui.fatal(&error),
        };
        ui.finish();
        exit.into()
    }

    /// Ends where no runtime could be made.
    pub fn give_up(self, error: std::io::Error) -> ExitCode {
        let exit = self.ui.fatal(&CliError::Runtime(error));
        self.ui.finish();
        exit.into()
    }

    async fn answer(self) -> Result<Exit, CliError> {
        let Self {
            cli,
            matches,
            layers,
            world,
            ui,
        } = self;
        logs::start(cli.common.log.as_deref(), &ui, &world)?;
        let signals = Signals::listen(&ui).map_err(CliError::Runtime)?;
        match cli.command {
            CommandArgs::Export(args) if args.continuous.continuous => {
                let again = || export_again(&world);
                Box::pin(continuous::cmd_continuous(&ui, *args, &world, &signals, again)).await
            }
            CommandArgs::Export(args) => {
                let job = ExportJob::of_source(&args.source, &args.flags, &world)?;
                Box::pin(export::cmd_export(&ui, job, &signals)).await
            }
            CommandArgs::Repo(args::RepoArgs { action }) | CommandArgs::Branch(args::BranchArgs { action }) => {
                let RepoAction::Export(args) = action;
                if args.action.asks_server() {
                    let own = innermost(&matches);
                    return client::cmd_client(&ui, &args, own, &layers, &world, &signals).await;
                }
                let job = ExportJob::of_repository(args.repo.as_deref(), &args.flags, &world)?;
                Box::pin(export::cmd_export(&ui, job, &signals)).await
            }
            #[cfg(feature = "serve")]
            CommandArgs::Serve(args) => Box::pin(serve::cmd_serve(&ui, &args, layers, &world, &signals)).await,
            CommandArgs::Status(args) => status::cmd_status(&ui, &args, &world, &signals).await,
            CommandArgs::Wait(args) => wait::cmd_wait(&ui, &args, &world, &signals).await,
            CommandArgs::Verify(args) => verify::cmd_verify(&ui, &args, &world, &signals).await,
            CommandArgs::Doctor(args) => doctor::cmd_doctor(&ui, &args, &world, &signals).await,
            CommandArgs::Ls(args) => ls::cmd_ls(&ui, &args, &world, &signals).await,
            CommandArgs::Checkout(args) => Box::pin(checkout::cmd_checkout(&ui, &args, &world, &signals)).await,
            CommandArgs::Ledger(args) => match args.action {
                LedgerAction::Dump(args) => ledger::cmd_ledger_dump(&ui, &args, &world, &signals).await,
                LedgerAction::Rebuild(args) => ledger::cmd_ledger_rebuild(&ui, &args, &world, &signals).await,
            },
            CommandArgs::Config(_) => config::cmd_config(&ui, &matches, &layers, &world),
            CommandArgs::Completions(args) => completions::cmd_completions(&ui, &args),
            CommandArgs::Man(args) => man::cmd_man(&ui, &args, &world),
        }
    }
}

/// Reads the words on top of the layers below them.
fn with_layers(command: clap::Command, layers: &Layers, world: &World) -> Result<(Cli, ArgMatches), clap::Error> {
    let matches = layers.apply(command).try_get_matches_from(&world.words)?;
    Ok((Cli::from_arg_matches(&matches)?, matches))
}

/// Reads words, environment and file of an export once more; the file may say something else by now.
fn export_again(world: &World) -> Result<ExportArgs, CliError> {
    let command = Cli::plain_command();
    let typed = command.clone().try_get_matches_from(&world.words)?;
    let config = typed.get_one::<PathBuf>("config").map(PathBuf::as_path);
    let layers = Layers::read(&command, config, world)?;
    match with_layers(command, &layers, world)?.0.command {
        CommandArgs::Export(args) => Ok(*args),
        _ => unreachable!("the words are those of an export"),
    }
}

/// What was typed for the command itself, below all those that lead to it.
fn innermost(matches: &ArgMatches) -> &ArgMatches {
    matches.subcommand().map_or(matches, |(_, below)| innermost(below))
}

/// How answers and talk were asked for.
fn in_the_way_of(matches: &ArgMatches, settings: Settings) -> Settings {
    let talk = Talk {
        quiet: matches.get_flag("quiet"),
        verbose: matches.get_count("verbose"),
    };
    Settings {
        json: matches.get_flag("json"),
        talk,
        ..settings
    }
}

/// Says what is wrong before there is anything to run.
fn refuse(settings: Settings, error: &CliError) -> ExitCode {
    let Ok(ui) = Ui::start(settings) else {
        return no_threads();
    };
    let exit = ui.fatal(error);
    ui.finish();
    exit.into()
}

/// Without a thread there is nobody to print; the code is all that can be said.
fn no_threads() -> ExitCode {
    Exit::Failed.into()
}
