//! A stand-in for a lakeFS server: one process, in memory, on loopback, with knobs.
//!
//! It speaks the part of lakeFS's API that lakesync and its tests use, writes metaranges and ranges in the real
//! format, and gives commits the ids that lakeFS would. The replay test holds it to the recorded answers of a real
//! server. It is a folder of its own that names nothing else of the tests, so that benches can take it in:
//! `#[path = "../tests/it/lakefs"] mod lakefs { pub mod standin; }`.
//!
//! What it leaves out: users, groups and policies (there is one key pair, and it may do everything), logins and
//! tokens, the S3 gateway, pull requests, protected branches, read-only and bare repositories, cherry-pick, hooks that
//! come before the fact (`pre-*`) or are no webhooks, their `if`, `timeout`, `query_params` and `{{ ENV }}`, and the
//! events other than `post-commit` and `post-merge`; uploads as forms, in parts or by link; garbage collection, retention
//! and dumps of refs; several block stores; the size limit of a range (its keys alone end it) and the merging of small
//! ranges; `If-Match` on writes; `stop_at`, `since` and paths in the log; block stores on gs and azure.

mod answer;
mod ask;
mod blocks;
mod changes;
mod entry;
mod generated;
mod hooks;
mod ident;
mod import;
mod knobs;
mod leaf;
mod names;
mod objects;
mod refs;
mod repository;
mod server;
mod table;
mod tree;
mod view;
mod yaml;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Runtime;

pub use ask::Call;
pub use blocks::{BlockStore, S3Place, md5_hex};
pub use entry::Entry;
pub use generated::{generated_entry, generated_key};
pub use knobs::{Damage, Fault, Scripted, Seen, When};
use server::Core;

/// The access key of the only user; it opens nothing but a server on loopback that dies with the test.
pub const ACCESS_KEY_ID: &str = "AKIATESTTESTTEST";
/// Its secret.
pub const SECRET_ACCESS_KEY: &str = "test-secret-of-lakefs";

/// A range ends at a key whose hash is a multiple of this: 50,000 entries in the mean.
pub const RAGGEDNESS: u64 = 50_000;

/// How a stand-in is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    pub block_store: BlockStore,
    /// See [`RAGGEDNESS`]; small ones make many small ranges.
    pub raggedness: u64,
    /// Where the block store `local` says that its files are.
    pub local_root: String,
}

impl Settings {
    /// As a real server is set up.
    pub fn new(block_store: BlockStore) -> Self {
        Self {
            block_store,
            raggedness: RAGGEDNESS,
            local_root: "/var/lib/lakefs/block".to_owned(),
        }
    }
}

/// A stand-in for a lakeFS server. It ends when this is dropped.
pub struct StandIn {
    /// `http://127.0.0.1:port`, without `/api/v1`.
    pub endpoint: String,
    core: Arc<Core>,
    /// Its own, so that a test that blocks its thread is answered all the same.
    runtime: Option<Runtime>,
}

impl StandIn {
    /// Starts one on a port of its own.
    pub fn start(settings: Settings) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("lakefs-stand-in")
            .enable_all()
            .build()
            .unwrap();
        let core = Arc::new(Core::new(settings));
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        listener.set_nonblocking(true).unwrap();
        let served = core.clone();
        let app = axum::Router::new().fallback(move |request| {
            let core = served.clone();
            async move { core.serve(request).await }
        });
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, app).await
        });
        Self {
            endpoint,
            core,
            runtime: Some(runtime),
        }
    }

    /// Fails the requests of a kind, or of all kinds, as `when` says. The first fault that fits counts.
    pub fn fail(&self, call: impl Into<Option<Call>>, when: When, fault: Fault) {
        self.core.knobs.lock().unwrap().faults.push((call.into(), when, fault));
    }

    /// Takes all faults back.
    pub fn heal(&self) {
        self.core.knobs.lock().unwrap().faults.clear();
    }

    /// Waits so long before each answer.
    pub fn set_latency(&self, latency: Duration) {
        self.core.knobs.lock().unwrap().latency = latency;
    }

    /// Signs URLs that have ended already, or such that hold.
    pub fn set_expired_urls(&self, expired: bool) {
        self.core.knobs.lock().unwrap().expired_urls = expired;
    }

    /// Says what time it is, in seconds since 1970; `None`: what the machine says.
    pub fn set_now(&self, seconds: Option<i64>) {
        self.core.knobs.lock().unwrap().now = seconds;
    }

    /// Says where and when the next uploads are stored.
    pub fn script(&self, uploads: impl IntoIterator<Item = Scripted>) {
        self.core.knobs.lock().unwrap().script.extend(uploads);
    }

    /// Answers all requests to a repository with 410, as while it is being deleted.
    pub fn set_in_deletion(&self, repository: &str, in_deletion: bool) {
        let mut repositories = self.core.repositories.lock().unwrap();
        repositories.get_mut(repository).expect("it is there").in_deletion = in_deletion;
    }

    /// Damages a range or a metarange for all who read it from now on, pre-signed or not. Listings do not notice.
    pub async fn damage(&self, repository: &str, table: &str, damage: Damage) {
        let root = self.root(repository);
        let change = |bytes: Bytes| match damage {
            Damage::Gone => None,
            Damage::Truncated(length) => Some(bytes.slice(..length)),
            Damage::Flipped(place) => {
                let mut bytes = bytes.to_vec();
                bytes[place] ^= 1;
                Some(bytes.into())
            }
        };
        self.core.change_table(&root, table, change).await;
    }

    /// Deletes the bytes of an object behind the server's back.
    pub async fn lose(&self, physical_address: &str) {
        self.core.blocks.delete(physical_address).await;
    }

    /// Writes an object where no repository is, for an import to find.
    pub async fn put_outside(&self, address: &str, bytes: impl Into<Bytes>) {
        self.core.blocks.put(address, bytes.into()).await;
    }

    /// The same with a time of its own; with a block store in memory alone.
    pub fn put_outside_dated(&self, address: &str, bytes: impl Into<Bytes>, mtime: (i64, u32)) {
        self.core.blocks.put_dated(address, bytes.into(), mtime);
    }

    /// The ids of the ranges of a commit, in the order of their keys.
    pub fn range_ids(&self, repository: &str, reference: &str) -> Vec<String> {
        let repositories = self.core.repositories.lock().unwrap();
        let view = repositories[repository].view(reference).expect("the ref is there");
        view.tree.leaves.iter().map(|leaf| leaf.id.clone()).collect()
    }

    /// All requests, in the order in which they came.
    pub fn log(&self) -> Vec<Seen> {
        self.core.knobs.lock().unwrap().log.clone()
    }

    /// How many requests of a kind came.
    pub fn count(&self, call: Call) -> usize {
        self.log().iter().filter(|seen| seen.call == call).count()
    }

    /// Forgets what came; counts begin at 1 again.
    pub fn forget(&self) {
        self.core.knobs.lock().unwrap().forget();
    }

    fn root(&self, repository: &str) -> String {
        let repositories = self.core.repositories.lock().unwrap();
        self.core.root(&repositories[repository].storage_namespace)
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
