//! Finds out what runs that died left behind: what they meant to do, against what is there.

mod gathered;

use std::collections::HashMap;
use std::sync::Arc;

use futures::StreamExt as _;

use crate::ledger::{LedgerFolder, RunRef, read_done, read_intents};
use crate::model::{Prefix, RelPath};
use crate::spool::{SORTED_AT_ONCE, Spool};
use crate::store::{Store, StoreError, StoreErrorKind, StoreTime, list_objects, list_uploads};

use self::gathered::{Gathered, Gathering, Question};
use super::ExportError;
use super::known::{Found, FoundObject};

/// From so many intents on, a listing of the whole export path may cost less than a HEAD of each.
const LISTING_PAYS_FROM: u64 = 64;

/// HEADs under way at once.
const LOOKS_AT_ONCE: usize = 32;

/// Looks at every path that dead runs meant to write or delete.
pub(super) struct Settler<'a> {
    pub(super) store: &'a Arc<dyn Store>,
    pub(super) folder: &'a LedgerFolder,
    pub(super) prefix: &'a Prefix,
    /// How many objects the ledger has.
    pub(super) ledger_objects: u64,
}

impl Settler<'_> {
    /// Gives what was found, sorted by path.
    ///
    /// Intents, listing and done records wait on disk, sorted there: however many there are, [`SORTED_AT_ONCE`] of
    /// one list are in memory (8 MiB), up to 16 MiB of each of the three and of what was found, and one file of
    /// intents as it is read (100,000 of them, 20 MiB): some 90 MiB in all.
    ///
    /// `trusted` runs died a moment ago, so that their done records count where a listing bears them out; of
    /// others everything is looked at once more.
    pub(super) async fn settle(
        &self,
        runs: &[RunRef],
        trusted: impl Fn(&RunRef) -> bool,
    ) -> Result<Spool<Found>, ExportError> {
        let gathered = self.gather(runs, trusted, SORTED_AT_ONCE).await?;
        self.look_at_all(&gathered).await
    }

    /// Reads what the runs meant and did, and lists what is there where that pays.
    async fn gather(
        &self,
        runs: &[RunRef],
        trusted: impl Fn(&RunRef) -> bool,
        items_at_once: usize,
    ) -> Result<Gathered, ExportError> {
        let mut gathering = Gathering::new(items_at_once);
        let (mut all, mut most_of_one) = (0, 0);
        for run in runs {
            let mut of_run = 0;
            let mut intents = read_intents(self.store.clone(), self.folder.clone(), run.run);
            while let Some(intent) = intents.next().await.transpose()? {
                gathering.intent(run.run, intent)?;
                of_run += 1;
            }
            all += of_run;
            most_of_one = of_run.max(most_of_one);
        }
        // A page lists 1,000 objects, ours and those of dead runs; what others keep there is not known. Runs may
        // have meant the same paths, so that there are as many to look at as the longest has, at least.
        let pages = (self.ledger_objects + all) / 1000 + 1;
        let is_listed = most_of_one >= LISTING_PAYS_FROM && pages < most_of_one;
        if is_listed {
            for run in runs.iter().filter(|run| trusted(run)) {
                let mut records = read_done(self.store.clone(), self.folder, run.run).await?;
                while let Some(record) = records.next().await.transpose()? {
                    gathering.done(run.run, record)?;
                }
            }
            self.list_into(&mut gathering).await?;
        }
        Ok(gathering.finish(is_listed)?)
    }

    async fn list_into(&self, gathering: &mut Gathering) -> Result<(), ExportError> {
        let mut objects = list_objects(&**self.store, self.prefix.as_str());
        while let Some(object) = objects.next().await.transpose()? {
            if let Some(path) = object.key.below(self.prefix) {
                gathering.seen(path, object.etag, object.size)?;
            }
        }
        Ok(())
    }

    /// Looks at each path that is not settled by what was gathered.
    async fn look_at_all(&self, gathered: &Gathered) -> Result<Spool<Found>, ExportError> {
        let mut looks = futures::stream::iter(gathered.questions())
            .map(|question| async move {
                let Question { path, intended, answer } = question?;
                let object = match answer {
                    Some(object) => object,
                    None => self.look(&path).await?,
                };
                Ok::<_, ExportError>(Found { path, object, intended })
            })
            .buffered(LOOKS_AT_ONCE);
        let mut found = Spool::new(None);
        while let Some(one) = looks.next().await {
            found.push(&one?)?;
        }
        Ok(found)
    }

    /// Aborts multipart uploads that dead runs left: of keys that their intents name, begun since they took the
    /// lease. Anything else is somebody else's.
    ///
    /// Holds the keys of objects that were to go in parts, some 150 bytes each: objects above 5 MiB, so that a
    /// million of them were 5 TB.
    pub(super) async fn abort_uploads(&self, runs: &[RunRef]) -> Result<u64, ExportError> {
        let mut keys: HashMap<String, StoreTime> = HashMap::new();
        for run in runs {
            let mut intents = read_intents(self.store.clone(), self.folder.clone(), run.run);
            while let Some(intent) = intents.next().await.transpose()? {
                if intent.is_upload
                    && let Some(key) = self.prefix.key(&intent.path)
                {
                    let since = keys.entry(key.as_str().to_owned()).or_insert(run.lease_taken);
                    *since = (*since).min(run.lease_taken);
                }
            }
        }
        if keys.is_empty() {
            return Ok(0);
        }
        let mut aborted = 0;
        let mut uploads = list_uploads(&**self.store, self.prefix.as_str());
        while let Some(upload) = uploads.next().await.transpose()? {
            let since = keys.get(upload.key.as_str());
            if since.is_some_and(|since| upload.initiated.is_some_and(|began| began >= *since)) {
                self.store.abort_upload(&upload).await?;
                aborted += 1;
            }
        }
        Ok(aborted)
    }

    async fn look(&self, path: &RelPath) -> Result<FoundObject, StoreError> {
        let Some(key) = self.prefix.key(path) else {
            return Ok(FoundObject::Nothing);
        };
        match self.store.head(&key).await {
            Ok(meta) => Ok(FoundObject::Object {
                etag: meta.etag,
                size: meta.size,
                version_id: meta.version_id.map(Into::into),
                mark: meta.headers.mark,
            }),
            Err(error) if error.kind == StoreErrorKind::NotFound => Ok(FoundObject::Nothing),
            Err(error) => Err(error),
        }
    }
}

/// Aborts every upload under way whose key starts with `prefix`; a store that cannot list uploads is left alone.
pub(super) async fn abort_all_uploads(store: &dyn Store, prefix: &str) -> Result<(), StoreError> {
    let mut uploads = list_uploads(store, prefix);
    while let Some(upload) = uploads.next().await {
        match upload {
            Ok(upload) => store.abort_upload(&upload).await?,
            Err(error) if error.kind == StoreErrorKind::NotSupported => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
