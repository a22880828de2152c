//! The one integration binary: linking the AWS SDK once is enough.

mod dir_source;
