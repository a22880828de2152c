//! One status file, rewritten in place as its run goes on.

use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt as _;

use crate::ledger::{Record, StatusName};
use crate::model::{ContentId, ETag, Mark, ObjectKey, Prefix, RunId};
use crate::store::{
    Checksum, Condition, ObjectHeaders, Part, Put, Store, StoreError, StoreErrorKind, Upload, Written, list_uploads,
};

use super::StatusError;
use super::head::StatusHead;
use super::record::write_line;

/// A file longer than this goes in parts of this length: the most that is held in memory of it.
const PART_BYTES: usize = 16 << 20;

/// Gives the records of a status file one after another.
#[async_trait]
pub trait RecordStream: Send {
    /// Gives the next record.
    async fn next(&mut self) -> Result<Option<Record>, StatusError>;
}

/// No records.
#[async_trait]
impl RecordStream for () {
    async fn next(&mut self) -> Result<Option<Record>, StatusError> {
        Ok(None)
    }
}

/// A status file that one run writes.
pub struct StatusFile {
    store: Arc<dyn Store>,
    key: ObjectKey,
    name: StatusName,
    run: RunId,
    etag: Option<ETag>,
    // One more for each write, so that each bears a mark of its own and a lost reply can be told.
    writes: u64,
    guarded: bool,
    checksum: Checksum,
}

impl StatusFile {
    /// Names a file that is not there yet; `guarded`: the store heeds conditions.
    pub fn new(
        store: Arc<dyn Store>,
        prefix: &Prefix,
        name: StatusName,
        run: RunId,
        guarded: bool,
        checksum: Checksum,
    ) -> Self {
        let key = prefix.join(&name.to_string());
        Self {
            store,
            key,
            name,
            run,
            etag: None,
            writes: 0,
            guarded,
            checksum,
        }
    }

    /// Takes over a file as it was seen.
    pub fn seen(mut self, etag: ETag) -> Self {
        self.etag = Some(etag);
        self
    }

    /// The name.
    pub fn name(&self) -> &StatusName {
        &self.name
    }

    /// The key.
    pub fn key(&self) -> &ObjectKey {
        &self.key
    }

    /// Writes the file anew: the head, then the records.
    pub async fn write(&mut self, head: &StatusHead, records: &mut dyn RecordStream) -> Result<(), StatusError> {
        self.writes += 1;
        let stamp = blake3::hash(format!("{} {} {}", self.run, self.name, self.writes).as_bytes());
        let mark = Mark {
            run: self.run,
            content: ContentId::Blake3(*stamp.as_bytes()),
        };
        let headers = ObjectHeaders {
            content_type: Some("application/x-ndjson".to_owned()),
            mark: Some(mark.clone()),
            ..ObjectHeaders::default()
        };
        let condition = match &self.etag {
            _ if !self.guarded => Condition::Always,
            None => Condition::Absent,
            Some(etag) => Condition::Matches(etag.clone()),
        };
        let written = self.send(head, records, headers, condition).await?;
        self.etag = Some(self.settle(written, &mark).await?);
        Ok(())
    }

    /// Sends the file in one request or in parts. The outer error is of reading, the inner one of the last write.
    async fn send(
        &self,
        head: &StatusHead,
        records: &mut dyn RecordStream,
        headers: ObjectHeaders,
        condition: Condition,
    ) -> Result<Result<Written, StoreError>, StatusError> {
        let mut body = head.line();
        while body.len() < PART_BYTES {
            let Some(record) = records.next().await? else {
                let put = Put {
                    headers,
                    checksum: self.checksum,
                    ..Put::new(body, condition)
                };
                return Ok(self.store.put(&self.key, put).await);
            };
            write_line(&record, &mut body);
        }
        let upload = match self.store.create_upload(&self.key, &headers, self.checksum).await {
            Err(error) if error.kind.is_ambiguous() => {
                // It may have begun all the same; nobody else writes this key.
                let mut uploads = list_uploads(&*self.store, self.key.as_str());
                while let Some(upload) = uploads.next().await.transpose()? {
                    if upload.key == self.key {
                        self.store.abort_upload(&upload).await?;
                    }
                }
                self.store.create_upload(&self.key, &headers, self.checksum).await?
            }
            outcome => outcome?,
        };
        let sent = self.send_parts(&upload, body, records).await;
        let written = match sent {
            Ok(parts) => Ok(self.store.complete_upload(&upload, &parts, &condition).await),
            Err(error) => Err(error),
        };
        if !matches!(written, Ok(Ok(_)))
            && let Err(error) = self.store.abort_upload(&upload).await
        {
            tracing::warn!(key = %upload.key, %error, "the upload of a status file could not be aborted");
        }
        written
    }

    async fn send_parts(
        &self,
        upload: &Upload,
        mut body: Vec<u8>,
        records: &mut dyn RecordStream,
    ) -> Result<Vec<Part>, StatusError> {
        let mut parts = Vec::new();
        loop {
            let record = records.next().await?;
            if body.len() >= PART_BYTES || record.is_none() {
                let rest = if record.is_some() {
                    body.split_off(PART_BYTES)
                } else {
                    Vec::new()
                };
                let part = std::mem::replace(&mut body, rest);
                let number = u16::try_from(parts.len() + 1).expect("160 GB of records are more than any ledger has");
                parts.push(
                    self.store
                        .upload_part(upload, number, part.into(), self.checksum, None)
                        .await?,
                );
            }
            match record {
                Some(record) => write_line(&record, &mut body),
                None => return Ok(parts),
            }
        }
    }

    /// Tells a write that was refused from one whose reply was lost.
    async fn settle(&self, written: Result<Written, StoreError>, mark: &Mark) -> Result<ETag, StatusError> {
        let error = match written {
            Ok(written) => return Ok(written.etag),
            Err(error) => error,
        };
        let refused = matches!(
            error.kind,
            StoreErrorKind::ConditionFailed | StoreErrorKind::NotFound | StoreErrorKind::NoSuchUpload
        );
        if refused || error.kind.is_ambiguous() {
            match self.store.head(&self.key).await {
                Ok(meta) if meta.headers.mark.as_ref() == Some(mark) => return Ok(meta.etag),
                Ok(_) => {}
                Err(seen) => tracing::debug!(error = %seen, "a status file could not be looked at"),
            }
        }
        Err(error.into())
    }
}
