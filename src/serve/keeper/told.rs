//! What the keeper tells: views of exports, numbers, and the progress of runs.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::hold::Standing;
use super::{Keeper, Kept, PROGRESS_EVERY, Shared};
use crate::causes::links;
use crate::export::continuous::Phase;
use crate::serve::live::Tally;
use crate::serve::name::ExportName;
use crate::serve::view::{Difference, ExportView, RECENT_RUNS, RunView, StateView, TroubleView};
use crate::store::{Observed, RequestTotals};

/// All numbers of a keeper at one moment.
#[derive(Debug, Default)]
pub struct Measured {
    /// How many exports do what.
    pub states: BTreeMap<&'static str, u64>,
    /// Each export.
    pub exports: Vec<MeasuredExport>,
    /// Requests that may be under way at once.
    pub throttle_rate: usize,
    /// Sources that are watched.
    pub watches: usize,
    /// Whether the folder could be read the last time.
    pub is_registry_readable: bool,
}

/// The numbers of one export.
#[derive(Debug)]
pub struct MeasuredExport {
    /// Its name.
    pub name: ExportName,
    /// How long its head has differed from what is out.
    pub lag_seconds: f64,
    /// What its runs did.
    pub tally: Tally,
}

impl Keeper {
    /// All numbers.
    pub fn measure(&self) -> Measured {
        let shared = &self.shared;
        let mut measured = Measured {
            throttle_rate: shared.limiter.limit(),
            watches: shared.hub.len(),
            is_registry_readable: self.trouble().is_none(),
            ..Measured::default()
        };
        for (name, kept) in &*shared.exports() {
            *measured.states.entry(kept.state().as_str()).or_default() += 1;
            measured.exports.push(MeasuredExport {
                name: name.clone(),
                lag_seconds: kept.lag_seconds(),
                tally: kept.live.tally(),
            });
        }
        measured
    }

    /// How many exports do what, in one line.
    pub fn summary(&self) -> String {
        let measured = self.measure();
        let states = measured.states.iter().map(|(state, count)| format!("{count} {state}"));
        let text = states.collect::<Vec<_>>().join(", ");
        if text.is_empty() { "no exports".to_owned() } else { text }
    }

    /// How the requests of all exports ended, and how long they took.
    pub fn observed(&self) -> Observed {
        self.shared.counts.observed()
    }

    /// The requests of all exports so far.
    pub fn requests(&self) -> RequestTotals {
        self.shared.counts.totals()
    }
}

impl Shared {
    pub(super) fn view(&self, name: &ExportName) -> Option<ExportView> {
        self.exports().get(name).map(|kept| kept.view(name))
    }

    /// Tells that an export is another than it was.
    pub(super) fn changed(&self, name: &ExportName) {
        self.moved.notify_waiters();
        self.events.note_change();
        if !self.events.has_listeners() {
            return;
        }
        if let Some(view) = self.view(name) {
            self.events.export(&view);
        }
    }

    /// Tells of runs that go on, for ever.
    pub(super) async fn tell_progress(&self) {
        let mut told = BTreeMap::<ExportName, u64>::new();
        loop {
            tokio::time::sleep(PROGRESS_EVERY).await;
            if !self.events.has_listeners() {
                told.clear();
                continue;
            }
            let running: Vec<_> = {
                let exports = self.exports();
                let running = exports.iter().filter(|(_, kept)| kept.state() == StateView::Running);
                running.map(|(name, kept)| (name.clone(), kept.live.clone())).collect()
            };
            told.retain(|name, _| running.iter().any(|(running, _)| running == name));
            for (name, live) in running {
                let ticks = live.ticks();
                if told.get(&name) != Some(&ticks) {
                    self.events.progress(&name, &live.progress());
                    told.insert(name, ticks);
                }
            }
        }
    }
}

impl StateView {
    /// As JSON says it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Broken => "broken",
            Self::Stopped => "stopped",
            Self::Starting => "starting",
            Self::Looking => "looking",
            Self::Running => "running",
            Self::Idle => "idle",
            Self::WaitingForLease => "waiting-for-lease",
            Self::Retrying => "retrying",
            Self::Held => "held",
            Self::Stopping => "stopping",
        }
    }
}

impl Kept {
    pub(super) fn state(&self) -> StateView {
        let Some(hold) = self.running() else {
            let is_off = self.defined.as_ref().is_some_and(|(definition, _)| !definition.enabled);
            return match &self.complaint {
                Some(_) => StateView::Broken,
                None if is_off => StateView::Stopped,
                // The next look at the folder begins it.
                None => StateView::Starting,
            };
        };
        if hold.is_stopping() {
            return StateView::Stopping;
        }
        match &*hold.standing.borrow() {
            Standing::Opening { trouble: Some(_), .. } => StateView::Retrying,
            Standing::Opening { trouble: None, .. } | Standing::Ended { .. } => StateView::Starting,
            Standing::Open { state, .. } => match state.borrow().phase {
                Phase::Looking => StateView::Looking,
                Phase::Running => StateView::Running,
                Phase::Idle => StateView::Idle,
                Phase::WaitingForLease => StateView::WaitingForLease,
                Phase::Retrying => StateView::Retrying,
                Phase::Held => StateView::Held,
                // Between two rounds of the loop.
                Phase::Stopped => StateView::Starting,
            },
        }
    }

    fn lag_seconds(&self) -> f64 {
        let is_on = self.running().is_some();
        let lag = self.with_state(|state| state.lag(Timestamp::now()));
        lag.filter(|_| is_on).map_or(0.0, |lag| lag.as_secs_f64())
    }

    pub(super) fn view(&self, name: &ExportName) -> ExportView {
        let state = self.state();
        let defined = self.defined.as_ref();
        let facts = defined.map(|(_, facts)| facts.clone()).unwrap_or_default();
        let (trouble, next_try) = self.trouble();
        let commit =
            |read: fn(&crate::export::continuous::ContinuousState) -> Option<String>| self.with_state(read).flatten();
        let recent = self.with_state(|state| {
            let skipped = state.runs.len().saturating_sub(RECENT_RUNS);
            state.runs.iter().skip(skipped).map(RunView::of).collect()
        });
        ExportView {
            name: name.clone(),
            enabled: defined.is_some_and(|(definition, _)| definition.enabled),
            state,
            source: facts.source,
            branch: facts.branch,
            export_path: facts.export_path,
            status_path: facts.status_path,
            options: defined
                .map(|(definition, _)| definition.options.to_json())
                .unwrap_or_default(),
            head: commit(|state| state.head.as_ref().map(|head| head.as_str().to_owned())),
            exported: commit(|state| state.exported.as_ref().map(|commit| commit.as_str().to_owned())),
            behind_since: self.with_state(|state| state.behind_since).flatten(),
            lag_seconds: self.lag_seconds(),
            error: trouble,
            next_try,
            progress: (state == StateView::Running).then(|| self.live.progress()),
            warnings: self.live.warnings(),
            recent: recent.unwrap_or_default(),
            runs_total: self.with_state(|state| state.runs_total).unwrap_or(0),
        }
    }

    fn trouble(&self) -> (Option<TroubleView>, Option<Timestamp>) {
        if let Some(complaint) = &self.complaint {
            let trouble = TroubleView {
                message: complaint.message.clone(),
                cure: complaint.cure.clone(),
                causes: Vec::new(),
                since: None,
                times: 1,
            };
            return (Some(trouble), None);
        }
        let Some(hold) = self.running() else {
            return (
                self.with_state(|state| state.error.as_ref().map(TroubleView::of))
                    .flatten(),
                None,
            );
        };
        match &*hold.standing.borrow() {
            Standing::Opening { trouble, next_try } => (trouble.clone(), *next_try),
            Standing::Open { state, .. } => {
                let state = state.borrow();
                (state.error.as_ref().map(TroubleView::of), state.next_try)
            }
            Standing::Ended { .. } => (None, None),
        }
    }
}

/// An error and why, in one line.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    for cause in links(error).skip(1) {
        let cause_text = cause.to_string();
        // Some libraries repeat their cause in their own text.
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
    }
    text
}

/// What differs, as a sentence says it.
pub fn differences(all: &[Difference]) -> String {
    let side = |words: &[String]| match words {
        [] => "not set".to_owned(),
        words => words.join(", "),
    };
    let one = |one: &Difference| {
        format!(
            "{} is {}, and {} was asked for",
            one.option,
            side(&one.current),
            side(&one.wanted)
        )
    };
    all.iter().map(one).collect::<Vec<_>>().join("; ")
}
