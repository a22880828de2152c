//! The stand-in at work: who asks, what for, and what all calls share.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use axum::body::Body;
use axum::http::{Request, Response};
use base64::Engine as _;
use bytes::Bytes;
use serde_json::json;

use super::answer::{Answer, Answered};
use super::ask::{Ask, Call, decode};
use super::blocks::{Blocks, URL_LIFE};
use super::hooks::HookClient;
use super::import::Import;
use super::knobs::{Fault, Knobs, Seen, failure};
use super::repository::Repository;
use super::tree::Tree;
use super::{ACCESS_KEY_ID, SECRET_ACCESS_KEY, Settings};

/// The largest body that is taken.
const BODY_MAX: usize = 1 << 30;

/// What all requests share.
pub struct Core {
    pub settings: Settings,
    pub blocks: Blocks,
    pub knobs: Mutex<Knobs>,
    pub repositories: Mutex<BTreeMap<String, Repository>>,
    pub imports: Mutex<HashMap<String, Import>>,
    /// Held by whoever moves a branch, from reading its head to setting it.
    pub moving: tokio::sync::Mutex<()>,
    pub hooks: HookClient,
    /// Every metarange and range, by its whole address.
    tables: Mutex<HashMap<String, Bytes>>,
    names: AtomicU64,
}

impl Core {
    pub fn new(settings: Settings) -> Self {
        Self {
            blocks: Blocks::new(settings.block_store.clone()),
            settings,
            knobs: Mutex::default(),
            repositories: Mutex::default(),
            imports: Mutex::default(),
            moving: tokio::sync::Mutex::default(),
            hooks: HookClient::default(),
            tables: Mutex::default(),
            names: AtomicU64::new(0),
        }
    }

    /// Answers one request.
    pub async fn serve(self: Arc<Self>, request: Request<Body>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let (path, query) = (head.uri.path(), head.uri.query().unwrap_or_default());
        let Ok(body) = axum::body::to_bytes(body, BODY_MAX).await else {
            return Answer::error(400, "the body was not read").respond(None);
        };
        let ask = Ask::new(head.method.as_str(), path, query, head.headers, body);
        let below = path.strip_prefix("/api/v1").unwrap_or(path);
        let (number, latency, fault) = self.arrived(&ask, below);
        tokio::time::sleep(latency).await;
        let answer = match fault {
            Some(Fault::Status(status)) => failure(status),
            Some(Fault::WebPage) => Answer::web_page(),
            _ => self.answer(&ask).await.unwrap_or_else(|answer| answer),
        };
        let mut cut = None;
        match fault {
            Some(Fault::Cut(bytes)) => cut = Some(bytes),
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::Late(pause)) => tokio::time::sleep(pause).await,
            _ => {}
        }
        if let Some(seen) = self.knobs.lock().unwrap().log.get_mut(number) {
            seen.status = Some(answer.status);
            seen.body_bytes = Some(answer.body.len());
        }
        answer.respond(cut)
    }

    /// Notes a request; says where in the log it stands and what happens to it.
    fn arrived(&self, ask: &Ask, path: &str) -> (usize, Duration, Option<Fault>) {
        let mut knobs = self.knobs.lock().unwrap();
        let fault = knobs.arrived(ask.call);
        let text = |value: &Vec<u8>| String::from_utf8_lossy(value).into_owned();
        knobs.log.push(Seen {
            call: ask.call,
            method: ask.method.clone(),
            path: String::from_utf8_lossy(&decode(path)).into_owned(),
            query: ask
                .query
                .iter()
                .map(|(name, value)| (name.clone(), text(value)))
                .collect(),
            range: ask.header("range").map(str::to_owned),
            body_bytes: None,
            status: None,
        });
        (knobs.log.len() - 1, knobs.latency, fault)
    }

    async fn answer(self: &Arc<Self>, ask: &Ask) -> Answered {
        match ask.call {
            Call::WebPage => return Ok(Answer::web_page()),
            Call::Unknown => return Err(Answer::error(404, "invalid API endpoint")),
            Call::Health => return Ok(Answer::empty(204)),
            Call::GetSetup => return Ok(Answer::json(200, &json!({ "state": "initialized" }))),
            Call::Setup => return Err(Answer::error(409, "lakeFS already initialized")),
            _ if !is_known(ask) => return Err(Answer::error(401, "error authenticating request")),
            _ => {}
        }
        match ask.call {
            Call::Config => Ok(Answer::json(200, &self.config())),
            Call::StorageConfig => Ok(Answer::json(200, &self.config()["storage_config"])),
            Call::List => self.list(ask).await,
            Call::Stat => self.stat(ask).await,
            Call::Read | Call::Head => self.read(ask).await,
            Call::Diff => self.diff(ask),
            Call::MetaRange | Call::Range => self.table(ask).await,
            Call::MetaRangeLocation | Call::RangeLocation => self.table_location(ask),
            Call::ListRepositories | Call::CreateRepository | Call::GetRepository | Call::DeleteRepository => {
                self.on_repositories(ask).await
            }
            Call::Import => self.start_import(ask),
            Call::ImportStatus => self.import_status(ask),
            Call::Upload | Call::DeleteObject | Call::ResetBranch => self.stage(ask).await,
            Call::Commit | Call::Merge | Call::Revert | Call::HardReset => self.move_branch(ask).await,
            _ => self.on_names(ask),
        }
    }

    fn config(&self) -> serde_json::Value {
        let is_s3 = self.blocks.is_s3();
        let scheme = if is_s3 { "s3" } else { "local" };
        json!({
            "capabilities_config": {},
            "storage_config": {
                "blockstore_description": "",
                "blockstore_id": "",
                "blockstore_namespace_ValidityRegex": format!("^{scheme}://"),
                "blockstore_namespace_example": format!("{scheme}://example-bucket/"),
                "blockstore_type": scheme,
                "default_namespace_prefix": if is_s3 { "" } else { "local://" },
                "import_support": true,
                "import_validity_regex": format!("^{scheme}://"),
                "pre_sign_multipart_upload": is_s3,
                "pre_sign_support": is_s3,
                "pre_sign_support_ui": false,
            },
            "storage_config_list": [],
            "ui_config": {},
            "version_config": { "version": "dev", "version_context": "lakeFS" },
        })
    }

    /// Does something with the repository that a request names.
    pub fn repository<T>(&self, ask: &Ask, act: impl FnOnce(&mut Repository) -> Answered<T>) -> Answered<T> {
        self.repository_named(&ask.path[1], act)
            .map_err(|answer| match answer.status {
                // The call for a commit knows of "not found" alone.
                410 if ask.call == Call::GetCommit => Answer { status: 500, ..answer },
                _ => answer,
            })
    }

    /// Does something with a repository.
    pub fn repository_named<T>(&self, name: &str, act: impl FnOnce(&mut Repository) -> Answered<T>) -> Answered<T> {
        let mut repositories = self.repositories.lock().unwrap();
        match repositories.get_mut(name) {
            None => Err(Answer::error(404, "repository not found")),
            Some(found) if found.in_deletion => Err(Answer::error(410, "repository in deletion")),
            Some(found) => act(found),
        }
    }

    /// What relative addresses of a namespace are below.
    pub fn root(&self, storage_namespace: &str) -> String {
        match storage_namespace.strip_prefix("local://") {
            Some(name) => format!("local://{}/{name}", self.settings.local_root),
            None => storage_namespace.to_owned(),
        }
    }

    /// A URL for an address, and when it ends.
    pub async fn presign(&self, address: &str, name: &str) -> Answered<(String, u64)> {
        let mut began = SystemTime::now();
        if self.knobs.lock().unwrap().expired_urls {
            began -= URL_LIFE * 2;
        }
        let signed = self.blocks.presign(address, name, began).await;
        signed.ok_or_else(|| Answer::error(400, "local adapter presigned URL: operation not supported"))
    }

    /// The bytes of a metarange or a range.
    async fn table(&self, ask: &Ask) -> Answered {
        let id = &ask.path[5];
        let root = self.repository(ask, |repository| Ok(self.root(&repository.storage_namespace)))?;
        let address = table_address(&root, id);
        if ask.says("presign", false) {
            let (url, _) = self.presign(&address, id).await?;
            return Ok(Answer::redirect(url));
        }
        let bytes = self.tables.lock().unwrap().get(&address).cloned();
        let bytes = bytes.ok_or_else(|| Answer::error(410, "No data"))?;
        Ok(Answer::of_type(200, "application/octet-stream", bytes))
    }

    fn table_location(&self, ask: &Ask) -> Answered {
        self.repository(ask, |_| Ok(()))?;
        let location = format!("_lakefs/{}", ask.path[4]);
        Ok(Answer::json(200, &json!({ "location": location })).with("location", location))
    }

    /// Puts the tables of a tree where they belong, those that are there already excepted.
    pub async fn store_tables(&self, root: &str, tree: &Tree) {
        let leaves = tree.leaves.iter().map(|leaf| (leaf.id.as_str(), &leaf.table));
        let all = leaves.chain((!tree.id.is_empty()).then_some((tree.id.as_str(), &tree.table)));
        for (id, table) in all {
            let address = table_address(root, id);
            if self.tables.lock().unwrap().contains_key(&address) {
                continue;
            }
            if self.blocks.is_s3() {
                self.blocks.put(&address, table.clone()).await;
            }
            self.tables.lock().unwrap().insert(address, table.clone());
        }
    }

    /// Changes the bytes of a table, or takes it away.
    pub async fn change_table(&self, root: &str, id: &str, change: impl FnOnce(Bytes) -> Option<Bytes>) {
        let address = table_address(root, id);
        let before = self.tables.lock().unwrap().remove(&address);
        let after = change(before.unwrap_or_else(|| panic!("there is no table {id}")));
        match after {
            Some(bytes) => {
                self.blocks.put(&address, bytes.clone()).await;
                self.tables.lock().unwrap().insert(address, bytes);
            }
            None => self.blocks.delete(&address).await,
        }
    }

    /// The time now: seconds and nanoseconds.
    pub fn now(&self) -> (i64, u32) {
        if let Some(now) = self.knobs.lock().unwrap().now {
            return (now, 0);
        }
        let now = jiff::Timestamp::now();
        (now.as_second(), now.subsec_nanosecond().unsigned_abs())
    }

    /// A name that sorts behind those before it, as lakeFS makes them.
    pub fn new_name(&self) -> String {
        format!("dc1d{:016x}", self.names.fetch_add(1, Ordering::Relaxed))
    }
}

fn table_address(root: &str, id: &str) -> String {
    format!("{root}/_lakefs/{id}")
}

fn is_known(ask: &Ask) -> bool {
    let keys = base64::engine::general_purpose::STANDARD.encode(format!("{ACCESS_KEY_ID}:{SECRET_ACCESS_KEY}"));
    ask.header("authorization") == Some(&format!("Basic {keys}"))
}
