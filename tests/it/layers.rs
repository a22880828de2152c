//! The floor plan, held by a test: who may use whom, and who may name which crate.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use regex::Regex;

/// The rooms in the order in which data goes through them; each may use those above it alone.
const ROOMS: [&str; 25] = [
    "model",
    "causes",
    "progress",
    "wake",
    "cancel",
    "clock",
    "switches",
    "limits",
    "spool",
    "disk_cache",
    "network",
    "files",
    "source",
    "store",
    "ledger",
    "plan",
    "transfer",
    "status",
    "export",
    "watch",
    "mount",
    "checkout",
    "serve",
    "bench",
    "cli",
];

/// The rooms that may know of `export`; mount, checkout and watch stand below it and still may not.
const KNOW_EXPORT: [&str; 4] = ["export", "serve", "bench", "cli"];

/// A file with more lines than this is two files.
const MOST_LINES: usize = 500;

/// One file of the project: its path below the root, and its text.
struct SourceFile {
    path: PathBuf,
    text: String,
}

impl SourceFile {
    /// The room that a file under `src/` belongs to; `lib.rs` and `main.rs` are in none.
    fn room(&self) -> Option<&str> {
        let below = self.path.strip_prefix("src").ok()?;
        let first = below.components().next()?.as_os_str().to_str()?;
        let name = first.strip_suffix(".rs").unwrap_or(first);
        (!matches!(name, "lib" | "main")).then_some(name)
    }

    fn is_under(&self, room: &str) -> bool {
        self.path.starts_with(format!("src/{room}")) || self.path == Path::new(&format!("src/{room}.rs"))
    }

    /// The text without comment lines, in which any word may stand.
    fn code(&self) -> String {
        let is_code = |line: &&str| !line.trim_start().starts_with("//");
        self.text.lines().filter(is_code).collect::<Vec<_>>().join("\n")
    }
}

/// Every Rust file below some folders of the project.
fn files(folders: &[&str]) -> Vec<SourceFile> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut waiting: Vec<PathBuf> = folders.iter().map(|folder| root.join(folder)).collect();
    while let Some(folder) = waiting.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue; // a folder that the project does not have yet
        };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let path = path.strip_prefix(root).unwrap().to_owned();
                found.push(SourceFile { path, text });
            }
        }
    }
    found.sort_by(|left, right| left.path.cmp(&right.path));
    assert!(!found.is_empty(), "no Rust file below {folders:?}");
    found
}

/// The first names of all paths that begin with `crate::`, those in braces too.
fn rooms_named(code: &str) -> BTreeSet<String> {
    let single = Regex::new(r"\bcrate::(\w+)").unwrap();
    let mut named: BTreeSet<String> = single.captures_iter(code).map(|found| found[1].to_owned()).collect();
    let group = Regex::new(r"\bcrate::\{").unwrap();
    for start in group.find_iter(code) {
        let mut depth = 0_usize;
        let mut items = vec![String::new()];
        for letter in code[start.end()..].chars() {
            match letter {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => items.push(String::new()),
                _ if depth == 0 => items.last_mut().expect("one is there from the start").push(letter),
                _ => {}
            }
        }
        let first_name = |item: &String| item.trim().split("::").next().map(str::trim).map(str::to_owned);
        named.extend(items.iter().filter_map(first_name).filter(|name| !name.is_empty()));
    }
    named
}

/// What a file does that its room may not do.
fn violations(file: &SourceFile) -> Vec<String> {
    let mut found = Vec::new();
    let mut report = |what: String| found.push(format!("{}: {what}", file.path.display()));
    let code = file.code();
    if let Some(room) = file.room() {
        match ROOMS.iter().position(|known| *known == room) {
            None => report(format!("the room `{room}` is not in the list of rooms")),
            Some(own) => {
                for used in rooms_named(&code) {
                    match ROOMS.iter().position(|known| *known == used) {
                        None => report(format!("uses `crate::{used}`, which is no room")),
                        Some(other) if other > own => report(format!("uses `{used}`, which stands below `{room}`")),
                        Some(_) if used == "export" && !KNOW_EXPORT.contains(&room) => {
                            report("knows of `export`; only cli, serve and bench may".to_owned());
                        }
                        Some(_) => {}
                    }
                }
            }
        }
    }
    for (pattern, home, what) in [
        (
            r"\baws_(sdk|smithy|config|types|credential)\w*\s*(::|;| as )",
            "store/s3",
            "an AWS crate",
        ),
        (
            r"\b(use clap|clap(_\w+)?::|derive\([^)]*\b(Parser|Subcommand|ValueEnum)\b)",
            "cli",
            "clap",
        ),
        (r"\be?print(ln)?!", "cli", "the terminal"),
    ] {
        if file.path.starts_with("src") && !file.is_under(home) && Regex::new(pattern).unwrap().is_match(&code) {
            report(format!("names {what}, which only src/{home} may"));
        }
    }
    found
}

#[test]
fn a_room_uses_only_what_stands_above_it() {
    let found: Vec<String> = files(&["src"]).iter().flat_map(violations).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn what_breaks_the_floor_plan_is_found() {
    for (path, text, expected) in [
        (
            "src/store/s3/list.rs",
            "use crate::ledger::Root;",
            Some("uses `ledger`"),
        ),
        (
            "src/store.rs",
            "use crate::{\n    model::{Bucket, ETag},\n    plan::Plan,\n};",
            Some("uses `plan`"),
        ),
        ("src/model/path.rs", "use crate::{cli, model};", Some("uses `cli`")),
        (
            "src/plan/order.rs",
            "fn x(a: crate::transfer::T) {}",
            Some("uses `transfer`"),
        ),
        (
            "src/mount/view.rs",
            "use crate::export::Report;",
            Some("knows of `export`"),
        ),
        ("src/helpers.rs", "", Some("not in the list")),
        ("src/plan.rs", "use crate::Thing;", Some("no room")),
        ("src/ledger.rs", "use aws_sdk_s3::Client;", Some("an AWS crate")),
        (
            "src/store/retry.rs",
            "use aws_smithy_types::DateTime;",
            Some("an AWS crate"),
        ),
        ("src/status.rs", "use clap::Parser;", Some("names clap")),
        ("src/bench.rs", "    println!(\"x\");", Some("the terminal")),
        ("src/main.rs", "    eprintln!(\"x\");", Some("the terminal")),
        (
            "src/store/s3.rs",
            "use aws_config::SdkConfig;\nuse crate::{model::{ETag, RelPath}, limits};",
            None,
        ),
        (
            "src/cli/export.rs",
            "use clap::Args;\nuse crate::export::Report;\nfn f() { println!(); }",
            None,
        ),
        (
            "src/model.rs",
            "//! See `crate::cli`, println! and aws_sdk_s3::Client.",
            None,
        ),
    ] {
        let file = SourceFile {
            path: path.into(),
            text: text.into(),
        };
        let found = violations(&file).join("\n");
        match expected {
            Some(part) => assert!(found.contains(part), "{path}: expected {part:?}, found {found:?}"),
            None => assert_eq!(found, "", "{path}"),
        }
    }
}

#[test]
fn lib_lists_the_rooms_in_their_order() {
    let lib = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let module = Regex::new(r"(?m)^(?:pub )?mod (\w+);").unwrap();
    let listed: Vec<String> = module.captures_iter(&lib).map(|found| found[1].to_owned()).collect();
    let in_order: Vec<&str> = ROOMS
        .into_iter()
        .filter(|room| listed.iter().any(|name| name == room))
        .collect();
    assert_eq!(listed, in_order);
}

#[test]
fn no_file_is_longer_than_one_can_hold_in_mind() {
    let long: Vec<String> = files(&["src", "tests", "benches"])
        .iter()
        .filter(|file| file.text.lines().count() > MOST_LINES)
        .map(|file| format!("{}: {} lines", file.path.display(), file.text.lines().count()))
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

/// Cargo compiles what is declared and says nothing of the rest: a forgotten file would never run.
#[test]
fn every_test_file_is_declared() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut missing = Vec::new();
    for file in files(&["tests"]) {
        let name = file.path.file_stem().unwrap().to_str().unwrap();
        let folder = file.path.parent().unwrap();
        if name == "main" {
            continue;
        }
        if folder == Path::new("tests") {
            missing.push(format!(
                "{}: a test program of its own; move it to tests/it/",
                file.path.display()
            ));
            continue;
        }
        let main = folder.join("main.rs");
        let parent = if root.join(&main).exists() {
            main
        } else {
            folder.with_extension("rs")
        };
        let text = std::fs::read_to_string(root.join(&parent)).unwrap_or_default();
        let declared = Regex::new(&format!(r"(?m)^(pub(\(\w+\))? )?mod {name};")).unwrap();
        if !declared.is_match(&text) {
            missing.push(format!("{}: not declared in {}", file.path.display(), parent.display()));
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}
