//! Which step of a run a request belongs to, told from the outside.

use lakesync::store::RequestKind;

use crate::wire::Seen;

/// The steps of `docs/design.md`, from 0 to 11.
pub const STEPS: usize = 12;

/// The step of the last request of a log of one run.
pub fn step_of(log: &[Seen], prefix: &str) -> usize {
    log.iter().fold(0, |step, seen| next(step, seen, prefix))
}

/// The step that a request brings a run to.
fn next(step: usize, seen: &Seen, prefix: &str) -> usize {
    let Some(kind) = seen.kind else { return step };
    let path = seen.key.strip_prefix(prefix).unwrap_or_default();
    let writes = kind.is_write();
    let (first, rest) = path.split_once('/').unwrap_or((path, ""));
    match (first, rest) {
        ("_lakesync", "lease.json") => match step {
            0 => 1,
            // Given back; before that it is renewed.
            10.. if writes => 11,
            _ => step,
        },
        ("_lakesync", "root.json") => match step {
            1 if !writes => 2,
            0..=4 if writes => 5,
            5.. if writes => 9,
            _ => step,
        },
        ("_lakesync", rest) => match rest.split_once('/').map_or(rest, |(folder, _)| folder) {
            // What the store can do is found out between root and plan.
            "probe" if step < 4 => 2,
            "runs" if writes && kind == RequestKind::Put && rest.contains("/intents-") => 4,
            "ranges" if kind == RequestKind::Put => 8,
            "ranges" if step >= 7 && !writes => step.max(8),
            _ if writes && step >= 9 => 11,
            _ => read_by(step),
        },
        (name, "") if name.starts_with("_STATUS_") => match step {
            // The root was clean, and only this was missing.
            2 | 3 if writes => 10,
            5 => 6,
            9 if writes => 10,
            _ => step,
        },
        // Of the bucket: a listing, a batch of deletes, uploads.
        ("", "") => match kind {
            RequestKind::List if step >= 9 => 11,
            RequestKind::DeleteMany if step >= 9 => 11,
            RequestKind::DeleteMany if step >= 5 => 7,
            // The probe deletes by batches as well; uploads of dead runs are looked for before `creating`.
            RequestKind::DeleteMany | RequestKind::ListUploads | RequestKind::BucketFacts => step,
            _ => read_by(step),
        },
        _ if kind == RequestKind::AbortUpload && step < 7 => step,
        _ if writes => step.max(7),
        _ => read_by(step),
    }
}

/// A read for the plan, where there is none yet.
fn read_by(step: usize) -> usize {
    if step == 2 { 3 } else { step }
}
