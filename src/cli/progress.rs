//! How a run is followed: the library counts into a meter, the printing thread draws what it says.

mod drawer;

pub use drawer::Drawer;

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::human::{show_count, show_number, show_size};
use super::ui::{EventKind, Ui};
use crate::model::{CommitId, RunId};
use crate::progress::{Action, ObjectEvent, Phase, Progress, Totals};

/// So many failed objects are named on stderr; a dead network would else print millions of lines.
pub const FAILURES_SHOWN: u64 = 20;

/// What a run has done so far. Tasks count, one thread reads; nobody waits.
#[derive(Debug)]
pub struct Meter {
    began: Instant,
    phase: AtomicU8,
    totals: OnceLock<Totals>,
    objects: AtomicU64,
    bytes: AtomicU64,
    failed: AtomicU64,
}

/// The meter at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// Since the run began.
    pub elapsed: Duration,
    /// Where the run is.
    pub phase: Phase,
    /// How much there is to do, once the plan is whole.
    pub totals: Option<Totals>,
    /// Objects that are done with, failed ones too.
    pub objects: u64,
    /// Bytes that were sent or copied, those of failed tries too.
    pub bytes: u64,
    /// Objects that failed.
    pub failed: u64,
}

const PHASES: [Phase; 8] = [
    Phase::Look,
    Phase::Lock,
    Phase::Settle,
    Phase::Plan,
    Phase::Announce,
    Phase::Transfer,
    Phase::Record,
    Phase::Finish,
];

impl Meter {
    /// Starts to count.
    pub fn new() -> Self {
        Self {
            began: Instant::now(),
            phase: AtomicU8::new(0),
            totals: OnceLock::new(),
            objects: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }

    /// Reads all counts. They may be of slightly different moments, which nobody sees.
    pub fn read(&self, now: Instant) -> Reading {
        Reading {
            elapsed: now.saturating_duration_since(self.began),
            phase: PHASES[usize::from(self.phase.load(Ordering::Relaxed)).min(PHASES.len() - 1)],
            totals: self.totals.get().copied(),
            objects: self.objects.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
        }
    }
}

impl Reading {
    /// Objects and bytes that there are to be done; bytes are what is sent or copied.
    pub fn total(&self) -> Option<(u64, u64)> {
        let totals = self.totals?;
        Some((
            totals.put + totals.copied + totals.deleted,
            totals.put_bytes + totals.copied_bytes,
        ))
    }

    /// What share is done, from 0 to 1: of bytes, or where there are none of objects.
    pub fn share(&self) -> f64 {
        let share = |done: u64, all: u64| (done.min(all)) as f64 / all as f64;
        match self.total() {
            None => 0.0,
            Some((0, _)) => 1.0,
            Some((objects, 0)) => share(self.objects, objects),
            // Bytes go out before their object is done, and a try that failed sends them twice: never ahead of the end.
            Some((objects, bytes)) if self.objects < objects => share(self.bytes, bytes).min(0.99),
            Some(_) => 1.0,
        }
    }
}

/// The data of a `progress` event.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProgressData {
    phase: Phase,
    objects: u64,
    objects_total: Option<u64>,
    bytes: u64,
    bytes_total: Option<u64>,
    failed: u64,
    seconds: f64,
}

impl From<&Reading> for ProgressData {
    fn from(reading: &Reading) -> Self {
        let to_do = reading.total();
        Self {
            phase: reading.phase,
            objects: reading.objects,
            objects_total: to_do.map(|(objects, _)| objects),
            bytes: reading.bytes,
            bytes_total: to_do.map(|(_, bytes)| bytes),
            failed: reading.failed,
            seconds: round_ms(reading.elapsed),
        }
    }
}

/// Seconds with the three digits that are worth printing.
pub fn round_ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 1_000.0).round() / 1_000.0
}

/// The data of an `object` event.
#[derive(Serialize)]
pub struct ObjectData<'a> {
    pub action: Action,
    pub path: String,
    pub bytes: u64,
    pub etag: Option<&'a str>,
    pub ms: Option<u64>,
    pub error: Option<String>,
    /// Where a copy comes from; told by dry runs.
    pub from: Option<String>,
    pub dry_run: bool,
}

/// Tells the user how a run goes on.
pub struct Reporter {
    ui: Ui,
    meter: Arc<Meter>,
}

impl Reporter {
    /// Begins to show a run; it is shown until the reporter is dropped.
    pub fn new(ui: &Ui) -> Self {
        let meter = Arc::new(Meter::new());
        ui.show(Some(Arc::clone(&meter)));
        Self { ui: ui.clone(), meter }
    }

    /// Takes the bar away.
    pub fn end(&self) {
        self.ui.show(None);
    }
}

/// A run that was dropped, as on a second signal, leaves no bar behind.
impl Drop for Reporter {
    fn drop(&mut self) {
        self.end();
    }
}

impl Progress for Reporter {
    fn phase(&self, phase: Phase) {
        let at = PHASES.iter().position(|known| *known == phase).unwrap_or(0);
        self.meter.phase.store(u8::try_from(at).unwrap_or(0), Ordering::Relaxed);
        tracing::debug!(?phase, "phase");
    }

    fn started(&self, run: RunId, commit: &CommitId) {
        self.ui.in_run(Some(run), Some(commit));
        tracing::info!(%run, %commit, "run begins");
    }

    fn planned(&self, totals: &Totals) {
        // A run that lost its swap plans again under a new id; the bar then keeps the first totals, which are as
        // good, and the summary counts what was done.
        self.meter.totals.get_or_init(|| *totals);
        // A run goes on when nobody reads its events; so below.
        let _ = self.ui.event(EventKind::Plan, totals);
        if self.ui.talk_level().verbose > 0 {
            self.ui.talk(&plan_text(totals));
        }
    }

    fn moved(&self, bytes: u64) {
        self.meter.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn object(&self, event: &ObjectEvent<'_>) {
        self.meter.objects.fetch_add(1, Ordering::Relaxed);
        let is_json = self.ui.is_json();
        if is_json {
            let data = ObjectData {
                action: event.action,
                path: event.path.to_string(),
                bytes: event.bytes,
                etag: event.etag.map(crate::model::ETag::as_str),
                ms: Some(u64::try_from(event.elapsed.as_millis()).unwrap_or(u64::MAX)),
                error: event.error.map(|error| super::ui::mask(error).into_owned()),
                from: None,
                dry_run: false,
            };
            let _ = self.ui.event(EventKind::Object, &data);
        }
        if let Some(error) = event.error {
            let before = self.meter.failed.fetch_add(1, Ordering::Relaxed);
            self.ui
                .object_failed(&event.path.to_string(), error, before < FAILURES_SHOWN);
        } else if self.ui.talk_level().verbose > 0 {
            self.ui
                .talk(&object_text(event.action, &event.path.to_string(), event.bytes, None));
        }
    }

    fn warn(&self, text: &str) {
        self.ui.warn(text);
    }
}

/// One line of a plan or of what was done: the same words for both.
pub fn object_text(action: Action, path: &str, bytes: u64, from: Option<&str>) -> String {
    match (action, from) {
        (Action::Put, _) => format!("put {path} {bytes}"),
        (Action::Copy, Some(from)) => format!("copy {path} <- {from}"),
        (Action::Copy, None) => format!("copy {path}"),
        (Action::Delete, _) => format!("delete {path}"),
    }
}

/// What there is to do, in one line.
pub fn plan_text(totals: &Totals) -> String {
    let skip = totals
        .skipped
        .map_or_else(String::new, |skipped| format!(", skip {skipped}"));
    format!(
        "put {} ({}), copy {} ({}), delete {}, keep {}{skip}",
        show_count(totals.put, "object"),
        show_size(totals.put_bytes),
        show_number(totals.copied),
        show_size(totals.copied_bytes),
        show_number(totals.deleted),
        show_number(totals.kept),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(put: u64, put_bytes: u64, deleted: u64, objects: u64, bytes: u64) -> Reading {
        let totals = Totals {
            put,
            put_bytes,
            deleted,
            ..Totals::default()
        };
        Reading {
            elapsed: Duration::ZERO,
            phase: Phase::Transfer,
            totals: Some(totals),
            objects,
            bytes,
            failed: 0,
        }
    }

    #[test]
    fn a_share_ends_at_one_and_not_before_the_last_object() {
        for (reading, share) in [
            (reading(0, 0, 0, 0, 0), 1.0),
            (reading(2, 100, 0, 0, 25), 0.25),
            (reading(2, 100, 0, 1, 250), 0.99),
            (reading(2, 100, 0, 2, 100), 1.0),
            (reading(2, 100, 0, 2, 90), 1.0),
            (reading(0, 0, 4, 1, 0), 0.25),
            (
                Reading {
                    totals: None,
                    ..reading(0, 0, 0, 0, 0)
                },
                0.0,
            ),
        ] {
            assert!((reading.share() - share).abs() < 1e-9, "{reading:?}");
        }
    }

    #[test]
    fn every_phase_has_its_place_in_the_list() {
        assert!(PHASES.is_sorted());
        // No `_`: a new phase must come into the list.
        for phase in PHASES {
            match phase {
                Phase::Look | Phase::Lock | Phase::Settle | Phase::Plan => {}
                Phase::Announce | Phase::Transfer | Phase::Record | Phase::Finish => {}
            }
        }
    }
}
