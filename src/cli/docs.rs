//! `docs/cli.md` and `docs/json.md` say what the program says, or a test fails.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::args::Cli;
use super::progress::{Meter, ObjectData, ProgressData};
use super::ui::{Context, ErrorData, EventKind, WarningData, event_line};
use crate::progress::{Action, Totals};

fn page(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name)
}

fn describe(command: &clap::Command, path: &str, text: &mut String) {
    let help = command.clone().term_width(100).render_long_help().to_string();
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    write!(text, "\n## {path}\n\n```text\n{}\n```\n", lines.join("\n").trim_end()).unwrap();
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        describe(sub, &format!("{path} {}", sub.get_name()), text);
    }
}

fn manual() -> String {
    let mut command = Cli::plain_command();
    command.build();
    let mut text = "# The command line\n\nWhat `lakesync help COMMAND` prints, for all commands. Made by a test; \
                    `LAKESYNC_UPDATE=1 cargo test --lib cli::docs` writes it anew.\n"
        .to_owned();
    describe(&command, "lakesync", &mut text);
    text
}

#[test]
fn the_manual_is_the_help_of_the_program() {
    let (path, text) = (page("cli.md"), manual());
    if std::env::var_os("LAKESYNC_UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &text).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == text,
        "docs/cli.md is old; LAKESYNC_UPDATE=1 cargo test --lib cli::docs"
    );
}

/// The fields of an object, sorted.
fn fields(value: &serde_json::Value) -> Vec<String> {
    let mut fields: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
    fields.sort();
    fields
}

/// One event of each kind of a run, as the program writes it.
fn samples() -> Vec<String> {
    let context = Context::default();
    let object = ObjectData {
        action: Action::Put,
        path: String::new(),
        bytes: 0,
        etag: None,
        ms: None,
        error: None,
        from: None,
        dry_run: false,
    };
    let error = ErrorData {
        message: "",
        path: None,
        causes: &[],
        hint: None,
        exit_code: None,
    };
    let progress = ProgressData::from(&Meter::new().read(std::time::Instant::now()));
    vec![
        event_line(EventKind::Plan, &context, &Totals::default()),
        event_line(EventKind::Object, &context, &object),
        event_line(EventKind::Progress, &context, &progress),
        event_line(EventKind::Warning, &context, &WarningData { message: "" }),
        event_line(EventKind::Error, &context, &error),
        event_line(EventKind::Summary, &context, &super::summary::sample()),
    ]
}

/// The examples have the very fields that the program writes, no more and no fewer.
#[test]
fn the_examples_of_the_events_are_what_the_program_writes() {
    let text = std::fs::read_to_string(page("json.md")).unwrap();
    let block = text.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    let examples: Vec<serde_json::Value> = block.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let written = samples();
    assert_eq!(examples.len(), written.len());
    for (example, written) in examples.iter().zip(&written) {
        let written: serde_json::Value = serde_json::from_str(written).unwrap();
        assert_eq!(example["type"], written["type"]);
        assert_eq!(fields(example), fields(&written), "{example}");
        assert_eq!(
            fields(&example["data"]),
            fields(&written["data"]),
            "{}",
            example["type"]
        );
    }
}
