//! The one integration binary: linking the AWS SDK once is enough.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "all of this is tests, and what they print is shown with their failures"
)]

mod audit;
mod browse;
#[cfg(feature = "git")]
mod checkout;
mod cli;
#[cfg(feature = "git")]
mod continuous;
mod dense;
mod dir_source;
mod doctor;
mod export;
#[cfg(feature = "git")]
mod git_source;
mod kill;
mod lakefs;
mod lakefs_export;
mod layers;
mod model;
mod outside;
mod probe;
mod process;
#[cfg(feature = "git")]
mod real_export;
mod s3_wire;
mod scale;
mod semantics_doc;
#[cfg(all(feature = "git", feature = "serve"))]
mod serve;
mod servers;
#[cfg(all(feature = "git", feature = "serve"))]
mod soak;
mod status_doc;
mod weather;
mod wire;
