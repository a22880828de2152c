//! The endpoints of a lakeFS server that we use, over one pool of connections.

mod answers;
mod ask;
mod attempts;
mod connect;
mod counts;
mod guard;
mod reply;
mod tables;
#[cfg(test)]
mod tests;

pub use answers::{
    Branch, Commit, Difference, DifferenceKind, ObjectStats, Page, Pagination, Repository, StorageConfig,
};
pub use ask::{ByteSpan, LakeFsRequest};
pub use counts::{LakeFsCounts, LakeFsTotals};

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use reqwest::header::{CONTENT_RANGE, HeaderValue, IF_MATCH, RANGE};
use reqwest::{Response, StatusCode, Url};
use serde::de::DeserializeOwned;

use self::ask::Ask;
use self::attempts::Failure;
use self::connect::Connections;
use self::guard::Guard;
use super::config::{Endpoint, LakeFsConfig, LakeFsConfigError};
use super::error::{LakeFsError, LakeFsErrorKind as Kind};
use crate::model::OriginObject;

/// So many entries are on a page at most; to ask for more is an error.
pub const PAGE: usize = 1_000;

/// What a request gives.
pub type Answer<T> = Result<T, Box<LakeFsError>>;

/// A lakeFS server. Clones share connections and counts.
#[derive(Clone)]
pub struct LakeFsClient {
    inner: Arc<Inner>,
}

struct Inner {
    config: LakeFsConfig,
    connections: Connections,
    guard: Guard,
    counts: LakeFsCounts,
    /// The server has said that it gives no pre-signed URLs.
    never_presigns: AtomicBool,
    /// The store behind the server cannot be read from here; it is not tried for each object and table anew.
    no_store: AtomicBool,
}

/// No key is in it, as none is in its parts.
impl fmt::Debug for LakeFsClient {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("LakeFsClient")
            .field("endpoint", &self.inner.config.endpoint)
            .finish_non_exhaustive()
    }
}

/// What is listed.
#[derive(Clone, Copy, Debug)]
pub struct PageParams<'a> {
    /// Only keys that begin with it.
    pub prefix: &'a str,
    /// Only keys behind it.
    pub after: &'a str,
    /// Keys that have it behind the prefix are told as one up to there; empty where none are.
    pub delimiter: &'a str,
    /// So many at most.
    pub amount: usize,
}

/// Which bytes are read: those of an object, or a table of a commit.
#[derive(Clone, Debug)]
pub struct BytesParams {
    ask: Ask,
}

/// Bytes on their way.
#[derive(Debug)]
pub struct Bytestream {
    ask: Ask,
    response: Response,
    client: LakeFsClient,
}

/// How bytes can be had.
#[derive(Debug)]
pub enum Delivery {
    /// From the server itself.
    Bytes(Bytestream),
    /// From the store behind it.
    Elsewhere(PresignedUrl),
}

/// A URL that is a key in itself: not shown, not kept.
#[derive(Clone)]
pub struct PresignedUrl(Url);

impl fmt::Debug for PresignedUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "PresignedUrl({})", self.0.host_str().unwrap_or_default())
    }
}

impl LakeFsClient {
    /// Sets a client up; nothing is sent yet.
    pub fn new(config: LakeFsConfig) -> Result<Self, LakeFsConfigError> {
        let guard = Guard::new(config.endpoint.clone(), &config.network);
        Ok(Self {
            inner: Arc::new(Inner {
                connections: Connections::new(&config, &guard)?,
                guard,
                config,
                counts: LakeFsCounts::default(),
                never_presigns: AtomicBool::new(false),
                no_store: AtomicBool::new(false),
            }),
        })
    }

    /// The server.
    pub fn endpoint(&self) -> &Endpoint {
        &self.inner.config.endpoint
    }

    /// What was asked so far.
    pub fn counts(&self) -> &LakeFsCounts {
        &self.inner.counts
    }

    /// Asks whether the server is there; needs no right.
    pub async fn health(&self) -> Answer<()> {
        let ask = self.ask(LakeFsRequest::HealthCheck, self.endpoint(), &["healthcheck"]);
        self.attempt(&ask, || Box::pin(self.health_once(&ask))).await
    }

    /// Gets a repository.
    pub async fn repository(&self, repository: &str) -> Answer<Repository> {
        let ask = self.ask(
            LakeFsRequest::GetRepository,
            format!("lakefs://{repository}"),
            &["repositories", repository],
        );
        self.get(&ask).await.map_err(|mut error| {
            if error.kind == Kind::NotFound {
                error.kind = Kind::NoSuchRepository;
            }
            error
        })
    }

    /// Gets how the server keeps bytes. Not from `/config`, which may ask GitHub and wait 10 s for it.
    pub async fn storage_config(&self) -> Answer<StorageConfig> {
        let ask = self.ask(LakeFsRequest::GetStorageConfig, self.endpoint(), &["config", "storage"]);
        self.get(&ask).await
    }

    /// Gets a branch with its head.
    pub async fn branch(&self, repository: &str, branch: &str) -> Answer<Branch> {
        let ask = self.ask(
            LakeFsRequest::GetBranch,
            format!("lakefs://{repository}/{branch}"),
            &["repositories", repository, "branches", branch],
        );
        self.get(&ask).await
    }

    /// Lists the first branches whose names begin with `prefix`.
    pub async fn branches(&self, repository: &str, prefix: &str, amount: usize) -> Answer<Vec<Branch>> {
        let ask = self
            .ask(
                LakeFsRequest::ListBranches,
                format!("lakefs://{repository}"),
                &["repositories", repository, "branches"],
            )
            .with("prefix", prefix)
            .with("amount", &amount.min(PAGE).to_string());
        let page: Page<Branch> = self.get(&ask).await?;
        Ok(page.results)
    }

    /// Gets a commit by its id, the unique beginning of one, or any other name of it.
    pub async fn commit(&self, repository: &str, reference: &str) -> Answer<Commit> {
        let ask = self.ask(
            LakeFsRequest::GetCommit,
            format!("lakefs://{repository}/{reference}"),
            &["repositories", repository, "commits", reference],
        );
        self.get(&ask).await
    }

    /// Lists a page of the tree of a commit.
    pub async fn objects(&self, repository: &str, commit: &str, page: PageParams<'_>) -> Answer<Page<ObjectStats>> {
        let segments = ["repositories", repository, "refs", commit, "objects", "ls"];
        let place = format!("lakefs://{repository}/{commit}/{}", page.prefix);
        let ask = self.ask(LakeFsRequest::ListObjects, place, &segments).page(&page);
        self.get(&ask).await
    }

    /// Lists a page of what differs from the tree of `left` to that of `right`; never what a merge would do.
    pub async fn diff(
        &self,
        repository: &str,
        left: &str,
        right: &str,
        page: PageParams<'_>,
    ) -> Answer<Page<Difference>> {
        let segments = ["repositories", repository, "refs", left, "diff", right];
        let place = format!("lakefs://{repository}/{left}..{right}/{}", page.prefix);
        let ask = self
            .ask(LakeFsRequest::Diff, place, &segments)
            .with("type", "two_dot")
            .page(&page);
        self.get(&ask).await
    }

    /// Gets what the API says of one object.
    pub async fn stat(&self, repository: &str, commit: &str, path: &str) -> Answer<ObjectStats> {
        let segments = ["repositories", repository, "refs", commit, "objects", "stat"];
        let place = object_place(repository, commit, path);
        let ask = self.ask(LakeFsRequest::Stat, place, &segments).with("path", path);
        self.get(&ask).await
    }

    /// Names the bytes of an object.
    pub fn object_bytes(&self, repository: &str, commit: &str, path: &str) -> BytesParams {
        let segments = ["repositories", repository, "refs", commit, "objects"];
        let place = object_place(repository, commit, path);
        let ask = self.ask(LakeFsRequest::GetObject, place, &segments).with("path", path);
        BytesParams { ask }
    }

    /// Names the bytes of a table of a commit; `kind` is `range` or `meta_range`.
    pub fn table_bytes(&self, repository: &str, kind: &str, id: &str) -> BytesParams {
        let place = format!("lakefs://{repository} {kind} {id}");
        let segments = ["repositories", repository, "metadata", "object", kind, id];
        let ask = self.ask(LakeFsRequest::GetTable, place, &segments);
        BytesParams { ask }
    }

    /// Begins to read bytes from the server itself.
    pub async fn read(&self, bytes: &BytesParams, span: ByteSpan) -> Answer<Bytestream> {
        let mut ask = bytes.ask.clone();
        ask.span = span;
        self.attempt(&ask, || Box::pin(self.read_once(&ask))).await
    }

    /// Asks for a pre-signed URL of bytes, where the server gives any; else begins to read them.
    pub async fn presign(&self, bytes: &BytesParams) -> Answer<Delivery> {
        if !self.may_presign() {
            return Ok(Delivery::Bytes(self.read(bytes, ByteSpan::default()).await?));
        }
        let ask = bytes.ask.clone().with("presign", "true");
        match self.attempt(&ask, || Box::pin(self.presign_once(&ask))).await {
            // So it is with a block store that cannot.
            Err(error) if error.kind == Kind::BadRequest => {
                tracing::debug!(%error, "this lakeFS gives no pre-signed URLs");
                self.inner.never_presigns.store(true, Ordering::Relaxed);
                Ok(Delivery::Bytes(self.read(bytes, ByteSpan::default()).await?))
            }
            asked => asked,
        }
    }

    /// Begins to read from the store behind the server and, where `if_match` is given, only while the etag there is
    /// that. Nothing of ours goes along, and no redirect is followed.
    pub async fn read_presigned(
        &self,
        bytes: &BytesParams,
        url: &PresignedUrl,
        span: ByteSpan,
        if_match: Option<&HeaderValue>,
    ) -> Answer<Bytestream> {
        let ask = Ask {
            kind: LakeFsRequest::ReadStore,
            span,
            ..bytes.ask.clone()
        };
        if let Err(why) = self.inner.guard.check(&url.0).await {
            return Err(Box::new(self.error(&ask, Kind::RefusedAddress { why })));
        }
        self.attempt(&ask, || Box::pin(self.read_presigned_once(&ask, url, if_match)))
            .await
    }

    /// Whether the store behind the server may be worth a try.
    pub(super) fn may_read_store(&self) -> bool {
        !self.inner.no_store.load(Ordering::Relaxed)
    }

    /// Whether the server may give pre-signed URLs.
    pub(super) fn may_presign(&self) -> bool {
        !self.inner.never_presigns.load(Ordering::Relaxed)
    }

    /// Remembers, and says once, that the store cannot be read: not where it is one object that cannot.
    pub(super) fn note_store(&self, error: &LakeFsError) {
        let for_all = matches!(
            error.kind,
            Kind::Unreachable | Kind::RefusedAddress { .. } | Kind::Redirected { .. }
        );
        if for_all && !self.inner.no_store.swap(true, Ordering::Relaxed) {
            tracing::warn!(%error, "the store behind lakeFS cannot be read from here; bytes come through lakeFS");
        }
    }

    /// Says that an import is not what it was.
    pub(super) fn import_changed(&self, bytes: &BytesParams, origin: &OriginObject) -> Box<LakeFsError> {
        let at = format!("s3://{}/{}", origin.bucket, origin.key);
        Box::new(self.error(&bytes.ask, Kind::ImportChanged { at }))
    }

    fn ask(&self, kind: LakeFsRequest, place: impl fmt::Display, segments: &[&str]) -> Ask {
        Ask::new(&self.inner.config.endpoint, kind, place, segments)
    }

    async fn get<T: DeserializeOwned + Send>(&self, ask: &Ask) -> Answer<T> {
        self.attempt(ask, || Box::pin(self.get_once(ask))).await
    }

    async fn get_once<T: DeserializeOwned>(&self, ask: &Ask) -> Result<T, Failure> {
        let response = self.send(ask).await?;
        self.json(ask, response).await
    }

    async fn health_once(&self, ask: &Ask) -> Result<(), Failure> {
        let response = self.send(ask).await?;
        let response = self.good(ask, response).await?;
        // The page for people is given with 200.
        match response.status() {
            StatusCode::NO_CONTENT => Ok(()),
            _ => Err(self.error(ask, Kind::WebPage).into()),
        }
    }

    async fn read_once(&self, ask: &Ask) -> Result<Bytestream, Failure> {
        let response = self.send(ask).await?;
        self.begin(ask, response).await
    }

    async fn presign_once(&self, ask: &Ask) -> Result<Delivery, Failure> {
        let response = self.send(ask).await?;
        if !response.status().is_redirection() {
            return Ok(Delivery::Bytes(self.begin(ask, response).await?));
        }
        match reply::location(&response) {
            Some(url) => Ok(Delivery::Elsewhere(PresignedUrl(url))),
            None => {
                let problem = "it leads elsewhere and does not say where";
                Err(self.error(ask, Kind::BadAnswer { problem }).into())
            }
        }
    }

    async fn read_presigned_once(
        &self,
        ask: &Ask,
        url: &PresignedUrl,
        if_match: Option<&HeaderValue>,
    ) -> Result<Bytestream, Failure> {
        let mut request = self.inner.connections.outside.get(url.0.clone());
        if let Some(etag) = if_match {
            request = request.header(IF_MATCH, etag);
        }
        let response = self.dispatch(ask, request).await?;
        self.begin(ask, response).await
    }

    async fn send(&self, ask: &Ask) -> Result<Response, LakeFsError> {
        self.dispatch(ask, self.inner.connections.api.get(ask.url.clone()))
            .await
    }

    async fn dispatch(&self, ask: &Ask, request: reqwest::RequestBuilder) -> Result<Response, LakeFsError> {
        let request = match ask.span.header() {
            Some(range) => request.header(RANGE, range),
            None => request,
        };
        let sent = request.send().await;
        sent.map_err(|error| self.transport(ask, error, Kind::CutOff))
    }

    /// Takes an answer whose body is wanted, and checks that it begins where it should.
    async fn begin(&self, ask: &Ask, response: Response) -> Result<Bytestream, Failure> {
        let response = self.good(ask, response).await?;
        // No table is one; an object may well be.
        if ask.kind == LakeFsRequest::GetTable && reply::is_page(&response) {
            return Err(self.error(ask, Kind::WebPage).into());
        }
        if ask.span.header().is_some() {
            let from = ask.span.from;
            let range = response
                .headers()
                .get(CONTENT_RANGE)
                .and_then(|range| range.to_str().ok());
            let begins = range.is_some_and(|range| range.starts_with(&format!("bytes {from}-")));
            if response.status() != StatusCode::PARTIAL_CONTENT || !begins {
                let problem = "it gives other bytes than were asked for";
                return Err(self.error(ask, Kind::BadAnswer { problem }).into());
            }
        }
        Ok(Bytestream {
            ask: ask.clone(),
            response,
            client: self.clone(),
        })
    }
}

impl Ask {
    fn page(self, page: &PageParams<'_>) -> Self {
        let mut ask = self.with("amount", &page.amount.min(PAGE).to_string());
        for (name, value) in [
            ("prefix", page.prefix),
            ("after", page.after),
            ("delimiter", page.delimiter),
        ] {
            if !value.is_empty() {
                ask = ask.with(name, value);
            }
        }
        ask
    }
}

impl Bytestream {
    /// Gives the next bytes; `None` at the end of a whole body.
    pub async fn chunk(&mut self) -> Answer<Option<Bytes>> {
        Ok(self.client.chunk(&self.ask, &mut self.response).await?)
    }

    /// Reads all of it, up to a limit.
    pub async fn whole(self, most_bytes: usize) -> Answer<Bytes> {
        let Self { ask, response, client } = self;
        match client.whole(&ask, response, most_bytes).await {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => {
                let problem = "it sends more bytes than there can be";
                Err(Box::new(client.error(&ask, Kind::BadAnswer { problem })))
            }
            Err(failure) => Err(failure.error),
        }
    }

    /// How many bytes are to come, where that was said.
    pub fn length_bytes(&self) -> Option<u64> {
        self.response.content_length()
    }

    /// The etag that came along, as it was sent.
    pub fn etag(&self) -> Option<&HeaderValue> {
        self.response.headers().get(reqwest::header::ETAG)
    }
}

/// Names an object in a message; control characters must not reach a terminal.
fn object_place(repository: &str, commit: &str, path: &str) -> String {
    let path = crate::model::RelPath::new(path).map_or_else(|_| String::new(), |path| path.to_string());
    format!("lakefs://{repository}/{commit}/{path}")
}
