//! The judge: what must hold of the bucket after each thing that happens, whatever it was.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use lakesync::export::{Outcome, Report};
use lakesync::ledger::State;
use lakesync::model::{CommitId, ContentHasher, ContentIds, ObjectKey};
use lakesync::plan::MARKER_NAME;
use lakesync::store::memory::StoredObject;
use tokio::time::Instant;

use super::bucket::{Ledger, Status, read_ledger, read_statuses, wanted};
use super::env::{Shared, Tree};
use super::logs::{Logs, check_one_writer, check_order};
use super::ops::{Case, Kind};
use super::world::{Asked, End};

type Verdict<T = ()> = Result<T, String>;

/// A request that lands some time after its sender died or gave up.
pub(super) struct Late {
    /// `None`: of a batch, so any key.
    key: Option<ObjectKey>,
    lands_at: Instant,
}

pub struct Judge {
    pub(super) env: Shared,
    pub(super) kind: Kind,
    pub(super) late: Vec<Late>,
    pub(super) had_late_probe: bool,
    /// What was asked for by the run that made the root clean.
    asked_of_root: Asked,
    asked_by_fingerprint: BTreeMap<String, Asked>,
    clean_at: Option<u64>,
    /// Commits that runs went for since the last one that came through, and that one.
    attempted: BTreeSet<CommitId>,
    before: Option<Ledger>,
    objects_before: BTreeMap<ObjectKey, StoredObject>,
}

impl Judge {
    pub fn new(env: Shared, case: &Case) -> Self {
        Self {
            env,
            kind: case.kind,
            late: Vec::new(),
            had_late_probe: false,
            asked_of_root: Asked::default(),
            asked_by_fingerprint: BTreeMap::new(),
            clean_at: None,
            attempted: BTreeSet::new(),
            before: None,
            objects_before: BTreeMap::new(),
        }
    }

    pub fn note_late(&mut self, late: Vec<(Option<ObjectKey>, Duration)>) {
        let now = Instant::now();
        let is_of_probe = |key: &ObjectKey| key.as_str().starts_with("out/_lakesync/probe/");
        self.had_late_probe |= late.iter().any(|(key, _)| key.as_ref().is_some_and(is_of_probe));
        self.late.extend(late.into_iter().map(|(key, after)| Late {
            key,
            lands_at: now + after,
        }));
    }

    /// Looks at everything while no exporter is at work.
    pub async fn look(&mut self) -> Verdict {
        self.look_at_bucket().await.map(|_| ())
    }

    /// `fingerprint` is what the root will call what is asked for.
    pub async fn before_run(&mut self, fingerprint: String, asked: &Asked) -> Verdict {
        self.asked_by_fingerprint.insert(fingerprint, asked.clone());
        self.before = self.look_at_bucket().await?;
        self.objects_before = self.env.store.objects();
        self.attempted.insert(self.env.head());
        self.env.store.clear_log();
        Ok(())
    }

    pub async fn after_run(&mut self, by: &[u32], end: &End, is_calm: bool, asked: &Asked) -> Verdict {
        let logs = Logs {
            log: self.env.store.log(),
            env: &self.env,
            is_flat: self.kind.is_flat(),
        };
        self.attempted.insert(self.env.head());
        let head_tree = self.wanted_of(&self.env.head(), asked);
        for by in by {
            let report = match end {
                Some(Ok(report)) if by == &logs.last_writer() => Some(report),
                _ => None,
            };
            check_order(&logs, *by, report, &head_tree)?;
        }
        if self.kind != Kind::Unguarded {
            check_one_writer(&logs, by)?;
        }
        if is_calm && matches!(end, Some(Ok(_))) {
            self.check_economy(&logs, by[0], &head_tree, asked)?;
        }
        let after = self.look_at_bucket().await?;
        if is_calm && let (Some(Ok(report)), Some(after)) = (end, &after) {
            self.check_ledger(after, report)?;
        }
        Ok(())
    }

    /// (a) to (c), (f), (h), (i) of what stands in the bucket.
    async fn look_at_bucket(&mut self) -> Verdict<Option<Ledger>> {
        if let Some(violation) = self.env.store.violations().first() {
            return Err(format!("the store was asked for what nobody may ask: {violation}"));
        }
        let objects = self.env.store.objects();
        self.check_foreign(&objects)?;
        let ledger = read_ledger(&self.env).await?;
        self.take_note(ledger.as_ref());
        self.forgive_what_was_mended(&objects, ledger.as_ref());
        let statuses = read_statuses(&objects)?;
        for status in &statuses {
            let offered = self
                .env
                .state()
                .offered
                .iter()
                .any(|commit| commit.as_str() == status.commit);
            if status.state == "success" && !offered {
                return Err(format!(
                    "{} calls the skipped commit {} a success",
                    status.name, status.commit
                ));
            }
        }
        match (statuses.last(), &ledger) {
            (Some(newest), Some(ledger)) if newest.state == "success" => {
                self.check_success(newest, ledger, &objects)?;
            }
            (Some(newest), None) => return Err(format!("{} is there, and no root", newest.name)),
            _ => {}
        }
        self.check_objects(&objects, ledger.as_ref())?;
        Ok(ledger)
    }

    fn check_foreign(&self, objects: &BTreeMap<ObjectKey, StoredObject>) -> Verdict {
        if self.kind == Kind::Unguarded {
            return Ok(());
        }
        for (key, bytes) in &self.env.state().foreign {
            match objects.get(key) {
                None => return Err(format!("somebody else's object {key} was deleted (P3)")),
                Some(object) if object.bytes != *bytes || object.meta.headers.mark.is_some() => {
                    return Err(format!("somebody else's object {key} was overwritten (P3)"));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Remembers what the commit in the root was made with.
    fn take_note(&mut self, ledger: Option<&Ledger>) {
        let Some(Ledger { loaded, .. }) = ledger else { return };
        let root = &loaded.root;
        let Some(commit) = root.commit.as_ref().filter(|_| root.state == State::Clean) else {
            return;
        };
        // The generation of a swap that only forgets unsettled runs is new, too; the fingerprint is not.
        if self.clean_at != Some(root.generation) {
            self.clean_at = Some(root.generation);
            self.asked_of_root = self.asked_by_fingerprint[&root.fingerprint].clone();
            self.attempted = BTreeSet::from([commit.clone()]);
        }
    }

    /// Late requests and tampered objects are forgiven until a run has mended what they did.
    fn forgive_what_was_mended(&mut self, objects: &BTreeMap<ObjectKey, StoredObject>, ledger: Option<&Ledger>) {
        let Some(Ledger { loaded, records }) = ledger else {
            return;
        };
        if loaded.root.state == State::Clean && loaded.root.unsettled.is_empty() {
            self.late.retain(|late| late.lands_at > Instant::now());
        }
        let mut state = self.env.state();
        let foreign = state.foreign.keys().cloned().collect::<BTreeSet<_>>();
        state.tampered.retain(|key| {
            let record = self.env.path_of(key).and_then(|path| records.get(&path));
            let object = objects.get(key);
            let is_right = match (object, record) {
                (Some(object), Some(record)) => object.meta.headers.mark.is_some() && object.meta.etag == record.etag,
                (None, None) => true,
                _ => false,
            };
            foreign.contains(key) || !is_right
        });
    }

    fn is_forgiven(&self, key: &ObjectKey) -> bool {
        self.late
            .iter()
            .any(|late| late.key.as_ref().is_none_or(|late| late == key))
            || self.env.state().tampered.contains(key)
    }

    /// (a): P1.
    fn check_success(&self, newest: &Status, ledger: &Ledger, objects: &BTreeMap<ObjectKey, StoredObject>) -> Verdict {
        let says = format!("{} says success for {}", newest.name, newest.commit);
        let root = &ledger.loaded.root;
        let commit = CommitId::new(newest.commit.as_str());
        if root.commit.as_ref() != Some(&commit) {
            return Err(format!("{says}, and the root holds {:?}", root.commit));
        }
        let wanted = self.wanted_of(&commit, &self.asked_of_root);
        if newest.records.keys().ne(wanted.keys()) {
            let listed: Vec<String> = newest.records.keys().map(ToString::to_string).collect();
            return Err(format!("{says} and lists {listed:?}"));
        }
        for (path, bytes) in &wanted {
            let key = self.env.key(path);
            if self.is_forgiven(&key) {
                continue;
            }
            let Some(object) = objects.get(&key) else {
                return Err(format!("{says}, and {key} is not there (P1)"));
            };
            if object.bytes != *bytes {
                return Err(format!("{says}, and {key} has other bytes (P1)"));
            }
            if object.meta.etag != newest.records[path] {
                return Err(format!("{says}, and {key} has another etag than its record (P1)"));
            }
            let cache_control = match self.asked_of_root.cache_control {
                0 => None,
                seconds => Some(format!("max-age={seconds}")),
            };
            if object.meta.headers.cache_control != cache_control {
                return Err(format!("{says}, and {key} has headers that nobody asked for"));
            }
        }
        for (key, object) in objects {
            if let Some(path) = self.env.path_of(key)
                && object.meta.headers.mark.is_some()
                && !wanted.contains_key(&path)
                && !self.is_forgiven(key)
            {
                return Err(format!("{says}, and {key} is ours and not in the commit (P1)"));
            }
        }
        Ok(())
    }

    /// (b): an object of ours holds what its mark says, and bytes that some commit under way gave it.
    fn check_objects(&self, objects: &BTreeMap<ObjectKey, StoredObject>, ledger: Option<&Ledger>) -> Verdict {
        let mut commits = self.attempted.clone();
        if let Some(Ledger { loaded, .. }) = ledger {
            let root = &loaded.root;
            commits.extend(root.commit.clone());
            if let State::Dirty(runs) = &root.state {
                commits.extend(runs.iter().map(|run| run.commit.clone()));
            }
            commits.extend(root.unsettled.iter().map(|one| one.run.commit.clone()));
        }
        for (key, object) in objects {
            let (Some(path), Some(mark)) = (self.env.path_of(key), &object.meta.headers.mark) else {
                continue;
            };
            let mut hasher = ContentHasher::new(ContentIds::from(mark.content), object.meta.size);
            hasher.update(&object.bytes);
            if hasher.finish().is_none() {
                return Err(format!("{key} does not hold the bytes that its mark tells of"));
            }
            if self.is_forgiven(key) {
                continue;
            }
            let state = self.env.state();
            let is_marker = path.file_name() == MARKER_NAME.as_bytes() && object.bytes.is_empty();
            let is_known = |commit: &CommitId| {
                state.trees[commit].get(&path).map(Bytes::len) == Some(object.bytes.len())
                    && state.trees[commit].get(&path) == Some(&object.bytes)
            };
            if !is_marker && !commits.iter().any(is_known) {
                return Err(format!("{key} holds bytes of no commit that is under way"));
            }
        }
        Ok(())
    }

    /// (d): nothing is sent that is there already, and nothing at all where nothing changed.
    fn check_economy(&self, logs: &Logs<'_>, by: u32, head_tree: &Tree, asked: &Asked) -> Verdict {
        let Some(before) = &self.before else { return Ok(()) };
        let root = &before.loaded.root;
        if root.state != State::Clean || !root.unsettled.is_empty() {
            return Ok(());
        }
        // What the root was made with before the run: nobody has looked at the new one yet.
        if asked.cache_control == self.asked_of_root.cache_control {
            for (path, record) in &before.records {
                let key = self.env.key(path);
                let stands = self
                    .objects_before
                    .get(&key)
                    .filter(|object| object.meta.etag == record.etag);
                let is_same = stands.is_some_and(|object| head_tree.get(path) == Some(&object.bytes));
                if is_same && !self.is_forgiven(&key) && logs.wrote(by, &key) {
                    return Err(format!("{key} was written although it did not change (P4)"));
                }
            }
        }
        Ok(())
    }

    /// (j): the ledger is exactly what is in the bucket of ours.
    fn check_ledger(&self, ledger: &Ledger, report: &Report) -> Verdict {
        let root = &ledger.loaded.root;
        let is_right_state = match report.outcome {
            Outcome::Failed => matches!(root.state, State::Dirty(_)) && root.commit.is_none(),
            Outcome::Exported | Outcome::Unchanged => {
                root.state == State::Clean && root.commit.as_ref() == Some(&report.commit)
            }
        };
        if !is_right_state {
            return Err(format!(
                "a run that ended as {:?} left the root {:?} at {:?}",
                report.outcome, root.state, root.commit
            ));
        }
        let objects = self.env.store.objects();
        for (path, record) in &ledger.records {
            let key = self.env.key(path);
            if !self.is_forgiven(&key) && objects.get(&key).is_none_or(|object| object.meta.etag != record.etag) {
                return Err(format!("the ledger holds {path}, and the bucket does not hold it so"));
            }
        }
        for (key, object) in &objects {
            if let Some(path) = self.env.path_of(key)
                && object.meta.headers.mark.is_some()
                && !ledger.records.contains_key(&path)
                && !self.is_forgiven(key)
            {
                return Err(format!("{key} is ours, and the ledger does not know it"));
            }
        }
        Ok(())
    }

    pub(super) fn wanted_of(&self, commit: &CommitId, asked: &Asked) -> Tree {
        wanted(&self.env.state().trees[commit], asked)
    }
}
