//! The commands, as they are typed.

use std::path::PathBuf;

use clap::{Args, CommandFactory as _, Parser, Subcommand};

use super::client;
#[cfg(feature = "serve")]
use super::flags::RateArgs;
use super::flags::{
    CacheArgs, CommonArgs, ContinuousArgs, ExportFlags, IntervalArgs, LakeFsArgs, LeaseArgs, SelectArgs, StoreArgs,
    TargetArgs, TransferArgs, VerifyLevel,
};

// One line for each paragraph: it is broken to the width of the terminal.
const LAYERS_HELP: &str = "\
Example: lakesync export . --export-path s3://bucket/data/ --dry-run

Every option is also an environment variable (--part-size: LAKESYNC_PART_SIZE) and a key of lakesync.toml \
(part-size = \"8MiB\"); so are SOURCE (source) and EXPORT_PATH (export-path). The command line counts more than the \
environment, which counts more than the file. A variable or key that does not exist is an error. Options that can be \
repeated are arrays in the file, and lines in a variable. `lakesync config` shows each value and where it comes from.

Exit codes: 0 done, or nothing to do; 1 failed, or some objects failed; 2 wrong use or configuration; 3 verify found a \
difference; 4 refused by a guard; 75 another exporter holds the lease, try again later; 130 and 143 interrupted.";

/// Publish the head of a lakeFS or Git branch, or a directory, to S3, safely, sending only what changed
#[derive(Parser, Debug)]
#[command(name = "lakesync", version, after_long_help = LAYERS_HELP, max_term_width = 120)]
#[command(after_help = "\
Example: lakesync export . --export-path s3://bucket/data/ --dry-run

`lakesync help COMMAND` says all about a command.")]
pub struct Cli {
    #[command(flatten)]
    pub common: CommonArgs,
    #[command(subcommand)]
    pub command: CommandArgs,
}

impl Cli {
    /// The command line, without what the environment and the file say.
    pub fn plain_command() -> clap::Command {
        Self::command()
    }
}

#[derive(Subcommand, Debug)]
pub enum CommandArgs {
    Export(Box<ExportArgs>),
    Repo(RepoArgs),
    Branch(BranchArgs),
    #[cfg(feature = "serve")]
    Serve(Box<ServeArgs>),
    Status(StatusArgs),
    Wait(Box<WaitArgs>),
    Verify(VerifyArgs),
    Ls(LsArgs),
    Checkout(Box<CheckoutArgs>),
    Doctor(DoctorArgs),
    Ledger(LedgerArgs),
    Config(Box<ConfigArgs>),
    Completions(CompletionsArgs),
    Man(ManArgs),
}

/// Bring an export path to the head of a branch, once or continuously
///
/// Only what differs from the last export is sent. Objects that lakesync did not write are neither changed nor
/// deleted. A run that was killed at any point is mended by the next one.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  lakesync export lakefs://repo/main --export-path s3://bucket/data/
  lakesync export . --export-path s3://bucket/site/
  lakesync export git:/srv/data.git --branch main --export-path s3://bucket/data/ --max-delete 10%
  lakesync export dir:/srv/www --exclude '*.tmp' --export-path s3://bucket/www/ --dry-run
  lakesync export . --export-path s3://bucket/site/ --continuous")]
pub struct ExportArgs {
    #[command(flatten)]
    pub source: SourceArgs,
    #[command(flatten)]
    pub continuous: ContinuousArgs,
    #[command(flatten)]
    pub flags: ExportFlags,
}

/// What is read.
#[derive(Args, Clone, Debug)]
pub struct SourceArgs {
    /// Read SOURCE: lakefs://REPO/REF/PREFIX/, git:PATH or a path that is a Git repository, dir:PATH or any directory
    ///
    /// Of lakeFS, REF is a branch, a tag, a commit id or the beginning of one, each with ~N or ^N; without it --branch
    /// or the default branch counts. With PREFIX/ only that part of the tree is exported, and paths are relative to it.
    /// It is taken as it stands: %20 is not a space. The older lakefs://REPO@REF is understood, too.
    #[arg(value_name = "SOURCE")]
    pub source: Option<std::ffi::OsString>,
}

/// Export a branch of a repository
#[derive(Args, Debug)]
pub struct RepoArgs {
    #[command(subcommand)]
    pub action: RepoAction,
}

/// Export a branch of a repository; another name for `repo`
#[derive(Args, Debug)]
pub struct BranchArgs {
    #[command(subcommand)]
    pub action: RepoAction,
}

#[derive(Subcommand, Debug)]
pub enum RepoAction {
    Export(Box<RepoExportArgs>),
}

/// Bring an export path to the head of a branch of a repository, once, or have a server do it from now on
///
/// --start, --stop, --status and --run-now ask a `lakesync serve`, and return as soon as it has answered. With --start
/// the options of this command become those of the export; paths are as seen from here. Credentials stay here: the
/// server uses its own.
#[derive(Args, Debug)]
pub struct RepoExportArgs {
    /// Read REPO: lakefs://REPO or the bare name of a lakeFS repository, git:PATH, or a path with a slash in it
    ///
    /// Without it the Git repository of the current folder is read, else what LAKECTL_BASE_URI names.
    #[arg(value_name = "REPO")]
    pub repo: Option<std::ffi::OsString>,
    #[command(flatten)]
    pub action: ActionArgs,
    #[command(flatten)]
    pub client: ClientArgs,
    #[command(flatten)]
    pub interval: IntervalArgs,
    #[command(flatten)]
    pub flags: ExportFlags,
}

/// Once, or from now on.
#[derive(Args, Clone, Debug)]
#[group(multiple = false)]
pub struct ActionArgs {
    /// Export once, and end; this is the default
    #[arg(long)]
    pub once: bool,
    /// Have the server export the head, and then each new one
    #[arg(long)]
    pub start: bool,
    /// Have the server end that; objects, ledger and the last status file stay as they are
    #[arg(long)]
    pub stop: bool,
    /// Print what the server says of the export
    #[arg(long)]
    pub status: bool,
    /// Have the server look at source and store now, also where its next try is not yet due
    #[arg(long)]
    pub run_now: bool,
}

impl ActionArgs {
    /// Whether a server is to be asked.
    pub fn asks_server(&self) -> bool {
        self.start || self.stop || self.status || self.run_now
    }
}

/// Which server, and which of its exports.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Server")]
pub struct ClientArgs {
    /// Ask the `lakesync serve` at URL
    #[arg(long, value_name = "URL", value_parser = client::parse_server, default_value = "http://127.0.0.1:8571")]
    pub server: String,
    #[command(flatten)]
    pub token: TokenArgs,
    /// Call the export NAME on the server [default: the repository's name and the branch's]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
}

/// What is shown, or asked for, as a sign of who is who.
#[derive(Args, Clone, Debug)]
pub struct TokenArgs {
    /// Show, or ask for, the token in FILE; a server takes each of its lines, a client shows the first
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

/// Hold continuous exports: with a web page, an API, webhooks and metrics
///
/// Which exports there are is said by the files of a folder, one for each: NAME.toml with the options of
/// `lakesync export` as keys, and `enabled = true` or `false`. Files may be written by hand; changes are picked up
/// within a second or two, and a broken file is reported while the others go on. `lakesync repo export REPO --start`
/// writes such a file through the API.
#[cfg(feature = "serve")]
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  lakesync serve
  lakesync serve --listen 0.0.0.0:8571 --token-file /etc/lakesync/token
  lakesync repo export lakefs://repo --branch main --start --export-path s3://bucket/data/")]
pub struct ServeArgs {
    /// Listen on ADDRESS; one that other machines can reach needs --token-file
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8571")]
    pub listen: std::net::SocketAddr,
    /// Keep the exports' files in DIR [default: $XDG_STATE_HOME/lakesync/exports or ~/.local/state/lakesync/exports]
    #[arg(long, value_name = "DIR")]
    pub registry: Option<PathBuf>,
    #[command(flatten)]
    pub token: TokenArgs,
    /// Let everybody in who can reach the address; for where something in front asks who they are
    #[arg(long, conflicts_with = "token_file")]
    pub insecure_no_auth: bool,
    /// Take webhooks that know a line of FILE [default: take none]
    #[arg(long, value_name = "FILE")]
    pub webhook_secret_file: Option<PathBuf>,
    /// Answer to the host name NAME, too, besides addresses and localhost (can be repeated)
    #[arg(long, value_name = "NAME")]
    pub allow_host: Vec<String>,
    #[command(flatten)]
    pub rate: RateArgs,
}

/// Print what the newest status file under an export path says
#[derive(Args, Debug)]
pub struct StatusArgs {
    #[command(flatten)]
    pub target: TargetArgs,
    /// Print it again each time it changes, until stopped
    #[arg(long)]
    pub watch: bool,
    #[command(flatten)]
    pub store: StoreArgs,
}

/// Wait until a commit is out: it, or one after it, whole under the export path
///
/// Exits with 1 where that does not happen in time. Prints the commit that is out.
#[derive(Args, Debug)]
#[command(after_help = "\
Example: git push && lakesync wait s3://bucket/data/ --commit $(git rev-parse HEAD) && spark-submit job.py")]
pub struct WaitArgs {
    #[command(flatten)]
    pub target: TargetArgs,
    /// Wait for commit ID, or its beginning, or for `head`: what the exported branch is at now
    #[arg(long, value_name = "ID|head", default_value = "head")]
    pub commit: String,
    /// Give up after TIME
    #[arg(long, value_name = "TIME", value_parser = super::human::parse_duration, default_value = "10m")]
    pub timeout: std::time::Duration,
    #[command(flatten)]
    pub lakefs: LakeFsArgs,
    #[command(flatten)]
    pub store: StoreArgs,
}

/// Check the bucket against the newest status file; writes nothing
///
/// Exits with 3 where an object is missing or differs.
#[derive(Args, Debug)]
pub struct VerifyArgs {
    #[command(flatten)]
    pub target: TargetArgs,
    /// Say how closely to look
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t)]
    pub level: VerifyLevel,
    #[command(flatten)]
    pub transfer: TransferArgs,
    #[command(flatten)]
    pub store: StoreArgs,
}

/// List the files of a source's newest commit: size, content id, path
#[derive(Args, Debug)]
pub struct LsArgs {
    #[command(flatten)]
    pub source: SourceArgs,
    #[command(flatten)]
    pub select: SelectArgs,
    #[command(flatten)]
    pub lakefs: LakeFsArgs,
    #[command(flatten)]
    pub cache: CacheArgs,
}

/// Make a folder hold the head of a branch, once or continuously
///
/// Only files that differ are written, each beside its place and renamed. A file that was changed in the folder is not
/// overwritten, and nothing is written then, unless --force is given. An interrupted checkout is gone on with by the
/// next one. For a lakeFS branch the folder is one that `lakectl local` understands.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  lakesync checkout lakefs://repo/main/tables/ tables
  lakesync checkout git:/srv/data.git --branch main /srv/www --follow")]
pub struct CheckoutArgs {
    /// Read SOURCE, as for `lakesync export`
    #[arg(value_name = "SOURCE")]
    pub source: std::ffi::OsString,
    /// Fill the folder DIR; it is made where it is missing
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// Go on: check out each new head as it comes, until stopped
    #[arg(long)]
    pub follow: bool,
    /// Overwrite and remove files that were changed in the folder, or are in the way
    #[arg(long)]
    pub force: bool,
    /// Remove files that no checkout wrote, too
    #[arg(long)]
    pub delete: bool,
    /// Write N files at once
    #[arg(long, value_name = "N", default_value = "32")]
    pub jobs: usize,
    #[command(flatten)]
    pub interval: IntervalArgs,
    #[command(flatten)]
    pub select: SelectArgs,
    #[command(flatten)]
    pub lakefs: LakeFsArgs,
    #[command(flatten)]
    pub cache: CacheArgs,
}

/// Find out what a store can and cannot do; leaves nothing behind
#[derive(Args, Debug)]
pub struct DoctorArgs {
    #[command(flatten)]
    pub target: TargetArgs,
    #[command(flatten)]
    pub store: StoreArgs,
}

/// Look at, or mend, what lakesync knows of an export path
#[derive(Args, Debug)]
pub struct LedgerArgs {
    #[command(subcommand)]
    pub action: LedgerAction,
}

#[derive(Subcommand, Debug)]
pub enum LedgerAction {
    Dump(Box<LedgerDumpArgs>),
    Rebuild(Box<LedgerRebuildArgs>),
}

/// Print the root, then every record, as JSON Lines
#[derive(Args, Debug)]
pub struct LedgerDumpArgs {
    #[command(flatten)]
    pub target: TargetArgs,
    #[command(flatten)]
    pub store: StoreArgs,
    #[command(flatten)]
    pub cache: CacheArgs,
}

/// Make the ledger anew from a listing, HEAD requests and the last full status file
#[derive(Args, Debug)]
pub struct LedgerRebuildArgs {
    #[command(flatten)]
    pub target: TargetArgs,
    #[command(flatten)]
    pub lease: LeaseArgs,
    #[command(flatten)]
    pub store: StoreArgs,
    #[command(flatten)]
    pub cache: CacheArgs,
}

/// Print each value that an export would use, and where it comes from
///
/// Takes the options of `export`, to show what they change.
#[derive(Args, Debug)]
pub struct ConfigArgs {
    #[command(flatten)]
    pub source: SourceArgs,
    #[command(flatten)]
    pub continuous: ContinuousArgs,
    #[command(flatten)]
    pub flags: ExportFlags,
}

/// Print a completion script for a shell
#[derive(Args, Debug)]
#[command(after_help = "Example: lakesync completions bash > ~/.local/share/bash-completion/completions/lakesync")]
pub struct CompletionsArgs {
    /// Write it for SHELL
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: clap_complete::Shell,
}

/// Print manual pages
#[derive(Args, Debug)]
#[command(after_help = "Example: lakesync man export | man -l -")]
pub struct ManArgs {
    /// Print the page of COMMAND, such as `export` or `ledger-dump` [default: that of lakesync]
    #[arg(value_name = "COMMAND")]
    pub page: Option<String>,
    /// Write all pages as files into DIR instead
    #[arg(long, value_name = "DIR", conflicts_with = "page")]
    pub dir: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::plain_command().debug_assert();
    }

    #[test]
    fn the_units_of_systemd_start_us_with_words_that_we_take() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/systemd");
        let mut found = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            for words in text.lines().filter_map(|line| line.strip_prefix("ExecStart=")) {
                let words = words.replace("%i", "name");
                let read = Cli::plain_command().try_get_matches_from(words.split_whitespace());
                assert!(read.is_ok(), "{}: {}", path.display(), read.unwrap_err());
                found += 1;
            }
        }
        assert_eq!(found, 3);
    }

    /// One key of lakesync.toml must not mean two things.
    #[test]
    fn a_flag_of_one_name_is_the_same_flag_in_every_command() {
        fn walk(command: &clap::Command, seen: &mut std::collections::BTreeMap<String, String>) {
            for arg in command.get_arguments().filter(|arg| !arg.is_positional()) {
                let about = format!(
                    "{:?} {:?} {:?} {:?}",
                    arg.get_action(),
                    arg.get_help().map(ToString::to_string),
                    arg.get_default_values(),
                    arg.get_long()
                );
                let first = seen.entry(arg.get_id().to_string()).or_insert_with(|| about.clone());
                assert_eq!(first, &about, "{} in {}", arg.get_id(), command.get_name());
            }
            for sub in command.get_subcommands() {
                walk(sub, seen);
            }
        }
        walk(&Cli::plain_command(), &mut std::collections::BTreeMap::new());
    }

    #[test]
    fn a_first_line_of_help_is_imperative_and_has_no_full_stop() {
        fn walk(command: &clap::Command) {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            assert!(
                !about.is_empty() && !about.ends_with('.'),
                "{}: {about:?}",
                command.get_name()
            );
            for arg in command.get_arguments() {
                let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
                let shaped = help.starts_with(|letter: char| letter.is_ascii_uppercase()) && !help.ends_with('.');
                assert!(shaped, "{} {}: {help:?}", command.get_name(), arg.get_id());
            }
            command.get_subcommands().for_each(walk);
        }
        walk(&Cli::plain_command());
    }
}
