//! lakesync publishes the head of a versioned branch to S3 and keeps it there.
//!
//! The way of the data, and the rooms it goes through, in this order:
//!
//! ```text
//! head ─▶ source ─▶ tree / changes ─┐
//!                                   ├─▶ plan ─▶ transfer ─▶ ledger ─▶ status
//! export path's ledger ─────────────┘
//! watch wakes the same run again and again
//! ```

pub mod model;
pub mod causes;
pub mod progress;
pub mod wake;
pub mod clock;
pub mod switches;
pub mod limits;
pub mod spool;
pub mod disk_cache;
pub mod network;
pub mod files;
pub mod source;
pub mod store;
pub mod ledger;
pub mod plan;
pub mod transfer;
pub mod status;
pub mod export;
pub mod watch;
pub mod checkout;
#[cfg(feature = "serve")]
pub mod serve;
pub mod cli;
