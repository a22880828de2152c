//! Steps 2 and 3: what is there, what is wanted, and the plan of it; reads only.

use std::sync::Arc;

use crate::ledger::{Edit, LedgerFolder, LedgerReader, Loaded, State, StatusName};
use crate::model::CommitId;
use crate::plan::{KeyRules, OddKeys, Plan, PlanRules};
use crate::progress::Phase;
use crate::spool::Spool;
use crate::status::read_newest;
use crate::store::{Capabilities, Store};
use crate::transfer::OutsideCopies;

use super::adopt::{Wanted, find_objects, first_object};
use super::compare::{Compared, Comparison};
use super::config::{LeasePolicy, MaxDelete};
use super::known::Found;
use super::session::Inherited;
use super::settle::Settler;
use super::{ExportError, Exporter, Refusal};

/// What reads need; a dry run has no more.
pub(super) struct Reads<'a> {
    pub(super) exporter: &'a Exporter,
    pub(super) store: Arc<dyn Store>,
    pub(super) status_store: Arc<dyn Store>,
    pub(super) folder: LedgerFolder,
    pub(super) reader: LedgerReader,
}

/// A plan, and what its run starts from.
pub(super) struct Prepared {
    pub(super) plan: Plan,
    pub(super) corrections: Spool<Edit>,
    /// The newest name in a status path that no root tells of.
    pub(super) last_status: Option<StatusName>,
}

impl Reads<'_> {
    /// Refuses what is another source's, another status path's or another export path's.
    pub(super) async fn check_place(&self, loaded: Option<&Loaded>) -> Result<Option<StatusName>, ExportError> {
        let (exporter, config) = (self.exporter, &self.exporter.config);
        let export_path = config.export_path.to_string();
        let (export, status) = (&config.export_path, &config.status_path);
        let is_below = status.prefix.as_str().starts_with(export.prefix.as_str()) && status.prefix != export.prefix;
        if status.bucket == export.bucket && is_below {
            let status_path = status.to_string();
            return Err(Refusal::StatusInside {
                export_path,
                status_path,
            }
            .into());
        }
        if let Some(Loaded { root, .. }) = loaded {
            if root.source != exporter.source.name() && !config.guards.adopt {
                let known = match &root.commit {
                    Some(commit) if same_branch(&root.source, exporter.source.name()) => {
                        exporter.source.contains(commit).await?
                    }
                    _ => false,
                };
                if !known {
                    let (found, wanted) = (root.source.clone(), exporter.source.name().to_owned());
                    return Err(Refusal::OtherSource {
                        export_path,
                        found,
                        wanted,
                    }
                    .into());
                }
            }
            if root.status.path == config.status_path {
                return Ok(root.status.names.last().cloned());
            }
            if !config.guards.move_status {
                let (found, wanted) = (root.status.path.to_string(), config.status_path.to_string());
                return Err(Refusal::StatusMoved {
                    export_path,
                    found,
                    wanted,
                }
                .into());
            }
        }
        let newest = read_newest(&*self.status_store, &config.status_path.prefix).await?;
        match newest {
            Some(newest) if !newest.head.export_path.is_empty() && newest.head.export_path != export_path => {
                let status_path = config.status_path.to_string();
                Err(Refusal::StatusTaken {
                    status_path,
                    found: newest.head.export_path,
                }
                .into())
            }
            newest => Ok(newest.map(|newest| newest.name)),
        }
    }

    /// Makes the plan and applies the guards.
    pub(super) async fn prepare(
        &self,
        loaded: Option<&Loaded>,
        inherited: &Inherited,
        head: &CommitId,
        capabilities: Capabilities,
        last_status: Option<StatusName>,
    ) -> Result<Prepared, ExportError> {
        let (exporter, config) = (self.exporter, &self.exporter.config);
        if config.lease == LeasePolicy::Required && !capabilities.guards_writes() {
            return Err(Refusal::Unguarded {
                export_path: config.export_path.to_string(),
            }
            .into());
        }
        let ranges = loaded.map_or(&[][..], |loaded| &loaded.root.ranges);
        let objects: u64 = ranges.iter().map(|range| range.count).sum();
        let found = self.find(loaded, inherited, head, objects).await?;
        exporter.progress.phase(Phase::Plan);
        let since = loaded
            .filter(|loaded| self.can_follow(loaded))
            .and_then(|loaded| loaded.root.commit.as_ref());
        let comparison = Comparison {
            source: &*exporter.source,
            head,
            since,
            reader: &self.reader,
            ranges,
            found: &found,
            kin: &inherited.kin,
            markers: config.prefix_regex.clone(),
        };
        let odd_pass = config.odd_keys == OddKeys::Send && capabilities.odd_keys;
        let rules = PlanRules {
            keys: KeyRules::new(&config.export_path.prefix, odd_pass),
            odd_keys: config.odd_keys,
            headers: &config.headers,
            last: &config.last,
            capabilities,
            overwrite: config.guards.overwrite,
            copies_outside: config.outside_copies != OutsideCopies::Never,
        };
        let Compared { plan, corrections } = comparison.plan(rules).await?;
        self.guard(&plan, objects)?;
        exporter.progress.planned(&plan.totals);
        Ok(Prepared {
            plan,
            corrections,
            last_status,
        })
    }

    /// Whether the source's own changes since the root's commit tell all that differs.
    fn can_follow(&self, loaded: &Loaded) -> bool {
        let root = &loaded.root;
        root.state == State::Clean
            && root.source == self.exporter.source.name()
            && root.fingerprint == self.exporter.fingerprint()
    }

    /// Looks at paths that the ledger may be wrong about.
    async fn find(
        &self,
        loaded: Option<&Loaded>,
        inherited: &Inherited,
        head: &CommitId,
        objects: u64,
    ) -> Result<Spool<Found>, ExportError> {
        let (exporter, config) = (self.exporter, &self.exporter.config);
        let prefix = &config.export_path.prefix;
        let to_settle = inherited.to_settle();
        if !to_settle.is_empty() {
            exporter.progress.phase(Phase::Settle);
            let settler = Settler {
                store: &self.store,
                folder: &self.folder,
                prefix,
                ledger_objects: objects,
            };
            return settler.settle(&to_settle, |run| inherited.dead.contains(run)).await;
        }
        if loaded.is_some() {
            return Ok(Spool::new(None));
        }
        let Some(first) = first_object(&*self.store, prefix).await? else {
            return Ok(Spool::new(None));
        };
        if !config.guards.adopt && !config.guards.overwrite {
            return Err(Refusal::NotEmpty {
                export_path: config.export_path.to_string(),
                first,
            }
            .into());
        }
        let compare = config.guards.adopt.then(|| Wanted {
            source: &*exporter.source,
            head,
            headers: &config.headers,
            markers: config.prefix_regex.clone(),
        });
        find_objects(&self.store, prefix, compare).await
    }

    fn guard(&self, plan: &Plan, objects: u64) -> Result<(), Refusal> {
        let guards = &self.exporter.config.guards;
        let totals = &plan.totals;
        // After a run that died the ledger tells less than there is.
        let objects = objects.max(plan.ours);
        if objects > 0 && totals.put + totals.copied + totals.kept + plan.doomed == 0 && !guards.allow_empty {
            return Err(Refusal::EmptyTree { objects });
        }
        // Where something is doomed nothing will be deleted.
        let deletes = if plan.doomed > 0 { 0 } else { totals.deleted };
        let too_many = match guards.max_delete {
            None => false,
            Some(MaxDelete::Count(most)) => deletes > most,
            // Counts of objects are far below 2^52, so nothing is lost.
            #[allow(clippy::cast_precision_loss)]
            Some(MaxDelete::Percent(most)) => deletes as f64 * 100.0 > objects as f64 * most,
        };
        if too_many {
            Err(Refusal::TooManyDeletes { deletes, objects })
        } else {
            Ok(())
        }
    }
}

/// Whether two names of sources end in the same branch of the same kind: a clone that moved.
fn same_branch(left: &str, right: &str) -> bool {
    let parts = |name: &str| {
        let kind = name.split(':').next().map(ToOwned::to_owned);
        Some((kind?, name.rsplit_once('#')?.1.to_owned()))
    };
    parts(left).is_some_and(|left| Some(left) == parts(right))
}
