//! Writes what the folder does not have yet, several files at once.

use std::io::Write as _;

use futures::stream::{StreamExt as _, TryStreamExt as _};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::error::CheckoutError;
use super::folder::Standing;
use super::hash::RecordHasher;
use super::look::{Target, is_executable, mtime};
use super::state::Record;
use super::{Checkout, Shared};
use crate::model::{CommitId, ContentId, Entry, RelPath};
use crate::source::{Body, SourceError};

/// Writes all of it, and gives how many bytes those were.
pub(super) async fn write_all(
    checkout: &Checkout,
    at: &CommitId,
    targets: Vec<Target>,
    stop: &CancellationToken,
) -> Result<u64, CheckoutError> {
    let committed = checkout.source.committed_at(at).await?;
    let parallelism = checkout.config.parallelism.min(checkout.source.parallelism());
    let written = futures::stream::iter(targets)
        .map(|target| async move {
            if stop.is_cancelled() {
                return Err(CheckoutError::Stopped);
            }
            let size = target.size();
            match target {
                Target::File(entry) => write_file(checkout, at, entry, committed).await?,
                Target::Link(path, to) => write_link(checkout, path, to).await?,
            }
            Ok(size)
        })
        .buffer_unordered(parallelism.get());
    written.try_fold(0, async |all, size| Ok(all + size)).await
}

async fn write_link(checkout: &Checkout, path: RelPath, to: Box<[u8]>) -> Result<(), CheckoutError> {
    checkout
        .blocking(move |shared| {
            shared.clear(&path)?;
            let written = shared.folder.link(&path, &to);
            let stat = written.map_err(|source| shared.folder.error_at("cannot be written", &path, source))?;
            let blake3 = *blake3::hash(&to).as_bytes();
            let record = Record {
                content: ContentId::Blake3(blake3).into(),
                blake3,
                is_link: true,
                is_executable: false,
                stat,
            };
            shared.done(path, Some(record))
        })
        .await
}

async fn write_file(
    checkout: &Checkout,
    at: &CommitId,
    entry: Entry,
    committed: Option<i64>,
) -> Result<(), CheckoutError> {
    let body = checkout.source.open(at, &entry).await?;
    let runtime = Handle::current();
    checkout
        .blocking(move |shared| {
            shared.clear(&entry.path)?;
            let writing = Writing {
                shared,
                is_executable: is_executable(&entry),
                mtime_unix: mtime(&entry).or(committed),
                entry: &entry,
            };
            let record = writing.run(body, &runtime)?;
            shared.done(entry.path.clone(), Some(record))
        })
        .await
}

impl Shared {
    /// Makes room for a file where `--force` lets a folder of the user's go.
    fn clear(&self, path: &RelPath) -> Result<(), CheckoutError> {
        let told = |source| self.folder.error_at("cannot be read", path, source);
        match self.folder.standing(path).map_err(told)? {
            Standing::Nothing | Standing::File(_) => Ok(()),
            Standing::Other => self.remove(path.clone()),
            Standing::Below(above) => self.remove(above),
            Standing::Folder => {
                let mut below = Vec::new();
                self.folder
                    .walk(Some(path), &mut |found| below.push(found))
                    .map_err(told)?;
                below.into_iter().try_for_each(|found| self.remove(found))?;
                let removed = self.folder.remove_folders(path);
                removed.map_err(|source| self.folder.error_at("cannot be removed", path, source))
            }
        }
    }
}

/// A file on its way into the folder.
struct Writing<'a> {
    shared: &'a Shared,
    entry: &'a Entry,
    is_executable: bool,
    mtime_unix: Option<i64>,
}

impl Writing<'_> {
    fn run(&self, mut body: Body, runtime: &Handle) -> Result<Record, CheckoutError> {
        let path = &self.entry.path;
        let told = |source| self.shared.folder.error_at("cannot be written", path, source);
        let mut unfinished = self.shared.folder.begin(path, self.is_executable).map_err(told)?;
        let mut hasher = RecordHasher::new(self.entry.content, self.entry.size);
        let mut bytes = 0;
        while let Some(chunk) = runtime.block_on(body.next_chunk())? {
            hasher.update(&chunk);
            bytes += chunk.len() as u64;
            unfinished.file.write_all(&chunk).map_err(told)?;
        }
        if bytes != self.entry.size {
            let path = path.clone();
            return Err(SourceError::Changed { path }.into());
        }
        let hashed = hasher.finish();
        if !hashed.is_expected {
            return Err(CheckoutError::OtherBytes { path: path.clone() });
        }
        let stat = unfinished.finish(path, self.mtime_unix).map_err(told)?;
        Ok(Record {
            content: self.entry.content,
            blake3: hashed.blake3,
            is_link: false,
            is_executable: self.is_executable,
            stat,
        })
    }
}
