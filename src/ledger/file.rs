//! How the ledger's files come and go.

use bytes::Bytes;

use super::LedgerError;
use super::folder::place;
use crate::model::ObjectKey;
use crate::store::{Checksum, Condition, ObjectMeta, Put, Store, StoreError, StoreErrorKind, Written};

/// No file of a ledger is longer: a root has some 400 bytes for each 40,000 objects, the others have limits of
/// their own far below. Only what is not ours can be, and it should not fill the memory.
const FILE_BYTES: u64 = 256 << 20;

/// Reads a whole file; `None` where there is none.
pub(super) async fn read_file(store: &dyn Store, key: &ObjectKey) -> Result<Option<(ObjectMeta, Bytes)>, LedgerError> {
    let fetched = match store.get(key, None).await {
        Ok(fetched) => fetched,
        Err(error) if error.kind == StoreErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if fetched.meta.size > FILE_BYTES {
        return Err(LedgerError::damaged(
            &place(store.bucket(), key),
            format!("it has {} bytes", fetched.meta.size),
        ));
    }
    let size = fetched.meta.size;
    let (meta, bytes) = fetched.bytes().await?;
    if bytes.len() as u64 != size {
        return Err(LedgerError::damaged(
            &place(store.bucket(), key),
            format!("{} bytes came of {size}", bytes.len()),
        ));
    }
    Ok(Some((meta, bytes)))
}

/// Whether the condition of a write may have failed, or its reply may have been lost, so that one read must
/// tell what stands there now. S3 answers 409 where two conditional writes meet.
pub(super) fn needs_a_look(kind: &StoreErrorKind) -> bool {
    kind.is_ambiguous() || matches!(kind, StoreErrorKind::ConditionFailed | StoreErrorKind::Conflict)
}

/// Writes a file whose name nobody else uses and which is never written otherwise.
///
/// The condition is a belt: names hold the run's id. A store that does not know it is asked without.
pub(super) async fn put_once(
    store: &dyn Store,
    key: &ObjectKey,
    body: Bytes,
    checksum: Checksum,
) -> Result<Written, StoreError> {
    let put = |condition| Put {
        checksum,
        ..Put::new(body.clone(), condition)
    };
    match store.put(key, put(Condition::Absent)).await {
        Err(error) if error.kind == StoreErrorKind::NotSupported => store.put(key, put(Condition::Always)).await,
        outcome => outcome,
    }
}
