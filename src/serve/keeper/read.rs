//! Looking at the registry, and doing what it says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::PoisonError;

use super::hold::{Hold, Plan, Standing};
use super::{Kept, Shared};
use crate::serve::definition::{Complaint, Definition};
use crate::serve::name::ExportName;
use crate::serve::open::Facts;
use crate::serve::registry::{RegistryError, Stamp};
use crate::serve::keeper::told::chain;

/// A file as it was read.
type Text = Result<Option<String>, RegistryError>;

impl Shared {
    /// Looks at the folder, and takes up what has changed. Whoever calls it has the turn.
    pub(super) async fn scan(self: &Arc<Self>) {
        let known: BTreeMap<ExportName, Stamp> =
            self.exports().iter().map(|(name, kept)| (name.clone(), kept.stamp)).collect();
        let looked = self.in_registry(move |registry| {
            let scan = registry.scan()?;
            let changed = scan.files.iter().filter(|(name, stamp)| known.get(*name) != Some(*stamp));
            let texts: Vec<(ExportName, Stamp, Text)> = changed
                .map(|(name, stamp)| (name.clone(), *stamp, registry.read(name)))
                .collect();
            Ok::<_, RegistryError>((scan, texts))
        });
        let (scan, texts) = match looked.await {
            Ok(looked) => looked,
            // What runs goes on: that the folder cannot be read does not say that the exports are gone.
            Err(error) => return self.set_trouble(Some(chain(&error))),
        };
        self.set_trouble((!scan.odd.is_empty()).then(|| {
            let odd = scan.odd.join(", ");
            format!("{odd}: the name is no name for an export; rename it to letters, digits, `.`, `_` and `-`")
        }));
        let gone: Vec<ExportName> =
            self.exports().keys().filter(|name| !scan.files.contains_key(*name)).cloned().collect();
        for name in gone {
            if let Some(hold) = self.exports().remove(&name).and_then(|kept| kept.hold) {
                hold.stop();
            }
            self.events.gone(&name);
        }
        for (name, stamp, text) in texts {
            self.take_up(&name, stamp, text);
            self.changed(&name);
        }
        self.settle_paths();
    }

    fn set_trouble(&self, trouble: Option<String>) {
        let mut last = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(trouble) = trouble.as_ref().filter(|trouble| last.as_ref() != Some(*trouble)) {
            tracing::warn!("{trouble}");
        }
        *last = trouble;
    }

    fn take_up(self: &Arc<Self>, name: &ExportName, stamp: Stamp, text: Text) {
        let read = match text {
            Ok(Some(text)) => self.open.read(&self.registry.path_of(name), &text),
            // It went between the look and the read; the next look sees that.
            Ok(None) => return,
            Err(error) => Err(Complaint::new(chain(&error))),
        };
        let mut exports = self.exports();
        let kept = exports.entry(name.clone()).or_insert_with(|| Kept {
            stamp,
            defined: None,
            complaint: None,
            live: Arc::default(),
            hold: None,
            last: None,
        });
        kept.stamp = stamp;
        match read {
            Ok(defined) => {
                let is_other = kept.defined.as_ref().is_none_or(|(before, _)| before.options != defined.0.options);
                kept.defined = Some(defined);
                kept.complaint = None;
                if is_other {
                    kept.end();
                }
            }
            // A slip of the pen must not stop what runs: it goes on as it was, and the slip is shown.
            Err(complaint) => {
                if kept.complaint.as_ref() != Some(&complaint) {
                    tracing::error!(export = %name, "{complaint}");
                }
                kept.complaint = Some(complaint);
            }
        }
    }

    /// Starts and ends what is to be started and ended; of two exports with one export path only the first runs.
    fn settle_paths(self: &Arc<Self>) {
        let names: Vec<ExportName> = self.exports().keys().cloned().collect();
        for name in names {
            let taken = {
                let exports = self.exports();
                let Some(Kept { defined: Some((_, facts)), .. }) = exports.get(&name) else { continue };
                path_taken(&exports, &name, facts)
            };
            let mut exports = self.exports();
            let Some(kept) = exports.get_mut(&name) else { continue };
            let Some((definition, facts)) = &kept.defined else { continue };
            let (wanted, facts) = (definition.enabled && taken.is_none(), facts.clone());
            let mut is_changed = false;
            if let Some(taken) = taken {
                is_changed = kept.complaint.as_ref() != Some(&taken);
                kept.complaint = Some(taken);
            } else if kept.complaint.as_ref().is_some_and(is_about_path) {
                kept.complaint = None;
                is_changed = true;
            }
            if wanted {
                is_changed |= self.begin(&name, kept, &facts);
            } else if kept.running().is_some_and(|hold| !hold.is_stopping()) {
                kept.end();
                is_changed = true;
            }
            drop(exports);
            if is_changed {
                self.changed(&name);
            }
        }
    }

    fn begin(self: &Arc<Self>, name: &ExportName, kept: &mut Kept, facts: &Facts) -> bool {
        if kept.running().is_some_and(|hold| !hold.is_stopping()) {
            return false;
        }
        let Some((definition, _)) = &kept.defined else { return false };
        kept.last = kept.remembered();
        let path = {
            let mut paths = self.paths.lock().unwrap_or_else(PoisonError::into_inner);
            // Those that nobody is at work on any more.
            paths.retain(|_, path| Arc::strong_count(path) > 1);
            Arc::clone(paths.entry(facts.export_path.clone()).or_default())
        };
        let plan = Plan {
            name: name.clone(),
            options: definition.options.clone(),
            live: Arc::clone(&kept.live),
            path,
            last: kept.last.clone(),
        };
        kept.hold = Some(Hold::begin(self, plan));
        true
    }

    /// Why a new export cannot have the path it names.
    pub(super) fn path_taken(&self, name: &ExportName, facts: &Facts) -> Option<Complaint> {
        path_taken(&self.exports(), name, facts)
    }
}

/// How the complaint about a path that another export has begins.
const TAKEN: &str = "another export has this export path: ";

fn is_about_path(complaint: &Complaint) -> bool {
    complaint.message.starts_with(TAKEN)
}

/// Two loops on one path would take the lease from each other for ever, and with two sources refuse each other's work.
fn path_taken(exports: &BTreeMap<ExportName, Kept>, name: &ExportName, facts: &Facts) -> Option<Complaint> {
    let has_it = |(other, kept): &(&ExportName, &Kept)| {
        let is_same = |(definition, theirs): &(Definition, Facts)| {
            definition.enabled && theirs.export_path == facts.export_path
        };
        let is_first = *other < name || !exports.contains_key(name);
        *other != name && is_first && kept.defined.as_ref().is_some_and(is_same)
    };
    let (other, _) = exports.iter().find(has_it)?;
    Some(Complaint {
        message: format!("{TAKEN}{other}"),
        cure: Some(format!("choose another export path, or stop {other}")),
    })
}

impl Kept {
    /// Asks what runs to end in good order, and keeps what it remembers.
    fn end(&mut self) {
        self.last = self.remembered();
        if let Some(hold) = &self.hold {
            hold.stop();
        }
    }

    fn remembered(&self) -> Option<crate::export::continuous::ContinuousState> {
        match self.hold.as_ref().map(|hold| hold.standing.borrow().clone()) {
            Some(Standing::Open { state, .. }) => Some(state.borrow().clone()),
            _ => self.last.clone(),
        }
    }
}
