//! Cases as data: what happens to a branch, a bucket and the exporters between them.

use lakesync::store::Capabilities;

/// Few paths, so that they collide: files that become folders, pointers, logs, markers' folders.
pub const PATHS: [&str; 12] = [
    "keep",
    "a",
    "a/b",
    "a/c",
    "d",
    "d/e",
    "d/e/f",
    "t/_SUCCESS",
    "t/p1",
    "t/_delta_log/00.json",
    "t/_delta_log/01.json",
    "x/y",
];

/// Few contents, so that files are equal: empty, small, in one part, in an upload of parts.
pub const CONTENTS: u8 = 6;

/// The bytes of a content.
pub fn content(number: u8) -> Vec<u8> {
    match number % CONTENTS {
        0 => Vec::new(),
        1 => b"one".to_vec(),
        2 => b"two two".to_vec(),
        3 => b"three-three-three-three".to_vec(),
        4 => vec![b'4'; 150],
        _ => (0..2_500u32).map(|at| (at % 251) as u8).collect(),
    }
}

/// A change to the tree; numbers are taken modulo, so that every one means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit {
    Nothing,
    Put(u8, u8),
    Remove(u8),
    Rename(u8, u8),
    Swap(u8, u8),
    Copy(u8, u8),
}

/// What somebody else does meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meddle {
    /// Writes an object of theirs.
    Put(u8),
    /// Deletes whatever stands there.
    Delete(u8),
    /// Writes the same bytes again.
    Touch(u8),
    /// Moves the branch.
    Move(Edit),
}

/// Where in a run something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// At the n-th request of all.
    Call(u8),
    /// At the n-th request of a step of the protocol.
    Step(u8, u8),
}

/// What a request meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    FailBefore,
    FailAfter,
    LostReply,
    Cut,
    Throttled,
    Denied,
    /// It reaches the store after so many seconds.
    Slow(u8),
    /// Its reply comes after so many seconds.
    SlowReply(u8),
    /// No reply, and it lands after so many seconds all the same.
    LandsLate(u16),
}

/// What happens in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    None,
    /// So many requests from there on meet a fault.
    Faults {
        at: At,
        times: u8,
        fault: Fault,
    },
    /// The process dies at a request, before or after its effect.
    Crash {
        at: At,
        after: bool,
        here: bool,
    },
    /// The process dies, and the request lands after so many seconds all the same.
    CrashLate {
        at: At,
        seconds: u16,
        here: bool,
    },
    /// The process stands still for so many seconds, while the branch moves and another exporter runs.
    Pause {
        at: At,
        seconds: u8,
        edit: Edit,
    },
    /// Somebody else does something.
    Meddled {
        at: At,
        meddle: Meddle,
    },
}

impl Trouble {
    /// Whether a run must come through as if nothing had been: one request that is slow, or fails for a passing
    /// reason, is sent again.
    pub fn is_mild(self) -> bool {
        match self {
            Self::Faults { times: 1, fault, .. } => match fault {
                Fault::FailBefore | Fault::FailAfter | Fault::LostReply | Fault::Throttled => true,
                Fault::Slow(seconds) | Fault::SlowReply(seconds) => seconds < 30,
                // The body of a reply that breaks off is not asked for again.
                Fault::Cut | Fault::Denied | Fault::LandsLate(_) => false,
            },
            Self::None => true,
            _ => false,
        }
    }
}

/// What a file of the source does when it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileTrouble {
    OtherBytes,
    Changes,
    Vanishes,
}

/// A change of what the user asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    CacheControl(u8),
    Exclude(u8),
    Include,
    SmallParts(bool),
    Markers(bool),
    KeepStatus(u8),
    OneByOne(bool),
}

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Commit([Edit; 3]),
    SetHead(u8),
    Export(Trouble),
    /// Two exporters at once, their requests interleaved by a seed.
    Race(u16),
    Outside(Meddle),
    SourceFault(u8, FileTrouble, u8),
    Advance(u16),
    Config(Change),
}

/// What the store can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// All that S3 can.
    Full,
    /// As versitygw: no etags in batches, no guarded copies, no file beside a folder.
    Flat,
    /// No batches of deletes at all, no guarded copies.
    NoBatches,
    /// As SeaweedFS: a folder counts as an object for `If-None-Match: *`.
    FolderCounts,
    /// Deletes are not guarded.
    NoDeleteGuards,
    /// Nothing is guarded, so that there is no P3 and no P5.
    Unguarded,
}

impl Kind {
    pub fn capabilities(self) -> Capabilities {
        let mut can = Capabilities::ALL;
        match self {
            Self::Full => {}
            Self::Flat => {
                can.delete_many_matches = false;
                (can.copy_absent, can.copy_matches) = (false, false);
                can.file_beside_folder = false;
            }
            Self::NoBatches => {
                (can.delete_many, can.delete_many_matches) = (false, false);
                (can.copy_absent, can.copy_matches) = (false, false);
            }
            Self::FolderCounts => can.absent_over_folder = false,
            Self::NoDeleteGuards => (can.delete_matches, can.delete_many_matches) = (false, false),
            Self::Unguarded => {
                (can.put_absent, can.put_matches) = (false, false);
                (can.complete_absent, can.complete_matches) = (false, false);
                (can.copy_absent, can.copy_matches) = (false, false);
                (can.delete_matches, can.delete_many_matches) = (false, false);
            }
        }
        can
    }

    /// Whether every write and delete can be guarded, so that meddling in the middle of a run must be survived.
    pub fn guards_all(self) -> bool {
        !matches!(self, Self::FolderCounts | Self::NoDeleteGuards | Self::Unguarded)
    }

    /// Whether a file and a folder of one name are in each other's way.
    pub fn has_folders(self) -> bool {
        matches!(self, Self::Flat | Self::FolderCounts)
    }

    pub fn is_flat(self) -> bool {
        self == Self::Flat
    }
}

/// The content ids of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ids {
    Git,
    Blake3,
    /// Addresses, as lakeFS has them; the store can copy the bytes from there.
    Address,
}

/// A whole case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    pub kind: Kind,
    /// Whether the source tells changes, or only trees.
    pub tells_changes: bool,
    /// What says that two contents are equal.
    pub ids: Ids,
    /// Whether the tree is so big, and the store so slow, that listings pay and done records are written.
    pub is_big: bool,
    pub ops: Vec<Op>,
}
