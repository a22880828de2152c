//! A branch of a lakeFS repository.

pub mod ranges;
