//! What moves a branch, and what is staged on it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::answer::{Answer, Answered};
use super::ask::{Ask, Call};
use super::blocks::md5_hex;
use super::entry::{AddressType, Entry};
use super::hooks::Event;
use super::knobs::Scripted;
use super::names::string;
use super::repository::{Commit, Repository};
use super::server::Core;
use super::tree::{Changes, Tree, Winner, merge};

/// The user that everything is done by.
const COMMITTER: &str = "admin";
const STRATEGY: &str = ".lakefs.merge.strategy";

/// A commit about to be made.
pub struct NewCommit {
    pub tree: Arc<Tree>,
    pub message: String,
    pub metadata: BTreeMap<String, String>,
    /// The head of the branch comes first.
    pub parents: Vec<Commit>,
    pub creation_date: Option<i64>,
    /// What of the staged files it takes in.
    pub staged: Arc<Changes>,
    pub event: Option<Event>,
}

impl Core {
    /// Uploads, deletes and throws away what is staged.
    pub async fn stage(self: &Arc<Self>, ask: &Ask) -> Answered {
        let branch = &ask.path[3];
        match ask.call {
            Call::Upload => self.upload(ask, branch).await,
            Call::DeleteObject => {
                let key = ask.required("path")?.to_vec();
                self.repository(ask, |repository| {
                    let there = repository.view(branch)?.get(&key).is_some();
                    let staging = &mut repository.branch(branch)?.staging;
                    if there {
                        Arc::make_mut(staging).insert(key, None);
                    }
                    Ok(Answer::empty(204))
                })
            }
            _ => {
                let wanted = ask.json()?;
                let path = wanted["path"].as_str().unwrap_or_default().as_bytes();
                self.repository(ask, |repository| {
                    let staging = Arc::make_mut(&mut repository.branch(branch)?.staging);
                    match string(&wanted, "type")? {
                        "reset" => staging.clear(),
                        "object" => drop(staging.remove(path)),
                        "common_prefix" => staging.retain(|key, _| !key.starts_with(path)),
                        _ => return Err(Answer::error(400, "reset type not found")),
                    }
                    Ok(Answer::empty(204))
                })
            }
        }
    }

    async fn upload(&self, ask: &Ask, branch: &str) -> Answered {
        let key = ask.required("path")?.to_vec();
        let namespace = self.repository(ask, |repository| {
            if repository.branches.contains_key(branch) {
                Ok(repository.storage_namespace.clone())
            } else {
                Err(Answer::error(404, format!("branch '{branch}' not found")))
            }
        })?;
        let scripted = self.knobs.lock().unwrap().script.pop_front();
        let scripted = scripted.unwrap_or_else(|| Scripted {
            address: format!("data/g00000000000000000000/{}", self.new_name()),
            mtime: self.now(),
            checksum: None,
            metadata_order: Vec::new(),
        });
        let content_type = ask.header("content-type").unwrap_or("application/octet-stream");
        let metadata = ask.headers.iter().filter_map(|(name, value)| {
            let name = name.as_str().strip_prefix("x-lakefs-meta-")?;
            // Bytes are kept as they came, as they are by the real one.
            Some((name.to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        });
        let mut metadata: Vec<(String, String)> = metadata.collect();
        let order = &scripted.metadata_order;
        metadata.sort_by_key(|(name, _)| (order.iter().position(|known| known == name), name.clone()));
        let entry = Entry {
            address: scripted.address,
            address_type: AddressType::Relative,
            mtime: scripted.mtime,
            size_bytes: ask.body.len() as u64,
            checksum: scripted.checksum.unwrap_or_else(|| md5_hex(&ask.body)),
            metadata,
            content_type: content_type.to_owned(),
        };
        let root = self.root(&namespace);
        self.blocks.put(&entry.physical_address(&root), ask.body.clone()).await;
        let mut told = self.told(ask, &key, &entry, &root).await?;
        told["metadata"] = json!(entry.told_metadata());
        self.repository(ask, |repository| {
            let staging = &mut repository.branch(branch)?.staging;
            Arc::make_mut(staging).insert(key, Some(entry));
            Ok(Answer::json(201, &told))
        })
    }

    /// Commits, merges, reverts and resets.
    pub async fn move_branch(self: &Arc<Self>, ask: &Ask) -> Answered {
        let _moving = self.moving.lock().await;
        match ask.call {
            Call::Commit => self.commit(ask).await,
            Call::Merge => self.merge(ask).await,
            Call::Revert => self.revert(ask).await,
            _ => self.repository(ask, |repository| {
                let target = String::from_utf8_lossy(ask.required("ref")?).into_owned();
                repository.branch(&ask.path[3])?;
                let found = repository.commit(&target).map_err(|problem| match problem.status {
                    404 => Answer::error(404, format!("hard-reset {} to {target}: not found", ask.path[3])),
                    _ => problem,
                })?;
                repository.branch(&ask.path[3])?.head = found.id;
                Ok(Answer::empty(204))
            }),
        }
    }

    async fn commit(self: &Arc<Self>, ask: &Ask) -> Answered {
        let (wanted, branch) = (ask.json()?, &ask.path[3]);
        let (head, tree, staging) = self.repository(ask, |repository| {
            let head = repository.head(branch)?;
            Ok((
                head.clone(),
                repository.tree(&head),
                repository.branch(branch)?.staging.clone(),
            ))
        })?;
        let allow_empty = wanted["allow_empty"].as_bool().unwrap_or(false);
        if staging.is_empty() && !allow_empty {
            return Err(Answer::error(400, "commit: no changes"));
        }
        let next = Arc::new(tree.with(&staging, self.settings.raggedness));
        if next.id == tree.id && !allow_empty {
            return Err(Answer::error(400, "commit: no changes"));
        }
        let commit = NewCommit {
            tree: next,
            message: string(&wanted, "message")?.to_owned(),
            metadata: metadata(&wanted),
            parents: vec![head],
            creation_date: wanted["date"].as_i64(),
            staged: staging,
            event: Some(Event::PostCommit),
        };
        let made = self.publish(&ask.path[1], branch, commit).await?;
        Ok(Answer::json(201, &made.told()))
    }

    async fn merge(self: &Arc<Self>, ask: &Ask) -> Answered {
        let wanted = if ask.body.is_empty() { json!({}) } else { ask.json()? };
        let (source_ref, branch) = (&ask.path[3], &ask.path[5]);
        let (winner, strategy) = match wanted["strategy"].as_str().unwrap_or_default() {
            "" => (None, "default"),
            "source-wins" => (Some(Winner::Source), "source-wins"),
            "dest-wins" => (Some(Winner::Destination), "dest-wins"),
            _ => return Err(Answer::error(400, "invalid merge strategy")),
        };
        let (head, source, tree) = self.repository(ask, |repository| {
            let head = repository.head(branch)?;
            must_be_clean(repository, branch)?;
            let source = repository.commit(source_ref)?;
            let base = repository
                .merge_base(&source.id, &head.id)
                .ok_or_else(|| Answer::error(500, "no merge base"))?;
            if source.meta_range_id == base.meta_range_id {
                return Err(Answer::error(400, format!("update branch {branch}: no changes")));
            }
            let tree = self.merged(repository, &base.meta_range_id, &source.meta_range_id, &head, winner);
            let tree = tree.map_err(|_| Answer::json(409, &json!({ "reference": "" })))?;
            Ok((head, source, tree))
        })?;
        let message = wanted["message"].as_str().filter(|text| !text.is_empty());
        let mut with_strategy = metadata(&wanted);
        with_strategy.insert(STRATEGY.to_owned(), strategy.to_owned());
        let squash = wanted["squash_merge"].as_bool().unwrap_or(false);
        let commit = NewCommit {
            tree,
            message: message.map_or_else(|| format!("Merge '{source_ref}' into '{branch}'"), str::to_owned),
            metadata: with_strategy,
            parents: if squash { vec![head] } else { vec![head, source] },
            creation_date: None,
            staged: Arc::default(),
            event: Some(Event::PostMerge {
                source: source_ref.clone(),
            }),
        };
        let made = self.publish(&ask.path[1], branch, commit).await?;
        Ok(Answer::json(200, &json!({ "reference": made.id })))
    }

    async fn revert(self: &Arc<Self>, ask: &Ask) -> Answered {
        let (wanted, branch) = (ask.json()?, &ask.path[3]);
        let target = string(&wanted, "ref")?;
        let number = wanted["parent_number"].as_u64().unwrap_or(0);
        let (head, tree) = self.repository(ask, |repository| {
            let undone = repository.commit(target)?;
            if undone.parents.len() > 1 && number == 0 {
                let message = "must specify 1-based parent number for reverting merge commit";
                return Err(Answer::error(409, message));
            }
            let place = usize::try_from(number.saturating_sub(1)).expect("a small number");
            if number > 0 && place >= undone.parents.len() {
                let message = format!("given commit does not have the given parent number: parent {number}");
                return Err(Answer::error(400, message));
            }
            let head = repository.head(branch)?;
            must_be_clean(repository, branch)?;
            let parent = undone
                .parents
                .get(place)
                .map(|id| repository.commits[id].meta_range_id.clone());
            let tree = self.merged(
                repository,
                &undone.meta_range_id,
                &parent.unwrap_or_default(),
                &head,
                None,
            );
            let tree = tree.map_err(|_| Answer::error(409, format!("update branch {branch}: conflict found")))?;
            if tree.id == head.meta_range_id {
                return Err(Answer::error(400, format!("update branch {branch}: no changes")));
            }
            Ok((head, tree))
        })?;
        let commit = NewCommit {
            tree,
            message: format!("Revert {target}"),
            metadata: BTreeMap::new(),
            parents: vec![head],
            creation_date: None,
            staged: Arc::default(),
            event: None,
        };
        self.publish(&ask.path[1], branch, commit).await?;
        Ok(Answer::empty(204))
    }

    /// The tree of a merge into a branch; an error is the path of a conflict.
    fn merged(
        &self,
        repository: &Repository,
        base: &str,
        source: &str,
        destination: &Commit,
        winner: Option<Winner>,
    ) -> Result<Arc<Tree>, Vec<u8>> {
        let empty = Arc::default();
        let tree = |id: &str| if id.is_empty() { &empty } else { &repository.trees[id] };
        let here = repository.tree(destination);
        if here.id == base {
            return Ok(tree(source).clone());
        }
        let changes = merge(tree(base), tree(source), &here, winner)?;
        Ok(Arc::new(here.with(&changes, self.settings.raggedness)))
    }

    /// Makes a commit and moves the branch to it. The caller holds `moving`.
    pub async fn publish(self: &Arc<Self>, name: &str, branch: &str, new: NewCommit) -> Answered<Commit> {
        let root = self.repository_named(name, |repository| Ok(self.root(&repository.storage_namespace)))?;
        self.store_tables(&root, &new.tree).await;
        let creation_date = new.creation_date.unwrap_or_else(|| self.now().0);
        let tree = new.tree.clone();
        let made = self.repository_named(name, |repository| {
            let generation = new.parents.iter().map(|parent| parent.generation).max();
            let commit = Commit {
                id: String::new(),
                committer: COMMITTER.to_owned(),
                message: new.message,
                meta_range_id: String::new(),
                creation_date,
                metadata: new.metadata,
                parents: new.parents.into_iter().map(|parent| parent.id).collect(),
                generation: generation.unwrap_or(0) + 1,
            };
            let made = repository.add_commit(commit, new.tree);
            let branch = repository.branch(branch)?;
            branch.head.clone_from(&made.id);
            // What was staged meanwhile stays.
            Arc::make_mut(&mut branch.staging).retain(|key, entry| new.staged.get(key) != Some(entry));
            Ok(made)
        })?;
        if let Some(event) = new.event {
            let (core, made) = (self.clone(), made.clone());
            let (name, branch) = (name.to_owned(), branch.to_owned());
            // Nobody waits for hooks that come after the fact.
            tokio::spawn(async move { core.run_hooks(&name, &branch, &root, &tree, &made, event).await });
        }
        Ok(made)
    }
}

/// Whether nothing is staged on a branch.
pub fn must_be_clean(repository: &mut Repository, branch: &str) -> Answered<()> {
    if repository.branch(branch)?.staging.is_empty() {
        return Ok(());
    }
    let message = format!("update branch {branch}: {branch}: uncommitted changes (dirty branch)");
    Err(Answer::error(400, message))
}

/// The metadata of a request's body.
pub fn metadata(wanted: &Value) -> BTreeMap<String, String> {
    let pairs = wanted["metadata"].as_object().into_iter().flatten();
    pairs
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect()
}
