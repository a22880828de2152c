//! Makes a ledger anew: from a listing, a HEAD of each object, and the last full `success`.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::disk_cache::DiskCacheConfig;
use crate::ledger::{
    Holder, Lease, LeaseRequest, LedgerError, LedgerFolder, LedgerReader, RangeRef, RangeWriter, Record, Root, State,
    StatusName, StatusPlace, Unsettled, cleanup, load_root, read_intents, swap_root,
};
use crate::model::{ContentIds, ETag, RelPath, RunId, S3Url};
use crate::plan::{HeaderRules, LEDGER_FOLDER, is_own_file};
use crate::status::{ExportState, RecordsListed, StatusRecord, list_names, read_head, read_records, record_bytes};
use crate::store::{
    Capabilities, Fenced, ObjectMeta, RequestCounts, RetryConfig, Retrying, Store, StoreErrorKind, list_objects, probe,
};

use super::finish::UNSETTLED_FOR;
use super::{ExportError, Refusal};

/// HEADs under way at once.
const LOOKS_AT_ONCE: usize = 32;

/// What a rebuild needs.
pub struct Rebuild {
    /// The bucket of the export path, as single requests.
    pub store: Arc<dyn Store>,
    /// The bucket of the status path.
    pub status_store: Arc<dyn Store>,
    /// The export path.
    pub export_path: S3Url,
    /// The status path.
    pub status_path: S3Url,
    /// How long a lease lasts.
    pub lease_ttl: Duration,
    /// How long to wait for somebody else's lease.
    pub lock_wait: Duration,
    /// Who takes it.
    pub holder: Holder,
    /// What it is counted by.
    pub clock: Arc<dyn Clock>,
    /// How requests are sent again.
    pub retry: RetryConfig,
    /// Counts all requests.
    pub counts: Arc<RequestCounts>,
    /// Where range files are kept locally.
    pub cache: Option<DiskCacheConfig>,
}

/// What came of a rebuild.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Rebuilt {
    /// Objects that are in the ledger now.
    pub objects: u64,
    /// Objects that are left alone, since nothing says that lakesync wrote them.
    pub foreign: u64,
    /// Objects that the last `success` lists and that are gone.
    pub missing: u64,
    /// The status file whose records were used.
    pub status_file: Option<String>,
}

/// The last full `success`, and all names.
#[derive(Default)]
struct LastSuccess {
    names: Vec<StatusName>,
    name: Option<StatusName>,
    source: String,
    run: Option<RunId>,
    records: BTreeMap<RelPath, StatusRecord>,
}

/// Makes the ledger of an export path anew. No object is touched; the next export compares every path, and sends
/// again only what it cannot tell to be equal.
pub async fn rebuild(request: &Rebuild, cancel: &CancellationToken) -> Result<Rebuilt, ExportError> {
    let retrying = |store: &Arc<dyn Store>| -> Arc<dyn Store> {
        Arc::new(Retrying::new(store.clone(), None, request.counts.clone()).with_config(request.retry))
    };
    let (store, folder) = (retrying(&request.store), LedgerFolder::of(&request.export_path.prefix));
    let run = RunId::generate();
    let lease_request = LeaseRequest {
        holder: request.holder.clone(),
        run,
        ttl: request.lease_ttl,
        wait: request.lock_wait,
        is_guarded: true,
    };
    let export_path = request.export_path.to_string();
    let lease = Lease::acquire(store, &folder, lease_request, request.clock.clone(), cancel)
        .await
        .map_err(|error| ExportError::of_lease(error, &export_path))?;
    let fenced: Arc<dyn Store> = Arc::new(Fenced::new(
        request.store.clone(),
        lease.watch().clone(),
        request.lease_ttl / 2,
        folder.prefix().clone(),
    ));
    let outcome = under_lease(
        request,
        &*fenced,
        &retrying(&fenced),
        &retrying(&request.status_store),
        &folder,
        run,
    )
    .await;
    if let Err(error) = lease.release().await {
        tracing::warn!(%error, "the lease could not be given back");
    }
    outcome
}

async fn under_lease(
    request: &Rebuild,
    fenced: &dyn Store,
    store: &Arc<dyn Store>,
    status_store: &Arc<dyn Store>,
    folder: &LedgerFolder,
    run: RunId,
) -> Result<Rebuilt, ExportError> {
    let mut now = None;
    let known = match load_root(&**store, folder).await {
        Ok(loaded) => loaded.map(|loaded| {
            now = loaded.date;
            loaded.root
        }),
        Err(LedgerError::Damaged { file, why }) => {
            tracing::warn!(file, why, "the root is damaged and will be replaced");
            None
        }
        Err(error) => return Err(error.into()),
    };
    let etag = match store.head(&folder.root()).await {
        Ok(meta) => Some(meta.etag),
        Err(error) if error.kind == StoreErrorKind::NotFound => None,
        Err(error) => return Err(error.into()),
    };
    if let Some(root) = &known
        && root.status.path != request.status_path
    {
        return Err(Refusal::StatusMoved {
            export_path: request.export_path.to_string(),
            found: root.status.path.to_string(),
            wanted: request.status_path.to_string(),
        }
        .into());
    }
    let last = last_success(&**status_store, request).await?;
    let capabilities = match &known {
        Some(root) => root.store,
        None => probe::probe(fenced, &folder.probe(run)).await?.capabilities,
    };
    let mut rebuilt = Rebuilt {
        status_file: last.name.as_ref().map(ToString::to_string),
        ..Rebuilt::default()
    };
    // What runs that died may still do is looked at when nothing of them can land any more.
    let until = now.unwrap_or_else(jiff::Timestamp::now) + UNSETTLED_FOR;
    let mut unsettled = known.as_ref().map(|root| root.unsettled.clone()).unwrap_or_default();
    if let Some(State::Dirty(dead)) = known.as_ref().map(|root| &root.state) {
        unsettled.extend(dead.iter().cloned().map(|run| Unsettled { run, until }));
    }
    let kin: BTreeSet<RunId> = unsettled.iter().map(|one| one.run.run).collect();
    let records = ours(request, store, &last, &kin, &mut rebuilt).await?;
    let unsettled = readable(store, folder, unsettled).await?;
    let ranges = write_ranges(request, store, folder, run, capabilities, &records).await?;
    rebuilt.objects = records.len() as u64;
    rebuilt.missing = last.records.keys().filter(|path| !records.contains_key(*path)).count() as u64;
    let root = Root {
        // A damaged root does not tell its generation; the time is later than any count of runs.
        generation: known
            .as_ref()
            .map_or_else(generation_by_time, |root| root.generation + 1),
        export_path: request.export_path.clone(),
        source: known
            .as_ref()
            .map_or_else(|| last.source.clone(), |root| root.source.clone()),
        commit: None,
        fingerprint: String::new(),
        store: capabilities,
        status: StatusPlace {
            path: request.status_path.clone(),
            names: last.names,
            newest_success: last.name,
        },
        ranges,
        state: State::Dirty(Vec::new()),
        unsettled,
    };
    swap_root(&**store, folder, &root, etag.as_ref())
        .await
        .map_err(|error| match error {
            crate::ledger::SwapError::Lost { .. } => ExportError::LeaseLost {
                export_path: request.export_path.to_string(),
            },
            crate::ledger::SwapError::Ledger(error) => error.into(),
        })?;
    let names = root.ranges.iter().map(|range| range.name.clone()).collect();
    let runs = root.unsettled.iter().map(|one| one.run.run).collect();
    cleanup(&**store, folder, &capabilities, &names, &runs).await?;
    Ok(rebuilt)
}

/// Leaves out runs whose intents are damaged or gone: nobody could settle them ever, and what they wrote until now was
/// just looked at.
async fn readable(
    store: &Arc<dyn Store>,
    folder: &LedgerFolder,
    unsettled: Vec<Unsettled>,
) -> Result<Vec<Unsettled>, LedgerError> {
    let mut kept = Vec::new();
    for one in unsettled {
        let mut intents = read_intents(store.clone(), folder.clone(), one.run.run);
        let read: Result<(), LedgerError> = loop {
            match intents.next().await {
                Some(Ok(_)) => {}
                Some(Err(error)) => break Err(error),
                None => break Ok(()),
            }
        };
        match read {
            Ok(()) => kept.push(one),
            Err(error @ LedgerError::Damaged { .. }) => {
                tracing::warn!(%error, "what this run may still do cannot be known; it is let go");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(kept)
}

fn generation_by_time() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(1)
}

async fn last_success(store: &dyn Store, request: &Rebuild) -> Result<LastSuccess, ExportError> {
    let (path, export_path) = (&request.status_path, request.export_path.to_string());
    let mut last = LastSuccess {
        names: list_names(store, &path.prefix).await?,
        ..LastSuccess::default()
    };
    for name in last.names.iter().rev() {
        let key = path.prefix.join(&name.to_string());
        let Some((head, _)) = read_head(store, &key).await? else {
            continue;
        };
        if !head.export_path.is_empty() && head.export_path != export_path {
            return Err(Refusal::StatusTaken {
                status_path: path.to_string(),
                found: head.export_path,
            }
            .into());
        }
        if head.status == ExportState::Success && head.records == RecordsListed::All {
            let records = &mut last.records;
            read_records(store, &key, |record| {
                records.insert(record.path.clone(), record);
            })
            .await?;
            last.name = Some(name.clone());
            last.source = head.source;
            last.run = head.run.parse().ok();
            break;
        }
    }
    Ok(last)
}

/// Finds the objects that are ours: those of the last `success`, and what later runs wrote. The mark alone does not
/// make an object ours, since whoever copies one of ours copies its mark.
async fn ours(
    request: &Rebuild,
    store: &Arc<dyn Store>,
    last: &LastSuccess,
    kin: &BTreeSet<RunId>,
    rebuilt: &mut Rebuilt,
) -> Result<BTreeMap<RelPath, Record>, ExportError> {
    let prefix = &request.export_path.prefix;
    let mut records = BTreeMap::new();
    let looks = list_objects(&**store, prefix.as_str())
        .try_filter_map(|object| async move {
            let path = object.key.below(prefix).filter(|path| !is_own_file(path));
            Ok(path.map(|path| (path, object.key)))
        })
        .map_ok(|(path, key)| async move {
            match store.head(&key).await {
                Ok(meta) => Ok(Some((path, meta))),
                Err(error) if error.kind == StoreErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
            }
        })
        .try_buffered(LOOKS_AT_ONCE);
    let mut looks = pin!(looks);
    let mut exports_below = Vec::new();
    while let Some(looked) = looks.next().await.transpose()? {
        let Some((path, meta)) = looked else { continue };
        exports_below.extend(folder_of_export(&path));
        match record_of(path, meta, last, kin) {
            Some(record) => drop(records.insert(record.path.clone(), record)),
            None => rebuilt.foreign += 1,
        }
    }
    // What another export wrote below this one bears marks as well.
    let is_listed = |record: &Record| {
        last.records
            .get(&record.path)
            .is_some_and(|one| one.etag == record.etag)
    };
    let is_below = |path: &RelPath| exports_below.iter().any(|folder| path.as_bytes().starts_with(folder));
    let all = records.len();
    records.retain(|path, record| is_listed(record) || !is_below(path));
    rebuilt.foreign += (all - records.len()) as u64;
    Ok(records)
}

/// The folder, with its final `/`, that a file of another export's ledger says is that export's path.
fn folder_of_export(path: &RelPath) -> Option<Vec<u8>> {
    let bytes = path.as_bytes();
    let found = ["root.json", "lease.json"].into_iter().find_map(|name| {
        let tail = format!("/{LEDGER_FOLDER}/{name}");
        bytes.strip_suffix(tail.as_bytes())
    });
    found.map(|folder| [folder, b"/"].concat())
}

/// Whether a path has the name of a status file, which bears a mark wherever it is.
fn is_status_file(path: &RelPath) -> bool {
    std::str::from_utf8(path.file_name()).is_ok_and(|name| name.parse::<StatusName>().is_ok())
}

fn record_of(path: RelPath, meta: ObjectMeta, last: &LastSuccess, kin: &BTreeSet<RunId>) -> Option<Record> {
    let listed = last.records.get(&path);
    let same = |etag: &ETag| listed.is_some_and(|record| record.etag == *etag);
    let later = meta
        .headers
        .mark
        .as_ref()
        .is_some_and(|mark| kin.contains(&mark.run) || last.run.is_none_or(|run| mark.run > run));
    if !same(&meta.etag) && (!later || is_status_file(&path)) {
        return None;
    }
    let content = meta
        .headers
        .mark
        .as_ref()
        .map_or_else(ContentIds::default, |mark| mark.content.into());
    let headers = HeaderRules::digest(&meta.headers);
    let version_id = meta.version_id.map(Into::into);
    Some(Record {
        path,
        etag: meta.etag,
        size: meta.size,
        content,
        headers,
        version_id,
    })
}

async fn write_ranges(
    request: &Rebuild,
    store: &Arc<dyn Store>,
    folder: &LedgerFolder,
    run: RunId,
    capabilities: Capabilities,
    records: &BTreeMap<RelPath, Record>,
) -> Result<Vec<RangeRef>, LedgerError> {
    let reader = LedgerReader::new(store.clone(), folder.clone(), request.cache.clone());
    let mut writer = RangeWriter::new(store.clone(), folder.clone(), run, capabilities.checksum, record_bytes)
        .sharing_cache_of(&reader);
    for record in records.values() {
        writer.push(record).await?;
    }
    writer.finish().await
}
