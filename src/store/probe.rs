//! Finds out what a store can do, by doing it: documents lie, versions differ, and a header that a store
//! does not know it ignores.
//!
//! Each conditional write is tried both ways: where its condition holds it must be done, where it does not
//! it must be refused with 412. On a store that can do everything this takes 32 requests, at most six at
//! a time; each thing that a store cannot do costs a few more.
//!
//! Only an answer of the store counts as one. A 5xx, or none, begins the probe anew, and after the last try it is an
//! error: a bad minute must not cost an export path its guards for good. A 403 is an error for a guard, and says that
//! copies, batches and checksums cannot be had; see `desk::Trial`.

mod checksums;
mod desk;
mod guards;
mod uploads;

use std::time::Duration;

use futures::future::{try_join, try_join3};

use super::{Capabilities, Checksum, Store, StoreError};
use crate::model::ObjectKey;
use desk::Desk;

/// How often a probe is begun anew after an error that may pass.
const TRIES: u32 = 3;

/// How long to wait before the second try; twice as long before the third.
const PAUSE: Duration = Duration::from_secs(1);

/// What a probe found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probed {
    /// What the store can do.
    pub capabilities: Capabilities,
    /// What could not be deleted again.
    pub leftovers: Vec<ObjectKey>,
}

/// Probes a store below a prefix that ends in `/`, that nobody else uses, and that is empty again afterwards.
///
/// The store is given without retries around it: a wrong checksum is answered with an error that looks as if it
/// passed, and an answer that was lost must not be taken for a guard. A probe that meets an error that may pass
/// begins anew instead. It also cleans up after an error; dropped half-way it leaves what it has written.
pub async fn probe(store: &dyn Store, prefix: &str) -> Result<Probed, StoreError> {
    let mut pause = PAUSE;
    let mut number = 1;
    loop {
        // Each try has a folder of its own, since what a lost request did may show up late.
        let desk = Desk::new(store, format!("{prefix}{number}/"), number == TRIES);
        let error = match examine(&desk).await {
            Ok(probed) => return Ok(probed),
            Err(error) => error,
        };
        if !error.kind.is_fatal() {
            desk.clear_after_error().await;
        }
        if number == TRIES || !error.kind.is_transient() {
            return Err(error);
        }
        tracing::debug!(%error, number, "the probe begins anew");
        tokio::time::sleep(pause).await;
        pause *= 2;
        number += 1;
    }
}

async fn examine(desk: &Desk<'_>) -> Result<Probed, StoreError> {
    // The first one alone: it tells whether anything may be written here, and with which condition.
    let first = guards::first_put(desk).await?;
    let ((put, source), verified_on_put, odd) = try_join3(
        guards::puts(desk, first),
        checksums::verified_on_put(desk, &Checksum::BEST_FIRST),
        guards::odd_key(desk),
    )
    .await?;
    let (copy, (part_copy, upload), beside) = try_join3(
        guards::copies(desk, &source),
        async {
            let mut copied = uploads::part_copy(desk, &source).await?;
            let object = match copied.left.take() {
                Some(object) => object,
                None => desk.make("m-put", &source.stale).await?,
            };
            let upload = uploads::conditions(desk, object, verified_on_put).await?;
            Ok((copied, upload))
        },
        guards::file_beside_folder(desk),
    )
    .await?;
    let copied = match copy.left {
        Some(copied) => copied,
        None => desk.make("c-put", &source.stale).await?,
    };
    let (delete_matches, batch) = try_join(
        guards::delete(desk, &copied),
        guards::delete_many(desk, &upload.left, &source),
    )
    .await?;
    let listed = desk.list().await?;
    let kept = |(key, accepted): &(ObjectKey, bool)| *accepted && listed.contains(key);
    let capabilities = Capabilities {
        put_absent: put.absent,
        put_matches: put.matches,
        complete_absent: part_copy.absent && upload.absent,
        complete_matches: upload.matches,
        copy_absent: copy.absent,
        copy_matches: copy.matches,
        copy_source_matches: copy.source_matches,
        part_copy: part_copy.source_matches,
        // What a store says of deletes counts only where the listing agrees.
        delete_matches: delete_matches && !listed.contains(&copied.key),
        delete_many: batch.accepted,
        delete_many_matches: batch.matches && !listed.contains(&source.key) && listed.contains(&upload.left.key),
        file_beside_folder: beside.tried.iter().all(kept),
        absent_over_folder: beside.absent_over_folder,
        odd_keys: kept(&odd),
        checksum: upload.checksum,
    };
    let mut to_clear = listed;
    if odd.1 {
        // It may be listed by another name than it has: not all letters can stand in XML.
        to_clear.insert(odd.0);
    }
    let mut leftovers = desk.clear(&to_clear, capabilities.delete_many).await?;
    if odd.1 && !capabilities.odd_keys {
        // A store that keeps another key than it was given may also delete another than it is told to.
        leftovers = desk.list().await?.into_iter().collect();
    }
    Ok(Probed {
        capabilities,
        leftovers,
    })
}

#[cfg(test)]
mod tests;
