//! Finds out what runs that died left behind: what they meant to do, against what is there.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use futures::StreamExt as _;

use crate::ledger::{DoneOutcome, Intent, IntentKind, LedgerFolder, RunRef, read_done, read_intents};
use crate::model::{ETag, Mark, Prefix, RelPath, RunId};
use crate::spool::Spool;
use crate::store::{Store, StoreError, StoreErrorKind, StoreTime};

use super::ExportError;
use super::known::{Found, FoundObject, Intended};

/// From so many intents on, a listing of the whole export path may cost less than a HEAD of each.
const LISTING_PAYS_FROM: u64 = 64;

/// HEADs under way at once.
const LOOKS_AT_ONCE: usize = 32;

/// What dead runs meant to do under one path.
type Meant = Vec<Intended>;

/// Looks at every path that dead runs meant to write or delete.
pub(super) struct Settler<'a> {
    pub(super) store: &'a Arc<dyn Store>,
    pub(super) folder: &'a LedgerFolder,
    pub(super) prefix: &'a Prefix,
    /// How many objects the ledger has.
    pub(super) ledger_objects: u64,
}

impl Settler<'_> {
    /// Gives what was found, sorted by path. Holds the intents of the dead runs, some 200 bytes each: as many as
    /// they had changes.
    ///
    /// `trusted` runs died a moment ago, so that their done records count where a listing bears them out; of
    /// others everything is looked at once more.
    pub(super) async fn settle(
        &self,
        runs: &[RunRef],
        trusted: impl Fn(&RunRef) -> bool,
    ) -> Result<Spool<Found>, ExportError> {
        let mut meant: BTreeMap<RelPath, Meant> = BTreeMap::new();
        let mut done: HashMap<(RunId, RelPath), ETag> = HashMap::new();
        for run in runs {
            let mut intents = read_intents(self.store.clone(), self.folder.clone(), run.run);
            while let Some(intent) = intents.next().await.transpose()? {
                note_intent(&mut meant, run.run, intent);
            }
            if trusted(run) {
                let mut records = read_done(self.store.clone(), self.folder, run.run).await?;
                while let Some(record) = records.next().await.transpose()? {
                    if let DoneOutcome::Put { etag, .. } = record.outcome {
                        done.insert((run.run, record.path), etag);
                    }
                }
            }
        }
        let listed = self.list_where_it_pays(meant.len() as u64).await?;
        let mut found = Spool::new(None);
        let looks = meant.into_iter().map(|(path, meant)| {
            let known = listed
                .as_ref()
                .map(|listed| from_listing(listed, &done, runs, &path, &meant));
            async move {
                let object = match known {
                    Some(Some(object)) => object,
                    Some(None) | None => self.look(&path).await?,
                };
                Ok::<_, StoreError>(Found {
                    path,
                    object,
                    intended: meant,
                })
            }
        });
        let mut looks = futures::stream::iter(looks).buffered(LOOKS_AT_ONCE);
        while let Some(one) = looks.next().await {
            found.push(&one?)?;
        }
        Ok(found)
    }

    /// Aborts multipart uploads that dead runs left: of keys that their intents name, begun since they took the
    /// lease. Anything else is somebody else's.
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
        let mut token = None;
        loop {
            let page = self.store.list_uploads(self.prefix.as_str(), token.as_deref()).await?;
            for upload in page.uploads {
                let since = keys.get(upload.key.as_str());
                if since.is_some_and(|since| upload.initiated.is_some_and(|began| began >= *since)) {
                    self.store.abort_upload(&upload).await?;
                    aborted += 1;
                }
            }
            token = page.next;
            if token.is_none() {
                return Ok(aborted);
            }
        }
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

    async fn list_where_it_pays(&self, intents: u64) -> Result<Option<HashMap<RelPath, (ETag, u64)>>, StoreError> {
        // A page lists 1,000 objects, ours and those of dead runs; what others keep there is not known.
        let pages = (self.ledger_objects + intents) / 1000 + 1;
        if intents < LISTING_PAYS_FROM || pages >= intents {
            return Ok(None);
        }
        let mut listed = HashMap::new();
        let mut token = None;
        loop {
            let page = self.store.list(self.prefix.as_str(), token.as_deref(), 1000).await?;
            for object in page.objects {
                if let Some(path) = object.key.below(self.prefix) {
                    listed.insert(path, (object.etag, object.size));
                }
            }
            token = page.next;
            if token.is_none() {
                return Ok(Some(listed));
            }
        }
    }
}

/// Aborts every upload under way whose key starts with `prefix`; a store that cannot list uploads is left alone.
pub(super) async fn abort_all_uploads(store: &dyn Store, prefix: &str) -> Result<(), StoreError> {
    let mut token = None;
    loop {
        let page = match store.list_uploads(prefix, token.as_deref()).await {
            Ok(page) => page,
            Err(error) if error.kind == StoreErrorKind::NotSupported => return Ok(()),
            Err(error) => return Err(error),
        };
        for upload in page.uploads {
            store.abort_upload(&upload).await?;
        }
        token = page.next;
        if token.is_none() {
            return Ok(());
        }
    }
}

fn note_intent(meant: &mut BTreeMap<RelPath, Meant>, run: RunId, intent: Intent) {
    let entry = meant.entry(intent.path).or_default();
    if let IntentKind::Put { content, headers, .. } = intent.kind {
        entry.push(Intended { run, content, headers });
    }
}

/// What a listing alone settles: a path that is not there, or whose etag is the one of a done record.
fn from_listing(
    listed: &HashMap<RelPath, (ETag, u64)>,
    done: &HashMap<(RunId, RelPath), ETag>,
    runs: &[RunRef],
    path: &RelPath,
    meant: &[Intended],
) -> Option<FoundObject> {
    let Some((etag, size)) = listed.get(path) else {
        return Some(FoundObject::Nothing);
    };
    let by = runs
        .iter()
        .rev()
        .find(|run| done.get(&(run.run, path.clone())) == Some(etag))?;
    // A later run may have written the same bytes with other headers, which an etag does not show.
    let last = meant.last().filter(|last| last.run == by.run)?;
    let content = last.content.primary()?;
    Some(FoundObject::Object {
        etag: etag.clone(),
        size: *size,
        version_id: None,
        mark: Some(Mark { run: by.run, content }),
    })
}
