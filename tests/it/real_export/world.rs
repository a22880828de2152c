//! A branch, a bucket on a real server, and a door between them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use lakesync::export::{ExportConfig, ExportError, Exporter, Outcome, Report, testing};
use lakesync::model::{ObjectKey, S3Url};
use lakesync::source::git::{GitConfig, GitSource};
use lakesync::source::{DirConfig, DirSource};
use lakesync::store::{RequestKind, S3Store};
use tokio_util::sync::CancellationToken;

use crate::audit::{Audit, Expected, files_below};
use crate::git_source::repository::Repository;
use crate::servers::{self, Server, TestBucket};
use crate::wire::{Seen, Wire};

/// Where the files are.
enum Branch {
    Dir(PathBuf),
    Git(Repository),
}

/// One branch and where it goes.
pub struct World {
    pub bucket: TestBucket,
    pub wire: Wire,
    pub config: ExportConfig,
    /// What others have under the export path, for the audit.
    pub others: Expected,
    branch: Branch,
    room: tempfile::TempDir,
}

impl World {
    /// A folder that goes to a server.
    pub async fn dir(server: &'static Server) -> Self {
        let room = tempfile::tempdir().unwrap();
        let tree = room.path().join("tree");
        std::fs::create_dir(&tree).unwrap();
        Self::new(server, Branch::Dir(tree), room).await
    }

    /// A repository that goes to a server.
    pub async fn git(server: &'static Server) -> Self {
        Self::new(server, Branch::Git(Repository::new()), tempfile::tempdir().unwrap()).await
    }

    /// A folder for each server.
    pub async fn on_both() -> Vec<Self> {
        vec![
            Self::dir(servers::seaweedfs()).await,
            Self::dir(servers::versitygw()).await,
        ]
    }

    /// A folder and a repository for each server.
    pub async fn all() -> Vec<Self> {
        let mut all = Self::on_both().await;
        for server in servers::both() {
            all.push(Self::git(server).await);
        }
        all
    }

    async fn new(server: &'static Server, branch: Branch, room: tempfile::TempDir) -> Self {
        let bucket = server.new_bucket().await;
        let config = bucket.config(room.path());
        Self {
            wire: Wire::open(server).await,
            bucket,
            config,
            others: Expected::default(),
            branch,
            room,
        }
    }

    pub fn name(&self) -> &'static str {
        self.bucket.server.name
    }

    pub fn is_versitygw(&self) -> bool {
        self.name() == "versitygw"
    }

    /// The folder of the files.
    pub fn tree(&self) -> &Path {
        match &self.branch {
            Branch::Dir(tree) => tree,
            Branch::Git(repository) => &repository.path,
        }
    }

    pub fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.tree().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    pub fn remove(&self, path: &str) {
        let path = self.tree().join(path);
        if path.is_dir() {
            std::fs::remove_dir_all(path).unwrap();
        } else {
            std::fs::remove_file(path).unwrap();
        }
    }

    pub fn rename(&self, from: &str, to: &str) {
        let to = self.tree().join(to);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::rename(self.tree().join(from), to).unwrap();
    }

    /// Forgets what is kept locally, as on another machine.
    pub fn lose_cache(&self) {
        std::fs::remove_dir_all(self.room.path().join("cache")).unwrap();
    }

    pub fn key(&self, path: &str) -> String {
        format!("{}{path}", self.config.export_path.prefix)
    }

    /// Writes an object as somebody else would, for the audit to find again.
    pub async fn foreign(&mut self, path: &str, text: &str) {
        self.bucket.write(&self.key(path), text).await;
        self.others.foreign.insert(path.to_owned(), text.into());
    }

    fn dir_source(&self, tree: &Path) -> DirSource {
        let config = DirConfig {
            path: tree.to_owned(),
            cache: self.config.cache.as_ref().map(|cache| cache.folder.clone()),
            ..DirConfig::default()
        };
        DirSource::open(config).unwrap()
    }

    /// The bucket of a URL, as lakesync sees it through the door.
    pub async fn store_of(&self, url: &S3Url) -> S3Store {
        let bucket = TestBucket {
            bucket: url.bucket.clone(),
            server: self.bucket.server,
        };
        bucket.store_at(&self.wire.endpoint).await
    }

    async fn exporter(&self) -> Exporter {
        let store = Arc::new(self.store_of(&self.config.export_path).await);
        let config = self.config.clone();
        let exporter = match &self.branch {
            Branch::Dir(tree) => testing::exporter(self.dir_source(tree), store, config),
            Branch::Git(repository) => {
                let source = GitSource::open(GitConfig::new(&repository.path)).unwrap();
                testing::exporter(source, store, config)
            }
        };
        Exporter {
            status_store: Arc::new(self.store_of(&self.config.status_path).await),
            ..exporter
        }
    }

    /// Exports what was committed last.
    pub async fn export(&self) -> Result<Report, ExportError> {
        self.exporter().await.run(&CancellationToken::new()).await
    }

    /// Commits what is there and exports it, which must succeed; the wire's log is that of this export.
    pub async fn exported(&mut self) -> Report {
        let report = self
            .tried()
            .await
            .unwrap_or_else(|error| panic!("{}: {error:?}", self.name()));
        assert_eq!(
            report.outcome,
            Outcome::Exported,
            "{}: {:?}",
            self.name(),
            report.failures
        );
        self.check().await;
        report
    }

    /// Commits what is there and exports it, whatever comes of it.
    pub async fn tried(&self) -> Result<Report, ExportError> {
        self.commit();
        self.wire.reset();
        self.export().await
    }

    pub fn commit(&self) {
        if let Branch::Git(repository) = &self.branch {
            repository.commit("next");
        }
    }

    /// What should be in the bucket.
    pub fn expected(&self) -> Expected {
        Expected {
            files: files_below(self.tree()),
            ..self.others.clone()
        }
    }

    /// Everything is as it should be.
    pub async fn check(&self) {
        self.check_against(&self.expected()).await;
    }

    pub async fn check_against(&self, expected: &Expected) {
        let audit = Audit {
            server: self.bucket.server,
            export_path: self.config.export_path.clone(),
            status_path: self.config.status_path.clone(),
        };
        audit.check(expected).await;
    }

    /// The requests for objects of the tree, in their order.
    pub fn data(&self) -> Vec<Seen> {
        let prefix = self.config.export_path.prefix.to_string();
        let is_data = |seen: &Seen| {
            let path = seen.key.strip_prefix(&prefix);
            path.is_some_and(|path| !path.starts_with("_lakesync/") && !path.starts_with("_STATUS_"))
        };
        self.wire.log().into_iter().filter(is_data).collect()
    }

    /// The writes of objects of the tree, in their order: kind and path.
    pub fn writes(&self) -> Vec<(RequestKind, String)> {
        let prefix = self.config.export_path.prefix.as_str();
        let write = |seen: Seen| {
            let kind = seen.kind.filter(|kind| kind.is_write())?;
            Some((kind, seen.key.strip_prefix(prefix)?.to_owned()))
        };
        self.data().into_iter().filter_map(write).collect()
    }

    /// How many bytes of bodies went to objects of the tree.
    pub fn sent_bytes(&self) -> u64 {
        let sends = |seen: &&Seen| matches!(seen.kind, Some(RequestKind::Put | RequestKind::UploadPart));
        self.data().iter().filter(sends).map(|seen| seen.body_bytes).sum()
    }

    /// What the server says of an object.
    pub async fn head(&self, path: &str) -> aws_sdk_s3::operation::head_object::HeadObjectOutput {
        let client = self.bucket.server.client();
        let request = client
            .head_object()
            .bucket(self.bucket.bucket.as_str())
            .key(self.key(path));
        request.send().await.unwrap_or_else(|error| panic!("{path}: {error:?}"))
    }

    /// Deletes an object as somebody else would.
    pub async fn delete_object(&self, key: &ObjectKey) {
        let client = self.bucket.server.client();
        let request = client
            .delete_object()
            .bucket(self.bucket.bucket.as_str())
            .key(key.as_str());
        request.send().await.unwrap();
    }
}
