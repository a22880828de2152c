use super::*;

struct Room {
    _folder: tempfile::TempDir,
    world: World,
}

fn room() -> Room {
    let folder = tempfile::tempdir().unwrap();
    for path in ["plain", "work/.git", "work/docs", "bare/objects", "git:odd"] {
        std::fs::create_dir_all(folder.path().join(path)).unwrap();
    }
    std::fs::write(folder.path().join("bare/HEAD"), "ref: refs/heads/main").unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    let world = World::sealed(folder.path(), &[]);
    Room { _folder: folder, world }
}

impl Room {
    fn source(&self, given: &str) -> Result<Found, String> {
        find_source(Some(OsStr::new(given)), &self.world).map_err(|error| error.to_string())
    }

    fn repository(&self, given: &str) -> Result<Found, String> {
        find_repository(Some(OsStr::new(given)), &self.world).map_err(|error| error.to_string())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.world.folder.join(name)
    }
}

#[test]
fn a_repository_is_taken_as_such_and_that_is_said() {
    let room = room();
    for name in ["work", "bare"] {
        let found = room.source(name).unwrap();
        assert_eq!(found.place, Place::Git(room.path(name)));
        let remark = found.remark.unwrap();
        assert_eq!(
            remark,
            format!("{name}: taken as a Git repository; for the folder as it is write dir:{name}")
        );
    }
    assert_eq!(room.source("git:work").unwrap(), plainly(Place::Git(room.path("work"))));
    assert_eq!(
        room.source("dir:work").unwrap(),
        plainly(Place::Directory(room.path("work")))
    );
}

#[test]
fn any_other_directory_is_a_directory() {
    let room = room();
    for name in ["plain", "work/docs", "./plain/"] {
        assert_eq!(
            room.source(name).unwrap(),
            plainly(Place::Directory(room.path(name))),
            "{name}"
        );
    }
}

#[test]
fn what_is_no_source_says_what_to_write_instead() {
    let room = room();
    for (given, text) in [
        ("gone", "gone: no such file or directory"),
        ("dir:gone", "gone: no such file or directory"),
        ("lakefs://Repo/main", "\"Repo\" is no name of a lakeFS repository"),
        ("lakefs://repo/main$", "\"main$\": `$` means what is not committed yet"),
        ("lakefs:repo", "\"lakefs:repo\" does not name a lakeFS repository"),
        ("s3://bucket/x", "s3://bucket/x: a bucket is where things go"),
        ("file:///srv", "file:///srv: give the path"),
        (
            "https://host/x.git",
            "https://host/x.git: remote repositories are not read; run `git clone --mirror",
        ),
        ("git:ssh://host/x", "ssh://host/x: remote repositories are not read"),
        ("git@host:x/y.git", "git@host:x/y.git: remote repositories are not read"),
    ] {
        let error = room.source(given).unwrap_err();
        assert!(error.starts_with(text), "{error}");
    }
    assert!(room.source("file").unwrap_err().ends_with("file: not a directory"));
    assert!(find_source(None, &room.world).is_err());
}

#[test]
fn a_password_in_a_url_is_never_shown() {
    let error = room().source("https://user:hunter2@host/x.git").unwrap_err();
    assert!(
        !error.contains("hunter2") && error.contains("https://***@host/x.git"),
        "{error}"
    );
}

#[test]
fn a_repo_is_a_path_and_a_bare_name_is_one_of_lakefs() {
    let mut room = room();
    assert_eq!(
        room.repository("./work").unwrap().place,
        Place::Git(room.path("./work"))
    );
    assert_eq!(
        room.repository("git:work").unwrap().place,
        Place::Git(room.path("work"))
    );
    let found = room.repository("work").unwrap();
    assert_eq!(found.place, lakefs_place("lakefs://work"));
    assert_eq!(
        found.remark.unwrap(),
        "work: taken as a lakeFS repository; for the folder write ./work"
    );
    assert_eq!(
        room.repository("elsewhere").unwrap(),
        plainly(lakefs_place("lakefs://elsewhere"))
    );
    assert_eq!(
        room.repository("lakefs://work/main").unwrap(),
        plainly(lakefs_place("lakefs://work/main"))
    );
    assert!(
        room.repository("Work")
            .unwrap_err()
            .contains("write ./Work or git:Work")
    );
    assert!(room.repository("./plain").unwrap_err().contains("not a Git repository"));
    assert!(
        room.repository("dir:plain")
            .unwrap_err()
            .contains("not a Git repository")
    );
    let top = room.path("work");
    let error = find_repository(None, &room.world).unwrap_err();
    assert!(error.to_string().contains("name one as REPO"), "{error}");
    room.world.folder = top.join("docs");
    assert_eq!(
        find_repository(None, &room.world).unwrap().place,
        Place::Git(top.clone())
    );
    room.world.folder = std::env::temp_dir();
    room.world.environment.insert("GIT_DIR".into(), top.join(".git").into());
    assert_eq!(
        find_repository(None, &room.world).unwrap().place,
        Place::Git(top.join(".git"))
    );
}

fn lakefs_place(uri: &str) -> Place {
    Place::LakeFs(uri.parse().unwrap())
}

#[test]
fn the_base_of_lakectl_counts_where_there_is_no_git_repository() {
    let mut room = room();
    let set = |world: &mut World, base: &str| {
        world.environment.insert("LAKECTL_BASE_URI".into(), base.into());
    };
    room.world.folder = std::env::temp_dir();
    set(&mut room.world, "lakefs://repo/main/");
    let found = find_repository(None, &room.world).unwrap();
    assert_eq!(found.place, lakefs_place("lakefs://repo/main"));
    assert!(found.remark.unwrap().contains("LAKECTL_BASE_URI"));
    set(&mut room.world, "repo");
    let error = find_repository(None, &room.world).unwrap_err();
    assert!(
        error.to_string().starts_with("LAKECTL_BASE_URI does not name"),
        "{error}"
    );
    room.world.folder = room._folder.path().join("work");
    let found = find_repository(None, &room.world).unwrap();
    assert_eq!(found.place, Place::Git(room.path("")));
    assert!(found.remark.unwrap().contains("for LAKECTL_BASE_URI write repo"));
}

#[test]
fn what_looks_encoded_is_taken_as_it_stands() {
    let found = room().source("lakefs://repo/main/a%20b").unwrap();
    assert_eq!(found.place, lakefs_place("lakefs://repo/main/a%20b/"));
    assert!(found.remark.unwrap().contains("nothing in it is decoded"));
}

#[test]
fn a_branch_can_be_named_in_one_place() {
    let at = |uri, branch| at_branch(lakefs_place(uri), Some(branch)).map_err(|error| error.to_string());
    assert_eq!(at("lakefs://repo", "main").unwrap(), lakefs_place("lakefs://repo/main"));
    assert_eq!(
        at("lakefs://repo/main/x", "main").unwrap(),
        lakefs_place("lakefs://repo/main/x")
    );
    assert!(
        at("lakefs://repo/main", "dev")
            .unwrap_err()
            .contains("leave one of them out")
    );
    assert!(at("lakefs://repo", "main$").unwrap_err().contains("not committed yet"));
}

#[test]
fn a_directory_has_no_branches() {
    at_branch(Place::Git("x".into()), Some("main")).unwrap();
    at_branch(Place::Directory("x".into()), None).unwrap();
    let error = at_branch(Place::Directory("x".into()), Some("main")).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("--branch main: the directory x has no branches")
    );
}
