//! Looking at the registry, and doing what it says.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::PoisonError;

use super::hold::{Hold, Plan};
use super::{Kept, Shared};
use crate::export::continuous::ContinuousState;
use crate::serve::definition::{Complaint, Definition};
use crate::serve::keeper::told::chain;
use crate::serve::log::LogLevel;
use crate::serve::name::ExportName;
use crate::serve::open::Facts;
use crate::serve::registry::{RegistryError, Stamp};

/// What a file means, or what is wrong with it.
type Read = Result<(Definition, Facts), Complaint>;

impl Shared {
    /// Looks at the folder, and takes up what has changed. Whoever calls it has the turn.
    pub(super) async fn scan(self: &Arc<Self>) {
        let known: BTreeMap<ExportName, Stamp> = self
            .exports()
            .iter()
            .map(|(name, kept)| (name.clone(), kept.stamp))
            .collect();
        let looked = self.on_disk(move |shared| {
            let scan = shared.registry.scan()?;
            let changed = scan
                .files
                .iter()
                .filter(|(name, stamp)| known.get(*name) != Some(*stamp));
            let read = changed.filter_map(|(name, stamp)| Some((name.clone(), *stamp, shared.read(name)?)));
            let read: Vec<(ExportName, Stamp, Read)> = read.collect();
            Ok::<_, RegistryError>((scan, read))
        });
        let (scan, files) = match looked.await {
            Ok(looked) => looked,
            // What runs goes on: that the folder cannot be read does not say that the exports are gone.
            Err(error) => return self.set_trouble(Some(chain(&error))),
        };
        self.set_trouble((!scan.odd.is_empty()).then(|| {
            let odd = scan.odd.join(", ");
            format!("{odd}: the name is no name for an export; rename it to letters, digits, `.`, `_` and `-`")
        }));
        let gone: Vec<ExportName> = self
            .exports()
            .keys()
            .filter(|name| !scan.files.contains_key(*name))
            .cloned()
            .collect();
        let is_gone = !gone.is_empty();
        for name in gone {
            if let Some(hold) = self.exports().remove(&name).and_then(|kept| kept.hold) {
                hold.stop();
            }
            self.events.gone(&name);
        }
        if files.is_empty() && !is_gone {
            return;
        }
        for (name, stamp, read) in files {
            self.take_up(&name, stamp, read);
            self.changed(&name);
        }
        self.settle();
    }

    fn set_trouble(&self, trouble: Option<String>) {
        let mut last = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(trouble) = trouble.as_ref().filter(|trouble| last.as_ref() != Some(*trouble)) {
            tracing::warn!("{trouble}");
        }
        if *last != trouble {
            self.events.note_change();
        }
        *last = trouble;
    }

    /// Reads a file, and what it means; `None` where it went between the look and the read, which the next look sees.
    fn read(&self, name: &ExportName) -> Option<Read> {
        match self.registry.read(name) {
            Ok(Some(text)) => Some(self.open.read(&self.registry.path_of(name), &text)),
            Ok(None) => None,
            Err(error) => Some(Err(Complaint::new(chain(&error)))),
        }
    }

    fn take_up(self: &Arc<Self>, name: &ExportName, stamp: Stamp, read: Read) {
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
                let is_other = kept
                    .defined
                    .as_ref()
                    .is_none_or(|(before, _)| before.options != defined.0.options);
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
                    kept.live.log.say(LogLevel::Error, &complaint.to_string());
                }
                kept.complaint = Some(complaint);
            }
        }
    }

    /// Starts and ends what is to be started and ended; of two exports with one export path only one runs.
    fn settle(self: &Arc<Self>) {
        let mut changed = Vec::new();
        let mut exports = self.exports();
        let owners = owners(&exports);
        for (name, kept) in exports.iter_mut() {
            let Some((definition, facts)) = &kept.defined else {
                continue;
            };
            let taken = owners
                .get(&facts.export_path)
                .filter(|owner| *owner != name)
                .map(taken_by);
            let (wanted, facts) = (definition.enabled && taken.is_none(), facts.clone());
            let mut is_changed = false;
            // An export that is off need not hear of it.
            if let Some(taken) = taken.filter(|_| definition.enabled) {
                is_changed = kept.complaint.as_ref() != Some(&taken);
                kept.complaint = Some(taken);
            } else if kept.complaint.as_ref().is_some_and(is_about_path) {
                kept.complaint = None;
                is_changed = true;
            }
            if wanted {
                is_changed |= self.begin(name, kept, &facts);
            } else if kept.running().is_some_and(|hold| !hold.is_stopping()) {
                kept.end();
                is_changed = true;
            }
            if is_changed {
                changed.push(name.clone());
            }
        }
        drop(exports);
        changed.iter().for_each(|name| self.changed(name));
    }

    fn begin(self: &Arc<Self>, name: &ExportName, kept: &mut Kept, facts: &Facts) -> bool {
        if kept.running().is_some_and(|hold| !hold.is_stopping()) {
            return false;
        }
        let Some((definition, _)) = &kept.defined else {
            return false;
        };
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
    pub(super) fn path_taken(&self, facts: &Facts) -> Option<Complaint> {
        owners(&self.exports()).get(&facts.export_path).map(taken_by)
    }
}

/// How the complaint about a path that another export has begins.
const TAKEN: &str = "another export has this export path: ";

fn taken_by(owner: &ExportName) -> Complaint {
    Complaint {
        message: format!("{TAKEN}{owner}"),
        cure: Some(format!("choose another export path, or stop {owner}")),
    }
}

fn is_about_path(complaint: &Complaint) -> bool {
    complaint.message.starts_with(TAKEN)
}

/// Who has which export path: who runs already, else the first by name. Two loops on one path would take the lease from
/// each other for ever, and with two sources refuse each other's work.
fn owners(exports: &BTreeMap<ExportName, Kept>) -> HashMap<String, ExportName> {
    let mut owners = HashMap::new();
    let is_at_work = |kept: &&Kept| kept.running().is_some_and(|hold| !hold.is_stopping());
    for wants_running in [true, false] {
        for (name, kept) in exports {
            if let Some((definition, facts)) = &kept.defined
                && definition.enabled
                && (!wants_running || is_at_work(&kept))
            {
                owners.entry(facts.export_path.clone()).or_insert_with(|| name.clone());
            }
        }
    }
    owners
}

impl Kept {
    /// Asks what runs to end in good order.
    fn end(&mut self) {
        if let Some(hold) = &self.hold {
            hold.stop();
        }
    }

    /// What the loop has said so far, for the next one to go on with.
    fn remembered(&self) -> Option<ContinuousState> {
        self.with_state(Clone::clone)
    }
}
