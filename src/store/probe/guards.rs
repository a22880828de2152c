//! The conditional writes of whole objects, and which keys can be.

use super::desk::{Desk, Left, Outcome, Trial, body};
use crate::model::ObjectKey;
use crate::store::{Condition, ObjectHeaders, Put, StoreError, StoreErrorKind};

/// The conditions of writes, as the trials and their errors call them.
pub const ABSENT: Trial = Trial::Guard("If-None-Match");
pub const MATCHES: Trial = Trial::Guard("If-Match");

/// What was found of `PutObject`.
pub struct FoundPut {
    pub absent: bool,
    pub matches: bool,
}

/// What was found of `CopyObject`.
#[derive(Default)]
pub struct FoundCopy {
    pub absent: bool,
    pub matches: bool,
    pub source_matches: bool,
    /// A copy, where one could be made.
    pub left: Option<Left>,
}

/// What was found of `DeleteObjects`.
pub struct FoundBatch {
    pub accepted: bool,
    pub matches: bool,
}

/// What was found of objects beside folders.
pub struct FoundFolders {
    pub absent_over_folder: bool,
    /// The keys, each with whether the store took it.
    pub tried: Vec<(ObjectKey, bool)>,
}

/// Writes the first object; with it the lack of rights shows, and whether `If-None-Match: *` may be sent.
pub async fn first_put(desk: &Desk<'_>) -> Result<(Left, bool), StoreError> {
    let key = desk.key("k/1");
    let made = |etag| Left {
        key: key.clone(),
        stale: crate::model::ETag::new(""),
        etag,
    };
    // Without the right to delete the probe could not clear up after itself, nor could an export.
    let unneeded = desk.store.delete(&desk.key("d"), &Condition::Always).await;
    if let Err(error) = unneeded
        && error.kind != StoreErrorKind::NotFound
    {
        return Err(error);
    }
    let first = desk.store.put(&key, Put::new(body(b'1'), Condition::Absent)).await;
    let first = match first {
        // That is the right to write, and not the condition.
        Err(error) if error.kind == StoreErrorKind::Denied => return Err(error),
        answer => desk.judge(ABSENT, answer)?,
    };
    if let Outcome::Done(written) = first {
        desk.set_fresh(Condition::Absent);
        return Ok((made(written.etag), true));
    }
    let written = must(desk.put(Trial::Way, &key, b'1', Condition::Always).await?)?;
    desk.set_fresh(Condition::Always);
    Ok((made(written.etag), false))
}

/// Tries the conditions of `PutObject` on the first object, which the other steps copy from afterwards.
pub async fn puts(desk: &Desk<'_>, (mut object, mut absent): (Left, bool)) -> Result<(FoundPut, Left), StoreError> {
    let mut matches = true;
    match desk.put(ABSENT, &object.key, b'2', Condition::Absent).await? {
        Outcome::Refused => {}
        Outcome::Done(written) => {
            absent = false;
            object.etag = written.etag;
        }
        Outcome::Failed(_) => absent = false,
    }
    let current = Condition::Matches(object.etag.clone());
    let written = match desk.put(MATCHES, &object.key, b'3', current).await? {
        Outcome::Done(written) => written,
        Outcome::Refused | Outcome::Failed(_) => {
            matches = false;
            must(desk.put(Trial::Way, &object.key, b'3', Condition::Always).await?)?
        }
    };
    object.stale = std::mem::replace(&mut object.etag, written.etag);
    let stale = Condition::Matches(object.stale.clone());
    match desk.put(MATCHES, &object.key, b'4', stale).await? {
        Outcome::Refused => {}
        Outcome::Done(written) => {
            matches = false;
            object.etag = written.etag;
        }
        Outcome::Failed(_) => matches = false,
    }
    Ok((FoundPut { absent, matches }, object))
}

/// Tries the conditions of `CopyObject`, on its source and on its destination.
pub async fn copies(desk: &Desk<'_>, source: &Left) -> Result<FoundCopy, StoreError> {
    let headers = ObjectHeaders::default();
    let copy = async |etag, to: &ObjectKey, condition| {
        let from = source.as_source(desk.store, etag);
        desk.judge(Trial::Way, desk.store.copy(&from, to, &condition, &headers).await)
    };
    let (right, stale) = (&source.etag, &source.stale);
    let key = desk.key("c");
    let (mut absent, mut etag) = match copy(right, &key, Condition::Absent).await? {
        Outcome::Done(written) => (true, written.etag),
        Outcome::Refused | Outcome::Failed(_) => match copy(right, &key, Condition::Always).await? {
            Outcome::Done(written) => (false, written.etag),
            Outcome::Refused | Outcome::Failed(_) => return Ok(FoundCopy::default()),
        },
    };
    let again = copy(right, &key, Condition::Absent).await?;
    absent &= again.is_refused();
    if let Some(written) = again.done() {
        etag = written.etag;
    }
    let mismatched = copy(right, &key, Condition::Matches(stale.clone())).await?;
    let mut matches = mismatched.is_refused();
    if let Some(written) = mismatched.done() {
        etag = written.etag;
    }
    let matched = copy(right, &key, Condition::Matches(etag.clone())).await?;
    matches &= matched.is_done();
    if let Some(written) = matched.done() {
        etag = written.etag;
    }
    let unguarded = if absent { Condition::Absent } else { Condition::Always };
    let source_matches = copy(stale, &desk.key("c-of-another"), unguarded).await?.is_refused();
    Ok(FoundCopy {
        absent,
        matches,
        source_matches,
        left: Some(Left {
            key,
            etag,
            stale: stale.clone(),
        }),
    })
}

/// Tries the condition of `DeleteObject`; the object is gone afterwards, if the store can delete it at all.
pub async fn delete(desk: &Desk<'_>, object: &Left) -> Result<bool, StoreError> {
    let mismatched = Condition::Matches(object.stale.clone());
    let refused = desk.judge(MATCHES, desk.store.delete(&object.key, &mismatched).await)?;
    if !refused.is_refused() {
        return Ok(false);
    }
    let matched = Condition::Matches(object.etag.clone());
    let deleted = desk.judge(MATCHES, desk.store.delete(&object.key, &matched).await)?;
    Ok(deleted.is_done())
}

/// Tries `DeleteObjects`, with an etag that the first object does not have and with the one of the second.
pub async fn delete_many(desk: &Desk<'_>, kept: &Left, deleted: &Left) -> Result<FoundBatch, StoreError> {
    let batch = [
        (kept.key.clone(), Some(kept.stale.clone())),
        (deleted.key.clone(), Some(deleted.etag.clone())),
    ];
    if let Outcome::Done(outcomes) = desk.judge(Trial::Way, desk.store.delete_many(&batch).await)? {
        let outcomes: Result<Vec<_>, _> = outcomes
            .into_iter()
            .map(|outcome| desk.judge(Trial::Way, outcome))
            .collect();
        let matches = matches!(&outcomes?[..], [Outcome::Refused, Outcome::Done(())]);
        return Ok(FoundBatch {
            accepted: true,
            matches,
        });
    }
    // Perhaps it is only the etags that it does not take.
    let batch = [(deleted.key.clone(), None)];
    let plain = desk.judge(Trial::Way, desk.store.delete_many(&batch).await)?.done();
    Ok(FoundBatch {
        accepted: plain.is_some_and(|outcomes| outcomes.iter().all(Result::is_ok)),
        matches: false,
    })
}

/// Writes an object below another, and one where there is a folder.
pub async fn file_beside_folder(desk: &Desk<'_>) -> Result<FoundFolders, StoreError> {
    // Not below the first object: a store may be confused by that, and others copy from it meanwhile.
    let mut tried = vec![try_key(desk, "f").await?, try_key(desk, "f/below").await?];
    let key = desk.key("k");
    let mut over = desk.put(Trial::Odd, &key, b'5', desk.fresh()).await?;
    let absent_over_folder = !over.is_refused();
    if over.is_refused() {
        over = desk.put(Trial::Odd, &key, b'5', Condition::Always).await?;
    }
    tried.push((key, over.is_done()));
    Ok(FoundFolders {
        absent_over_folder,
        tried,
    })
}

/// Writes a key that holds all that is odd; it is listed back only where nothing of it is changed.
///
/// Where `..` is taken for a step up, it stays below the probe's folder.
pub async fn odd_key(desk: &Desk<'_>) -> Result<(ObjectKey, bool), StoreError> {
    try_key(desk, "o//1/./2/../3\u{1}/").await
}

async fn try_key(desk: &Desk<'_>, name: &str) -> Result<(ObjectKey, bool), StoreError> {
    let key = desk.key(name);
    let accepted = desk.put(Trial::Odd, &key, b'5', desk.fresh()).await?.is_done();
    Ok((key, accepted))
}

/// What must work on any store.
fn must<T>(outcome: Outcome<T>) -> Result<T, StoreError> {
    match outcome {
        Outcome::Done(value) => Ok(value),
        Outcome::Failed(error) => Err(error),
        Outcome::Refused => unreachable!("there was no condition"),
    }
}
