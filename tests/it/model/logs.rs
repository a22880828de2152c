//! What the order of requests must be, as the bucket saw them.

use std::collections::BTreeSet;

use lakesync::export::Report;
use lakesync::model::{ObjectKey, RelPath};
use lakesync::plan::MARKER_NAME;
use lakesync::store::RequestKind;
use lakesync::store::memory::Logged;

use super::env::{Env, Tree, in_the_way};
use super::wire::writes_object;

type Verdict = Result<(), String>;

/// The requests of one op.
pub struct Logs<'a> {
    pub log: Vec<Logged>,
    pub env: &'a Env,
    pub is_flat: bool,
}

/// A write or a delete of an object of the tree.
struct Act {
    path: RelPath,
    is_delete: bool,
    ok: bool,
}

impl Logs<'_> {
    /// Whether an exporter wrote a key.
    pub fn wrote(&self, by: u32, key: &ObjectKey) -> bool {
        self.log
            .iter()
            .any(|one| one.by == by && one.ok && writes_object(one.kind) && one.key.as_ref() == Some(key))
    }

    /// Who sent the last request.
    pub fn last_writer(&self) -> u32 {
        self.log
            .iter()
            .rfind(|one| one.kind.is_write() && one.by != 0)
            .map_or(0, |one| one.by)
    }

    /// What an exporter did to the tree, cut where it began again under another run id.
    fn attempts(&self, by: u32) -> Vec<Vec<Act>> {
        let mut attempts = vec![Vec::new()];
        let mut run = None;
        for one in self.log.iter().filter(|one| one.by == by) {
            let key = one.key.as_ref().map_or("", ObjectKey::as_str);
            if one.kind == RequestKind::Put
                && let Some((next, _)) = key
                    .strip_prefix("out/_lakesync/runs/")
                    .and_then(|rest| rest.split_once("/intents-"))
                && run != Some(next)
            {
                run = Some(next);
                attempts.push(Vec::new());
            }
            let acts = attempts.last_mut().unwrap();
            let mut act = |key: &ObjectKey, is_delete, ok| {
                if let Some(path) = self.env.path_of(key) {
                    acts.push(Act { path, is_delete, ok });
                }
            };
            match one.kind {
                RequestKind::Delete => act(one.key.as_ref().unwrap(), true, one.ok),
                RequestKind::DeleteMany => one.batch.iter().for_each(|(key, ok)| act(key, true, *ok)),
                kind if writes_object(kind) => act(one.key.as_ref().unwrap(), false, one.ok),
                _ => {}
            }
        }
        attempts
    }
}

/// The place of a path among those that go last.
fn rank(path: &RelPath) -> u8 {
    if path.file_name() == MARKER_NAME.as_bytes() {
        3
    } else if path.segments().any(|segment| segment == b"_delta_log") {
        2
    } else if path.file_name() == b"_SUCCESS" {
        1
    } else {
        0
    }
}

/// (c): data, then what points at it, then deletes the other way round, and none once something failed.
pub fn check_order(logs: &Logs<'_>, by: u32, report: Option<&Report>, wanted: &Tree) -> Verdict {
    for acts in logs.attempts(by) {
        let of_kind = |is_delete: bool| -> BTreeSet<&RelPath> {
            acts.iter()
                .filter(|act| act.is_delete == is_delete)
                .map(|act| &act.path)
                .collect()
        };
        let (written, deleted) = (of_kind(false), of_kind(true));
        let blocks = |path: &RelPath, others: &BTreeSet<&RelPath>| {
            logs.is_flat && others.iter().any(|other| *other != path && in_the_way(other, path))
        };
        let all: BTreeSet<&RelPath> = written.iter().copied().chain(wanted.keys()).collect();
        let mut last_put: Option<&RelPath> = None;
        let mut last_delete: Option<&RelPath> = None;
        for act in &acts {
            if act.is_delete {
                if blocks(&act.path, &all) || !act.ok {
                    continue;
                }
                if let Some(last) = last_delete.filter(|last| !follows(&act.path, last)) {
                    return Err(format!("{last} was deleted before {}", act.path));
                }
                last_delete = Some(&act.path);
            } else if !blocks(&act.path, &deleted) {
                if let Some(deleted) = last_delete {
                    return Err(format!("{} was written after {deleted} was deleted (P7)", act.path));
                }
                if let Some(last) = last_put.filter(|last| !follows(last, &act.path)) {
                    return Err(format!("{last} was written before {}", act.path));
                }
                if act.ok {
                    last_put = Some(&act.path);
                }
            }
        }
        let has_failed =
            report.is_some_and(|report| report.failures.iter().any(|failure| wanted.contains_key(&failure.path)));
        if let Some(deleted) = last_delete.filter(|_| has_failed) {
            return Err(format!("{deleted} was deleted by a run in which something failed (P7)"));
        }
    }
    Ok(())
}

/// Whether a later write may follow an earlier one; deletes the other way round.
fn follows(earlier: &RelPath, later: &RelPath) -> bool {
    let (before, after) = (rank(earlier), rank(later));
    before < after || (before == after && (before != 2 || earlier <= later))
}

/// (g): whoever wrote the lease last is the only one who writes at all.
pub fn check_one_writer(logs: &Logs<'_>, by: &[u32]) -> Verdict {
    let mut holder = None;
    // What was sent long ago and lands now is judged by what it does.
    for one in logs
        .log
        .iter()
        .filter(|one| one.kind.is_write() && by.contains(&one.by))
    {
        let is_lease = one
            .key
            .as_ref()
            .is_some_and(|key| key.as_str() == "out/_lakesync/lease.json");
        if is_lease {
            if one.ok {
                holder = Some(one.by);
            }
        } else if holder.is_some_and(|holder| holder != one.by) {
            let what = one.key.as_ref().or_else(|| one.batch.first().map(|(key, _)| key));
            let what = what.map_or_else(String::new, ToString::to_string);
            return Err(format!(
                "exporter {} wrote {what} while exporter {holder:?} had the lease (P5)",
                one.by
            ));
        }
    }
    Ok(())
}
