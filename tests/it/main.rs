//! The one integration binary: linking the AWS SDK once is enough.

#![allow(
    clippy::unwrap_used,
    reason = "all of this is tests; clippy.toml's switch knows only functions that say so"
)]

mod doctor;
mod probe;
mod servers;
mod wire;
