//! The one integration binary: linking the AWS SDK once is enough.

#[cfg(feature = "git")]
mod git_source;
#![allow(
    clippy::unwrap_used,
    reason = "clippy lets a test panic, but not the functions beside it"
)]

mod layers;
mod semantics_doc;
mod status_doc;
#![allow(
    clippy::unwrap_used,
    reason = "all of this is tests; clippy.toml's switch knows only functions that say so"
)]

mod probe;
mod servers;
mod wire;
