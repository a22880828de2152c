//! A lakeFS server for a test: the stand-in, or the real program where `LAKESYNC_TEST_LAKEFS` says where that is.

use std::sync::atomic::{AtomicU32, Ordering};

use super::http::{Api, Reply};
use super::real::RealServer;
use super::repository::Repository;
use super::standin::{self, BlockStore, S3Place, Settings, StandIn};
use crate::servers::{self, TestBucket};

/// Where a server keeps the bytes of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BlockStoreKind {
    /// A folder of the server.
    Local,
    /// A bucket on SeaweedFS.
    S3,
}

/// A lakeFS server.
pub struct LakeFsServer {
    /// `http://127.0.0.1:port`, without `/api/v1`.
    pub endpoint: String,
    pub access_key_id: String,
    pub secret_access_key: String,
    pub block_store: BlockStoreKind,
    /// What tests say to it.
    pub api: Api,
    /// The bucket that namespaces and what is imported lie in, with block store S3.
    pub bucket: Option<TestBucket>,
    program: Program,
}

enum Program {
    StandIn(StandIn),
    /// One for the whole test binary: it takes seconds to start.
    Real(&'static RealServer),
}

impl LakeFsServer {
    /// A server with some block store.
    pub async fn start(block_store: BlockStoreKind) -> Self {
        let Some(program) = super::real::program() else {
            return Self::stand_in_with(block_store, |_| ()).await;
        };
        let bucket = bucket(block_store).await;
        let real = super::real::shared(block_store, &program);
        let keys = (super::real::ACCESS_KEY_ID, super::real::SECRET_ACCESS_KEY);
        Self::new(real.endpoint.clone(), keys, block_store, bucket, Program::Real(real))
    }

    /// One for each block store.
    pub async fn start_all() -> Vec<Self> {
        vec![
            Self::start(BlockStoreKind::Local).await,
            Self::start(BlockStoreKind::S3).await,
        ]
    }

    /// A stand-in whatever the environment says, for tests that turn its knobs.
    pub async fn stand_in_with(block_store: BlockStoreKind, change: impl FnOnce(&mut Settings)) -> Self {
        let bucket = bucket(block_store).await;
        let place = bucket.as_ref().map(|bucket| S3Place {
            endpoint: bucket.server.endpoint.clone(),
            region: bucket.server.region.to_owned(),
            access_key_id: bucket.server.access_key.to_owned(),
            secret_access_key: bucket.server.secret_key.to_owned(),
        });
        let mut settings = Settings::new(place.map_or(BlockStore::Local, BlockStore::S3));
        change(&mut settings);
        let program = StandIn::start(settings);
        let (endpoint, keys) = (
            program.endpoint.clone(),
            (standin::ACCESS_KEY_ID, standin::SECRET_ACCESS_KEY),
        );
        Self::new(endpoint, keys, block_store, bucket, Program::StandIn(program))
    }

    fn new(
        endpoint: String,
        (access_key_id, secret_access_key): (&str, &str),
        block_store: BlockStoreKind,
        bucket: Option<TestBucket>,
        program: Program,
    ) -> Self {
        Self {
            api: Api::new(&endpoint, access_key_id, secret_access_key),
            endpoint,
            access_key_id: access_key_id.to_owned(),
            secret_access_key: secret_access_key.to_owned(),
            block_store,
            bucket,
            program,
        }
    }

    /// Its name, for messages.
    pub fn name(&self) -> String {
        let program = match self.program {
            Program::StandIn(_) => "stand-in",
            Program::Real(_) => "lakeFS",
        };
        format!("{program}, block store {:?}", self.block_store)
    }

    /// The stand-in and its knobs; a test of the real server has none.
    pub fn stand_in(&self) -> Option<&StandIn> {
        match &self.program {
            Program::StandIn(stand_in) => Some(stand_in),
            Program::Real(_) => None,
        }
    }

    /// Reads a URL on some server, such as a pre-signed one, without any keys.
    pub async fn get_url(&self, url: &str) -> Reply {
        super::http::get(url).await
    }

    /// Makes a repository that no other test has, with a branch `main`.
    pub async fn new_repository(&self) -> Repository<'_> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("repository-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let namespace = match &self.bucket {
            Some(bucket) => format!("s3://{}/{name}", bucket.bucket),
            None => format!("local://{name}"),
        };
        Repository::create(self, &name, &namespace).await
    }

    /// Where objects lie that [`put_outside`](Self::put_outside) writes: what an import takes them from.
    pub fn outside(&self) -> String {
        match (&self.bucket, &self.program) {
            (Some(bucket), _) => format!("s3://{}/outside/", bucket.bucket),
            (None, Program::StandIn(_)) => "local:///var/lib/lakefs/outside/".to_owned(),
            (None, Program::Real(real)) => format!("local://{}/", real.outside.display()),
        }
    }

    /// Writes an object where no repository is, and gives its address.
    pub async fn put_outside(&self, name: &str, bytes: &[u8]) -> String {
        let address = format!("{}{name}", self.outside());
        match (&self.bucket, &self.program) {
            (Some(bucket), _) => bucket.write(&format!("outside/{name}"), bytes).await,
            (None, Program::StandIn(stand_in)) => stand_in.put_outside(&address, bytes.to_vec()).await,
            (None, Program::Real(_)) => {
                let file = std::path::Path::new(address.strip_prefix("local://").unwrap());
                std::fs::create_dir_all(file.parent().unwrap()).unwrap();
                std::fs::write(file, bytes).unwrap();
            }
        }
        address
    }

    /// Deletes the bytes at a physical address behind the server's back.
    pub async fn lose_address(&self, address: &str) {
        // With block store `local` a server tells the address of an import with its own folder before it.
        let outside = self.outside();
        let folder = outside.strip_prefix("local://");
        let place = folder.and_then(|folder| address.find(folder));
        let address = &place.map_or(address.to_owned(), |place| format!("local://{}", &address[place..]));
        match (&self.bucket, &self.program) {
            (Some(bucket), _) => {
                let rest = address.strip_prefix("s3://").unwrap();
                let (name, key) = rest.split_once('/').unwrap();
                assert_eq!(name, bucket.bucket.as_str(), "{address} is another test's");
                let request = bucket.server.client().delete_object().bucket(name).key(key);
                request.send().await.unwrap();
            }
            (None, Program::StandIn(stand_in)) => stand_in.lose(address).await,
            (None, Program::Real(_)) => std::fs::remove_file(address.strip_prefix("local://").unwrap()).unwrap(),
        }
    }
}

async fn bucket(block_store: BlockStoreKind) -> Option<TestBucket> {
    match block_store {
        BlockStoreKind::Local => None,
        BlockStoreKind::S3 => Some(servers::seaweedfs().new_bucket().await),
    }
}
