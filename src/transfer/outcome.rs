//! What came of each step, in the order of paths although steps end in any order.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ledger::Record;
use crate::model::RelPath;
use crate::spool::{Spool, SpoolError};

/// What came of one step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The object stands as the head wants it; `copied` tells how its bytes came.
    Written {
        /// What stands there now.
        record: Record,
        /// Whether the store copied it.
        copied: bool,
    },
    /// The object is gone.
    Deleted {
        /// Where it was.
        path: RelPath,
    },
    /// What stands there is not ours any more, and nobody wants the path.
    LetGo {
        /// Where.
        path: RelPath,
    },
    /// What stands there is not ours, and the head wants the path.
    Conflict {
        /// Where.
        path: RelPath,
        /// In words, with the cure.
        error: String,
    },
    /// It failed; what stood there stands there still, as far as we know.
    Failed {
        /// Where.
        path: RelPath,
        /// In words.
        error: String,
    },
}

impl Outcome {
    /// The path it is about.
    pub fn path(&self) -> &RelPath {
        match self {
            Self::Written { record, .. } => &record.path,
            Self::Deleted { path } | Self::LetGo { path } | Self::Conflict { path, .. } | Self::Failed { path, .. } => {
                path
            }
        }
    }

    /// Why it failed, where it did.
    pub fn error(&self) -> Option<&str> {
        match self {
            Self::Conflict { error, .. } | Self::Failed { error, .. } => Some(error),
            Self::Written { .. } | Self::Deleted { .. } | Self::LetGo { .. } => None,
        }
    }
}

/// The outcomes of all turns, each turn's sorted by path.
///
/// Steps of a turn begin in the order of their paths and end nearly so; those that end early wait here for
/// the slow ones before them, some 200 bytes each.
#[derive(Default)]
pub struct Outcomes {
    turns: Vec<Spool<Outcome>>,
    next: u64,
    waiting: BTreeMap<u64, Outcome>,
}

impl Outcomes {
    /// Begins a turn; the numbers of its steps start at 0.
    pub fn begin_turn(&mut self) -> Result<(), SpoolError> {
        self.end_turn()?;
        self.turns.push(Spool::new(None));
        self.next = 0;
        Ok(())
    }

    /// Takes the outcome of the step with this number.
    pub fn push(&mut self, number: u64, outcome: Outcome) -> Result<(), SpoolError> {
        self.waiting.insert(number, outcome);
        while let Some(outcome) = self.waiting.remove(&self.next) {
            self.keep(&outcome)?;
            self.next += 1;
        }
        Ok(())
    }

    /// Ends a turn. After a cancelled one there are holes; what ended beyond them counts all the same.
    pub fn end_turn(&mut self) -> Result<(), SpoolError> {
        for outcome in std::mem::take(&mut self.waiting).into_values() {
            self.keep(&outcome)?;
        }
        Ok(())
    }

    /// The outcomes of each turn, sorted by path.
    pub fn turns(&self) -> impl Iterator<Item = &Spool<Outcome>> {
        self.turns.iter()
    }

    fn keep(&mut self, outcome: &Outcome) -> Result<(), SpoolError> {
        self.turns.last_mut().expect("a turn was begun").push(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_come_out_sorted_whatever_order_they_came_in_and_holes_lose_nothing() {
        let outcome = |name: &str| Outcome::Deleted {
            path: RelPath::new(name).unwrap(),
        };
        let mut outcomes = Outcomes::default();
        outcomes.begin_turn().unwrap();
        for (number, name) in [(2, "c"), (0, "a"), (1, "b"), (5, "f")] {
            outcomes.push(number, outcome(name)).unwrap();
        }
        outcomes.begin_turn().unwrap();
        outcomes.push(0, outcome("a")).unwrap();
        outcomes.end_turn().unwrap();
        let names: Vec<Vec<String>> = outcomes
            .turns()
            .map(|turn| turn.iter().map(|outcome| outcome.unwrap().path().to_string()).collect())
            .collect();
        assert_eq!(names, [vec!["a", "b", "c", "f"], vec!["a"]]);
    }
}
