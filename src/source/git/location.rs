//! From a path to an opened repository, and to a name for it.

use std::path::Path;

use gix::sec::Trust;
use gix::{Repository, ThreadSafeRepository};

use crate::source::SourceError;

/// Delta bases that each handle keeps: neighbours in a pack mostly build upon the same few, and there are at
/// most twice as many handles as cores.
const PACK_CACHE: &str = "core.deltaBaseCacheLimit=8m";

/// A commit must mean the same tree to everybody, and a blob's bytes must have its id: replaced objects, which
/// `git replace` keeps in one clone only, break both.
const NO_REPLACEMENTS: &str = "core.useReplaceRefs=false";

/// Packs that can be known at once. A repository that is followed for months gets a pack with each fetch
/// until it is collected; Git itself collects at 50.
const PACK_SLOTS: usize = 512;

/// Opens the repository that lies at `path`, and nowhere above it.
pub(super) fn open(path: &Path) -> Result<ThreadSafeRepository, SourceError> {
    let metadata = match path.metadata() {
        Ok(metadata) => metadata,
        Err(error) if is_missing(&error) => {
            return Err(match remote_url(path) {
                Some(url) => SourceError::RemoteRepository { url },
                None => SourceError::NoSuchPath { path: path.to_owned() },
            });
        }
        Err(source) => {
            return Err(SourceError::Io {
                action: "cannot be looked at",
                path: path.to_owned(),
                source,
            });
        }
    };
    // The `.git` of a linked worktree or a submodule is a file.
    if !metadata.is_dir() && path.file_name().is_none_or(|name| name != ".git") {
        return Err(SourceError::NotADirectory { path: path.to_owned() });
    }
    let mut permissions = gix::open::Permissions::default();
    // Variables that swap objects: the path that was given is the repository.
    permissions.env.objects = gix::sec::Permission::Deny;
    let options = gix::open::Options::default()
        .permissions(permissions)
        .object_store_slots(gix::odb::store::init::Slots::AsNeededByDiskState {
            multiplier: 1.1,
            minimum: PACK_SLOTS,
        })
        .config_overrides([NO_REPLACEMENTS, PACK_CACHE]);
    let shared = ThreadSafeRepository::open_opts(path, options).map_err(|source| SourceError::Repository {
        path: path.to_owned(),
        source: Box::new(source),
    })?;
    if shared.to_thread_local().git_dir_trust() != Trust::Full {
        return Err(SourceError::ForeignRepository { path: path.to_owned() });
    }
    Ok(shared)
}

/// What the repository is called: where it was cloned from, so that two clones are one source, else where it
/// lies.
pub(super) fn origin(repository: &Repository) -> String {
    let origin = repository.config_snapshot().string("remote.origin.url");
    // A relative path means something else from each folder, so it is no name.
    origin
        .map(|url| url.to_string())
        .filter(|url| url.starts_with('/') || is_remote(url))
        .map(|url| without_secrets(&url, ""))
        .unwrap_or_else(|| {
            let folder = repository.common_dir();
            // Through links to one place; where that fails the path as it was given is as good a name.
            let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
            folder.display().to_string()
        })
}

fn is_missing(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory | std::io::ErrorKind::InvalidFilename
    )
}

/// The URL without its secrets, where the path is one; paths that exist are never asked about.
fn remote_url(path: &Path) -> Option<String> {
    let text = path.to_str().filter(|text| is_remote(text))?;
    Some(without_secrets(text, "***"))
}

/// Whether Git would take the text for a URL: `scheme://…`, or `host:path` with the colon before any slash.
fn is_remote(text: &str) -> bool {
    if let Some((scheme, _)) = text.split_once("://") {
        return !scheme.is_empty()
            && scheme
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    }
    text.find(':')
        .is_some_and(|colon| colon > 0 && !text[..colon].contains('/'))
}

/// Takes out what may be secret: passwords, and over HTTP the user name and the query too, since tokens stand
/// there. `mask` says that something was taken out.
fn without_secrets(url: &str, mask: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let is_http = scheme.to_ascii_lowercase().starts_with("http");
    let rest = match rest.find(['?', '#']) {
        Some(end) if is_http => &rest[..end],
        _ => rest,
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let Some((user, host)) = authority.rsplit_once('@') else {
        return format!("{scheme}://{rest}");
    };
    let user = match user.split_once(':') {
        _ if is_http => mask.to_owned(),
        Some((name, _)) if mask.is_empty() => name.to_owned(),
        Some((name, _)) => format!("{name}:{mask}"),
        None => user.to_owned(),
    };
    let at = if user.is_empty() { "" } else { "@" };
    format!("{scheme}://{user}{at}{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_told_from_paths_as_git_does() {
        for url in [
            "https://host/x",
            "ssh://git@host/x",
            "git@host:x",
            "host:x",
            "file:///srv/x",
        ] {
            assert!(is_remote(url), "{url}");
        }
        for path in ["/srv/x", "./a:b", "x", "a/b:c", "", ":x", "://x"] {
            assert!(!is_remote(path), "{path}");
        }
    }

    #[test]
    fn no_secret_of_a_url_is_shown_or_named() {
        let shown = |url| (without_secrets(url, "***"), without_secrets(url, ""));
        for url in [
            "https://token@host/x",
            "https://user:token@host/x",
            "HTTPS://us@er:to@ken@host/x?token=token#token",
        ] {
            let (masked, named) = shown(url);
            assert!(
                !masked.contains("token") && masked.ends_with("://***@host/x"),
                "{masked}"
            );
            assert!(!named.contains("token") && named.ends_with("://host/x"), "{named}");
        }
        let both = |text: &str| (text.to_owned(), text.to_owned());
        assert_eq!(shown("https://host/x?sig=token"), both("https://host/x"));
        assert_eq!(shown("ssh://git@host:22/x"), both("ssh://git@host:22/x"));
        assert_eq!(shown("git@host:x"), both("git@host:x"));
        assert_eq!(shown("/srv/a@b"), both("/srv/a@b"));
        assert_eq!(shown("ssh://git:token@host/x").0, "ssh://git:***@host/x");
        assert_eq!(shown("ssh://git:token@host/x").1, "ssh://git@host/x");
    }
}
