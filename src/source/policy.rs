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
    Error,
}
