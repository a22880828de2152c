//! What the process was given: words, environment, folder, terminal. Read once, so that tests can make their own.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

/// What the process was given. No `Debug`: the environment holds credentials.
#[derive(Clone)]
pub struct World {
    /// The words of the command line, the program's name first.
    pub words: Vec<OsString>,
    /// The environment.
    pub environment: BTreeMap<OsString, OsString>,
    /// The current folder; relative paths start there.
    pub folder: PathBuf,
    /// Whether stderr is a terminal that understands movements.
    pub stderr_moves: bool,
    /// Whether stderr may have colours.
    pub stderr_colours: bool,
    /// Whether stdout may have colours.
    pub stdout_colours: bool,
}

impl World {
    /// Reads what this process was given.
    pub fn of_this_process() -> Self {
        let environment: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
        let filled = |name: &str| environment.get(OsStr::new(name)).filter(|value| !value.is_empty());
        let dumb = filled("TERM").is_some_and(|term| term == "dumb");
        let plain = dumb || filled("NO_COLOR").is_some();
        let stderr_moves = std::io::stderr().is_terminal() && !dumb;
        Self {
            words: std::env::args_os().collect(),
            // A folder that was deleted has no name; relative paths then fail with their own message.
            folder: std::env::current_dir().unwrap_or_else(|_| PathBuf::from(".")),
            stderr_moves,
            stderr_colours: stderr_moves && !plain,
            stdout_colours: std::io::stdout().is_terminal() && !plain,
            environment,
        }
    }

    /// A variable that is set to something.
    pub fn variable(&self, name: &str) -> Option<&OsStr> {
        let value = self.environment.get(OsStr::new(name))?;
        (!value.is_empty()).then_some(value)
    }

    /// A path as seen from the current folder.
    pub fn resolve(&self, path: &Path) -> PathBuf {
        self.folder.join(path)
    }

    /// The user's own folder.
    pub fn home(&self) -> Option<PathBuf> {
        self.variable("HOME")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    }

    /// The user's folder for configuration.
    pub fn config_folder(&self) -> Option<PathBuf> {
        self.base_folder("XDG_CONFIG_HOME", ".config")
    }

    /// The user's folder for what can be made again.
    pub fn cache_folder(&self) -> Option<PathBuf> {
        self.base_folder("XDG_CACHE_HOME", ".cache")
    }

    /// The user's folder for what must not be lost.
    pub fn state_folder(&self) -> Option<PathBuf> {
        self.base_folder("XDG_STATE_HOME", ".local/state")
    }

    /// The rules of the XDG base directories: relative paths do not count. Cron may give no HOME at all.
    fn base_folder(&self, variable: &str, below_home: &str) -> Option<PathBuf> {
        let absolute = |name: &str| self.variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        absolute(variable).or_else(|| absolute("HOME").map(|home| home.join(below_home)))
    }
}

#[cfg(test)]
impl World {
    /// A world with nothing in it but a folder, which is HOME, too.
    pub fn sealed(folder: &Path, environment: &[(&str, &str)]) -> Self {
        let mut world = Self {
            words: vec!["lakesync".into()],
            environment: environment
                .iter()
                .map(|(name, value)| ((*name).into(), (*value).into()))
                .collect(),
            folder: folder.to_owned(),
            stderr_moves: false,
            stderr_colours: false,
            stdout_colours: false,
        };
        world.environment.insert("HOME".into(), folder.into());
        world
    }
}
