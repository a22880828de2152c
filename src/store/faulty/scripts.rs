//! Scripts that most tests need.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Call, Fault, FaultScript};
use crate::store::RequestKind;

/// Lets every call pass; for counting calls.
#[derive(Clone, Copy, Debug)]
pub struct NoFaults;

impl FaultScript for NoFaults {
    fn fault(&self, _call: &Call) -> Fault {
        Fault::None
    }
}

/// Spoils one call.
#[derive(Clone, Debug)]
pub struct Nth {
    /// Its number, from 0.
    pub number: u64,
    /// What goes wrong.
    pub fault: Fault,
}

impl FaultScript for Nth {
    fn fault(&self, call: &Call) -> Fault {
        if call.number == self.number {
            self.fault.clone()
        } else {
            Fault::None
        }
    }
}

/// Spoils each n-th call: with 3 the third, the sixth and so on; with 0 none.
#[derive(Clone, Debug)]
pub struct Every {
    /// The distance between two.
    pub n: u64,
    /// What goes wrong.
    pub fault: Fault,
}

impl FaultScript for Every {
    fn fault(&self, call: &Call) -> Fault {
        if self.n > 0 && (call.number + 1).is_multiple_of(self.n) {
            self.fault.clone()
        } else {
            Fault::None
        }
    }
}

/// Asks a closure.
#[derive(Clone, Copy)]
pub struct Script<F>(pub F);

impl<F: Fn(&Call) -> Fault + Send + Sync> FaultScript for Script<F> {
    fn fault(&self, call: &Call) -> Fault {
        (self.0)(call)
    }
}

/// Spoils calls of a kind or for some keys: all of them, or some by their place among those that match.
#[derive(Debug)]
pub struct Matching {
    fault: Fault,
    kind: Option<RequestKind>,
    prefix: String,
    part: String,
    skip: u64,
    times: u64,
    seen: AtomicU64,
}

impl Matching {
    /// Spoils every call, until narrowed.
    pub fn new(fault: Fault) -> Self {
        Self {
            fault,
            kind: None,
            prefix: String::new(),
            part: String::new(),
            skip: 0,
            times: u64::MAX,
            seen: AtomicU64::new(0),
        }
    }

    /// Narrows it to one kind.
    pub fn kind(mut self, kind: RequestKind) -> Self {
        self.kind = Some(kind);
        self
    }

    /// Narrows it to keys that start so.
    pub fn key_prefix(mut self, prefix: &str) -> Self {
        prefix.clone_into(&mut self.prefix);
        self
    }

    /// Narrows it to keys that hold this text.
    pub fn key_contains(mut self, part: &str) -> Self {
        part.clone_into(&mut self.part);
        self
    }

    /// Lets the first ones that match pass.
    pub fn skip(mut self, count: u64) -> Self {
        self.skip = count;
        self
    }

    /// Spoils so many, then no more.
    pub fn times(mut self, count: u64) -> Self {
        self.times = count;
        self
    }

    fn matches(&self, call: &Call) -> bool {
        let key = call.key.as_ref().map_or("", |key| key.as_str());
        self.kind.is_none_or(|kind| kind == call.kind) && key.starts_with(&self.prefix) && key.contains(&self.part)
    }
}

impl FaultScript for Matching {
    fn fault(&self, call: &Call) -> Fault {
        if !self.matches(call) {
            return Fault::None;
        }
        let place = self.seen.fetch_add(1, Ordering::SeqCst);
        if place >= self.skip && place - self.skip < self.times {
            self.fault.clone()
        } else {
            Fault::None
        }
    }
}
