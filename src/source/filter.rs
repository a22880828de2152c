//! `--include` and `--exclude`: which paths of a tree are exported at all.

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::model::RelPath;

/// Globs in the words of `.gitignore`: a path goes out when it matches an include (or there is none) and
/// no exclude. A glob that matches a folder matches all below it.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    include: Option<Gitignore>,
    exclude: Option<Gitignore>,
    globs: Vec<String>,
}

/// A glob that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{flag} {glob:?}: not a glob")]
pub struct FilterError {
    flag: &'static str,
    glob: String,
    source: ignore::Error,
}

impl Filter {
    /// Reads the globs of `--include` and `--exclude`.
    pub fn new(include: &[String], exclude: &[String]) -> Result<Self, FilterError> {
        let globs = include
            .iter()
            .map(|glob| format!("+{glob}"))
            .chain(exclude.iter().map(|glob| format!("-{glob}")));
        Ok(Self {
            include: build("--include", include)?,
            exclude: build("--exclude", exclude)?,
            globs: globs.collect(),
        })
    }

    /// Whether a file of this path is exported.
    pub fn wants_file(&self, path: &RelPath) -> bool {
        self.include
            .as_ref()
            .is_none_or(|globs| matches(globs, path.as_bytes(), false))
            && !self.excludes(path.as_bytes(), false)
    }

    /// Whether anything below this folder could be exported; `false` saves reading it.
    pub fn wants_folder(&self, path: &[u8]) -> bool {
        !self.excludes(path, true)
    }

    /// The globs as they were given, for the fingerprint.
    pub fn globs(&self) -> &[String] {
        &self.globs
    }

    fn excludes(&self, path: &[u8], is_folder: bool) -> bool {
        self.exclude
            .as_ref()
            .is_some_and(|globs| matches(globs, path, is_folder))
    }
}

fn build(flag: &'static str, globs: &[String]) -> Result<Option<Gitignore>, FilterError> {
    if globs.is_empty() {
        return Ok(None);
    }
    let mut builder = GitignoreBuilder::new("");
    for glob in globs {
        let bad = |source| FilterError {
            flag,
            glob: glob.clone(),
            source,
        };
        builder.add_line(None, glob).map_err(bad)?;
    }
    let bad = |source| FilterError {
        flag,
        glob: globs.join(" "),
        source,
    };
    builder.build().map(Some).map_err(bad)
}

fn matches(globs: &Gitignore, path: &[u8], is_folder: bool) -> bool {
    use std::os::unix::ffi::OsStrExt as _;
    // The matcher takes a path with a root for one of another tree and panics; such keys exist in lakeFS.
    let bare = path
        .iter()
        .position(|byte| *byte != b'/')
        .map_or(&b""[..], |start| &path[start..]);
    if bare.is_empty() {
        return false;
    }
    globs
        .matched_path_or_any_parents(std::ffi::OsStr::from_bytes(bare), is_folder)
        .is_ignore()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(include: &[&str], exclude: &[&str]) -> Filter {
        let own = |globs: &[&str]| globs.iter().map(ToString::to_string).collect::<Vec<_>>();
        Filter::new(&own(include), &own(exclude)).unwrap()
    }

    fn wants(filter: &Filter, path: &str) -> bool {
        filter.wants_file(&RelPath::new(path).unwrap())
    }

    #[test]
    fn globs_read_as_in_gitignore() {
        let all = filter(&[], &[]);
        assert!(wants(&all, "a/b") && wants(&all, "/x"));
        let some = filter(&["*.parquet", "/docs/"], &["tmp/", "!tmp/keep.parquet", "/top.parquet"]);
        assert!(wants(&some, "a/b.parquet") && wants(&some, "docs/x.md"));
        assert!(!wants(&some, "a/b.csv") && !wants(&some, "a/docs/x.md") && !wants(&some, "top.parquet"));
        assert!(!wants(&some, "a/tmp/b.parquet") && wants(&some, "a/top.parquet"));
        assert!(!some.wants_folder(b"a/tmp") && some.wants_folder(b"a"));
    }

    #[test]
    fn a_bad_glob_is_named() {
        let error = Filter::new(&[], &["a{".to_owned()]).unwrap_err();
        assert_eq!(error.to_string(), "--exclude \"a{\": not a glob");
    }
}
