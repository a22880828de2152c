//! Steps 4 to 6: intents, the root to dirty, `creating`; and the status files of runs that died.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::ledger::{Intent, IntentKind, IntentWriter, Loaded, RangeRef, Root, RunRef, State, StatusName, StatusPlace};
use crate::model::{CommitId, Prefix};
use crate::plan::{Plan, Step, Work};
use crate::progress::Phase;
use crate::status::{ExportState, StatusError, StatusFile, StatusHead, read_head};
use crate::store::{Capabilities, Condition, Store, StoreErrorKind};
use crate::switches::{Switch, is_out};
use crate::transfer::SMALLEST_PART_COPY_BYTES;

use super::ExportError;
use super::run::Stop;
use super::session::{Inherited, Session};

/// Where a run comes from and where it goes.
pub(super) struct Course<'a> {
    pub(super) loaded: Option<&'a Loaded>,
    pub(super) inherited: &'a Inherited,
    pub(super) commit: &'a CommitId,
    pub(super) capabilities: Capabilities,
    /// The ranges that it begins with.
    pub(super) ranges: Vec<RangeRef>,
    /// The newest status file that is known of.
    pub(super) last_status: Option<&'a StatusName>,
}

/// A run that has said what it will do.
pub(super) struct Announced {
    pub(super) root: Loaded,
    pub(super) status: StatusFile,
    pub(super) head: StatusHead,
}

impl Session<'_> {
    /// Says what the run will do: first to the next run, then to readers.
    pub(super) async fn announce(&self, course: Course<'_>, plan: &Plan) -> Result<Announced, Stop> {
        let Course {
            loaded,
            inherited,
            commit,
            capabilities,
            ranges,
            last_status,
        } = course;
        self.exporter.progress.phase(Phase::Announce);
        if !is_out(Switch::IntentsBeforeDirty) {
            self.write_intents(plan, capabilities).await?;
        }
        let name = StatusName::next(self.store_now(), last_status);
        let run = RunRef {
            run: self.run,
            commit: commit.clone(),
            status: name.clone(),
            lease_taken: self.lease_taken,
        };
        // Before the swap: a run that dies right after it leaves nobody who knows what earlier ones left open.
        if let Some(Loaded { root, .. }) = loaded {
            self.settle_newest(root, capabilities).await?;
        }
        self.close_dead_files(loaded, inherited, capabilities).await?;
        let root = self.dirty_root(loaded, inherited, run, ranges, capabilities);
        let etag = match loaded {
            Some(loaded) if is_out(Switch::DirtyBeforeObjects) => loaded.etag.clone(),
            _ => self.swap(&root, loaded.map(|loaded| &loaded.etag)).await?,
        };
        let root = Loaded { root, etag, date: None };
        match self.say_creating(commit, name, loaded, inherited, capabilities).await {
            Ok((status, head)) => Ok(Announced { root, status, head }),
            Err(stop) => {
                self.step_back(loaded, root, &stop).await;
                Err(stop)
            }
        }
    }

    /// Step 6, and what a run that died cannot do for itself any more.
    async fn say_creating(
        &self,
        commit: &CommitId,
        name: StatusName,
        loaded: Option<&Loaded>,
        inherited: &Inherited,
        capabilities: Capabilities,
    ) -> Result<(StatusFile, StatusHead), Stop> {
        let (exporter, config) = (self.exporter, &self.exporter.config);
        self.abort_uploads(loaded, inherited).await?;
        let head = StatusHead {
            status: ExportState::Creating,
            message: "export begun".to_owned(),
            commit: commit.to_string(),
            source: exporter.source.name().to_owned(),
            export_path: config.export_path.to_string(),
            run: self.run.to_string(),
            started_at: Some(self.store_now()),
            unguarded: super::run::unguarded(&capabilities),
            ..StatusHead::empty()
        };
        let mut status = self.status_file(name, capabilities);
        if !is_out(Switch::CreatingBeforeObjects) {
            status.write(&head, &mut ()).await?;
        }
        Ok((status, head))
    }

    /// Takes the dirty root back after an error before any object was touched, so that failures do not pile up.
    async fn step_back(&self, loaded: Option<&Loaded>, dirty: Loaded, stop: &Stop) {
        let Loaded { root: dirty, etag, .. } = dirty;
        if matches!(stop, Stop::Swapped) || matches!(stop, Stop::Error(error) if error.is_lost_lease()) {
            return;
        }
        let mut root = match loaded {
            Some(loaded) => loaded.root.clone(),
            None => Root {
                state: State::Dirty(Vec::new()),
                ..dirty.clone()
            },
        };
        root.generation = dirty.generation + 1;
        // The file may have been written although no reply said so; it is pruned like others.
        root.status = dirty.status;
        if let Err(error) = self.swap(&root, Some(&etag)).await {
            tracing::warn!(%error, "the root could not be taken back; the next run finds out that nothing was done");
        }
    }

    pub(super) fn status_file(&self, name: StatusName, capabilities: Capabilities) -> StatusFile {
        let (store, prefix) = (self.status_store.clone(), &self.exporter.config.status_path.prefix);
        // The probe was of the export path's store; that of the status path is nearly always the same.
        StatusFile::new(
            store,
            prefix,
            name,
            self.run,
            capabilities.guards_writes(),
            capabilities.checksum,
        )
    }

    async fn write_intents(&self, plan: &Plan, capabilities: Capabilities) -> Result<(), ExportError> {
        let part_size = self.exporter.config.part_size_bytes;
        let (store, folder) = (self.ledger_store.clone(), self.folder.clone());
        let mut writer = IntentWriter::new(store, folder, self.run, capabilities.checksum);
        for step in plan.steps() {
            if let Some(intent) = intent(step?, part_size) {
                writer.push(&intent).await?;
            }
        }
        writer.finish().await?;
        Ok(())
    }

    fn dirty_root(
        &self,
        loaded: Option<&Loaded>,
        inherited: &Inherited,
        run: RunRef,
        ranges: Vec<RangeRef>,
        capabilities: Capabilities,
    ) -> Root {
        let (exporter, config) = (self.exporter, &self.exporter.config);
        let status = loaded
            .map(|loaded| &loaded.root.status)
            .filter(|status| status.path == config.status_path);
        let mut status = status.cloned().unwrap_or_else(|| StatusPlace {
            path: config.status_path.clone(),
            names: Vec::new(),
            newest_success: None,
        });
        status.names.push(run.status.clone());
        let mut runs = inherited.dead.clone();
        runs.push(run);
        Root {
            generation: loaded.map_or(0, |loaded| loaded.root.generation) + 1,
            export_path: config.export_path.clone(),
            source: exporter.source.name().to_owned(),
            commit: loaded.and_then(|loaded| loaded.root.commit.clone()),
            fingerprint: exporter.fingerprint(),
            store: capabilities,
            status,
            ranges,
            state: State::Dirty(runs),
            unsettled: loaded.map(|loaded| loaded.root.unsettled.clone()).unwrap_or_default(),
        }
    }

    /// Ends the status files that nobody else will end: of runs that died, and of a status path that is left.
    async fn close_dead_files(
        &self,
        loaded: Option<&Loaded>,
        inherited: &Inherited,
        capabilities: Capabilities,
    ) -> Result<(), Stop> {
        let Some(Loaded { root, .. }) = loaded else {
            return Ok(());
        };
        if root.status.path != self.exporter.config.status_path {
            // Its newest was closed when it was left; here those runs have no files.
            return Ok(());
        }
        let message = "the run died; a later one goes on from here";
        // A run of a status path that was left since is not among the names.
        for run in inherited
            .dead
            .iter()
            .filter(|run| root.status.names.contains(&run.status))
        {
            self.close_file(&run.status, &run.commit, message, capabilities).await?;
        }
        // A run that failed in good order, but for its last status.
        if root.state == State::Dirty(Vec::new())
            && let Some(newest) = root.status.names.last()
        {
            self.close_file(newest, &CommitId::new(""), message, capabilities)
                .await?;
        }
        Ok(())
    }

    /// Sees to it that the newest status file says what is true until this run's own is there.
    async fn settle_newest(&self, root: &Root, capabilities: Capabilities) -> Result<(), Stop> {
        if root.status.path != self.exporter.config.status_path {
            return self.close_left_path(root).await;
        }
        // A run that died between its clean swap and its last status: its commit was whole.
        if root.state == State::Clean
            && let (Some(newest), Some(commit)) = (root.status.names.last(), &root.commit)
        {
            self.ensure_success(root, newest, commit, capabilities).await?;
        }
        Ok(())
    }

    async fn close_file(
        &self,
        name: &StatusName,
        commit: &CommitId,
        message: &str,
        capabilities: Capabilities,
    ) -> Result<(), Stop> {
        let mut file = self.status_file(name.clone(), capabilities);
        let mut head = match read_head(&*self.status_store, file.key()).await? {
            Some((head, _)) if matches!(head.status, ExportState::Success | ExportState::Failure) => return Ok(()),
            Some((head, etag)) => {
                file = file.seen(etag);
                head
            }
            None => StatusHead {
                commit: commit.to_string(),
                export_path: self.exporter.config.export_path.to_string(),
                source: self.exporter.source.name().to_owned(),
                ..StatusHead::empty()
            },
        };
        self.abort_status_uploads(file.key()).await?;
        head.status = ExportState::Failure;
        message.clone_into(&mut head.message);
        head.finished_at = Some(self.store_now());
        match file.write(&head, &mut ()).await {
            // Its own run woke up and ended it; that is as good.
            Err(StatusError::Store(error)) if error.kind == StoreErrorKind::ConditionFailed => Ok(()),
            other => Ok(other?),
        }
    }

    /// Readers of a status path that is left must not take its last `success` for what is there now.
    async fn close_left_path(&self, root: &Root) -> Result<(), Stop> {
        let Some(newest) = root.status.names.last() else {
            return Ok(());
        };
        let bucket = &root.status.path.bucket;
        if let Some(store) = self.store_of(bucket) {
            return Ok(self.end_left_file(store, root, newest).await?);
        }
        let why = match self.open_bucket(bucket).await {
            Ok(store) => match self.end_left_file(&store, root, newest).await {
                Ok(()) => return Ok(()),
                Err(StatusError::Store(error)) if error.kind == StoreErrorKind::LeaseLost => return Err(error.into()),
                Err(error) => error.to_string(),
            },
            Err(error) => error.to_string(),
        };
        // A bucket that only the root names may be gone, or closed to us: the move must be possible all the same.
        let text = format!(
            "the last status file of {} cannot be ended from here; delete it, so that no reader trusts it ({why})",
            root.status.path
        );
        self.exporter.progress.warn(&text);
        Ok(())
    }

    async fn end_left_file(&self, store: &Arc<dyn Store>, root: &Root, newest: &StatusName) -> Result<(), StatusError> {
        let prefix: &Prefix = &root.status.path.prefix;
        let key = prefix.join(&newest.to_string());
        let Some((mut head, etag)) = read_head(&**store, &key).await? else {
            return Ok(());
        };
        head.status = ExportState::Failure;
        head.message = format!("status files moved to {}", self.exporter.config.status_path);
        let (guarded, checksum) = (root.store.guards_writes(), root.store.checksum);
        let file = StatusFile::new(store.clone(), prefix, newest.clone(), self.run, guarded, checksum);
        file.seen(etag).write(&head, &mut ()).await
    }

    /// Deletes old status files that the root records; the next swap drops their names.
    pub(super) async fn prune_status(&self, root: &mut Root, own: &StatusName) {
        let keep = self.exporter.config.keep_status.max(1);
        let mut needed: BTreeSet<StatusName> = root.unsettled.iter().map(|one| one.run.status.clone()).collect();
        if let State::Dirty(runs) = &root.state {
            needed.extend(runs.iter().map(|run| run.status.clone()));
        }
        needed.extend(root.status.newest_success.clone());
        needed.insert(own.clone());
        let excess = root.status.names.len().saturating_sub(keep);
        let old: Vec<StatusName> = root
            .status
            .names
            .iter()
            .take(excess)
            .filter(|name| !needed.contains(*name))
            .cloned()
            .collect();
        for name in old {
            let key = self.exporter.config.status_path.prefix.join(&name.to_string());
            match self.status_store.delete(&key, &Condition::Always).await {
                Ok(()) => root.status.names.retain(|known| *known != name),
                Err(error) => tracing::warn!(%error, "an old status file could not be deleted; a later run does it"),
            }
        }
    }
}

fn intent(step: Step, part_size_bytes: u64) -> Option<Intent> {
    match step.work {
        Work::Write { entry, headers, .. } => Some(Intent {
            path: entry.path,
            kind: IntentKind::Put {
                content: entry.content,
                size: entry.size,
                headers,
            },
            // Copies may go in parts from the least length of a part on.
            is_upload: entry.size > part_size_bytes.min(SMALLEST_PART_COPY_BYTES),
        }),
        Work::Delete { path, .. } => Some(Intent {
            path,
            kind: IntentKind::Delete,
            is_upload: false,
        }),
        Work::Conflict { .. } | Work::LetGo { .. } | Work::Unreadable { .. } => None,
    }
}
