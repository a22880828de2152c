//! Uploads in parts: their conditions, their checksums, and parts that the store copies.

use bytes::Bytes;

use super::checksums::{is_rejected, verified_on_put, wrong_value};
use super::desk::{BODY_BYTES, Desk, Left, Outcome, Trial, body};
use super::guards::{ABSENT, MATCHES};
use crate::model::{ETag, ObjectKey};
use crate::store::{Checksum, Condition, Part, StoreError, StoreErrorKind, Upload};

/// What was found with a copied part.
#[derive(Default)]
pub struct FoundPartCopy {
    /// `UploadPartCopy` works and heeds the source's etag.
    pub source_matches: bool,
    /// An upload onto a new key is completed with `If-None-Match: *`.
    pub absent: bool,
    /// The object that was made, where one could be.
    pub left: Option<Left>,
}

/// What was found with a sent part.
pub struct FoundComplete {
    /// An upload onto an object is refused with `If-None-Match: *`.
    pub absent: bool,
    pub matches: bool,
    /// The best checksum that is verified on parts and on whole objects.
    pub checksum: Checksum,
    pub left: Left,
}

/// Makes an object of one copied part; of a sent one where a store cannot copy parts.
pub async fn part_copy(desk: &Desk<'_>, source: &Left) -> Result<FoundPartCopy, StoreError> {
    let key = desk.key("m");
    let Outcome::Done(upload) = desk.begin(&key, Checksum::None).await? else {
        return Ok(FoundPartCopy::default());
    };
    let copy = async |etag| {
        let from = source.as_source(desk.store, etag);
        let copied = desk.store.upload_part_copy(&upload, 1, &from, 0..BODY_BYTES).await;
        desk.judge(Trial::Way, copied)
    };
    let refused = copy(&source.stale).await?.is_refused();
    let copied = copy(&source.etag).await?.done();
    let source_matches = refused && copied.is_some();
    let part = match copied {
        Some(part) => Some(part),
        None => send_part(desk, &upload, Checksum::None).await?,
    };
    let Some(part) = part else {
        desk.abort(&upload).await?;
        return Ok(FoundPartCopy::default());
    };
    let mut done = complete(desk, &upload, &part, Condition::Absent).await?.done();
    let absent = done.is_some();
    if done.is_none() {
        done = complete(desk, &upload, &part, Condition::Always).await?.done();
    }
    if done.is_none() {
        desk.abort(&upload).await?;
    }
    Ok(FoundPartCopy {
        source_matches,
        absent,
        left: done.map(|etag| Left {
            key,
            etag,
            stale: source.stale.clone(),
        }),
    })
}

/// Completes uploads onto the object given, and finds the best checksum for parts on the way.
///
/// `verified_on_put` is the best one for whole objects; where it is no good for parts, the next that is good
/// for both is looked for, and at last none.
pub async fn conditions(desk: &Desk<'_>, object: Left, verified_on_put: Checksum) -> Result<FoundComplete, StoreError> {
    let mut found = FoundComplete {
        absent: false,
        matches: false,
        checksum: verified_on_put,
        left: object,
    };
    loop {
        if try_with(desk, &mut found).await? || found.checksum == Checksum::None {
            return Ok(found);
        }
        let next = Checksum::BEST_FIRST
            .iter()
            .skip_while(|checksum| **checksum != found.checksum)
            .skip(1);
        let rest: Vec<_> = next.copied().collect();
        found.checksum = self::verified_on_put(desk, &rest).await?;
    }
}

/// Whether uploads with this checksum work and it is verified; notes what was seen of the conditions.
async fn try_with(desk: &Desk<'_>, found: &mut FoundComplete) -> Result<bool, StoreError> {
    let checksum = found.checksum;
    let mut attempt = Attempt {
        desk,
        checksum,
        key: found.left.key.clone(),
        open: None,
    };
    let Outcome::Done(upload) = desk.begin(&attempt.key, checksum).await? else {
        return Ok(false);
    };
    if checksum != Checksum::None {
        let (bytes, wrong) = (Bytes::from(body(b'w')), Some(wrong_value(checksum)));
        let sent = desk.store.upload_part(&upload, 1, bytes, checksum, wrong).await;
        if !is_rejected(desk, sent)? {
            desk.abort(&upload).await?;
            return Ok(false);
        }
    }
    let Some(part) = send_part(desk, &upload, checksum).await? else {
        desk.abort(&upload).await?;
        return Ok(false);
    };
    attempt.open = Some((upload, part));

    let existing = attempt.complete(Condition::Absent).await?;
    found.absent = existing.is_refused();
    note(found, existing);
    let stale = Condition::Matches(found.left.stale.clone());
    let mismatched = attempt.complete(stale).await?;
    found.matches = mismatched.is_refused();
    note(found, mismatched);
    let matched = attempt.complete(Condition::Matches(found.left.etag.clone())).await?;
    found.matches &= matched.is_done();
    let mut works = matched.is_done();
    note(found, matched);
    if !works {
        // Was it the condition, or can nothing be completed?
        let plain = attempt.complete(Condition::Always).await?;
        works = plain.is_done();
        note(found, plain);
    }
    if let Some((upload, _)) = &attempt.open {
        desk.abort(upload).await?;
    }
    Ok(works)
}

fn note(found: &mut FoundComplete, outcome: Outcome<ETag>) {
    if let Some(etag) = outcome.done() {
        found.left.etag = etag;
    }
}

/// An upload that is begun anew where the last try to complete it used it up.
struct Attempt<'a> {
    desk: &'a Desk<'a>,
    checksum: Checksum,
    key: ObjectKey,
    open: Option<(Upload, Part)>,
}

impl Attempt<'_> {
    async fn complete(&mut self, condition: Condition) -> Result<Outcome<ETag>, StoreError> {
        let outcome = self.complete_once(&condition).await?;
        match outcome {
            // Some stores forget an upload that they refused to complete.
            Outcome::Failed(error) if error.kind == StoreErrorKind::NoSuchUpload => {
                if let Some((upload, _)) = self.open.take() {
                    self.desk.ended(&upload);
                }
                self.complete_once(&condition).await
            }
            other => Ok(other),
        }
    }

    async fn complete_once(&mut self, condition: &Condition) -> Result<Outcome<ETag>, StoreError> {
        let (upload, part) = match self.open.take() {
            Some(open) => open,
            None => {
                let upload = match self.desk.begin(&self.key, self.checksum).await? {
                    Outcome::Done(upload) => upload,
                    Outcome::Refused => return Ok(Outcome::Refused),
                    Outcome::Failed(error) => return Ok(Outcome::Failed(error)),
                };
                let part = self
                    .desk
                    .store
                    .upload_part(&upload, 1, Bytes::from(body(b'p')), self.checksum, None);
                (upload.clone(), part.await?)
            }
        };
        let outcome = complete(self.desk, &upload, &part, condition.clone()).await?;
        if !outcome.is_done() {
            self.open = Some((upload, part));
        }
        Ok(outcome)
    }
}

async fn send_part(desk: &Desk<'_>, upload: &Upload, checksum: Checksum) -> Result<Option<Part>, StoreError> {
    let bytes = Bytes::from(body(b'p'));
    let sent = desk.store.upload_part(upload, 1, bytes, checksum, None).await;
    Ok(desk.judge(Trial::Way, sent)?.done())
}

async fn complete(
    desk: &Desk<'_>,
    upload: &Upload,
    part: &Part,
    condition: Condition,
) -> Result<Outcome<ETag>, StoreError> {
    let answer = desk
        .store
        .complete_upload(upload, std::slice::from_ref(part), &condition)
        .await;
    if answer.is_ok() {
        desk.ended(upload);
    }
    // Without a condition it tells whether uploads work at all.
    let trial = match condition {
        Condition::Absent => ABSENT,
        Condition::Matches(_) => MATCHES,
        Condition::Always => Trial::Way,
    };
    desk.judge(trial, answer.map(|written| written.etag))
}
