//! In which order the steps of a plan are taken.
//!
//! Data first, then what makes readers look at data (`_SUCCESS`, table logs, markers), then deletes in the
//! mirrored order: at every moment, what a reader is pointed at is there.

use globset::{Glob, GlobSet, GlobSetBuilder};
use serde::{Deserialize, Serialize};

use crate::model::RelPath;
use crate::switches::{Switch, is_out};

/// The name of the empty object that `--prefix-regex` puts into a folder after its files.
pub const MARKER_NAME: &str = "_lakefs_success";

/// The place of a step among the others; steps of one turn may go side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Turn {
    /// Plain objects.
    Data,
    /// Plain objects that are copied from ones that the first turn wrote.
    Twins,
    /// Objects that point at others, by rank.
    Last(u16),
    /// Deletes that stand in the way of a write, on a store that cannot hold `a` beside `a/b`.
    Clear,
    /// The writes they stood in the way of.
    Blocked,
    /// Deletes of objects that pointed at others; the highest rank goes first, so it is stored mirrored.
    DeleteLast(u16),
    /// Deletes of plain objects.
    DeleteData,
    /// Nothing is sent: conflicts, objects let go, files that cannot be read.
    Noted,
}

impl Turn {
    /// Whether its steps are deletes.
    pub fn is_delete(self) -> bool {
        matches!(self, Self::Clear | Self::DeleteLast(_) | Self::DeleteData)
    }

    /// Whether its steps must go one after another, in the order of their paths: commit files of a table
    /// log, where a reader that sees number 11 expects number 10.
    pub fn is_sequential(self) -> bool {
        matches!(self, Self::Last(rank) | Self::DeleteLast(rank) if rank == RANK_DELTA_LOG || rank == u16::MAX - RANK_DELTA_LOG)
    }
}

const RANK_SUCCESS: u16 = 0;
const RANK_DELTA_LOG: u16 = 1;
// Iceberg: manifests, then the metadata file that names them, then the hint that names that.
const RANK_ICEBERG_MANIFEST: u16 = 2;
const RANK_ICEBERG_METADATA: u16 = 3;
const RANK_ICEBERG_HINT: u16 = 4;
const RANK_FIRST_GLOB: u16 = 5;
const RANK_MARKER: u16 = 10_000;

/// Says which paths go last, and in which order.
#[derive(Clone, Debug, Default)]
pub struct LastRules {
    globs: GlobSet,
}

/// A `--last` that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("--last {glob:?}: not a glob")]
pub struct LastRuleError {
    glob: String,
    source: globset::Error,
}

impl LastRules {
    /// Reads the globs of `--last`, which go behind the built-in rules in the order given.
    pub fn new(globs: &[String]) -> Result<Self, LastRuleError> {
        let mut set = GlobSetBuilder::new();
        for glob in globs {
            set.add(Glob::new(glob).map_err(|source| LastRuleError {
                glob: glob.clone(),
                source,
            })?);
        }
        let whole = globs.join(" ");
        Ok(Self {
            globs: set.build().map_err(|source| LastRuleError { glob: whole, source })?,
        })
    }

    /// The turn in which a path is written.
    pub fn turn_of_write(&self, path: &RelPath) -> Turn {
        self.rank(path).map_or(Turn::Data, Turn::Last)
    }

    /// The turn in which a path is deleted.
    pub fn turn_of_delete(&self, path: &RelPath) -> Turn {
        self.rank(path)
            .map_or(Turn::DeleteData, |rank| Turn::DeleteLast(u16::MAX - rank))
    }

    fn rank(&self, path: &RelPath) -> Option<u16> {
        if is_out(Switch::LastRulesOrder) {
            return None;
        }
        let name = path.file_name();
        if name == MARKER_NAME.as_bytes() {
            return Some(RANK_MARKER);
        }
        if !self.globs.is_empty() {
            use std::os::unix::ffi::OsStrExt as _;
            let whole = std::path::Path::new(std::ffi::OsStr::from_bytes(path.as_bytes()));
            let base = std::path::Path::new(std::ffi::OsStr::from_bytes(name));
            // As in rsync and gitignore, a glob without a slash is about the name alone.
            let first = self
                .globs
                .matches(whole)
                .into_iter()
                .chain(self.globs.matches(base))
                .min();
            if let Some(at) = first {
                return Some(
                    RANK_FIRST_GLOB
                        .saturating_add(u16::try_from(at).unwrap_or(u16::MAX))
                        .min(RANK_MARKER - 1),
                );
            }
        }
        if name == b"_SUCCESS" {
            return Some(RANK_SUCCESS);
        }
        let folder = path
            .folders()
            .last()
            .map(|folder| folder.rsplit(|byte| *byte == b'/').next().unwrap_or(folder));
        if path.segments().any(|segment| segment == b"_delta_log") && name != b"_delta_log" {
            return Some(RANK_DELTA_LOG);
        }
        match folder {
            Some(b"metadata") if name == b"version-hint.text" => Some(RANK_ICEBERG_HINT),
            Some(b"metadata") if name.ends_with(b".metadata.json") => Some(RANK_ICEBERG_METADATA),
            Some(b"metadata") if name.ends_with(b".avro") => Some(RANK_ICEBERG_MANIFEST),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(rules: &LastRules, path: &str) -> Turn {
        rules.turn_of_write(&RelPath::new(path).unwrap())
    }

    #[test]
    fn what_points_at_data_goes_after_it_in_the_stated_order() {
        let rules = LastRules::new(&["index.html".to_owned(), "site/*.xml".to_owned()]).unwrap();
        let expected = [
            "data/part-0.parquet",
            "t/_SUCCESS",
            "t/_delta_log/00000000000000000010.json",
            "t/metadata/snap-1.avro",
            "t/metadata/v2.metadata.json",
            "t/metadata/version-hint.text",
            "deep/index.html",
            "site/map.xml",
            "t/_lakefs_success",
        ];
        let turns: Vec<Turn> = expected.iter().map(|path| turn(&rules, path)).collect();
        assert!(turns.is_sorted_by(|a, b| a < b), "{turns:?}");
        assert_eq!(turn(&rules, "metadata/readme.md"), Turn::Data);
        assert_eq!(turn(&rules, "other/map.xml"), Turn::Data);
    }

    #[test]
    fn deletes_go_in_the_mirrored_order_after_all_writes() {
        let rules = LastRules::default();
        let delete = |path: &str| rules.turn_of_delete(&RelPath::new(path).unwrap());
        let turns = [
            delete("t/_lakefs_success"),
            delete("t/_delta_log/1.json"),
            delete("t/_SUCCESS"),
            delete("t/a"),
        ];
        assert!(turns.is_sorted_by(|a, b| a < b), "{turns:?}");
        assert!(Turn::Blocked < turns[0] && Turn::Last(u16::MAX) < Turn::Blocked);
        assert!(delete("t/_delta_log/1.json").is_sequential() && turn(&rules, "t/_delta_log/1.json").is_sequential());
    }
}
