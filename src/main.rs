//! The lakesync program.

fn main() {}
