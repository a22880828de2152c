//! The examples in `docs/status-file.md` are what the page says they are. The types here are written anew and
//! not those of the library, so that a renamed field is seen as the break of a contract that it is.

use std::path::Path;

use serde::Deserialize;

/// The first record, as the page documents it; an unknown field fails.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct First {
    status: String,
    message: String,
    commit: String,
    version: u32,
    source: String,
    export_path: String,
    run: String,
    started_at: String,
    finished_at: Option<String>,
    records: String,
    put: u64,
    put_bytes: u64,
    copied: u64,
    copied_bytes: u64,
    deleted: u64,
    kept: u64,
    skipped: Option<u64>,
    failed: u64,
    #[serde(default)]
    unguarded: Vec<String>,
    #[serde(default)]
    errors: Vec<PathError>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PathError {
    path: String,
    error: String,
}

/// Every further record.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    path: String,
    etag: String,
    size: u64,
    version_id: Option<String>,
}

/// The fenced blocks of JSON Lines in the page.
fn examples() -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/status-file.md");
    let page = std::fs::read_to_string(page).unwrap();
    let blocks = page.split("```jsonl\n").skip(1);
    blocks
        .map(|rest| rest.split("```").next().unwrap().to_owned())
        .collect()
}

#[test]
fn the_documented_status_files_parse() {
    let examples = examples();
    let mut seen = Vec::new();
    for example in &examples {
        let mut lines = example.lines();
        let first_line = lines.next().unwrap();
        assert!(first_line.len() <= 4096, "the first record fits in 4 KiB");
        let first: First = serde_json::from_str(first_line).unwrap();
        assert_eq!((first.version, first.commit.len()), (1, 40));
        assert!(!first.message.is_empty() && !first.source.is_empty());
        assert!(first.export_path.parse::<lakesync::model::S3Url>().is_ok());
        assert!(first.run.parse::<lakesync::model::RunId>().is_ok());
        let started: jiff::Timestamp = first.started_at.parse().unwrap();
        if let Some(finished) = &first.finished_at {
            assert!(finished.parse::<jiff::Timestamp>().unwrap() >= started);
        }
        let records: Vec<Record> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(first.records == "all" && first.unguarded.is_empty());
        assert!(records.is_sorted_by(|left, right| left.path < right.path));
        assert!(records.iter().all(|record| !record.etag.contains('"')));
        assert!(records.iter().all(|record| record.version_id.as_deref() != Some("")));
        match first.status.as_str() {
            "success" => {
                assert_eq!(records.len() as u64, first.put + first.copied + first.kept);
                assert!(records.iter().map(|record| record.size).sum::<u64>() >= first.put_bytes + first.copied_bytes);
                assert_eq!((first.failed, first.errors.len()), (0, 0));
            }
            "failure" => {
                assert_eq!((first.failed, first.deleted), (first.errors.len() as u64, 0));
                assert!(
                    first
                        .errors
                        .iter()
                        .all(|error| !error.path.is_empty() && !error.error.is_empty())
                );
            }
            "creating" => assert!(records.is_empty() && first.finished_at.is_none()),
            other => panic!("{other:?} is no state of an example"),
        }
        // The first knows nothing yet, and the last was made of changes.
        assert_eq!(first.skipped, (first.status == "success").then_some(0));
        seen.push(first.status);
    }
    assert_eq!(seen, ["creating", "success", "failure"]);
}
