//! The one integration binary: linking the AWS SDK once is enough.

#[cfg(feature = "git")]
mod git_source;
