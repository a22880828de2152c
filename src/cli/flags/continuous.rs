//! When an export runs again, and what runs around it.

use std::time::Duration;

use clap::Args;

use crate::cli::human;

/// When an export runs again.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Continuous export")]
pub struct ContinuousArgs {
    /// Export the head, and then each new one, until stopped
    ///
    /// Commits that come faster than exports are skipped, the last one always arrives. What fails is tried again; a
    /// lease that another holds is waited for; a source that is gone is waited for, too, and never taken for empty.
    /// SIGHUP has the configuration read again.
    #[arg(long)]
    pub continuous: bool,
    #[command(flatten)]
    pub interval: IntervalArgs,
}

/// How often to look.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Continuous export")]
pub struct IntervalArgs {
    /// Look for a new head every TIME where nothing tells of one: on lakeFS, on network file systems, and where the
    /// system has no watches left; there a directory is looked at every ten times TIME
    #[arg(long, value_name = "TIME", value_parser = human::parse_interval, default_value = "1s")]
    pub poll_interval: Duration,
    /// Scan a directory every TIME although nothing seems to have changed in it
    #[arg(long, value_name = "TIME", value_parser = human::parse_interval, default_value = "10m")]
    pub rescan_interval: Duration,
}

/// Commands of the user around a run.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Commands before and after")]
pub struct HookArgs {
    /// Run CMD by `sh -c` before the first write of a run; where it fails, nothing is written
    ///
    /// It finds what is about to happen in its environment: LAKESYNC_SOURCE, LAKESYNC_COMMIT,
    /// LAKESYNC_PREVIOUS_COMMIT, LAKESYNC_EXPORT_PATH, LAKESYNC_EXPORT_STATUS_PATH, LAKESYNC_RUN, and in LAKESYNC_PUT,
    /// LAKESYNC_PUT_BYTES, LAKESYNC_COPIED, LAKESYNC_DELETED and LAKESYNC_KEPT how much. A run that finds nothing to
    /// do runs no command.
    #[arg(long, value_name = "CMD")]
    pub before_export: Option<String>,
    /// Run CMD by `sh -c` after a run; where it fails, that is told and changes nothing
    ///
    /// It finds the same in its environment, and LAKESYNC_RESULT (success or failure), LAKESYNC_ERROR,
    /// LAKESYNC_STATUS_FILE and LAKESYNC_FAILED.
    #[arg(long, value_name = "CMD")]
    pub after_export: Option<String>,
    /// End such a command, and all that it started, after TIME
    #[arg(long, value_name = "TIME", value_parser = human::parse_interval, default_value = "10m")]
    pub hook_timeout: Duration,
}
