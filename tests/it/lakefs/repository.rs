//! What tests do to a repository; all of it goes through the API.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::http::{Reply, Sent, encode};
use super::server::LakeFsServer;

/// How long an import may take.
const IMPORTED_WITHIN: Duration = Duration::from_secs(120);

/// A repository of a test.
pub struct Repository<'a> {
    pub server: &'a LakeFsServer,
    pub name: String,
    pub storage_namespace: String,
}

/// An object to upload.
#[derive(Clone, Debug, Default)]
pub struct Upload<'a> {
    pub path: &'a str,
    pub bytes: &'a [u8],
    pub content_type: Option<&'a str>,
    pub metadata: &'a [(&'a str, &'a str)],
}

/// What is known of an object, in a listing and from a stat.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
pub struct Stat {
    pub path: String,
    pub path_type: String,
    pub physical_address: String,
    pub physical_address_expiry: Option<u64>,
    pub checksum: String,
    pub size_bytes: Option<u64>,
    pub mtime: i64,
    #[serde(default)]
    pub metadata: std::collections::BTreeMap<String, String>,
    pub content_type: Option<String>,
}

/// A commit.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
pub struct Commit {
    pub id: String,
    pub parents: Vec<String>,
    pub meta_range_id: String,
    pub message: String,
    pub committer: String,
    pub creation_date: i64,
    pub generation: i64,
    pub metadata: std::collections::BTreeMap<String, String>,
}

impl<'a> Repository<'a> {
    /// Makes one.
    pub async fn create(server: &'a LakeFsServer, name: &str, storage_namespace: &str) -> Self {
        let wanted = json!({ "name": name, "storage_namespace": storage_namespace, "default_branch": "main" });
        let made = server
            .api
            .send("POST", "/api/v1/repositories", Sent::json(&wanted))
            .await;
        made.expect(201);
        Self {
            server,
            name: name.to_owned(),
            storage_namespace: storage_namespace.to_owned(),
        }
    }

    /// Sends a request about it; the path begins with a slash and is below the repository's.
    pub async fn send(&self, method: &str, path: &str, sent: Sent) -> Reply {
        let path = format!("/api/v1/repositories/{}{path}", self.name);
        self.server.api.send(method, &path, sent).await
    }

    /// Uploads bytes to a branch.
    pub async fn upload(&self, branch: &str, path: &str, bytes: impl AsRef<[u8]>) -> Stat {
        let upload = Upload {
            path,
            bytes: bytes.as_ref(),
            ..Upload::default()
        };
        self.upload_with(branch, &upload).await
    }

    /// Uploads an object with a content type and user metadata.
    pub async fn upload_with(&self, branch: &str, upload: &Upload<'_>) -> Stat {
        let mut sent = Sent::default()
            .query("path", upload.path)
            .bytes(upload.bytes.to_vec())
            .header(
                "content-type",
                upload.content_type.unwrap_or("application/octet-stream"),
            );
        for (name, value) in upload.metadata {
            sent = sent.header(&format!("x-lakefs-meta-{name}"), value);
        }
        let reply = self.send("POST", &format!("/branches/{branch}/objects"), sent).await;
        read(&reply.expect(201).json())
    }

    /// Deletes an object from a branch.
    pub async fn delete(&self, branch: &str, path: &str) {
        let sent = Sent::default().query("path", path);
        let reply = self.send("DELETE", &format!("/branches/{branch}/objects"), sent).await;
        reply.expect(204);
    }

    /// Throws away what is staged on a branch.
    pub async fn reset(&self, branch: &str) {
        let sent = Sent::json(&json!({ "type": "reset" }));
        self.send("PUT", &format!("/branches/{branch}"), sent).await.expect(204);
    }

    /// Commits what is staged on a branch.
    pub async fn commit(&self, branch: &str, message: &str) -> Commit {
        let sent = Sent::json(&json!({ "message": message }));
        let reply = self.send("POST", &format!("/branches/{branch}/commits"), sent).await;
        read(&reply.expect(201).json())
    }

    /// The id of the commit that a branch is at.
    pub async fn head(&self, branch: &str) -> String {
        let reply = self.send("GET", &format!("/branches/{branch}"), Sent::default()).await;
        text(&reply.expect(200).json()["commit_id"])
    }

    /// The commit that a ref means.
    pub async fn get_commit(&self, reference: &str) -> Commit {
        let path = format!("/commits/{}", encode(reference.as_bytes()));
        read(&self.send("GET", &path, Sent::default()).await.expect(200).json())
    }

    /// Makes a branch.
    pub async fn branch(&self, name: &str, source: &str) {
        let sent = Sent::json(&json!({ "name": name, "source": source }));
        self.send("POST", "/branches", sent).await.expect(201);
    }

    /// Deletes a branch.
    pub async fn delete_branch(&self, name: &str) {
        let path = format!("/branches/{name}");
        self.send("DELETE", &path, Sent::default()).await.expect(204);
    }

    /// Makes a tag.
    pub async fn tag(&self, name: &str, reference: &str) {
        let sent = Sent::json(&json!({ "id": name, "ref": reference }));
        self.send("POST", "/tags", sent).await.expect(201);
    }

    /// Merges a ref into a branch, and gives the id of the commit.
    pub async fn merge(&self, source: &str, branch: &str) -> String {
        let path = format!("/refs/{}/merge/{branch}", encode(source.as_bytes()));
        let sent = Sent::json(&json!({ "message": format!("merge {source}") }));
        text(&self.send("POST", &path, sent).await.expect(200).json()["reference"])
    }

    /// Takes a commit back; `parent` is 0 but for merges.
    pub async fn revert(&self, branch: &str, reference: &str, parent: u32) {
        let sent = Sent::json(&json!({ "ref": reference, "parent_number": parent }));
        let path = format!("/branches/{branch}/revert");
        self.send("POST", &path, sent).await.expect(204);
    }

    /// Moves a branch to a commit.
    pub async fn hard_reset(&self, branch: &str, reference: &str) {
        let sent = Sent::default().query("ref", reference);
        let path = format!("/branches/{branch}/hard_reset");
        self.send("PUT", &path, sent).await.expect(204);
    }

    /// Imports what is below an address, and waits for the commit.
    pub async fn import(&self, branch: &str, source: &str, destination: &str) -> Commit {
        let path = format!("/branches/{branch}/import");
        let wanted = json!({
            "paths": [{ "path": source, "type": "common_prefix", "destination": destination }],
            "commit": { "message": "import" },
        });
        let id = text(&self.send("POST", &path, Sent::json(&wanted)).await.expect(202).json()["id"]);
        let until = Instant::now() + IMPORTED_WITHIN;
        loop {
            let reply = self.send("GET", &path, Sent::default().query("id", &*id)).await;
            let told = reply.expect(200).json();
            assert!(told.get("error").is_none_or(Value::is_null), "{told}");
            if told["completed"] == true {
                return read(&told["commit"]);
            }
            assert!(Instant::now() < until, "the import did not end: {told}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What is known of an object.
    pub async fn stat(&self, reference: &str, path: &str) -> Stat {
        let sent = Sent::default().query("path", path);
        let reply = self.send("GET", &of(reference, "/objects/stat"), sent).await;
        read(&reply.expect(200).json())
    }

    /// Reads an object; the reply may be anything.
    pub async fn read(&self, reference: &str, path: &str) -> Reply {
        let sent = Sent::default().query("path", path);
        self.send("GET", &of(reference, "/objects"), sent).await
    }

    /// All objects of a ref, page by page.
    pub async fn list(&self, reference: &str) -> Vec<Stat> {
        let (mut found, mut after) = (Vec::new(), String::new());
        loop {
            let sent = Sent::default().query("amount", "1000").query("after", &*after);
            let page = self
                .send("GET", &of(reference, "/objects/ls"), sent)
                .await
                .expect(200)
                .json();
            let lines = page["results"].as_array().unwrap();
            found.extend(lines.iter().map(read::<Stat>));
            if page["pagination"]["has_more"] != true {
                return found;
            }
            after = text(&page["pagination"]["next_offset"]);
        }
    }

    /// Deletes the bytes of an object behind the server's back.
    pub async fn lose(&self, reference: &str, path: &str) {
        let address = self.stat(reference, path).await.physical_address;
        self.server.lose_address(&address).await;
    }
}

fn of(reference: &str, below: &str) -> String {
    format!("/refs/{}{below}", encode(reference.as_bytes()))
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no text"))
        .to_owned()
}

fn read<T: serde::de::DeserializeOwned>(told: &Value) -> T {
    serde_json::from_value(told.clone()).unwrap_or_else(|error| panic!("{error}: {told}"))
}
