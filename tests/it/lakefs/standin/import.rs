//! Imports: entries for objects that stay where they are.

use std::sync::Arc;

use serde_json::{Value, json};

use super::answer::{Answer, Answered};
use super::ask::Ask;
use super::changes::{NewCommit, metadata, must_be_clean};
use super::entry::{AddressType, Entry};
use super::hooks::Event;
use super::names::string;
use super::repository::Commit;
use super::server::Core;
use super::tree::Changes;

/// How far an import is.
#[derive(Default)]
pub struct Import {
    ingested: usize,
    ended: Option<Answered<Commit>>,
}

impl Core {
    /// Begins an import; it goes on by itself.
    pub fn start_import(self: &Arc<Self>, ask: &Ask) -> Answered {
        let wanted = ask.json()?;
        let (name, branch) = (ask.path[1].clone(), ask.path[3].clone());
        self.repository(ask, |repository| repository.head(&branch).map(|_| ()))?;
        let id = self.new_name();
        self.imports.lock().unwrap().insert(id.clone(), Import::default());
        let (core, own) = (self.clone(), id.clone());
        tokio::spawn(async move {
            let ended = core.import(&name, &branch, &own, &wanted).await;
            core.imports.lock().unwrap().entry(own).or_default().ended = Some(ended);
        });
        Ok(Answer::json(202, &json!({ "id": id })))
    }

    /// Says how far an import is.
    pub fn import_status(&self, ask: &Ask) -> Answered {
        let id = String::from_utf8_lossy(ask.required("id")?).into_owned();
        let imports = self.imports.lock().unwrap();
        let import = imports.get(&id).ok_or_else(|| Answer::error(404, "not found"))?;
        let mut told = json!({
            "completed": matches!(import.ended, Some(Ok(_))),
            "ingested_objects": import.ingested,
            "update_time": jiff::Timestamp::now().to_string(),
        });
        match &import.ended {
            Some(Ok(commit)) => {
                told["commit"] = commit.told();
                told["metarange_id"] = json!(commit.meta_range_id);
            }
            Some(Err(answer)) => {
                let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
                told["error"] = body;
            }
            None => {}
        }
        Ok(Answer::json(200, &told))
    }

    async fn import(self: &Arc<Self>, name: &str, branch: &str, id: &str, wanted: &Value) -> Answered<Commit> {
        let (mut changes, mut prefixes) = (Changes::new(), Vec::new());
        for path in wanted["paths"].as_array().into_iter().flatten() {
            let (source, destination) = (string(path, "path")?, string(path, "destination")?);
            let is_prefix = string(path, "type")? == "common_prefix";
            for outside in self.blocks.list(source).await {
                let below = &outside.address[source.len()..];
                if !is_prefix && !below.is_empty() {
                    continue;
                }
                let entry = Entry {
                    address: outside.address.clone(),
                    address_type: AddressType::Full,
                    mtime: outside.mtime,
                    size_bytes: outside.size_bytes,
                    checksum: outside.checksum,
                    metadata: Default::default(),
                    content_type: String::new(),
                };
                changes.insert(format!("{destination}{below}").into_bytes(), Some(entry));
            }
            prefixes.push(destination.as_bytes().to_vec());
        }
        let ingested = changes.len();
        self.imports.lock().unwrap().entry(id.to_owned()).or_default().ingested = ingested;
        let _moving = self.moving.lock().await;
        let (head, tree) = self.repository_named(name, |repository| {
            let head = repository.head(branch)?;
            must_be_clean(repository, branch)?;
            Ok((head.clone(), repository.tree(&head)))
        })?;
        // What is under the destination and not at the source goes.
        for prefix in prefixes {
            let mut place = tree.place_of(&prefix);
            while let Some(record) = tree.at(place).filter(|record| record.key.starts_with(&prefix)) {
                changes.entry(record.key.to_vec()).or_insert(None);
                place = tree.after(place);
            }
        }
        let next = Arc::new(tree.with(&changes, self.settings.raggedness));
        let mut with_strategy = metadata(&wanted["commit"]);
        with_strategy.insert(".lakefs.merge.strategy".to_owned(), "source-wins".to_owned());
        let message = wanted["commit"]["message"].as_str().filter(|text| !text.is_empty());
        let commit = NewCommit {
            tree: next,
            message: message.unwrap_or("Import objects").to_owned(),
            metadata: with_strategy,
            parents: vec![head],
            creation_date: None,
            staged: Arc::default(),
            event: Some(Event::PostCommit),
        };
        self.publish(name, branch, commit).await
    }
}
