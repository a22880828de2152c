//! The one integration binary: linking the AWS SDK once is enough.

mod s3_wire;
