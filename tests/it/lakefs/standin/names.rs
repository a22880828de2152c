//! Repositories, branches, tags and commits by their names.

use serde_json::{Value, json};

use super::answer::{Answer, Answered};
use super::ask::{Ask, Call};
use super::objects::paged;
use super::refs::RefProblem;
use super::repository::{Branch, Repository};
use super::server::Core;

impl Core {
    /// Calls about whole repositories.
    pub async fn on_repositories(&self, ask: &Ask) -> Answered {
        match ask.call {
            Call::CreateRepository => self.create_repository(ask).await,
            Call::GetRepository => self.repository(ask, |repository| Ok(Answer::json(200, &repository.told()))),
            Call::DeleteRepository => {
                self.repository(ask, |_| Ok(()))?;
                self.repositories.lock().unwrap().remove(&ask.path[1]);
                Ok(Answer::empty(204))
            }
            _ => {
                let repositories = self.repositories.lock().unwrap();
                let names = repositories
                    .values()
                    .map(|repository| (&repository.name, repository.told()));
                page_of(ask, names)
            }
        }
    }

    async fn create_repository(&self, ask: &Ask) -> Answered {
        let wanted = ask.json()?;
        let (name, namespace) = (string(&wanted, "name")?, string(&wanted, "storage_namespace")?);
        let scheme = if self.blocks.is_s3() { "s3://" } else { "local://" };
        if !namespace.starts_with(scheme) {
            let message = format!("failed to match required regex ^{scheme}: invalid namespace");
            return Err(Answer::error(400, message));
        }
        let is_valid = (3..=63).contains(&name.len())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && !name.starts_with('-');
        if !is_valid {
            return Err(Answer::error(
                400,
                "argument repository: repository id: invalid value: validation error",
            ));
        }
        let _moving = self.moving.lock().await;
        if self.repositories.lock().unwrap().contains_key(name) {
            return Err(Answer::error(409, "error creating repository: not unique"));
        }
        let dummy = format!("{}/_lakefs/dummy", self.root(namespace.trim_end_matches('/')));
        if self.blocks.get(&dummy, None).await.is_some() {
            let message = format!(
                "failed to create repository: found lakeFS objects in the storage (:{namespace}) key(_lakefs/dummy): \
                 storage namespace already in use"
            );
            return Err(Answer::error(400, message));
        }
        self.blocks.put(&dummy, b"this is dummy data".as_slice().into()).await;
        let default_branch = wanted["default_branch"].as_str().unwrap_or("main");
        let repository = Repository::new(name, namespace, default_branch, self.now().0);
        let told = repository.told();
        self.repositories.lock().unwrap().insert(name.to_owned(), repository);
        Ok(Answer::json(201, &told))
    }

    /// Calls about branches, tags and commits that read or set a name.
    pub fn on_names(&self, ask: &Ask) -> Answered {
        self.repository(ask, |repository| match ask.call {
            Call::ListBranches => {
                let told = |(name, branch): (_, &Branch)| (name, json!({ "commit_id": branch.head, "id": name }));
                page_of(ask, repository.branches.iter().map(told))
            }
            Call::GetBranch => {
                let name = &ask.path[3];
                let head = &repository.branch(name)?.head;
                Ok(Answer::json(200, &json!({ "commit_id": head, "id": name })))
            }
            Call::CreateBranch => create_branch(repository, &ask.json()?),
            Call::DeleteBranch => {
                let name = &ask.path[3];
                repository.branch(name)?;
                if *name == repository.default_branch {
                    return Err(Answer::error(403, "cannot delete repository default branch"));
                }
                repository.branches.remove(name);
                Ok(Answer::empty(204))
            }
            Call::ListTags => {
                let told = |(name, id): (_, &String)| (name, json!({ "commit_id": id, "id": name }));
                page_of(ask, repository.tags.iter().map(told))
            }
            Call::GetTag => {
                let name = &ask.path[3];
                let id = repository
                    .tags
                    .get(name)
                    .ok_or_else(|| Answer::error(404, "tag not found"))?;
                Ok(Answer::json(200, &json!({ "commit_id": id, "id": name })))
            }
            Call::CreateTag => create_tag(repository, &ask.json()?),
            Call::DeleteTag => {
                let removed = repository.tags.remove(&ask.path[3]);
                removed
                    .map(|_| Answer::empty(204))
                    .ok_or_else(|| Answer::error(404, "tag not found"))
            }
            Call::GetCommit => {
                let resolved = repository.resolve(&ask.path[3]).map_err(|problem| match problem {
                    RefProblem::NotFound => Answer::error(404, "commit not found"),
                    RefProblem::Invalid => Answer::error(500, "ref: invalid value: validation error"),
                })?;
                if ask.path[3].ends_with('$') {
                    let message = "ref: invalid value: validation error: should point to a commit";
                    return Err(Answer::error(500, message));
                }
                Ok(Answer::json(200, &resolved.commit.told()))
            }
            Call::Log => log(repository, ask),
            other => unreachable!("{other:?} is answered elsewhere"),
        })
    }
}

fn create_branch(repository: &mut Repository, wanted: &Value) -> Answered {
    let (name, source) = (string(wanted, "name")?, string(wanted, "source")?);
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if !name.bytes().all(|byte| is_word(byte) || byte == b'-') || !name.bytes().next().is_some_and(is_word) {
        return Err(Answer::error(
            400,
            "argument branch: branch id: invalid value: validation error: branch id must consist of letters, digits, \
             underscores and dashes, and cannot start with a dash",
        ));
    }
    let found = repository.commit(source).map_err(|problem| match problem.status {
        404 => Answer::error(404, format!("source reference '{source}': not found")),
        _ => problem,
    });
    let head = found?.id;
    if repository.branches.contains_key(name) {
        return Err(Answer::error(409, "branch already exists: not unique"));
    }
    repository.branches.insert(name.to_owned(), Branch::at(head.clone()));
    Ok(Answer::of_type(201, "text/plain; charset=utf-8", head))
}

fn create_tag(repository: &mut Repository, wanted: &Value) -> Answered {
    let (name, source) = (string(wanted, "id")?, string(wanted, "ref")?);
    let id = repository.commit(source)?.id;
    if repository.tags.contains_key(name) {
        return Err(Answer::error(409, "tag already exists: not unique"));
    }
    repository.tags.insert(name.to_owned(), id.clone());
    Ok(Answer::json(201, &json!({ "commit_id": id, "id": name })))
}

/// A page of the commits behind a ref, the youngest generation first.
fn log(repository: &Repository, ask: &Ask) -> Answered {
    let page = ask.page()?;
    let mut waiting = vec![repository.commit(&ask.path[3])?];
    let mut found: Vec<super::repository::Commit> = Vec::new();
    while let Some(commit) = waiting.pop() {
        if found.iter().any(|known| known.id == commit.id) {
            continue;
        }
        let first_only = ask.says("first_parent", false);
        let count = if first_only { 1 } else { commit.parents.len() };
        waiting.extend(
            commit
                .parents
                .iter()
                .take(count)
                .map(|id| repository.commits[id].clone()),
        );
        found.push(commit);
    }
    found.sort_by_key(|commit| std::cmp::Reverse(commit.generation));
    let start = match page.after.as_slice() {
        b"" => 0,
        after => found
            .iter()
            .position(|commit| commit.id.as_bytes() == after)
            .map_or(found.len(), |place| place + 1),
    };
    let rest = &found[start..];
    let results = rest.iter().take(page.amount).map(|commit| commit.told()).collect();
    Ok(Answer::json(200, &paged(results, rest.len() > page.amount)))
}

/// A page of things that have names, in the order of these.
fn page_of<'a>(ask: &Ask, all: impl Iterator<Item = (&'a String, Value)>) -> Answered {
    let page = ask.page()?;
    let mut wanted =
        all.filter(|(name, _)| name.as_bytes() > page.after.as_slice() && name.as_bytes().starts_with(&page.prefix));
    let results: Vec<Value> = wanted.by_ref().take(page.amount).map(|(_, told)| told).collect();
    let has_more = wanted.next().is_some();
    Ok(Answer::json(200, &paged(results, has_more)))
}

/// A text of a request's body that has to be there.
pub fn string<'a>(wanted: &'a Value, name: &str) -> Answered<&'a str> {
    wanted[name].as_str().ok_or_else(|| {
        Answer::error(
            400,
            format!("request body has an error: property \"{name}\" is missing"),
        )
    })
}
