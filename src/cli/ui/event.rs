//! The lines of `--json`; `docs/json.md` describes them, and a test reads its examples.

use serde::Serialize;

use crate::model::{CommitId, RunId};

/// What a line of `--json` is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EventKind {
    /// How much there is to do.
    Plan,
    /// One object that is done with, or that a dry run would do something with.
    Object,
    /// How far a run is.
    Progress,
    /// Something that the user should know.
    Warning,
    /// Something that failed.
    Error,
    /// What came of a run.
    Summary,
    /// The first record of a status file.
    Status,
    /// One file of a source.
    Entry,
    /// One value of the configuration.
    Value,
    /// One thing that a store can do or cannot, or that `verify` found.
    Finding,
    /// One record of a ledger, or its root.
    Record,
    /// A continuous export, as a server holds it.
    Export,
    /// A commit that a folder holds now.
    Checkout,
}

/// What the events of a run have in common.
#[derive(Clone, Debug, Default)]
pub struct Context {
    pub run: Option<RunId>,
    pub commit: Option<CommitId>,
}

#[derive(Serialize)]
struct Envelope<'a, Data> {
    #[serde(rename = "type")]
    kind: EventKind,
    v: u8,
    ts: jiff::Timestamp,
    run: Option<RunId>,
    commit: Option<&'a CommitId>,
    data: &'a Data,
}

/// The data of a warning.
#[derive(Serialize)]
pub struct WarningData<'a> {
    pub message: &'a str,
}

/// The data of an error.
#[derive(Serialize)]
pub struct ErrorData<'a> {
    pub message: &'a str,
    pub path: Option<&'a str>,
    pub causes: &'a [String],
    pub hint: Option<&'a str>,
    /// The code that the program ends with; none where it goes on.
    pub exit_code: Option<u8>,
}

/// Writes one event, without a line end.
pub fn line(kind: EventKind, context: &Context, data: &impl Serialize) -> String {
    let now = jiff::Timestamp::now();
    let envelope = Envelope {
        kind,
        v: 1,
        // Milliseconds are as much as anybody reads.
        ts: jiff::Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now),
        run: context.run,
        commit: context.commit.as_ref(),
        data,
    };
    serde_json::to_string(&envelope).expect("events hold no maps with odd keys and no failing serializers")
}
