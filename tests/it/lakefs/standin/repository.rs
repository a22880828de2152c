//! What the stand-in keeps: repositories, branches, tags and commits.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::{Value, json};

use super::answer::Answer;
use super::ident::IdentHash;
use super::tree::{Changes, Tree};

/// One repository.
pub struct Repository {
    pub name: String,
    pub storage_namespace: String,
    pub default_branch: String,
    pub creation_date: i64,
    /// Every answer is 410 while this is set.
    pub in_deletion: bool,
    pub branches: BTreeMap<String, Branch>,
    /// Tags and the commits that they name.
    pub tags: BTreeMap<String, String>,
    pub commits: BTreeMap<String, Commit>,
    /// The trees of all commits, by the ids of their metaranges.
    pub trees: HashMap<String, Arc<Tree>>,
}

/// One branch.
pub struct Branch {
    /// The id of its head.
    pub head: String,
    /// What is not committed yet.
    pub staging: Arc<Changes>,
}

/// One commit.
#[derive(Clone, Debug)]
pub struct Commit {
    pub id: String,
    pub committer: String,
    pub message: String,
    pub meta_range_id: String,
    pub creation_date: i64,
    pub metadata: BTreeMap<String, String>,
    pub parents: Vec<String>,
    pub generation: i64,
}

impl Repository {
    /// A repository with one commit without files.
    pub fn new(name: &str, storage_namespace: &str, default_branch: &str, now: i64) -> Self {
        let mut repository = Self {
            name: name.to_owned(),
            storage_namespace: storage_namespace.trim_end_matches('/').to_owned(),
            default_branch: default_branch.to_owned(),
            creation_date: now,
            in_deletion: false,
            branches: BTreeMap::new(),
            tags: BTreeMap::new(),
            commits: BTreeMap::new(),
            trees: HashMap::new(),
        };
        let first = Commit {
            id: String::new(),
            committer: String::new(),
            message: "Repository created".to_owned(),
            meta_range_id: String::new(),
            creation_date: now,
            metadata: BTreeMap::new(),
            parents: Vec::new(),
            generation: 1,
        };
        let head = repository.add_commit(first, Arc::default()).id;
        repository.branches.insert(default_branch.to_owned(), Branch::at(head));
        repository
    }

    /// As the API tells it.
    pub fn told(&self) -> Value {
        json!({
            "creation_date": self.creation_date,
            "default_branch": self.default_branch,
            "id": self.name,
            "read_only": false,
            "storage_id": "",
            "storage_namespace": self.storage_namespace,
        })
    }

    /// A branch that must be there.
    pub fn branch(&mut self, name: &str) -> Result<&mut Branch, Answer> {
        self.branches
            .get_mut(name)
            .ok_or_else(|| Answer::error(404, "branch not found"))
    }

    /// The commit that a branch is at.
    pub fn head(&mut self, branch: &str) -> Result<Commit, Answer> {
        let head = self.branch(branch)?.head.clone();
        Ok(self.commits[&head].clone())
    }

    /// The tree of a commit.
    pub fn tree(&self, commit: &Commit) -> Arc<Tree> {
        self.trees[&commit.meta_range_id].clone()
    }

    /// Takes a commit in and gives it its id.
    pub fn add_commit(&mut self, mut commit: Commit, tree: Arc<Tree>) -> Commit {
        commit.meta_range_id.clone_from(&tree.id);
        commit.id = commit.compute_id();
        self.trees.entry(tree.id.clone()).or_insert(tree);
        self.commits.insert(commit.id.clone(), commit.clone());
        commit
    }

    /// The commit from which two others come; of several the one with the highest generation.
    pub fn merge_base(&self, one: &str, other: &str) -> Option<Commit> {
        let of_one = self.ancestors(one);
        let of_other = self.ancestors(other);
        let shared = of_one.values().filter(|commit| of_other.contains_key(&commit.id));
        shared
            .max_by_key(|commit| commit.generation)
            .map(|commit| (*commit).clone())
    }

    fn ancestors(&self, id: &str) -> HashMap<String, &Commit> {
        let mut found = HashMap::new();
        let mut waiting = vec![id.to_owned()];
        while let Some(id) = waiting.pop() {
            let commit = &self.commits[&id];
            if found.insert(id, commit).is_none() {
                waiting.extend(commit.parents.iter().cloned());
            }
        }
        found
    }
}

impl Branch {
    /// A branch without anything staged.
    pub fn at(head: String) -> Self {
        Self {
            head,
            staging: Arc::default(),
        }
    }
}

impl Commit {
    /// As the API tells it.
    pub fn told(&self) -> Value {
        json!({
            "committer": self.committer,
            "creation_date": self.creation_date,
            "generation": self.generation,
            "id": self.id,
            "message": self.message,
            "meta_range_id": self.meta_range_id,
            "metadata": self.metadata,
            "parents": self.parents,
            "version": 1,
        })
    }

    fn compute_id(&self) -> String {
        let hash = IdentHash::default()
            .string("commit:v1")
            .string(&self.committer)
            .string(&self.message)
            .string(&self.meta_range_id)
            .integer(self.creation_date)
            .map(&self.metadata)
            .identity_of_strings(&self.parents);
        hex::encode(hash.finish())
    }
}
