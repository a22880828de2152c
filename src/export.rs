//! One run: brings an export path to one commit, safe at every instruction.

mod config;
mod report;

pub use config::{ExportConfig, Guards, LeasePolicy, MaxDelete, OddKeys, StatusRecords};
pub use report::{Counts, Failure, Outcome, Report};
