//! The flags, each defined once; commands flatten the groups that they need.
//!
//! What stands here is what was typed. `job.rs` says what it means.

mod choices;
mod continuous;
mod lakefs;
mod store;

pub use choices::{Addressing, ChecksumChoice, LeaseChoice, LfsChoice, ListingChoice, OddKeysChoice, Preserve};
pub use choices::{RecordsChoice, SkipOrError, SymlinkChoice, TransferChoice, VerifyLevel};
pub use continuous::{ContinuousArgs, HookArgs, IntervalArgs};
pub use lakefs::{LakeFsArgs, SourceBytesArgs};
pub use store::{ObjectArgs, StoreArgs};

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::human;
use crate::export::MaxDelete;
use crate::model::S3Url;

/// What every command takes.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Common options")]
pub struct CommonArgs {
    /// Read defaults from FILE instead of looking for one
    ///
    /// Without it, the first of these is read: ./lakesync.toml, $XDG_CONFIG_HOME/lakesync/lakesync.toml,
    /// ~/.config/lakesync/lakesync.toml.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print JSON Lines on stdout instead of text
    #[arg(long, global = true)]
    pub json: bool,
    /// Print nothing but the answer and errors
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// Say more on stderr: each object, then (-vv) what the program does, then (-vvv) every detail
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Print log lines that pass FILTER on stderr, such as `lakesync=debug`
    ///
    /// The words are those of RUST_LOG, which counts where this is not given. Other people's libraries are never
    /// logged below `info`, since they print credentials there.
    #[arg(long, global = true, value_name = "FILTER")]
    pub log: Option<String>,
}

/// Which branch, and what of it.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "What is exported")]
pub struct SelectArgs {
    /// Export branch BRANCH; a tag or any revision name does as well [default: lakeFS's default branch, Git's HEAD]
    #[arg(long, value_name = "BRANCH")]
    pub branch: Option<String>,
    /// Export only files that match GLOB, as in .gitignore (can be repeated)
    #[arg(long, value_name = "GLOB")]
    pub include: Vec<String>,
    /// Leave out files that match GLOB, as in .gitignore (can be repeated)
    #[arg(long, value_name = "GLOB")]
    pub exclude: Vec<String>,
    /// Say what becomes of symbolic links
    #[arg(long, value_enum, value_name = "POLICY", default_value_t)]
    pub symlinks: SymlinkChoice,
    /// Say what becomes of submodules
    #[arg(long, value_enum, value_name = "POLICY", default_value_t)]
    pub submodules: SkipOrError,
    /// Say what becomes of sockets, pipes and devices
    #[arg(long, value_enum, value_name = "POLICY", default_value_t)]
    pub special: SkipOrError,
    /// Say what becomes of Git LFS pointers: export the pointer file as it is, or refuse
    #[arg(long, value_enum, value_name = "POLICY", default_value_t)]
    pub lfs: LfsChoice,
}

/// Where the cache is; losing it costs time, never correctness.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Local cache")]
pub struct CacheArgs {
    /// Keep the cache in DIR [default: $XDG_CACHE_HOME/lakesync or ~/.cache/lakesync]
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// Keep at most SIZE of ledgers in the cache, and of lakeFS, what was used last; 0 keeps none
    #[arg(long, value_name = "SIZE", value_parser = human::parse_size, default_value = "1GiB")]
    pub max_cache_size: u64,
}

/// Where the branch goes.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Where it goes")]
pub struct PlaceArgs {
    /// Put the files under URL, an s3://BUCKET/PREFIX/
    #[arg(long, value_name = "URL")]
    pub export_path: Option<S3Url>,
    #[command(flatten)]
    pub status: StatusPathArgs,
}

/// Where status files are.
#[derive(Args, Clone, Debug)]
pub struct StatusPathArgs {
    /// Keep status files under URL, which may lie in another bucket [default: the export path]
    #[arg(long, value_name = "URL")]
    pub export_status_path: Option<S3Url>,
}

/// The export path that a command looks at.
#[derive(Args, Clone, Debug)]
pub struct TargetArgs {
    /// Look at the export path s3://BUCKET/PREFIX/
    #[arg(value_name = "EXPORT_PATH")]
    pub export_path: Option<S3Url>,
    #[command(flatten)]
    pub status: StatusPathArgs,
}

/// How much goes on at once.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Transfer")]
pub struct RateArgs {
    /// Have at most N requests under way at once
    #[arg(long, value_name = "N", default_value = "64")]
    pub concurrency: NonZeroUsize,
    /// Send at most RATE bytes a second, such as 10MiB [default: as fast as it goes]
    #[arg(long, value_name = "RATE", value_parser = human::parse_bandwidth)]
    pub bandwidth: Option<u64>,
}

/// How fast bytes go out.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Transfer")]
pub struct TransferArgs {
    #[command(flatten)]
    pub rate: RateArgs,
    /// Send files bigger than SIZE in parts of at least SIZE
    #[arg(long, value_name = "SIZE", value_parser = human::parse_part_size, default_value = "8MiB")]
    pub part_size: u64,
}

/// What is refused.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Guards")]
pub struct GuardArgs {
    /// Let an empty tree delete all that was exported
    #[arg(long)]
    pub allow_empty: bool,
    /// Refuse a run that would delete more than LIMIT: a count (100) or a share (5%) [default: no limit]
    #[arg(long, value_name = "LIMIT", value_parser = human::parse_max_delete)]
    pub max_delete: Option<MaxDelete>,
    /// Take equal objects under a full export path as our own, without an upload
    #[arg(long)]
    pub adopt: bool,
    /// Overwrite objects that somebody else wrote
    #[arg(long)]
    pub overwrite: bool,
    /// Let the status path differ from the last run's
    #[arg(long)]
    pub move_status: bool,
    /// Say whether to go on where the store cannot guard the lease
    #[arg(long, value_enum, value_name = "POLICY", default_value_t)]
    pub lease: LeaseChoice,
    /// Say what becomes of keys that stores may not keep as they are, such as a//b
    #[arg(long, value_enum, value_name = "POLICY", default_value_t)]
    pub odd_keys: OddKeysChoice,
}

/// How exporters stay out of each other's way.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Lease")]
pub struct LeaseArgs {
    /// Hold the lease for TIME unless renewed: so long a dead run on another machine blocks the next
    #[arg(long, value_name = "TIME", value_parser = human::parse_lease_ttl, default_value = "60s")]
    pub lease_ttl: Duration,
    /// Wait up to TIME for somebody else's lease, then exit with 75
    #[arg(long, value_name = "TIME", value_parser = human::parse_duration, default_value = "0")]
    pub lock_wait: Duration,
}

/// What the status files say.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Status files")]
pub struct StatusFileArgs {
    /// Keep the newest N status files
    #[arg(long, value_name = "N", default_value = "20")]
    pub keep_status: NonZeroUsize,
    /// Say which objects a successful status file lists
    #[arg(long, value_enum, value_name = "WHICH", default_value_t)]
    pub status_records: RecordsChoice,
}

/// Everything that says how an export goes, source and branch apart.
#[derive(Args, Clone, Debug)]
pub struct ExportFlags {
    #[command(flatten)]
    pub place: PlaceArgs,
    /// Print what would be done, and do nothing; needs no right to write
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub select: SelectArgs,
    #[command(flatten)]
    pub object: ObjectArgs,
    #[command(flatten)]
    pub transfer: TransferArgs,
    #[command(flatten)]
    pub guard: GuardArgs,
    #[command(flatten)]
    pub lease: LeaseArgs,
    #[command(flatten)]
    pub status_file: StatusFileArgs,
    #[command(flatten)]
    pub hook: HookArgs,
    #[command(flatten)]
    pub lakefs: LakeFsArgs,
    #[command(flatten)]
    pub source_bytes: SourceBytesArgs,
    #[command(flatten)]
    pub store: StoreArgs,
    #[command(flatten)]
    pub cache: CacheArgs,
}
