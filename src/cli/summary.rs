//! What came of a run, for people and for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::exit::Exit;
use super::human::{show_count, show_duration, show_number, show_size, show_skipped};
use super::progress::{FAILURES_SHOWN, round_ms};
use super::ui::{EventKind, Ui};
use crate::export::{Counts, Failure, Outcome, Report};
use crate::model::{CommitId, NoticeKind, RelPath, S3Url};
use crate::store::{RequestKind, RequestTotals};

/// The data of a `summary` event.
#[derive(Serialize)]
struct SummaryData<'a> {
    outcome: Outcome,
    export_path: &'a S3Url,
    #[serde(flatten)]
    counts: Counts,
    previous: Option<&'a CommitId>,
    status_file: Option<&'a str>,
    notices: &'a BTreeMap<NoticeKind, u64>,
    failures: &'a [Failure],
    let_go: &'a [RelPath],
    unguarded: &'a [String],
    requests: u64,
    requests_by_kind: &'a BTreeMap<RequestKind, u64>,
    retries: u64,
    throttles: u64,
    bytes_out: u64,
    bytes_in: u64,
    seconds: f64,
    exit_code: u8,
}

/// Tells what came of a run, and gives the exit code.
///
/// A run in which something failed is told with `--quiet`, too: somebody must look at it.
pub fn tell(ui: &Ui, export_path: &S3Url, report: &Report, requests: &RequestTotals) -> Exit {
    let exit = Exit::from(report);
    let total = requests.requests();
    ui.in_run(report.run, Some(&report.commit));
    let data = data(export_path, report, requests);
    // The exit code tells how the run went, whether or not anybody read its events.
    let _ = ui.event(EventKind::Summary, &data);
    if report.counts.failed > FAILURES_SHOWN {
        ui.problem(&format!(
            "and {} more failed",
            show_count(report.counts.failed - FAILURES_SHOWN, "object")
        ));
    }
    let text = text(export_path, report, requests, total, ui.talk_level().verbose > 0);
    match report.outcome {
        Outcome::Failed => ui.log(&text),
        Outcome::Unchanged | Outcome::Exported => ui.talk(&text),
    }
    exit
}

fn data<'a>(export_path: &'a S3Url, report: &'a Report, requests: &'a RequestTotals) -> SummaryData<'a> {
    SummaryData {
        outcome: report.outcome,
        export_path,
        counts: report.counts,
        previous: report.previous.as_ref(),
        status_file: report.status_file.as_deref(),
        notices: &report.notices,
        failures: &report.failures,
        let_go: &report.let_go,
        unguarded: &report.unguarded,
        requests: requests.requests(),
        requests_by_kind: &requests.attempts,
        retries: requests.retries,
        throttles: requests.throttles,
        bytes_out: requests.bytes_out,
        bytes_in: requests.bytes_in,
        seconds: round_ms(report.elapsed),
        exit_code: Exit::from(report).code(),
    }
}

/// `each_kind`: whether to say what the requests were, which is more than a terminal is wide.
fn text(export_path: &S3Url, report: &Report, requests: &RequestTotals, total: u64, each_kind: bool) -> String {
    let counts = &report.counts;
    let commit = report.commit.short();
    let mut text = match report.outcome {
        Outcome::Unchanged => format!("Nothing to do: {export_path} is at {commit}"),
        Outcome::Exported => format!("Exported {commit} to {export_path}"),
        Outcome::Failed => format!(
            "Not exported: {} failed, so {export_path} is not whole at {commit}",
            show_count(counts.failed, "object")
        ),
    };
    // Writing to a string does not fail.
    let mut line = |line: std::fmt::Arguments<'_>| {
        let _ = write!(text, "\n  {line}");
    };
    if report.outcome != Outcome::Unchanged {
        let skipped = show_skipped(counts.skipped);
        line(format_args!(
            "put {} ({}), copied {} ({}), deleted {}, kept {}{skipped}, failed {}",
            show_number(counts.put),
            show_size(counts.put_bytes),
            show_number(counts.copied),
            show_size(counts.copied_bytes),
            show_number(counts.deleted),
            show_number(counts.kept),
            show_number(counts.failed)
        ));
    }
    // How many more there are in the rest of the tree is not known.
    let among = if counts.skipped.is_some() {
        ""
    } else {
        " (of the changes)"
    };
    for (kind, count) in &report.notices {
        line(format_args!("{}{among}", notice_text(*kind, *count)));
    }
    if !report.let_go.is_empty() {
        let first: Vec<String> = report.let_go.iter().take(5).map(ToString::to_string).collect();
        let more = if report.let_go.len() > 5 { ", ..." } else { "" };
        line(format_args!(
            "let go {}, since somebody else changed them: {}{more}",
            show_count(report.let_go.len() as u64, "object"),
            first.join(", ")
        ));
    }
    for promise in &report.unguarded {
        line(format_args!("not guarded on this store: {promise}"));
    }
    let by_kind: Vec<String> = requests
        .attempts
        .iter()
        .map(|(kind, count)| format!("{} {}", kind.s3_name(), show_number(*count)))
        .collect();
    let by_kind = if by_kind.is_empty() || !each_kind {
        String::new()
    } else {
        format!(" ({})", by_kind.join(", "))
    };
    line(format_args!(
        "{}{by_kind}, {} in {}",
        show_count(total, "request"),
        if requests.retries == 1 {
            "1 retry".to_owned()
        } else {
            format!("{} retries", requests.retries)
        },
        show_duration(report.elapsed)
    ));
    if let Some(file) = &report.status_file {
        line(format_args!("status {file}"));
    }
    text
}

/// What became of files that are not plain ones: `2 symlinks left out`.
pub fn notice_text(kind: NoticeKind, count: u64) -> String {
    format!("{} {}", show_count(count, kind.noun()), kind.becomes(count))
}

/// The data of a summary, for the test of the examples.
#[cfg(test)]
pub fn sample() -> serde_json::Value {
    let url = "s3://bucket/a/".parse().expect("a place");
    let report = tests::report(Outcome::Exported);
    serde_json::to_value(data(&url, &report, &RequestTotals::default())).expect("plain data")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    pub fn report(outcome: Outcome) -> Report {
        Report {
            outcome,
            run: None,
            commit: CommitId::new("0123456789abcdef0123"),
            previous: None,
            status_file: Some("_STATUS_20261122T071422.123Z.json".to_owned()),
            counts: Counts {
                put: 3,
                put_bytes: 5 << 20,
                kept: 19_997,
                skipped: Some(2),
                failed: 1,
                ..Counts::default()
            },
            notices: BTreeMap::from([(NoticeKind::Symlink, 2), (NoticeKind::LfsPointer, 1)]),
            failures: Vec::new(),
            let_go: vec![RelPath::new("x").unwrap()],
            unguarded: vec!["P5".to_owned()],
            hooks: Vec::new(),
            elapsed: Duration::from_millis(3_210),
        }
    }

    #[test]
    fn a_summary_says_all_that_was_done_and_what_it_cost() {
        let url = "s3://bucket/a/".parse().unwrap();
        let requests = RequestTotals {
            attempts: BTreeMap::from([(RequestKind::Get, 2), (RequestKind::Put, 9)]),
            retries: 1,
            ..RequestTotals::default()
        };
        assert_eq!(
            text(&url, &report(Outcome::Exported), &requests, 11, true),
            "Exported 0123456789ab to s3://bucket/a/\n\
             \x20 put 3 (5 MiB), copied 0 (0 B), deleted 0, kept 19,997, skipped 2, failed 1\n\
             \x20 2 symlinks left out\n\
             \x20 1 LFS pointer exported as it is\n\
             \x20 let go 1 object, since somebody else changed them: x\n\
             \x20 not guarded on this store: P5\n\
             \x20 11 requests (GetObject 2, PutObject 9), 1 retry in 3.2s\n\
             \x20 status _STATUS_20261122T071422.123Z.json"
        );
        let mut of_changes = report(Outcome::Exported);
        of_changes.counts.skipped = None;
        let of_changes = text(&url, &of_changes, &requests, 11, true);
        for part in ["kept 19,997, failed 1\n", "2 symlinks left out (of the changes)\n"] {
            assert!(of_changes.contains(part), "{of_changes}");
        }
        let failed = text(&url, &report(Outcome::Failed), &requests, 11, false);
        assert!(failed.contains("\n  11 requests, 1 retry in 3.2s\n"), "{failed}");
        assert!(failed.starts_with("Not exported: 1 object failed, so s3://bucket/a/ is not whole at 0123456789ab\n"));
        let unchanged = text(&url, &report(Outcome::Unchanged), &RequestTotals::default(), 0, false);
        assert!(
            unchanged.starts_with("Nothing to do: s3://bucket/a/ is at 0123456789ab\n"),
            "{unchanged}"
        );
    }
}
