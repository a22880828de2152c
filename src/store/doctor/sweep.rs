//! Deletes all that an examination wrote.

use futures::future::ready;
use futures::{StreamExt as _, TryStreamExt as _};

use super::{Finding, Verdict};
use crate::model::ObjectKey;
use crate::store::{Condition, Store, StoreError, StoreErrorKind, Upload, list_objects, list_uploads};

/// How many deletes go out at once.
const AT_ONCE: usize = 8;

/// How many names of what stays behind are shown.
const SHOWN: usize = 10;

/// Gives up all uploads and deletes all objects below the prefix; says what could not be deleted, if anything.
///
/// `written` are keys that may be listed by other names than they have.
pub(super) async fn sweep(store: &dyn Store, prefix: &str, written: &[ObjectKey]) -> Option<Finding> {
    let place = format!("s3://{}/{prefix}", store.bucket());
    let text = match clear(store, prefix, written).await {
        Ok(left) if left.is_empty() => return None,
        Ok(left) => format!("could not be deleted: {}", left[..left.len().min(SHOWN)].join(", ")),
        Err(error) => format!("what was written may still be there: {error}"),
    };
    let line = Finding::new("left behind", Verdict::Bad, text);
    Some(line.cure(format!("delete all that is below {place}")))
}

/// Clears twice, since an error may have passed by then, and gives what is still there.
async fn clear(store: &dyn Store, prefix: &str, written: &[ObjectKey]) -> Result<Vec<String>, StoreError> {
    let mut unlisted = written.to_vec();
    for _ in 0..2 {
        // What fails here shows in the listings below.
        let uploads = uploads(store, prefix).await.unwrap_or_else(|_| Vec::new());
        let aborts = uploads
            .into_iter()
            .map(|upload| async move { store.abort_upload(&upload).await });
        futures::stream::iter(aborts)
            .buffer_unordered(AT_ONCE)
            .collect::<Vec<_>>()
            .await;
        let mut keys = keys(store, prefix).await.unwrap_or_else(|_| Vec::new());
        unlisted.retain(|key| !keys.contains(key));
        keys.append(&mut unlisted);
        let deletes = keys
            .into_iter()
            .map(|key| async move { store.delete(&key, &Condition::Always).await });
        futures::stream::iter(deletes)
            .buffer_unordered(AT_ONCE)
            .collect::<Vec<_>>()
            .await;
    }
    let keys = keys(store, prefix).await?;
    let mut left: Vec<_> = keys.iter().map(ObjectKey::to_string).collect();
    match uploads(store, prefix).await {
        Ok(uploads) => left.extend(
            uploads
                .iter()
                .map(|upload| format!("the upload {} of {}", upload.id, upload.key)),
        ),
        // Told under the rights already; who began an upload has given it up by name.
        Err(error) if error.kind == StoreErrorKind::Denied => {}
        Err(error) => return Err(error),
    }
    Ok(left)
}

async fn keys(store: &dyn Store, prefix: &str) -> Result<Vec<ObjectKey>, StoreError> {
    let keys = list_objects(store, prefix).map_ok(|row| row.key);
    keys.try_filter(|key| ready(key.as_str().starts_with(prefix)))
        .try_collect()
        .await
}

async fn uploads(store: &dyn Store, prefix: &str) -> Result<Vec<Upload>, StoreError> {
    list_uploads(store, prefix)
        .try_filter(|upload| ready(upload.key.as_str().starts_with(prefix)))
        .try_collect()
        .await
}
