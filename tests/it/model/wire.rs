//! The wire between one exporter and the bucket: knows at which step a run is, and does what a case says.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lakesync::model::ObjectKey;
use lakesync::store::faulty::{Call, Fault as WireFault, FaultScript, Gate};
use lakesync::store::{RequestKind, StoreErrorKind};
use tokio::sync::Notify;

use super::env::Shared;
use super::generate::Numbers;
use super::ops::{At, Fault, Trouble};

/// How many steps a run has, with the look before the lock as step 0.
pub const STEPS: usize = 12;

/// Tells from requests at which step of the protocol a run is.
#[derive(Default)]
struct Steps {
    has_lease: bool,
    roots: u8,
    ended: bool,
    seen: [u8; STEPS],
}

impl Steps {
    /// The step of a request, and how many of the step went before it.
    fn of(&mut self, call: &Call) -> (usize, u8) {
        let key = call.key.as_ref().map_or("", ObjectKey::as_str);
        let name = key.strip_prefix("out/").unwrap_or(key);
        let writes = call.kind.is_write();
        let step = if name == "_lakesync/lease.json" {
            if !self.has_lease || self.roots == 0 { 1 } else { 11 }
        } else if name == "_lakesync/root.json" {
            match (writes, self.roots) {
                (false, _) if !self.has_lease => 0,
                (false, _) => 2,
                (true, 0) => 5,
                (true, _) => 9,
            }
        } else if name.starts_with("_lakesync/probe/") && !self.ended {
            1
        } else if name.starts_with("_lakesync/runs/") {
            match (writes, self.roots) {
                (false, _) => 3,
                (true, 0) => 4,
                (true, _) if self.ended => 11,
                (true, _) => 7,
            }
        } else if name.starts_with("_lakesync/ranges/") && !self.ended {
            if writes { 8 } else { 3 }
        } else if name.starts_with("_lakesync/") {
            11
        } else if name.starts_with("_STATUS_") {
            match (writes, self.roots) {
                (false, _) if !self.has_lease => 0,
                (_, 0) => 10,
                (_, 1) if self.seen[7] == 0 => 6,
                (_, 1) => 7,
                (_, _) => 10,
            }
        } else if self.roots == 0 {
            3
        } else {
            7
        };
        if name == "_lakesync/lease.json" && writes {
            self.has_lease = true;
        }
        if name == "_lakesync/root.json" && writes {
            self.roots += 1;
        }
        self.ended |= self.roots >= 2;
        let before = self.seen[step];
        self.seen[step] = before.saturating_add(1);
        (step, before)
    }
}

/// What one exporter's requests meet.
pub struct Wire {
    env: Shared,
    trouble: Trouble,
    /// Delays every request by a few milliseconds, for a race.
    jitter: Option<Mutex<Numbers>>,
    steps: Mutex<Steps>,
    left: AtomicU64,
    is_dead: AtomicBool,
    is_stopped: AtomicBool,
    /// The step at which the trouble came.
    hit: Mutex<Option<usize>>,
    /// Keys of requests that land late (of a batch, any key), and after how long.
    pub late: Mutex<Vec<(Option<ObjectKey>, Duration)>>,
    pub stopped: Notify,
    pub gate: Gate,
}

impl Wire {
    pub fn new(env: Shared, trouble: Trouble, jitter: Option<u64>) -> Arc<Self> {
        let times = match trouble {
            Trouble::Faults { times, .. } => times,
            _ => 1,
        };
        Arc::new(Self {
            env,
            trouble,
            jitter: jitter.map(|seed| Mutex::new(Numbers::new(seed))),
            steps: Mutex::default(),
            left: AtomicU64::new(u64::from(times)),
            is_dead: AtomicBool::new(false),
            is_stopped: AtomicBool::new(false),
            hit: Mutex::default(),
            late: Mutex::default(),
            stopped: Notify::new(),
            gate: Gate::new(),
        })
    }

    /// The step at which the trouble came, if it did.
    pub fn hit(&self) -> Option<usize> {
        *self.hit.lock().unwrap()
    }

    /// Lets an exporter that stood still go on.
    pub fn wake(&self) {
        self.is_stopped.store(false, Ordering::SeqCst);
        self.gate.open();
    }

    fn at(&self) -> Option<At> {
        match self.trouble {
            Trouble::None => None,
            Trouble::Faults { at, .. }
            | Trouble::Crash { at, .. }
            | Trouble::CrashLate { at, .. }
            | Trouble::Pause { at, .. }
            | Trouble::Meddled { at, .. } => Some(at),
        }
    }

    fn lands_late(&self, call: &Call, seconds: u16, answer: Option<StoreErrorKind>) -> WireFault {
        if !call.kind.is_write() {
            // A read that is never answered leaves nothing.
            return answer.map_or(WireFault::Hang, WireFault::Before);
        }
        let after = Duration::from_secs(u64::from(seconds));
        let key = call.key.clone().filter(|_| call.kind != RequestKind::DeleteMany);
        self.late.lock().unwrap().push((key, after));
        WireFault::LandLate { after, answer }
    }

    fn strike(&self, call: &Call) -> WireFault {
        match self.trouble {
            Trouble::None => WireFault::None,
            Trouble::Meddled { meddle, .. } => {
                self.env.meddle(meddle);
                WireFault::None
            }
            Trouble::Crash { after, .. } => {
                self.die();
                if after { WireFault::HangAfter } else { WireFault::Hang }
            }
            Trouble::CrashLate { seconds, .. } => {
                self.die();
                self.lands_late(call, seconds, None)
            }
            Trouble::Pause { .. } => {
                self.is_stopped.store(true, Ordering::SeqCst);
                self.stopped.notify_one();
                WireFault::Wait(self.gate.clone())
            }
            Trouble::Faults { fault, .. } => match fault {
                Fault::FailBefore => WireFault::Before(StoreErrorKind::Unavailable),
                Fault::FailAfter => WireFault::After(StoreErrorKind::Unavailable),
                Fault::LostReply => WireFault::After(StoreErrorKind::NoReply),
                Fault::Cut => WireFault::Cut,
                Fault::Throttled => WireFault::Before(StoreErrorKind::Throttled),
                // A right that is missing while the store is probed is taken for something that it cannot do.
                Fault::Denied if self.hit() == Some(1) => WireFault::Before(StoreErrorKind::Unavailable),
                Fault::Denied => WireFault::Before(StoreErrorKind::Denied),
                Fault::Slow(seconds) => WireFault::Delay(Duration::from_secs(seconds.into())),
                Fault::SlowReply(seconds) => WireFault::DelayAfter(Duration::from_secs(seconds.into())),
                Fault::LandsLate(seconds) => self.lands_late(call, seconds, Some(StoreErrorKind::NoReply)),
            },
        }
    }

    fn die(&self) {
        self.is_dead.store(true, Ordering::SeqCst);
        self.stopped.notify_one();
    }
}

/// The script that a [`Wire`] is for its faulty store.
pub struct Script(pub Arc<Wire>);

impl FaultScript for Script {
    fn fault(&self, call: &Call) -> WireFault {
        let wire = &self.0;
        if wire.is_dead.load(Ordering::SeqCst) {
            return WireFault::Hang;
        }
        if wire.is_stopped.load(Ordering::SeqCst) {
            return WireFault::Wait(wire.gate.clone());
        }
        let (step, before) = wire.steps.lock().unwrap().of(call);
        let begun = wire.hit().is_some();
        let here = match wire.at() {
            None => false,
            Some(At::Call(number)) => call.number >= u64::from(number),
            Some(At::Step(wanted, number)) => usize::from(wanted) == step && before >= number,
        };
        if (begun || here) && wire.left.load(Ordering::SeqCst) > 0 {
            // A store that answers a probe wrongly throughout is taken for one that can do less, as it must be.
            let spent = if step == 1 { wire.left.load(Ordering::SeqCst) } else { 1 };
            wire.left.fetch_sub(spent, Ordering::SeqCst);
            wire.hit.lock().unwrap().get_or_insert(step);
            return wire.strike(call);
        }
        if wire.env.is_big && step == 7 && call.kind.is_write() {
            return WireFault::Delay(Duration::from_millis(600));
        }
        match &wire.jitter {
            Some(numbers) => WireFault::Delay(Duration::from_millis(numbers.lock().unwrap().below(12))),
            None => WireFault::None,
        }
    }
}

/// Whether a request writes an object.
pub fn writes_object(kind: RequestKind) -> bool {
    matches!(kind, RequestKind::Put | RequestKind::Copy | RequestKind::CompleteUpload)
}
