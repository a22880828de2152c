//! Files of this machine: what is known of them without reading them, and ways to them that never lead out of a folder.

mod beneath;
mod stat;

pub use beneath::{descend, is_gone, join, open_file, open_folder, split};
pub use stat::{FileStat, Identity, Stamp};
