//! The bytes of objects: from the store behind lakeFS where it can be, else from lakeFS.

mod part;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::{Bytes, BytesMut};
use reqwest::header::HeaderValue;
use tokio::sync::mpsc;

use self::part::Urls;
use super::client::{Answer, ByteSpan, BytesParams, Bytestream, Delivery, LakeFsClient, PresignedUrl};
use super::direct::{self, OriginBytes, OriginRead};
use super::entries::is_written_once;
use super::error::LakeFsErrorKind as Kind;
use crate::model::{CommitId, Entry};
use crate::source::{Body, SourceError};

/// Up to here an object is read whole, and read again as a whole where it breaks off.
pub(super) const WHOLE_BYTES: u64 = 1 << 20;

/// Chunks that wait to be sent.
pub(super) const CHUNKS_AHEAD: usize = 8;

/// So often one object is gone on with where its bytes broke off.
const RESUMES: u32 = 5;

/// Reads objects of one repository.
#[derive(Clone)]
pub(super) struct Objects {
    client: LakeFsClient,
    direct: Option<Arc<dyn OriginRead>>,
    /// The store behind lakeFS could not be read with credentials of our own, which was said.
    no_direct: Arc<AtomicBool>,
    /// For parts.
    urls: Arc<Urls>,
}

/// Where the bytes come from.
#[derive(Clone)]
enum From {
    /// The store, by a pre-signed URL; the etag is that of the first bytes.
    Store {
        url: PresignedUrl,
        etag: Option<HeaderValue>,
    },
    /// The server.
    Server,
}

/// Which object is read.
struct ObjectName {
    repository: String,
    commit: CommitId,
    key: String,
}

/// An object that is being read.
struct Reading {
    objects: Objects,
    name: ObjectName,
    params: BytesParams,
    entry: Entry,
    from: From,
    stream: Bytestream,
    read_bytes: u64,
    resumes: u32,
}

impl Objects {
    pub(super) fn new(client: LakeFsClient, direct: Option<Arc<dyn OriginRead>>) -> Self {
        Self {
            client,
            direct,
            no_direct: Arc::default(),
            urls: Arc::default(),
        }
    }

    /// Opens an object. Its size must be the entry's to the byte; an import must have the etag it was imported with,
    /// where the store behind lakeFS can be asked.
    pub(super) async fn open(
        &self,
        repository: &str,
        commit: &CommitId,
        key: &str,
        entry: Entry,
    ) -> Result<Body, SourceError> {
        let params = self.client.object_bytes(repository, commit.as_str(), key);
        if let Some(bytes) = self.begin_direct(&entry).await {
            let is_import_as_it_was = match entry.origin.as_ref().and_then(|origin| origin.etag.as_ref()) {
                Some(etag) => *etag == bytes.etag,
                None => true,
            };
            if bytes.size != entry.size || !is_import_as_it_was {
                return Err(self.otherwise(&params, &entry));
            }
            return direct::body_of(bytes, commit, &entry).await;
        }
        let (from, stream) = self.begin(&params, &entry).await?;
        let reading = Reading {
            objects: self.clone(),
            name: ObjectName {
                repository: repository.to_owned(),
                commit: commit.clone(),
                key: key.to_owned(),
            },
            params,
            entry,
            from,
            stream,
            read_bytes: 0,
            resumes: 0,
        };
        // Known before any byte is sent on.
        if reading
            .stream
            .length_bytes()
            .is_some_and(|length| length != reading.entry.size)
        {
            return Err(reading.changed());
        }
        if reading.entry.size <= WHOLE_BYTES {
            return reading.read_whole().await;
        }
        let (sender, chunks) = mpsc::channel(CHUNKS_AHEAD);
        // Left alone on purpose: it ends when the object or its reader does.
        tokio::spawn(async move {
            if let Err(error) = reading.send_chunks(&sender).await {
                // Where the reader is gone, it does not need the error.
                drop(sender.send(Err(error)).await);
            }
        });
        Ok(Body::Chunks(chunks))
    }

    /// Begins to read the store itself, where we may. Only lakeFS can say that data is gone, so it is asked where an
    /// object cannot be read so.
    async fn begin_direct(&self, entry: &Entry) -> Option<OriginBytes> {
        let (direct, origin) = (self.direct.as_ref()?, entry.origin.as_ref()?);
        match direct.read(origin).await {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                let place = format!("s3://{}/{}", origin.bucket, origin.key);
                if self.no_direct.swap(true, Ordering::Relaxed) {
                    tracing::debug!(place, error, "lakeFS is asked for the bytes");
                } else {
                    tracing::warn!(
                        place,
                        error,
                        "cannot be read with --source-*; lakeFS is asked for the bytes"
                    );
                }
                None
            }
        }
    }

    /// Bytes that are others than the commit says.
    fn otherwise(&self, params: &BytesParams, entry: &Entry) -> SourceError {
        match &entry.origin {
            Some(origin) if origin.etag.is_some() => self.client.import_changed(params, origin).into(),
            _ => SourceError::Changed {
                path: entry.path.clone(),
            },
        }
    }

    /// Begins to read. A pre-signed URL that is refused is asked for anew once; after that the server is asked.
    async fn begin(&self, params: &BytesParams, entry: &Entry) -> Result<(From, Bytestream), SourceError> {
        let mut renewed = false;
        let if_match = if_match(entry);
        while self.client.may_read_store() {
            let url = match self.client.presign(params).await? {
                Delivery::Bytes(stream) => return Ok((From::Server, stream)),
                Delivery::Elsewhere(url) => url,
            };
            match self
                .client
                .read_presigned(params, &url, ByteSpan::default(), if_match.as_ref())
                .await
            {
                Ok(stream) => {
                    let etag = stream.etag().cloned();
                    return Ok((From::Store { url, etag }, stream));
                }
                Err(error) if error.kind == Kind::BytesChanged => return Err(self.otherwise(params, entry)),
                Err(error) if error.kind == Kind::Denied && !renewed => renewed = true,
                Err(error) => {
                    self.client.note_store(&error);
                    tracing::debug!(path = %entry.path, %error, "lakeFS is asked for the bytes themselves");
                    break;
                }
            }
        }
        Ok((From::Server, self.client.read(params, ByteSpan::default()).await?))
    }
}

/// The etag that an import must have.
fn if_match(entry: &Entry) -> Option<HeaderValue> {
    let etag = entry.origin.as_ref()?.etag.as_ref()?;
    HeaderValue::from_str(&etag.quoted()).ok()
}

impl Reading {
    async fn read_whole(mut self) -> Result<Body, SourceError> {
        let mut all = BytesMut::new();
        loop {
            match self.next_chunk().await {
                Ok(Some(chunk)) => all.extend_from_slice(&chunk),
                Ok(None) => return Ok(Body::Whole(all.freeze())),
                Err(SourceError::LakeFs(error)) if error.kind.is_passing() && self.resumes <= RESUMES => {
                    tracing::debug!(%error, "the bytes broke off; reading them anew");
                    all.clear();
                    self.read_bytes = 0;
                    (self.from, self.stream) = self.objects.begin(&self.params, &self.entry).await?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn send_chunks(mut self, sender: &mpsc::Sender<Result<Bytes, SourceError>>) -> Result<(), SourceError> {
        while let Some(chunk) = self.next_chunk().await? {
            if sender.send(Ok(chunk)).await.is_err() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Gives the next bytes; `None` where there were as many as there should be.
    ///
    /// Where they break off they are gone on with: bytes that lakeFS wrote never change, and others are held to the
    /// etag of the first ones, which only a store can.
    async fn next_chunk(&mut self) -> Result<Option<Bytes>, SourceError> {
        loop {
            let error = match self.stream.chunk().await {
                Ok(Some(chunk)) if chunk.is_empty() => continue,
                Ok(Some(chunk)) => {
                    self.read_bytes += chunk.len() as u64;
                    if self.read_bytes > self.entry.size {
                        return Err(self.changed());
                    }
                    return Ok(Some(chunk));
                }
                Ok(None) if self.read_bytes == self.entry.size => return Ok(None),
                Ok(None) => return Err(self.changed()),
                Err(error) => error,
            };
            if self.read_bytes == self.entry.size {
                // All are there; only the end of the message is not.
                return Ok(None);
            }
            self.resumes += 1;
            if !error.kind.is_passing() || self.resumes > RESUMES || !self.may_resume().await {
                return Err(error.into());
            }
            tracing::debug!(%error, bytes = self.read_bytes, "the bytes broke off; going on with them");
            self.stream = match self.resume().await {
                Ok(Some(stream)) => stream,
                Ok(None) => return Err(error.into()),
                Err(error) if error.kind == Kind::BytesChanged => return Err(self.changed()),
                Err(error) => return Err(error.into()),
            };
        }
    }

    async fn may_resume(&self) -> bool {
        match &self.from {
            From::Store { etag: Some(_), .. } => true,
            From::Store { etag: None, .. } | From::Server => self.read_bytes == 0 || self.never_changes().await,
        }
    }

    /// Whether lakeFS itself put the bytes where they lie. An entry does not say so of every kind of store; bytes
    /// break off seldom enough to ask.
    async fn never_changes(&self) -> bool {
        let ObjectName {
            repository,
            commit,
            key,
        } = &self.name;
        let client = &self.objects.client;
        let asked = tokio::try_join!(
            client.repository(repository),
            client.stat(repository, commit.as_str(), key)
        );
        asked.is_ok_and(|(repository, stats)| is_written_once(&repository.storage_namespace, &stats))
    }

    /// Begins to read what is missing; `None` where that may be of other bytes than the beginning was.
    async fn resume(&mut self) -> Answer<Option<Bytestream>> {
        let client = self.objects.client.clone();
        let From::Store { url, etag } = &self.from else {
            return client
                .read(&self.params, ByteSpan::from(self.read_bytes))
                .await
                .map(Some);
        };
        let etag = etag.clone();
        let read = client
            .read_presigned(&self.params, url, ByteSpan::from(self.read_bytes), etag.as_ref())
            .await;
        match read {
            // The URL has expired, or the credentials that it was signed with: stores have several words for that.
            Err(error) if !error.kind.is_passing() && error.kind != Kind::BytesChanged => {}
            read => return read.map(Some),
        }
        match client.presign(&self.params).await? {
            Delivery::Elsewhere(url) => {
                let stream = client
                    .read_presigned(&self.params, &url, ByteSpan::from(self.read_bytes), etag.as_ref())
                    .await?;
                self.from = From::Store { url, etag };
                Ok(Some(stream))
            }
            // The server has changed its mind, and begins at the beginning; it compares no etag.
            Delivery::Bytes(_) if self.read_bytes > 0 && !self.never_changes().await => Ok(None),
            Delivery::Bytes(_) => {
                self.from = From::Server;
                client
                    .read(&self.params, ByteSpan::from(self.read_bytes))
                    .await
                    .map(Some)
            }
        }
    }

    fn changed(&self) -> SourceError {
        self.objects.otherwise(&self.params, &self.entry)
    }
}
