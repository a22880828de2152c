//! What a run may fail for, and what must hold when everything is over.

use std::collections::BTreeSet;

use lakesync::export::Report;
use lakesync::model::{ObjectKey, RelPath};

use super::bucket::read_ledger;
use super::env::in_the_way;
use super::judge::Judge;
use super::world::Asked;

type Verdict<T = ()> = Result<T, String>;

impl Judge {
    /// Says whether objects failed for a reason.
    pub fn expect_failures(&self, report: &Report, asked: &Asked) -> Verdict {
        let wanted = self.wanted_of(&report.commit, asked);
        let state = self.env.state();
        for failure in &report.failures {
            let stands_there = |key: &ObjectKey| {
                self.env.path_of(key).is_some_and(|other| {
                    other == failure.path || (self.kind.has_folders() && in_the_way(&other, &failure.path))
                })
            };
            let has_reason = state.troubled.contains(&failure.path) || state.tampered.iter().any(stands_there);
            if !has_reason || !wanted.contains_key(&failure.path) {
                return Err(format!("{} failed without a reason: {}", failure.path, failure.error));
            }
        }
        Ok(())
    }

    /// Has others remove what is theirs and in the way.
    pub async fn clear_the_way(&mut self, asked: &Asked) -> Verdict {
        let wanted = self.wanted_of(&self.env.head(), asked);
        let has_root = read_ledger(&self.env).await?.is_some();
        for (key, object) in self.env.store.objects() {
            let Some(path) = self.env.path_of(&key).filter(|_| object.meta.headers.mark.is_none()) else {
                continue;
            };
            let stands_there =
                |other: &RelPath| *other == path || (self.kind.has_folders() && in_the_way(&path, other));
            if !has_root || wanted.keys().any(stands_there) {
                self.env.remove_foreign(&key);
            }
        }
        Ok(())
    }

    /// Whether no dead run is to be looked at once more.
    pub async fn is_settled(&self) -> Verdict<bool> {
        Ok(read_ledger(&self.env)
            .await?
            .is_some_and(|ledger| ledger.loaded.root.unsettled.is_empty()))
    }

    /// Half an hour after everything, nothing is forgiven any more but what others did.
    pub async fn expect_settled(&mut self) -> Verdict {
        let ledger = read_ledger(&self.env).await?.ok_or("there is no root")?;
        if !ledger.loaded.root.unsettled.is_empty() {
            return Err("runs are still unsettled".to_owned());
        }
        if !self.late.is_empty() {
            return Err("what landed late was not looked at".to_owned());
        }
        // A probe's request that lands when the probe is long over: nobody asks for it again.
        let uploads = self.env.store.uploads();
        let is_late = |key: &str| self.had_late_probe && key.starts_with("out/_lakesync/probe/");
        match uploads.iter().find(|upload| !is_late(upload.key.as_str())) {
            Some(upload) => Err(format!("an upload of {} was left (P2)", upload.key)),
            None => Ok(()),
        }
    }

    /// An unchanged head costs at most three requests.
    pub fn expect_nothing_done(&self, by: u32) -> Verdict {
        let log = self.env.store.log();
        let own: Vec<_> = log.iter().filter(|one| one.by == by).collect();
        if own.len() > 3 || own.iter().any(|one| one.kind.is_write()) {
            return Err(format!("an unchanged head cost {own:?} (P4)"));
        }
        Ok(())
    }

    /// `_lakesync/` and the status files hold what the root names, and nothing else.
    pub async fn expect_clean_folder(&self) -> Verdict {
        let ledger = read_ledger(&self.env).await?.ok_or("there is no root")?;
        let root = &ledger.loaded.root;
        let ranges: BTreeSet<String> = root
            .ranges
            .iter()
            .map(|range| format!("out/_lakesync/ranges/{}", range.name))
            .collect();
        let names: BTreeSet<String> = root.status.names.iter().map(|name| format!("out/{name}")).collect();
        for key in self.env.store.objects().into_keys() {
            let text = key.as_str();
            let is_named = match text {
                "out/_lakesync/root.json" | "out/_lakesync/lease.json" => true,
                _ if text.starts_with("out/_lakesync/") => ranges.contains(text),
                _ if text.starts_with("out/_STATUS_") => names.contains(text),
                _ => true,
            };
            if !is_named {
                return Err(format!("{key} was left behind, and no root names it"));
            }
        }
        Ok(())
    }
}
