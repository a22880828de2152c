//! What people write to name a repository, a commit in it and a part of its tree.

use std::fmt;
use std::str::FromStr;

/// What a name of lakeFS begins with.
const SCHEME: &str = "lakefs://";

/// The name of a repository.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RepositoryName(Box<str>);

/// Any name of a commit: a branch, a tag, an id or the unique beginning of one, each with `~N` or `^N`; or a branch
/// with `@`. Never what is not committed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LakeFsRef(Box<str>);

/// A repository, and where it is said a commit of it and a part of its tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LakeFsUri {
    /// The repository.
    pub repository: RepositoryName,
    /// The commit; without it the repository's own default branch is meant.
    pub reference: Option<LakeFsRef>,
    /// What keys begin with: empty, or ending in `/`. Taken as it was written: `%20` stands for itself.
    pub prefix: String,
}

/// Why a text names nothing in lakeFS.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// Another scheme, or none.
    #[error("{given:?} does not name a lakeFS repository; write lakefs://REPO/REF/PREFIX/")]
    NotLakeFs {
        /// What was given.
        given: String,
    },
    /// A name that no repository has.
    #[error(
        "{name:?} is no name of a lakeFS repository (3 to 63 lower-case letters, digits and hyphens, no hyphen first)"
    )]
    Repository {
        /// The name.
        name: String,
    },
    /// An access key before the name, which is not shown.
    #[error("the name of a lakeFS repository holds no access key; write lakefs://REPO/REF/PREFIX/")]
    Credentials,
    /// A text that names no commit.
    #[error("{name:?} names no branch, tag or commit; write lakefs://REPO/REF/PREFIX/")]
    Ref {
        /// The text.
        name: String,
    },
    /// What is not committed.
    #[error("{name:?}: `$` means what is not committed yet, which is never exported; leave the `$` out")]
    Uncommitted {
        /// The text.
        name: String,
    },
    /// A prefix and nothing that says of what.
    #[error("{given:?} has a prefix and no branch, tag or commit before it; write lakefs://REPO/REF/PREFIX/")]
    NoRef {
        /// What was given.
        given: String,
    },
}

impl RepositoryName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl FromStr for RepositoryName {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let holds = (3..=63).contains(&text.len())
            && text.bytes().all(|byte| letter(byte) || byte == b'-')
            && !text.starts_with('-');
        if holds {
            Ok(Self(text.into()))
        } else {
            Err(UriError::Repository { name: text.to_owned() })
        }
    }
}

impl LakeFsRef {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it looks like a commit id or the beginning of one.
    pub(super) fn looks_like_id(&self) -> bool {
        self.0.len() >= 4
            && self
                .0
                .bytes()
                .all(|byte| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f'))
    }
}

impl fmt::Display for LakeFsRef {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl FromStr for LakeFsRef {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        let name = || text.to_owned();
        // The server would answer with a 500, after several tries.
        if text.ends_with('$') {
            return Err(UriError::Uncommitted { name: name() });
        }
        let odd = |letter: char| letter.is_whitespace() || letter.is_control();
        // A dot alone would be taken for a step in the path of the request's URL.
        if text.is_empty() || matches!(text, "." | "..") || text.contains(odd) {
            return Err(UriError::Ref { name: name() });
        }
        Ok(Self(text.into()))
    }
}

impl FromStr for LakeFsUri {
    type Err = UriError;

    /// Reads `lakefs://REPO`, `lakefs://REPO/REF`, `lakefs://REPO/REF/PREFIX/` and the older `lakefs://REPO@REF`, to
    /// which a prefix can be added likewise. Nothing is decoded.
    fn from_str(text: &str) -> Result<Self, UriError> {
        let given = || text.to_owned();
        let rest = text
            .strip_prefix(SCHEME)
            .ok_or_else(|| UriError::NotLakeFs { given: given() })?;
        let (first, tail) = rest.split_once('/').unwrap_or((rest, ""));
        let (repository, reference, prefix) = match first.split_once('@') {
            Some((repository, reference)) => (repository, reference, tail),
            None => {
                let (reference, prefix) = tail.split_once('/').unwrap_or((tail, ""));
                (first, reference, prefix)
            }
        };
        let is_older_form = first.contains('@');
        if is_older_form && repository.contains(':') {
            return Err(UriError::Credentials);
        }
        let reference = match reference {
            "" if is_older_form || !prefix.is_empty() => return Err(UriError::NoRef { given: given() }),
            "" => None,
            reference => Some(reference.parse()?),
        };
        Ok(Self {
            repository: repository.parse()?,
            reference,
            prefix: with_slash(prefix),
        })
    }
}

impl fmt::Display for LakeFsUri {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{SCHEME}{}", self.repository)?;
        if let Some(reference) = &self.reference {
            write!(out, "/{reference}/{}", self.prefix)?;
        }
        Ok(())
    }
}

fn with_slash(prefix: &str) -> String {
    let slash = if prefix.is_empty() || prefix.ends_with('/') {
        ""
    } else {
        "/"
    };
    format!("{prefix}{slash}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_a_repository_a_commit_and_a_part_of_the_tree() {
        for (given, repository, reference, prefix) in [
            ("lakefs://repo", "repo", None, ""),
            ("lakefs://repo/", "repo", None, ""),
            ("lakefs://repo/main", "repo", Some("main"), ""),
            ("lakefs://repo/main/", "repo", Some("main"), ""),
            ("lakefs://repo/main/a/b", "repo", Some("main"), "a/b/"),
            ("lakefs://repo/main/a/b/", "repo", Some("main"), "a/b/"),
            ("lakefs://repo/main//a", "repo", Some("main"), "/a/"),
            ("lakefs://repo/main/a%20b?c#d", "repo", Some("main"), "a%20b?c#d/"),
            ("lakefs://repo/main~2/x", "repo", Some("main~2"), "x/"),
            ("lakefs://repo/v1.0^2", "repo", Some("v1.0^2"), ""),
            ("lakefs://repo/main@/x", "repo", Some("main@"), "x/"),
            ("lakefs://repo@main", "repo", Some("main"), ""),
            ("lakefs://repo@main/a/b", "repo", Some("main"), "a/b/"),
            ("lakefs://repo@main@", "repo", Some("main@"), ""),
        ] {
            let uri: LakeFsUri = given.parse().unwrap();
            assert_eq!(uri.repository.as_str(), repository, "{given}");
            assert_eq!(uri.reference.as_ref().map(LakeFsRef::as_str), reference, "{given}");
            assert_eq!(uri.prefix, prefix, "{given}");
            assert_eq!(uri.to_string().parse::<LakeFsUri>().unwrap(), uri);
        }
    }

    #[test]
    fn what_names_nothing_says_why() {
        for (given, text) in [
            ("repo/main", "does not name a lakeFS repository"),
            ("lakefs:/repo", "does not name a lakeFS repository"),
            ("lakefs://", "\"\" is no name of a lakeFS repository"),
            ("lakefs:///main", "\"\" is no name"),
            ("lakefs://Repo/main", "\"Repo\" is no name"),
            ("lakefs://ab/main", "\"ab\" is no name"),
            ("lakefs://-repo/main", "\"-repo\" is no name"),
            ("lakefs://user:hunter2@repo/main", "holds no access key"),
            ("lakefs://repo/main$", "`$` means what is not committed yet"),
            ("lakefs://repo@main$/x", "leave the `$` out"),
            ("lakefs://repo/ma in", "names no branch, tag or commit"),
            ("lakefs://repo/..", "names no branch, tag or commit"),
            ("lakefs://repo//x", "has a prefix and no branch"),
            ("lakefs://repo@/x", "has a prefix and no branch"),
        ] {
            let error = given.parse::<LakeFsUri>().unwrap_err().to_string();
            assert!(error.contains(text) && !error.contains("hunter2"), "{given}: {error}");
        }
    }
}
