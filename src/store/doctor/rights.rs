//! Which of the rights that an export needs the credentials have, each asked for by itself.

use super::{Finding, Verdict};
use crate::model::ObjectKey;
use crate::store::{Checksum, Condition, ObjectHeaders, Put, Store, StoreError, StoreErrorKind};

const TOPIC: &str = "rights";

/// Tries each request that an export makes; says whether the store can be examined further.
pub(super) async fn rights(store: &dyn Store, prefix: &str) -> (Vec<Finding>, bool) {
    let key = ObjectKey::new(format!("{prefix}rights"));
    let mut tried = Tried {
        bucket: store.bucket().to_string(),
        // What is allowed for this folder alone is no help to an export.
        prefix: prefix.find("_lakesync/").map_or(prefix, |at| &prefix[..at]).to_owned(),
        ..Tried::default()
    };
    // With a condition first: a policy may ask for one on all writes.
    let mut written = store.put(&key, Put::new("lakesync", Condition::Absent)).await;
    if matches!(&written, Err(error) if error.kind == StoreErrorKind::NotSupported) {
        written = store.put(&key, Put::new("lakesync", Condition::Always)).await;
    }
    tried.needed("s3:PutObject", "objects can be written", &written);
    if written.is_ok() {
        let read = match store.get(&key, None).await {
            Ok(fetched) => fetched.bytes().await,
            Err(error) => Err(error),
        };
        tried.needed("s3:GetObject", "objects can be read", &read);
        let listed = store.list(prefix, None, 10).await;
        tried.needed("s3:ListBucket", "objects can be listed", &listed);
        let begun = store
            .create_upload(&key, &ObjectHeaders::default(), Checksum::None)
            .await;
        tried.useful("s3:PutObject", "uploads in parts can be begun", &begun);
        let uploads = store.list_uploads(prefix, None).await;
        let text = "uploads that were left behind can be found";
        tried.useful("s3:ListBucketMultipartUploads", text, &uploads);
        if let Ok(upload) = begun {
            let text = "uploads can be given up";
            tried.useful("s3:AbortMultipartUpload", text, &store.abort_upload(&upload).await);
        }
        let deleted = store.delete(&key, &Condition::Always).await;
        tried.needed("s3:DeleteObject", "objects can be deleted", &deleted);
    }
    (tried.lines, !tried.lacking)
}

#[derive(Default)]
struct Tried {
    bucket: String,
    prefix: String,
    lines: Vec<Finding>,
    /// Whether something is missing without which there is no export.
    lacking: bool,
}

impl Tried {
    fn needed<T>(&mut self, action: &str, text: &str, outcome: &Result<T, StoreError>) {
        self.lacking |= outcome.is_err();
        self.note(Verdict::Bad, action, text, outcome);
    }

    fn useful<T>(&mut self, action: &str, text: &str, outcome: &Result<T, StoreError>) {
        self.note(Verdict::Limited, action, text, outcome);
    }

    fn note<T>(&mut self, worst: Verdict, action: &str, text: &str, outcome: &Result<T, StoreError>) {
        let line = match outcome {
            Ok(_) => Finding::good(TOPIC, text),
            Err(error) if error.kind.is_transient() => Finding::failed(TOPIC, error),
            Err(error) => {
                let line = Finding::new(TOPIC, worst, error.to_string());
                if error.kind == StoreErrorKind::Denied {
                    let (bucket, prefix) = (&self.bucket, &self.prefix);
                    // Listings are a matter of the bucket, all else of objects.
                    let place = if action.starts_with("s3:List") {
                        format!("the bucket {bucket}")
                    } else {
                        format!("{bucket}/{prefix}*")
                    };
                    line.cure(format!(
                        "allow {action} for {place} in the policy of the user or the bucket"
                    ))
                } else {
                    line
                }
            }
        };
        self.lines.push(line);
    }
}
