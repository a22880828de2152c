//! The tree is Git's own, and the changes between two commits turn one tree into the other.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;

use lakesync::model::{Change, CommitId, Entry, RelPath};
use lakesync::source::git::GitSource;
use lakesync::source::{Item, Source as _};

use super::repository::Repository;
use super::{changes_of, entries_of, open};

#[tokio::test]
async fn a_changed_mode_is_a_put() {
    let repository = Repository::new();
    let first = repository.commit_files(&["a", "b"]);
    repository.git(&["update-index", "--chmod=+x", "a"]);
    repository.git(&["commit", "-qm", "mode"]);
    let source = open(&repository.path).unwrap();
    assert_eq!(changes_of(&source, &first, &repository.id("HEAD")).await, ["+a"]);
    assert!(changes_of(&source, &first, &first).await.is_empty());
}

#[tokio::test]
async fn a_file_that_becomes_a_folder_goes_before_what_stands_between() {
    let repository = Repository::new();
    let first = repository.commit_files(&["a", "a-b", "a.c"]);
    std::fs::remove_file(repository.path.join("a")).unwrap();
    let second = repository.commit_files(&["a-b", "a/x", "a.c", "a/y", "a0"]);
    let source = open(&repository.path).unwrap();
    repository.write("a-b", "new");
    let third = repository.commit("between");
    assert_eq!(
        changes_of(&source, &first, &second).await,
        ["-a", "+a/x", "+a/y", "+a0"]
    );
    assert_eq!(
        changes_of(&source, &first, &third).await,
        ["-a", "+a-b", "+a/x", "+a/y", "+a0"]
    );
    assert_eq!(
        changes_of(&source, &third, &first).await,
        ["+a", "+a-b", "-a/x", "-a/y", "-a0"]
    );
}

#[tokio::test]
async fn a_file_that_becomes_a_symlink_is_told_and_gone() {
    let repository = Repository::new();
    let first = repository.commit_files(&["a", "b"]);
    std::fs::remove_file(repository.path.join("a")).unwrap();
    symlink("b", repository.path.join("a")).unwrap();
    let second = repository.commit("link");
    let source = open(&repository.path).unwrap();
    assert_eq!(changes_of(&source, &first, &second).await, ["Symlink:a", "-a"]);
    assert_eq!(changes_of(&source, &second, &first).await, ["+a"]);
}

/// A small generator, so that a failing case can be made again from its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    /// Names that sort differently with a slash behind them, few enough to meet often.
    fn path(&mut self) -> String {
        const NAMES: [&str; 7] = ["a", "a-", "a.b", "a0", "ab", "b", "\\377"];
        let depth = 1 + self.below(3);
        let names: Vec<&str> = (0..depth)
            .map(|_| NAMES[self.below(NAMES.len() as u64) as usize])
            .collect();
        names.join("/")
    }
}

/// A stream for `git fast-import` of commits that change at random.
fn history(seed: u64, commits: u64) -> Vec<u8> {
    let mut random = Random(seed);
    let mut stream = String::new();
    for commit in 1..=commits {
        stream += &format!("commit refs/heads/c{commit}\ncommitter A <a@example.org> 1700000000 +0000\ndata 0\n");
        if commit > 1 {
            stream += &format!("from refs/heads/c{}\n", commit - 1);
        }
        for _ in 0..random.below(12) {
            let path = random.path();
            let content = format!("content {}", random.below(4));
            stream += &match random.below(10) {
                0..=2 => format!("D \"{path}\"\n"),
                3 => format!("M 120000 inline \"{path}\"\ndata {}\n{content}\n", content.len()),
                4 => format!("M 160000 {} \"{path}\"\n", "1".repeat(40)),
                5 => format!("M 100755 inline \"{path}\"\ndata {}\n{content}\n", content.len()),
                _ => format!("M 100644 inline \"{path}\"\ndata {}\n{content}\n", content.len()),
            };
        }
        stream += "\n";
    }
    stream.into_bytes()
}

/// What git itself says of the plain files of a commit: path, mode, id and size, sorted.
fn listed(repository: &Repository, at: &CommitId) -> Vec<(Vec<u8>, u32, String, u64)> {
    let listing = repository.git_bytes(&["ls-tree", "-r", "-z", "-l", at.as_str()], b"");
    let mut files: Vec<_> = listing
        .split(|byte| *byte == 0)
        .filter(|line| line.starts_with(b"100"))
        .map(|line| {
            let tab = line.iter().position(|byte| *byte == b'\t').unwrap();
            let fields: Vec<&str> = std::str::from_utf8(&line[..tab]).unwrap().split_whitespace().collect();
            let mode = u32::from_str_radix(fields[0], 8).unwrap();
            (
                line[tab + 1..].to_vec(),
                mode,
                fields[2].to_owned(),
                fields[3].parse().unwrap(),
            )
        })
        .collect();
    files.sort();
    files
}

async fn applied(source: &GitSource, from: &CommitId, to: &CommitId) -> Vec<Entry> {
    let tree = entries_of(source, from).await;
    let mut files: BTreeMap<RelPath, Entry> = tree.into_iter().map(|entry| (entry.path.clone(), entry)).collect();
    let changes = source
        .changes(from, to)
        .await
        .unwrap()
        .unwrap()
        .collect()
        .await
        .unwrap();
    let mut last: Option<RelPath> = None;
    for item in changes {
        let Item::Entry(change) = item else { continue };
        assert!(last.as_ref() < Some(change.path()), "{} after {last:?}", change.path());
        last = Some(change.path().clone());
        match change {
            Change::Put(entry) => {
                let before = files.insert(entry.path.clone(), entry.clone());
                assert_ne!(before, Some(entry), "what did not change is not named");
            }
            Change::Gone(path) => {
                files.remove(&path);
            }
        }
    }
    files.into_values().collect()
}

#[tokio::test]
async fn random_trees_are_those_of_git_and_changes_turn_one_into_another() {
    const COMMITS: u64 = 40;
    for seed in [0x9e37_79b9, 0xdead_beef_cafe, 42] {
        let repository = Repository::new();
        repository.import(&history(seed, COMMITS));
        repository.git(&["symbolic-ref", "HEAD", "refs/heads/c1"]);
        let ids: Vec<CommitId> = (1..=COMMITS).map(|at| repository.id(&format!("c{at}"))).collect();
        let source = open(&repository.path).unwrap();
        let mut trees = Vec::new();
        for id in &ids {
            let tree = entries_of(&source, id).await;
            let seen: Vec<_> = tree
                .iter()
                .map(|entry| {
                    let id = entry.content.primary().unwrap().to_string().replace("git:", "");
                    (
                        entry.path.as_bytes().to_vec(),
                        entry.attributes.mode.unwrap(),
                        id,
                        entry.size,
                    )
                })
                .collect();
            assert_eq!(seen, listed(&repository, id), "seed {seed}, commit {id}");
            trees.push(tree);
        }
        assert!(
            trees.iter().any(|tree| tree.len() > 10),
            "the trees are worth comparing"
        );
        for (from, to) in (0..ids.len()).flat_map(|at| [(at, (at + 1) % ids.len()), ((at * 7) % ids.len(), at)]) {
            let after = applied(&source, &ids[from], &ids[to]).await;
            assert_eq!(after, trees[to], "seed {seed}, from {} to {}", ids[from], ids[to]);
        }
    }
}
