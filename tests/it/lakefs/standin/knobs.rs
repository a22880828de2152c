//! What tests turn: faults, delays, and what is lost behind lakeFS's back.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::answer::Answer;
use super::ask::Call;

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is not carried out, and answered with this status and lakeFS's words for it.
    Status(u16),
    /// It is carried out; its answer breaks off after so many bytes of the body.
    Cut(usize),
    /// It is not carried out; a proxy answers 200 and a page.
    WebPage,
    /// It is carried out, and never answered.
    Hang,
    /// It is carried out, and answered so much later.
    Late(Duration),
}

/// Which requests of a kind have a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// All.
    Always,
    /// One, the first being 1, counted from the start of the server or the last `forget`.
    Nth(usize),
    /// The first few.
    First(usize),
    /// All after the first few.
    After(usize),
}

/// What is wrong with a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// It is gone: 410.
    Gone,
    /// Only its first bytes are left.
    Truncated(usize),
    /// One bit of the byte at this place is wrong.
    Flipped(usize),
}

/// Where and when an upload is said to be stored, so that a recorded table can be made again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scripted {
    /// Below the storage namespace.
    pub address: String,
    pub mtime: (i64, u32),
    /// `None`: the MD5 of the bytes, as always.
    pub checksum: Option<String>,
    /// The names of its user metadata in the order in which its range has them: lakeFS writes them in any.
    pub metadata_order: Vec<String>,
}

/// A request that came.
#[derive(Clone, Debug)]
pub struct Seen {
    pub call: Call,
    pub method: String,
    /// The path below `/api/v1`, decoded, or the whole path of a web page.
    pub path: String,
    pub query: Vec<(String, String)>,
    /// The `Range` header.
    pub range: Option<String>,
    /// How many bytes of it the answer had, broken off or not; `None` until there is one.
    pub body_bytes: Option<usize>,
    pub status: Option<u16>,
}

/// The state of all knobs.
#[derive(Default)]
pub struct Knobs {
    pub latency: Duration,
    /// For a kind, or for all.
    pub faults: Vec<(Option<Call>, When, Fault)>,
    counts: BTreeMap<Call, usize>,
    total: usize,
    /// URLs are signed so long ago that they no longer hold.
    pub expired_urls: bool,
    pub script: VecDeque<Scripted>,
    /// The second that it is; `None`: what the machine says.
    pub now: Option<i64>,
    pub log: Vec<Seen>,
}

impl Knobs {
    /// Counts a request and says what happens to it.
    pub fn arrived(&mut self, call: Call) -> Option<Fault> {
        let count = self.counts.entry(call).or_default();
        *count += 1;
        self.total += 1;
        let (of_kind, of_all) = (*count, self.total);
        let hit = |which: Option<Call>, when| {
            let number = if which.is_some() { of_kind } else { of_all };
            which.is_none_or(|which| which == call)
                && match when {
                    When::Always => true,
                    When::Nth(nth) => number == nth,
                    When::First(first) => number <= first,
                    When::After(first) => number > first,
                }
        };
        let found = self.faults.iter().find(|(which, when, _)| hit(*which, *when));
        found.map(|(_, _, fault)| *fault)
    }

    /// Counts from 1 again and forgets what was seen.
    pub fn forget(&mut self) {
        self.counts.clear();
        self.total = 0;
        self.log.clear();
    }
}

/// A failure in lakeFS's words.
pub fn failure(status: u16) -> Answer {
    let message = match status {
        401 => "insufficient permissions",
        404 => "not found",
        410 => "No data",
        429 => "Too many attempts, try again later",
        503 => "Throughput exceeded. Slow down and retry",
        _ => "internal error",
    };
    Answer::error(status, message)
}
