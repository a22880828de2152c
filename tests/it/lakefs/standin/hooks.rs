//! Webhooks: what the files below `_lakefs_actions/` ask for is sent after a commit and a merge.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use globset::Glob;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

use super::repository::Commit;
use super::server::Core;
use super::tree::Tree;
use super::yaml;

const FOLDER: &str = "_lakefs_actions/";

/// How long a receiver may take where an action says nothing.
const PATIENCE: Duration = Duration::from_secs(60);

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    PostCommit,
    PostMerge {
        /// The ref that was merged, as it was given.
        source: String,
    },
}

impl Event {
    fn name(&self) -> &'static str {
        match self {
            Self::PostCommit => "post-commit",
            Self::PostMerge { .. } => "post-merge",
        }
    }
}

/// Sends webhooks.
pub struct HookClient(Client<HttpConnector, Body>);

impl Default for HookClient {
    fn default() -> Self {
        Self(Client::builder(TokioExecutor::new()).build_http())
    }
}

impl Core {
    /// Sends all that a commit's own actions ask for; what fails stops its action and nothing else.
    pub async fn run_hooks(
        &self,
        repository: &str,
        branch: &str,
        root: &str,
        tree: &Tree,
        commit: &Commit,
        event: Event,
    ) {
        for action in self.actions(root, tree).await {
            let wanted = &action["on"][event.name()];
            if action["on"].get(event.name()).is_none() || !is_for(&wanted["branches"], branch) {
                continue;
            }
            for hook in action["hooks"].as_array().into_iter().flatten() {
                if hook["type"] != "webhook" {
                    continue;
                }
                let body = told(repository, branch, commit, &event, &action["name"], &hook["id"]);
                if !self.hooks.send(&hook["properties"], &body).await {
                    break;
                }
            }
        }
    }

    /// All action files of a tree; one that cannot be read leaves none, as in lakeFS.
    async fn actions(&self, root: &str, tree: &Tree) -> Vec<Value> {
        let mut actions = Vec::new();
        let mut place = tree.place_of(FOLDER.as_bytes());
        while let Some(record) = tree.at(place) {
            let Some(name) = record.key.strip_prefix(FOLDER.as_bytes()) else {
                break;
            };
            place = tree.after(place);
            if name.contains(&b'/') {
                continue;
            }
            let bytes = self.blocks.get(&record.entry().physical_address(root), None).await;
            let text = String::from_utf8(bytes.unwrap_or_default().to_vec()).unwrap_or_default();
            match yaml::parse(&text) {
                Ok(action) => actions.push(action),
                Err(_) => return Vec::new(),
            }
        }
        actions
    }
}

/// Whether an action is for a branch; where it names none, it is for all.
fn is_for(branches: &Value, branch: &str) -> bool {
    let names: Vec<&str> = branches
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let matches = |name: &&str| Glob::new(name).is_ok_and(|glob| glob.compile_matcher().is_match(branch));
    names.is_empty() || names.iter().any(matches)
}

fn told(repository: &str, branch: &str, commit: &Commit, event: &Event, action: &Value, hook: &Value) -> Value {
    let mut told = json!({
        "event_type": event.name(),
        "event_time": jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "action_name": action,
        "hook_id": hook,
        "repository_id": repository,
        "branch_id": branch,
        "source_ref": commit.id,
        "commit_id": commit.id,
        "commit_message": commit.message,
        "committer": commit.committer,
    });
    if !commit.metadata.is_empty() {
        told["commit_metadata"] = json!(commit.metadata);
    }
    if let Event::PostMerge { source } = event {
        told["merge_source"] = json!(source);
    }
    told
}

impl HookClient {
    /// Sends one; says whether the receiver took it.
    async fn send(&self, properties: &Value, body: &Value) -> bool {
        let Some(url) = properties["url"].as_str() else {
            return false;
        };
        let mut request = Request::post(url).header("user-agent", "Go-http-client/1.1");
        for (name, value) in properties["headers"].as_object().into_iter().flatten() {
            request = request.header(name, value.as_str().unwrap_or_default());
        }
        let request = request
            .header("content-type", "application/json")
            .header("accept-encoding", "gzip")
            .body(Body::from(body.to_string()));
        let Ok(request) = request else { return false };
        let answer = tokio::time::timeout(PATIENCE, self.0.request(request)).await;
        answer.is_ok_and(|answer| answer.is_ok_and(|answer| answer.status().is_success()))
    }
}
