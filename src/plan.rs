//! What a run will do, as data: made of a tree and a ledger, without any input or output.

mod content_type;
mod headers;
mod keys;
mod markers;
mod order;
mod planner;
mod step;

pub use headers::{HeaderError, HeaderRuleError, HeaderRules};
pub use keys::{KeyProblem, KeyRules, LEDGER_FOLDER, OddKeys, is_own_file};
pub use markers::Markers;
pub use order::{LastRuleError, LastRules, MARKER_NAME, Turn};
pub use planner::{Draft, Plan, PlanError, PlanRules, Planner};
pub use step::{Origin, Replaces, Standing, Step, Work};
