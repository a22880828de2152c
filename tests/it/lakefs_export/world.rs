//! A branch of lakeFS, a bucket on SeaweedFS, and a door between them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lakesync::disk_cache::DiskCacheConfig;
use lakesync::export::{ExportConfig, ExportError, Exporter, Outcome, Report, testing};
use lakesync::model::{Change, CommitId, Entry, ObjectKey, RelPath};
use lakesync::source::lakefs::{
    LakeFsClient, LakeFsConfig, LakeFsKeys, LakeFsRetryConfig, LakeFsSource, LakeFsSourceConfig, LakeFsTotals,
    ListingChoice, OriginRead,
};
use lakesync::source::{Filter, Item, Source, SourceError};
use lakesync::status::{StatusHead, read_newest};
use lakesync::store::{ObjectMeta, RequestKind, S3Store, Store as _};
use tokio_util::sync::CancellationToken;

use super::amnesia::Amnesia;
use crate::audit::{Audit, Expected};
use crate::lakefs::repository::Repository;
use crate::lakefs::server::LakeFsServer;
use crate::servers::{self, TestBucket};
use crate::wire::{Seen, Wire};

/// One repository and where it goes.
pub struct World<'a> {
    pub server: &'a LakeFsServer,
    pub repository: Repository<'a>,
    pub bucket: TestBucket,
    pub wire: Wire,
    pub config: ExportConfig,
    /// How lakeFS is asked.
    pub lakefs: LakeFsConfig,
    pub listing: ListingChoice,
    /// What is exported: any name of a commit.
    pub reference: String,
    /// Which part of it.
    pub prefix: String,
    pub filter: Filter,
    /// Reads the store behind lakeFS.
    pub direct: Option<Arc<dyn OriginRead>>,
    /// Whether the source says that it cannot compare commits, so that whole trees are.
    pub forgets_commits: bool,
    room: tempfile::TempDir,
}

/// What came of an export.
pub struct Ran {
    pub report: Report,
    /// What lakeFS was asked meanwhile.
    pub lakefs: LakeFsTotals,
}

impl<'a> World<'a> {
    /// A new repository, whose branch `main` goes to a bucket of its own.
    pub async fn new(server: &'a LakeFsServer) -> Self {
        Self::to(server, servers::seaweedfs()).await
    }

    /// The same to a server of choice.
    pub async fn to(server: &'a LakeFsServer, store: &'static servers::Server) -> Self {
        let room = tempfile::tempdir().unwrap();
        let bucket = store.new_bucket().await;
        let config = bucket.config(room.path());
        let keys = LakeFsKeys {
            access_key_id: server.access_key_id.clone(),
            secret_access_key: server.secret_access_key.clone(),
        };
        let lakefs = LakeFsConfig {
            retry: LakeFsRetryConfig {
                max_attempts: 3,
                min_wait_interval: Duration::from_millis(1),
                max_wait_interval: Duration::from_millis(5),
            },
            ..LakeFsConfig::new(server.endpoint.parse().unwrap(), keys)
        };
        Self {
            server,
            repository: server.new_repository().await,
            wire: Wire::open(store).await,
            bucket,
            config,
            lakefs,
            listing: ListingChoice::Auto,
            reference: "main".to_owned(),
            prefix: String::new(),
            filter: Filter::default(),
            direct: None,
            forgets_commits: false,
            room,
        }
    }

    pub fn name(&self) -> String {
        self.server.name()
    }

    /// Forgets what is kept locally, as on another machine.
    pub fn lose_cache(&self) {
        let folder = self.room.path().join("cache");
        std::fs::remove_dir_all(folder).unwrap();
    }

    /// A home for the program.
    pub fn room(&self) -> &Path {
        self.room.path()
    }

    pub fn key(&self, path: &str) -> ObjectKey {
        ObjectKey::new(format!("{}{path}", self.config.export_path.prefix))
    }

    /// A source with nothing remembered but what its cache holds.
    pub async fn source(&self, listing: ListingChoice) -> Result<LakeFsSource, SourceError> {
        let client = LakeFsClient::new(self.lakefs.clone()).unwrap();
        let config = LakeFsSourceConfig {
            reference: Some(self.reference.parse().unwrap()),
            prefix: self.prefix.clone(),
            filter: self.filter.clone(),
            listing,
            direct: self.direct.clone(),
            cache: self.config.cache.as_ref().map(|cache| DiskCacheConfig {
                folder: cache.folder.join("lakefs"),
                ..*cache
            }),
            ..LakeFsSourceConfig::new(self.repository.name.parse().unwrap())
        };
        LakeFsSource::open(client, config).await
    }

    /// The entries of a commit, one way.
    pub async fn tree(&self, listing: ListingChoice, commit: &str) -> Vec<Item<Entry>> {
        let source = self.source(listing).await.unwrap();
        let mut stream = source.tree(&CommitId::new(commit)).await.unwrap();
        let mut items = Vec::new();
        while let Some(item) = stream.next().await.unwrap() {
            items.push(item);
        }
        items
    }

    /// What differs between two commits, one way.
    pub async fn changes(&self, listing: ListingChoice, from: &str, to: &str) -> Vec<Item<Change>> {
        let source = self.source(listing).await.unwrap();
        let stream = source.changes(&CommitId::new(from), &CommitId::new(to)).await.unwrap();
        let mut stream = stream.expect("both commits can be read");
        let mut items = Vec::new();
        while let Some(item) = stream.next().await.unwrap() {
            items.push(item);
        }
        items
    }

    /// The store of the export as lakesync sees it through the door.
    pub async fn store(&self) -> S3Store {
        self.bucket.store_at(&self.wire.endpoint).await
    }

    /// Exports what the name means now, whatever comes of it; the wire's log is that of this export.
    pub async fn tried(&self) -> (Result<Report, ExportError>, LakeFsTotals) {
        let source = self.source(self.listing).await.unwrap();
        let client = source.client().clone();
        let store = Arc::new(self.store().await);
        let exporter: Exporter = if self.forgets_commits {
            testing::exporter(Amnesia(source), store, self.config.clone())
        } else {
            testing::exporter(source, store, self.config.clone())
        };
        self.wire.reset();
        let result = exporter.run(&CancellationToken::new()).await;
        (result, client.counts().totals())
    }

    /// The same where a report is expected.
    pub async fn export(&self) -> Ran {
        let (result, lakefs) = self.tried().await;
        let report = result.unwrap_or_else(|error| panic!("{}: {error:?}", self.name()));
        Ran { report, lakefs }
    }

    /// The same where it must succeed; the bucket is the commit then.
    pub async fn exported(&self) -> Ran {
        let ran = self.export().await;
        let report = &ran.report;
        assert_eq!(
            report.outcome,
            Outcome::Exported,
            "{}: {:?}",
            self.name(),
            report.failures
        );
        self.check(report.commit.as_str()).await;
        ran
    }

    /// The same where some objects must fail: exit code 1, no deletes, and a status file that names them.
    pub async fn failed(&self, paths: &[&str]) -> Ran {
        let ran = self.export().await;
        let report = &ran.report;
        assert_eq!(report.outcome, Outcome::Failed, "{}", self.name());
        let failed: Vec<String> = report.failures.iter().map(|failure| failure.path.to_string()).collect();
        assert_eq!(failed, paths, "{}: {:?}", self.name(), report.failures);
        assert_eq!(report.counts.deleted, 0, "{}", self.name());
        let deletes = [RequestKind::Delete, RequestKind::DeleteMany];
        let writes = self.writes();
        assert!(
            writes.iter().all(|(kind, _)| !deletes.contains(kind)),
            "{}: {writes:?}",
            self.name()
        );
        let status = self.newest_status().await;
        assert_eq!(status.status.to_string(), "failure", "{}", self.name());
        let told: Vec<(String, String)> = status
            .errors
            .into_iter()
            .map(|failure| (failure.path.to_string(), failure.error))
            .collect();
        let expected: Vec<(String, String)> = report
            .failures
            .iter()
            .map(|failure| (failure.path.to_string(), failure.error.clone()))
            .collect();
        assert_eq!(told, expected, "{}", self.name());
        ran
    }

    /// The bucket is a commit, as lakeFS itself reads it, and says so.
    pub async fn check(&self, commit: &str) {
        let mut files = BTreeMap::new();
        for stat in self.repository.list(commit).await {
            let Some(path) = stat.path.strip_prefix(&self.prefix).filter(|path| !path.is_empty()) else {
                continue;
            };
            if !self.filter.wants_file(&RelPath::new(path).unwrap()) {
                continue;
            }
            let reply = self.repository.read(commit, &stat.path).await;
            files.insert(path.to_owned(), reply.expect(200).body.to_vec());
        }
        self.check_files(files).await;
        let status = self.newest_status().await;
        assert_eq!(
            (status.status.to_string().as_str(), &*status.commit),
            ("success", commit)
        );
    }

    /// The bucket has these objects and no others, and says so.
    pub async fn check_files(&self, files: BTreeMap<String, Vec<u8>>) {
        let audit = Audit {
            server: self.bucket.server,
            export_path: self.config.export_path.clone(),
            status_path: self.config.status_path.clone(),
        };
        let expected = Expected {
            files,
            ..Expected::default()
        };
        audit.check(&expected).await;
    }

    /// The paths of the objects that readers see, sorted as bytes.
    pub async fn paths(&self) -> Vec<String> {
        let prefix = self.config.export_path.prefix.as_str();
        let keys = self.bucket.keys().await.into_iter();
        let below = keys.filter_map(|key| key.strip_prefix(prefix).map(str::to_owned));
        below.filter(|path| is_data(path)).collect()
    }

    pub async fn newest_status(&self) -> StatusHead {
        let store = self.bucket.store_at(&self.bucket.server.endpoint).await;
        let newest = read_newest(&store, &self.config.status_path.prefix).await.unwrap();
        newest.expect("there is a status file").head
    }

    /// What our own store says of an object.
    pub async fn head(&self, path: &str) -> ObjectMeta {
        let store = self.bucket.store_at(&self.bucket.server.endpoint).await;
        store.head(&self.key(path)).await.unwrap()
    }

    /// The writes of objects of the tree, in their order: kind and path.
    pub fn writes(&self) -> Vec<(RequestKind, String)> {
        let prefix = self.config.export_path.prefix.as_str();
        let write = |seen: Seen| {
            let kind = seen.kind.filter(|kind| kind.is_write())?;
            let path = seen.key.strip_prefix(prefix).filter(|path| is_data(path))?;
            Some((kind, path.to_owned()))
        };
        self.wire.log().into_iter().filter_map(write).collect()
    }

    /// How many bytes of bodies went to objects of the tree.
    pub fn sent_bytes(&self) -> u64 {
        let prefix = self.config.export_path.prefix.as_str();
        let sends = |seen: &Seen| {
            matches!(seen.kind, Some(RequestKind::Put | RequestKind::UploadPart))
                && seen.key.strip_prefix(prefix).is_some_and(is_data)
        };
        self.wire
            .log()
            .iter()
            .filter(|seen| sends(seen))
            .map(|seen| seen.body_bytes)
            .sum()
    }
}

fn is_data(path: &str) -> bool {
    !path.starts_with("_lakesync/") && !path.starts_with("_STATUS_")
}
