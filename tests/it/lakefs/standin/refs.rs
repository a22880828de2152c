//! What a ref expression means.

use std::sync::Arc;

use super::answer::Answer;
use super::repository::{Commit, Repository};
use super::view::View;

/// Why a ref means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefProblem {
    NotFound,
    Invalid,
}

/// What a ref means.
pub struct Resolved {
    pub commit: Commit,
    /// The branch whose staged files it shows.
    pub staging_of: Option<String>,
}

enum Base {
    Commit,
    Tag,
    Branch(String),
}

impl RefProblem {
    /// As most calls tell it.
    pub fn told(self) -> Answer {
        match self {
            Self::NotFound => Answer::error(404, "not found"),
            Self::Invalid => Answer::error(400, "ref: invalid value: validation error"),
        }
    }
}

impl Repository {
    /// Finds what a ref expression means.
    pub fn resolve(&self, expression: &str) -> Result<Resolved, RefProblem> {
        let end = expression.find(['~', '^', '@', '$']).unwrap_or(expression.len());
        let (name, mut modifiers) = expression.split_at(end);
        if name.is_empty() {
            return Err(RefProblem::Invalid);
        }
        let (base, id) = self.resolve_name(name).ok_or(RefProblem::NotFound)?;
        let mut commit = &self.commits[&id];
        if let Base::Branch(branch) = base {
            match modifiers {
                "" | "$" => {
                    return Ok(Resolved {
                        commit: commit.clone(),
                        staging_of: Some(branch),
                    });
                }
                "@" => modifiers = "",
                _ => {}
            }
        }
        while let Some(modifier) = modifiers.chars().next() {
            let rest = &modifiers[1..];
            let digits = rest.find(['~', '^', '@', '$']).unwrap_or(rest.len());
            let (number, next) = rest.split_at(digits);
            let number: usize = match number {
                "" => 1,
                text => text.parse().map_err(|_| RefProblem::Invalid)?,
            };
            commit = match modifier {
                '~' => {
                    let mut ancestor = commit;
                    for _ in 0..number {
                        let parent = ancestor.parents.first().ok_or(RefProblem::NotFound)?;
                        ancestor = &self.commits[parent];
                    }
                    ancestor
                }
                '^' if number == 0 => commit,
                '^' => {
                    let parent = commit.parents.get(number - 1).ok_or(RefProblem::Invalid)?;
                    &self.commits[parent]
                }
                _ => return Err(RefProblem::Invalid),
            };
            modifiers = next;
        }
        Ok(Resolved {
            commit: commit.clone(),
            staging_of: None,
        })
    }

    fn resolve_name(&self, name: &str) -> Option<(Base, String)> {
        if self.commits.contains_key(name) {
            return Some((Base::Commit, name.to_owned()));
        }
        if let Some(branch) = self.branches.get(name) {
            return Some((Base::Branch(name.to_owned()), branch.head.clone()));
        }
        if let Some(id) = self.tags.get(name) {
            return Some((Base::Tag, id.clone()));
        }
        let is_hash = name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        let mut matching = self.commits.keys().filter(|id| is_hash && id.starts_with(name));
        let found = matching.next()?;
        // A prefix of two ids means neither.
        matching.next().is_none().then(|| (Base::Commit, found.clone()))
    }

    /// What a ref shows.
    pub fn view(&self, expression: &str) -> Result<View, Answer> {
        let resolved = self.resolve(expression).map_err(RefProblem::told)?;
        let staging = match &resolved.staging_of {
            Some(branch) => self.branches[branch].staging.clone(),
            None => Arc::default(),
        };
        Ok(View {
            tree: self.tree(&resolved.commit),
            staging,
        })
    }

    /// The commit that a ref means; staged files are none.
    pub fn commit(&self, expression: &str) -> Result<Commit, Answer> {
        Ok(self.resolve(expression).map_err(RefProblem::told)?.commit)
    }
}
