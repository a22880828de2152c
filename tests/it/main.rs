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
