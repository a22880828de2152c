//! What status files in the bucket say: their records page by page, and the runs before this process.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::StreamExt as _;
use serde::Serialize;
use utoipa::ToSchema;

use super::keeper::KeepError;
use super::view::{RunView, seconds_between};
use crate::ledger::StatusName;
use crate::model::{ETag, ObjectKey, Prefix};
use crate::status::{StatusHead, StatusRecord, list_names, read_head, read_newest};
use crate::store::{Store, StoreErrorKind};

/// So much of a file is read at once: some 1,500 records.
const PIECE_BYTES: u64 = 256 << 10;

/// The longest line that is read: see the reader of whole files.
const LONGEST_LINE_BYTES: usize = 1 << 20;

/// So many small reads at once.
const READS_AT_ONCE: usize = 8;

/// Where the status files of an export are.
#[derive(Clone)]
pub struct StatusFiles {
    /// Their bucket; requests that fail are sent again.
    pub store: Arc<dyn Store>,
    /// Where they are in it.
    pub prefix: Prefix,
}

/// Some records of the newest status file, in the order of their paths.
#[derive(Debug, Serialize, ToSchema)]
pub struct RecordsPage {
    /// The name of the file.
    pub file: String,
    /// What the file says of its run: the first record.
    #[schema(value_type = Object)]
    pub head: StatusHead,
    /// One for each object.
    #[schema(value_type = Vec<Object>)]
    pub records: Vec<StatusRecord>,
    /// What to pass as `after` for the next page; none where this is the last.
    pub next: Option<String>,
}

/// Where a page begins, in which version of which file.
#[derive(Debug, PartialEq, Eq)]
struct Cursor {
    offset: u64,
    name: StatusName,
    etag: ETag,
}

impl Cursor {
    fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(format!("{} {} {}", self.offset, self.name, self.etag.as_str()))
    }

    fn decode(text: &str) -> Option<Self> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let mut parts = text.splitn(3, ' ');
        Some(Self {
            offset: parts.next()?.parse().ok()?,
            name: parts.next()?.parse().ok()?,
            etag: ETag::new(parts.next()?),
        })
    }
}

impl StatusFiles {
    /// Reads up to `limit` records, from `after` on.
    pub async fn page(&self, after: Option<&str>, limit: usize) -> Result<RecordsPage, KeepError> {
        let (cursor, head) = match after {
            Some(text) => {
                let cursor = Cursor::decode(text).ok_or(KeepError::BadCursor)?;
                let found = read_head(&*self.store, &self.key(&cursor.name)).await?;
                let (head, etag) = found.ok_or(KeepError::Moved)?;
                if etag != cursor.etag {
                    return Err(KeepError::Moved);
                }
                (cursor, head)
            }
            None => {
                let newest = read_newest(&*self.store, &self.prefix).await?;
                let newest = newest.ok_or_else(|| KeepError::NoStatus {
                    path: format!("s3://{}/{}", self.store.bucket(), self.prefix),
                })?;
                let cursor = Cursor {
                    offset: 0,
                    name: newest.name,
                    etag: newest.etag,
                };
                (cursor, newest.head)
            }
        };
        let (records, next) = self.read(&cursor, limit).await?;
        Ok(RecordsPage {
            file: cursor.name.to_string(),
            head,
            records,
            next: next.map(|offset| Cursor { offset, ..cursor }.encode()),
        })
    }

    /// Reads records from the cursor on, and says where the next one begins.
    async fn read(&self, cursor: &Cursor, limit: usize) -> Result<(Vec<StatusRecord>, Option<u64>), KeepError> {
        let key = self.key(&cursor.name);
        let (mut records, mut buffer, mut at) = (Vec::new(), Vec::new(), cursor.offset);
        loop {
            let from = at + buffer.len() as u64;
            let fetched = match self.store.get(&key, Some(from..from + PIECE_BYTES)).await {
                Ok(fetched) => fetched,
                Err(error) if error.kind == StoreErrorKind::NotFound => return Err(KeepError::Moved),
                Err(error) => return Err(crate::status::StatusError::from(error).into()),
            };
            let (meta, bytes) = fetched.bytes().await.map_err(crate::status::StatusError::from)?;
            if meta.etag != cursor.etag {
                return Err(KeepError::Moved);
            }
            buffer.extend_from_slice(&bytes);
            let mut start = 0;
            while let Some(length) = buffer[start..].iter().position(|byte| *byte == b'\n') {
                if records.len() == limit {
                    return Ok((records, Some(at + start as u64)));
                }
                let line = &buffer[start..start + length];
                // The first line is the head, which a page has anyway.
                if at + start as u64 > 0 {
                    records.push(serde_json::from_slice(line).map_err(|error| self.damaged(&key, &error))?);
                }
                start += length + 1;
            }
            buffer.drain(..start);
            at += start as u64;
            let is_end = at + buffer.len() as u64 >= meta.size;
            if is_end && buffer.is_empty() {
                return Ok((records, None));
            }
            if is_end || bytes.is_empty() || (buffer.len() > LONGEST_LINE_BYTES && at > 0) {
                return Err(self.damaged(&key, &"the line has no end"));
            }
        }
    }

    /// The runs that status files tell of, newest first, those of `known` aside.
    pub async fn runs(&self, limit: usize, known: &[String]) -> Result<Vec<RunView>, KeepError> {
        let names = list_names(&*self.store, &self.prefix)
            .await
            .map_err(crate::status::StatusError::from)?;
        let heads = futures::stream::iter(names.into_iter().rev().take(limit + known.len())).map(|name| async move {
            let head = read_head(&*self.store, &self.key(&name)).await?;
            Ok::<_, KeepError>(head.map(|(head, _)| run_of(&name, &head)))
        });
        let mut heads = heads.buffered(READS_AT_ONCE);
        let mut runs = Vec::new();
        while let Some(run) = heads.next().await {
            // One that was pruned meanwhile is not there.
            let is_new = |run: &RunView| run.run.as_ref().is_none_or(|run| !known.contains(run));
            runs.extend(run?.filter(is_new));
        }
        runs.truncate(limit);
        Ok(runs)
    }

    fn key(&self, name: &StatusName) -> ObjectKey {
        self.prefix.join(&name.to_string())
    }

    fn damaged(&self, key: &ObjectKey, why: &dyn std::fmt::Display) -> KeepError {
        KeepError::Status(Box::new(crate::status::StatusError::Damaged {
            file: format!("s3://{}/{key}", self.store.bucket()),
            line: 0,
            why: why.to_string(),
        }))
    }
}

fn run_of(name: &StatusName, head: &StatusHead) -> RunView {
    let seconds = head.started_at.zip(head.finished_at);
    RunView {
        run: Some(head.run.clone()).filter(|run| !run.is_empty()),
        commit: head.commit.clone(),
        result: head.status.to_string(),
        started_at: head.started_at,
        finished_at: head.finished_at,
        seconds: seconds.map_or(0.0, |(from, to)| seconds_between(from, to)),
        put: head.put,
        copied: head.copied,
        deleted: head.deleted,
        kept: head.kept,
        failed: head.failed,
        bytes: head.put_bytes + head.copied_bytes,
        status_file: Some(name.to_string()),
        error: (head.status == crate::status::ExportState::Failure).then(|| head.message.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Capabilities;
    use crate::store::memory::MemoryStore;

    const NAME: &str = "_STATUS_20261122T071422.123Z.json";

    fn files(count: usize) -> (StatusFiles, MemoryStore) {
        let store = MemoryStore::new("bucket".parse().unwrap(), Capabilities::ALL);
        let prefix = Prefix::new("out/");
        let mut text = format!("{:<4095}\n", r#"{"status":"success","commit":"c","run":"r"}"#);
        for number in 0..count {
            text.push_str(&format!(
                "{{\"path\":\"f/{number:06}\",\"etag\":\"e{number}\",\"size\":{number}}}\n"
            ));
        }
        store.foreign_put(&prefix.join(NAME), text);
        let files = StatusFiles {
            store: Arc::new(store.clone()),
            prefix,
        };
        (files, store)
    }

    #[tokio::test]
    async fn pages_follow_each_other_without_a_gap_and_are_small_reads() {
        let (files, _) = files(20_000);
        let (mut paths, mut after, mut pages) = (Vec::new(), None, 0);
        loop {
            let page = files.page(after.as_deref(), 1_000).await.unwrap();
            assert_eq!((page.file.as_str(), page.head.commit.as_str()), (NAME, "c"));
            paths.extend(page.records.iter().map(|record| record.path.to_string()));
            pages += 1;
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let expected: Vec<String> = (0..20_000).map(|number| format!("f/{number:06}")).collect();
        assert_eq!(paths, expected);
        assert_eq!(pages, 20);
    }

    #[tokio::test]
    async fn a_file_that_changed_between_two_pages_is_told_and_never_mixed() {
        let (files, store) = files(10);
        let first = files.page(None, 3).await.unwrap();
        let key = files.prefix.join(NAME);
        store.foreign_put(&key, format!("{:<4095}\n", r#"{"status":"success","commit":"d"}"#));
        let after = first.next.unwrap();
        assert!(matches!(files.page(Some(&after), 3).await, Err(KeepError::Moved)));
        store.foreign_delete(&key);
        assert!(matches!(files.page(Some(&after), 3).await, Err(KeepError::Moved)));
        assert!(matches!(
            files.page(Some("nonsense"), 3).await,
            Err(KeepError::BadCursor)
        ));
        assert!(matches!(files.page(None, 3).await, Err(KeepError::NoStatus { .. })));
    }

    #[tokio::test]
    async fn runs_before_this_process_are_told_and_none_twice() {
        let (files, store) = files(0);
        let other = files.prefix.join("_STATUS_20261122T071423.000Z.json");
        store.foreign_put(
            &other,
            "{\"status\":\"failure\",\"message\":\"no\",\"run\":\"r2\"}\n".to_owned(),
        );
        let runs = files.runs(10, &[]).await.unwrap();
        let shown: Vec<_> = runs
            .iter()
            .map(|run| (run.run.as_deref(), run.result.as_str()))
            .collect();
        assert_eq!(shown, [(Some("r2"), "failure"), (Some("r"), "success")]);
        assert_eq!(runs[0].error.as_deref(), Some("no"));
        assert_eq!(files.runs(10, &["r2".to_owned()]).await.unwrap().len(), 1);
    }
}
