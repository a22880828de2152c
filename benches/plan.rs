//! Plans and records 0.1 % of changes among 1,000,000 entries, and says what that took: `cargo bench --bench plan`.
//!
//! Each case is a process of its own, so that its peak of memory is its own. The bucket lives in the same process:
//! what it holds is printed first and is part of the peak.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::exit,
    missing_docs,
    reason = "a bench is a program that prints"
)]

#[path = "../tests/it/scale/generated.rs"]
mod generated;

use std::time::Instant;

use generated::{Generated, Spread, exported, exporter, ranges};
use tokio_util::sync::CancellationToken;

const CASES: [(&str, Spread, bool); 4] = [
    ("clustered, changes told", Spread::Clustered, true),
    ("clustered, trees compared", Spread::Clustered, false),
    ("scattered, changes told", Spread::Scattered, true),
    ("scattered, trees compared", Spread::Scattered, false),
];

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let files = if arguments.iter().any(|argument| argument == "--test") {
        10_000
    } else {
        1_000_000
    };
    match std::env::var("LAKESYNC_BENCH_CASE") {
        Ok(case) => one_case(&CASES[case.parse::<usize>().unwrap()], files),
        Err(_) => {
            for case in 0..CASES.len() {
                let mut child = std::process::Command::new(&arguments[0]);
                let child = child.args(&arguments[1..]).env("LAKESYNC_BENCH_CASE", case.to_string());
                assert!(child.status().unwrap().success());
            }
        }
    }
}

fn one_case((name, spread, tells_changes): &(&str, Spread, bool), files: u64) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let source = Generated {
            files,
            changed: files / 1000,
            spread: *spread,
            tells_changes: *tells_changes,
        };
        let store = exported(&source).await;
        let all = ranges(&store).await;
        store.clear_log();
        let before = resident_kib("VmRSS");
        let began = Instant::now();
        let plan = exporter(source.clone(), &store).dry_run().await.unwrap();
        let planned = began.elapsed();
        assert_eq!(plan.totals.put, source.changed);
        drop(plan);
        let plan_peak = resident_kib("VmHWM");
        store.clear_log();
        let began = Instant::now();
        exporter(source, &store).run(&CancellationToken::new()).await.unwrap();
        let ran = began.elapsed();
        let key = |call: &lakesync::store::memory::Logged| call.key.as_ref().map(|key| key.as_str().to_owned());
        let written = store
            .log()
            .iter()
            .filter(|call| call.kind.is_write() && key(call).is_some_and(|key| key.contains("/ranges/")))
            .count();
        println!(
            "{name}: {files} entries in {all} ranges; plan {planned:.2?}, whole run {ran:.2?}, {} requests, \
             {written} ranges written; MiB before {}, peak of plan {}, of all {}",
            store.log().len(),
            before / 1024,
            plan_peak / 1024,
            resident_kib("VmHWM") / 1024,
        );
    });
}

/// A figure of `/proc/self/status`.
fn resident_kib(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
