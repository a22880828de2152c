//! Steps 2 to 6 of one attempt under the lease, and the runs that need no more.

use std::time::Instant;

use crate::ledger::{Loaded, Root, StatusName, load_root};
use crate::model::{CommitId, ObjectKey};
use crate::status::{ExportState, RecordsListed, StatusError, StatusHead, read_head};
use crate::store::{Capabilities, StoreError, StoreErrorKind};
use crate::switches::{Switch, is_out};
use crate::transfer::Outcomes;

use super::ExportError;
use super::announce::Course;
use super::hooks::Begun;
use super::prepare::{Prepared, Reads};
use super::report::Report;
use super::run::Stop;
use super::session::{Inherited, Session};
use super::settle::{Settler, abort_all_uploads};

impl Session<'_> {
    pub(super) async fn go(&mut self) -> Result<Report, Stop> {
        let exporter = self.exporter;
        let loaded = load_root(&*self.ledger_store, &self.folder).await?;
        self.take_date(loaded.as_ref());
        let head = exporter.source.head().await?;
        let last_status = self.reads().check_place(loaded.as_ref()).await?;
        let inherited = Inherited::of(loaded.as_ref());
        if let Some(loaded) = loaded.as_ref().filter(|loaded| exporter.is_at(loaded, &head))
            && inherited.to_settle().is_empty()
        {
            return self.say_success(loaded).await;
        }
        let capabilities = self.capabilities(loaded.as_ref()).await?;
        exporter.progress.started(self.run, &head);
        let reads = self.reads();
        let preparing = reads.prepare(loaded.as_ref(), &inherited, &head, capabilities, last_status);
        // Nothing is written yet, so there is nothing to end in order.
        let prepared = self
            .cancel
            .run_until_cancelled(preparing)
            .await
            .ok_or(ExportError::Interrupted)??;
        drop(reads);
        if let Some(loaded) = loaded.as_ref().filter(|loaded| exporter.is_at(loaded, &head))
            && prepared.plan.is_empty()
            && prepared.corrections.is_empty()
        {
            // Dead runs of long ago left nothing: the root forgets them, and nothing else happens.
            self.abort_uploads(Some(loaded), &inherited).await?;
            let root = without_overdue(&loaded.root, &inherited);
            let etag = self.swap(&root, Some(&loaded.etag)).await?;
            let swapped = Loaded {
                root,
                etag,
                date: loaded.date,
            };
            let report = self.say_success(&swapped).await?;
            self.clean_up(&swapped.root).await;
            return Ok(report);
        }
        let mut begun = Begun {
            run: self.run,
            commit: head.clone(),
            previous: loaded.as_ref().and_then(|loaded| loaded.root.commit.clone()),
            report: None,
        };
        begun.report = exporter
            .before_hook(&begun, &prepared.plan.totals, &self.cancel)
            .await?;
        self.begun = Some(begun);
        let Prepared {
            plan,
            corrections,
            last_status,
        } = prepared;
        let ranges = match &loaded {
            Some(loaded) => loaded.root.ranges.clone(),
            // Adopted objects stand in no intent: they are ours from the first root on, or never.
            None => {
                let nothing = Outcomes::default();
                self.write_ranges(&[], &corrections, &nothing, capabilities.checksum)
                    .await?
            }
        };
        let course = Course {
            loaded: loaded.as_ref(),
            inherited: &inherited,
            commit: &head,
            capabilities,
            ranges,
            last_status: last_status.as_ref(),
        };
        let announced = self.announce(course, &plan).await?;
        let previous = loaded.and_then(|loaded| loaded.root.commit);
        self.carry_out_and_record(announced, inherited, head, previous, plan, corrections)
            .await
    }

    pub(super) fn reads(&self) -> Reads<'_> {
        Reads {
            exporter: self.exporter,
            store: self.ledger_store.clone(),
            status_store: self.status_store.clone(),
            folder: self.folder.clone(),
            reader: self.reader.clone(),
        }
    }

    /// Gives up the uploads that dead runs left. Where the rights for that are missing they stay: they cost money,
    /// and harm nobody.
    pub(super) async fn abort_uploads(
        &self,
        loaded: Option<&Loaded>,
        inherited: &Inherited,
    ) -> Result<(), ExportError> {
        match self.try_abort_uploads(loaded, inherited).await {
            Err(ExportError::Store(error)) => self.let_uploads_stay(error),
            other => other,
        }
    }

    /// Gives up what a run that died in a status file of many parts left of it. Such a run need not be in the root
    /// any more: its swap was done.
    pub(super) async fn abort_status_uploads(&self, key: &ObjectKey) -> Result<(), ExportError> {
        if is_out(Switch::AbortDeadUploads) {
            return Ok(());
        }
        match abort_all_uploads(&*self.status_store, key.as_str()).await {
            Err(error) => self.let_uploads_stay(error),
            Ok(()) => Ok(()),
        }
    }

    fn let_uploads_stay(&self, error: StoreError) -> Result<(), ExportError> {
        if matches!(error.kind, StoreErrorKind::Denied | StoreErrorKind::NotSupported) {
            let text = format!("multipart uploads of dead runs stay: {error}");
            self.exporter.progress.warn(&text);
            Ok(())
        } else {
            Err(error.into())
        }
    }

    async fn try_abort_uploads(&self, loaded: Option<&Loaded>, inherited: &Inherited) -> Result<(), ExportError> {
        let runs = inherited.to_settle();
        if runs.is_empty() || is_out(Switch::AbortDeadUploads) {
            return Ok(());
        }
        let prefix = &self.exporter.config.export_path.prefix;
        let settler = Settler {
            store: &self.ledger_store,
            folder: &self.folder,
            prefix,
            ledger_objects: 0,
        };
        let aborted = settler.abort_uploads(&runs).await?;
        // Status files of big trees go in parts, too.
        if let Some(Loaded { root, .. }) = loaded
            && let Some(store) = self.store_of(&root.status.path.bucket)
        {
            for run in runs.iter().filter(|run| root.status.names.contains(&run.status)) {
                let key = root.status.path.prefix.join(&run.status.to_string());
                abort_all_uploads(&**store, key.as_str()).await?;
            }
        }
        // A root that landed late ends all probing, perhaps after a probe that died.
        abort_all_uploads(&*self.ledger_store, &self.folder.probes()).await?;
        if aborted > 0 {
            tracing::info!(aborted, "multipart uploads of dead runs were aborted");
        }
        Ok(())
    }

    /// The root is at the head already: only the status may be missing.
    async fn say_success(&self, loaded: &Loaded) -> Result<Report, Stop> {
        let root = &loaded.root;
        if let (Some(newest), Some(commit)) = (root.status.names.last(), &root.commit) {
            self.ensure_success(root, newest, commit, root.store).await?;
        }
        Ok(self.exporter.unchanged(loaded, Instant::now()))
    }

    /// Sees to it that a status file says `success` for the commit that the root holds wholly.
    pub(super) async fn ensure_success(
        &self,
        root: &Root,
        name: &StatusName,
        commit: &CommitId,
        capabilities: Capabilities,
    ) -> Result<(), Stop> {
        let mut file = self.status_file(name.clone(), capabilities);
        let says_so = |head: &StatusHead| head.status == ExportState::Success && head.commit == commit.as_str();
        let mut head = match read_head(&*self.status_store, file.key()).await? {
            Some((head, _)) if says_so(&head) => return Ok(()),
            Some((head, etag)) => {
                file = file.seen(etag);
                head
            }
            None => StatusHead::empty(),
        };
        self.abort_status_uploads(file.key()).await?;
        head.source.clone_from(&root.source);
        head.export_path = root.export_path.to_string();
        head.commit = commit.to_string();
        head.status = ExportState::Success;
        head.message = "exported; the run died before it could say so".to_owned();
        head.finished_at = Some(self.store_now());
        head.kept = root
            .ranges
            .iter()
            .map(|range| range.count)
            .sum::<u64>()
            .saturating_sub(head.put + head.copied);
        head.records = RecordsListed::All;
        match file.write(&head, &mut self.all_records(&root.ranges)).await {
            Err(StatusError::Store(error)) if error.kind == StoreErrorKind::ConditionFailed => {
                let now = read_head(&*self.status_store, file.key()).await?;
                if now.is_some_and(|(head, _)| says_so(&head)) {
                    Ok(())
                } else {
                    Err(StatusError::Store(error).into())
                }
            }
            other => Ok(other?),
        }
    }
}

/// The root without the runs that were looked at for the last time.
fn without_overdue(root: &Root, inherited: &Inherited) -> Root {
    let mut next = root.clone();
    next.generation += 1;
    next.unsettled.retain(|one| !inherited.overdue.contains(&one.run));
    next
}
