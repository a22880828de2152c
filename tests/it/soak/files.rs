//! Folders that change in every way.

use std::path::{Path, PathBuf};

use crate::git_source::repository::Repository;

/// Files that somebody works on.
pub struct Files {
    folder: PathBuf,
    paths: Vec<String>,
    made: usize,
    /// So many they stay, about.
    about: usize,
    random: fastrand::Rng,
}

impl Files {
    pub fn new(folder: &Path, about: usize, seed: u64) -> Self {
        let mut files = Self {
            folder: folder.to_owned(),
            paths: Vec::new(),
            made: 0,
            about,
            random: fastrand::Rng::with_seed(seed),
        };
        for _ in 0..about {
            files.add();
        }
        files
    }

    /// Adds, edits, renames and deletes some.
    pub fn change(&mut self) {
        for _ in 0..self.random.usize(1..=6) {
            let is_many = self.paths.len() > self.about;
            match self.random.u8(0..10) {
                0..=2 if !is_many => self.add(),
                0..=4 => self.edit(),
                5 | 6 => self.rename(),
                7 => self.turn(),
                _ => self.delete(),
            }
        }
        // So that no change undoes itself.
        self.made += 1;
        let text = self.made.to_string();
        self.write("last", &text);
    }

    fn add(&mut self) {
        let path = self.fresh();
        let text = self.text();
        self.write(&path, &text);
        self.paths.push(path);
    }

    fn edit(&mut self) {
        if let Some(at) = self.any() {
            let (path, text) = (self.paths[at].clone(), self.text());
            self.write(&path, &text);
        }
    }

    fn rename(&mut self) {
        if let Some(at) = self.any() {
            let path = self.fresh();
            let to = self.folder.join(&path);
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::fs::rename(self.folder.join(&self.paths[at]), to).unwrap();
            self.paths[at] = path;
        }
    }

    fn delete(&mut self) {
        if let Some(at) = self.any() {
            std::fs::remove_file(self.folder.join(self.paths.swap_remove(at))).unwrap();
        }
    }

    /// What was a file is a folder, and the other way round.
    fn turn(&mut self) {
        let name = format!("turns-{}", self.random.u8(0..3));
        let path = self.folder.join(&name);
        let text = self.text();
        if path.is_dir() {
            std::fs::remove_dir_all(&path).unwrap();
            self.write(&name, &text);
        } else {
            // It is not there at first.
            drop(std::fs::remove_file(&path));
            self.write(&format!("{name}/inside"), &text);
        }
    }

    fn any(&mut self) -> Option<usize> {
        (!self.paths.is_empty()).then(|| self.random.usize(0..self.paths.len()))
    }

    fn fresh(&mut self) -> String {
        self.made += 1;
        format!("folder-{}/file {}.csv", self.random.u8(0..20), self.made)
    }

    /// From nothing to some KiB; one of a few is like another file's.
    fn text(&mut self) -> String {
        if self.random.u8(0..8) == 0 {
            return "the same\n".to_owned();
        }
        let line = format!("{:016x}\n", self.random.u64(..));
        line.repeat(self.random.usize(0..600))
    }

    /// As editors save, so that nobody ever reads the half of it.
    fn write(&self, path: &str, text: &str) {
        let to = self.folder.join(path);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        let aside = self.folder.with_extension("aside");
        std::fs::write(&aside, text).unwrap();
        std::fs::rename(aside, to).unwrap();
    }
}

/// Changes the files of a repository and commits them, or has them come by a merge; says whether it was one.
pub fn commit(repository: &Repository, files: &mut Files, random: &mut fastrand::Rng) -> bool {
    if random.u8(0..6) > 0 {
        files.change();
        repository.commit("change");
        return false;
    }
    repository.git(&["checkout", "--quiet", "-B", "side"]);
    files.change();
    repository.commit("side");
    let (side, main) = (repository.id("side"), repository.id("main"));
    // As a merge without conflicts does, in one move of the branch.
    let tree = repository.git(&["rev-parse", "side^{tree}"]);
    let parents = ["-p", main.as_str(), "-p", side.as_str()];
    let words = [&["commit-tree"], &parents[..], &["-m", "merge", &tree]].concat();
    let merge = repository.git(&words);
    repository.git(&["checkout", "--quiet", "-B", "main", &merge]);
    true
}
