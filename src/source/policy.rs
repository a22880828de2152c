//! What is done with that which is no plain file.

/// `--symlinks skip|follow-inside|error`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SymlinkPolicy {
    /// Leaves them out and counts them.
    #[default]
    Skip,
    /// Exports what they lead to, as long as that lies inside the tree.
    FollowInside,
    /// Refuses the tree, naming them.
    Error,
}

/// `--submodules skip|error` and `--special skip|error`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SkipOrError {
    /// Leaves them out and counts them.
    #[default]
    Skip,
    /// Refuses the tree, naming them.
    Error,
}

/// `--lfs pointer|error`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LfsPolicy {
    /// Exports the pointer as the small file that it is, and counts it.
    #[default]
    Pointer,
    /// Refuses the tree, naming them.
//! What is done with the things of a tree that are no plain files.

/// What is done with a symbolic link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SymlinkPolicy {
    /// It is left out and counted.
    #[default]
    Skip,
    /// What it leads to is published under the link's own path, as long as that lies inside the tree.
    FollowInside,
    /// The run is refused before its first write, and the links are listed.
    Error,
}

/// What is done with something that cannot be published at all, such as a socket or a submodule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SkipOrError {
    /// It is left out and counted.
    #[default]
    Skip,
    /// The run is refused before its first write, and the paths are listed.
    Error,
}
