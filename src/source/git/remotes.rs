//! Where a repository was cloned from.

use std::path::Path;

use gix::remote::Direction;

use super::location;

/// The names, `owner/name`, of the places that a repository was cloned from or fetches from; none where it cannot be
/// opened, since whoever reads it will say why.
pub fn remotes(path: &Path) -> Vec<String> {
    let Ok(shared) = location::open(path) else {
        return Vec::new();
    };
    let repository = shared.to_thread_local();
    let names = repository.remote_names();
    let urls = names.iter().filter_map(|name| {
        let remote = repository.find_remote(&**name).ok()?;
        Some(remote.url(Direction::Fetch)?.path.to_string())
    });
    urls.filter_map(|path| name_in(&path)).collect()
}

/// The last two parts of the path of a URL.
fn name_in(path: &str) -> Option<String> {
    let path = path.trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    let (above, name) = path.rsplit_once('/')?;
    let owner = above.rsplit('/').next().filter(|owner| !owner.is_empty())?;
    Some(format!("{owner}/{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_end_of_a_url() {
        for (path, expected) in [
            ("/owner/name.git", Some("owner/name")),
            ("owner/name", Some("owner/name")),
            ("/group/sub/name/", Some("sub/name")),
            ("/name", None),
            ("", None),
        ] {
            assert_eq!(name_in(path).as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn the_remotes_of_a_repository_are_those_of_its_configuration() {
        let room = tempfile::tempdir().unwrap();
        gix::init_bare(room.path()).unwrap();
        let config = room.path().join("config");
        let text = std::fs::read_to_string(&config).unwrap();
        let more = "[remote \"origin\"]\n\turl = git@github.com:Owner/name.git\n\
                    [remote \"other\"]\n\turl = https://host/a/b\n[remote \"local\"]\n\tfetch = +refs/*:refs/*\n";
        std::fs::write(&config, format!("{text}{more}")).unwrap();
        let mut found = remotes(room.path());
        found.sort();
        assert_eq!(found, ["Owner/name", "a/b"]);
        assert!(remotes(&room.path().join("gone")).is_empty());
    }
}
