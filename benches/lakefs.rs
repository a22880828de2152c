//! Reads the entries of a lakeFS branch of 1,000,000 files, and plans 10 changes of it: `cargo bench --bench lakefs`.
//!
//! The server is the stand-in of the tests, in a process of its own; each case is another process, so that its time
//! and its peak of memory are its own. The cases of a round follow each other, and the ratio is the median of those
//! within a round. Targets: by ranges at most 0.25 of the time by pages; the plan of 10 changes in a second, with no
//! other ranges fetched than those that the commits do not share; no peak above 150 MB.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::exit,
    missing_docs,
    reason = "a bench is a program that prints"
)]

#[path = "../tests/it/scale/generated.rs"]
#[allow(dead_code, reason = "only the ledger is needed of it")]
mod generated;
#[path = "../tests/it/lakefs"]
#[allow(dead_code, unused_imports, unreachable_pub, reason = "the tests need more of it")]
mod lakefs {
    pub mod standin;
}

use std::process::{Command, Stdio};
use std::time::Instant;

use lakefs::standin::{ACCESS_KEY_ID, BlockStore, Call, SECRET_ACCESS_KEY, Settings, StandIn};
use lakesync::model::CommitId;
use lakesync::source::lakefs::{
    LakeFsClient, LakeFsConfig, LakeFsKeys, LakeFsSource, LakeFsSourceConfig, ListingChoice,
};
use lakesync::source::{Item, Source as _};

const REPOSITORY: &str = "bench";
const BY_PAGES: &str = "tree by pages";
const BY_RANGES: &str = "tree by ranges";
const PLAN: &str = "plan of 10 changes";

#[tokio::main]
async fn main() {
    match std::env::var("LAKESYNC_BENCH_CASE") {
        Ok(case) => one_case(&case).await,
        Err(_) => all_cases().await,
    }
}

async fn all_cases() {
    let arguments: Vec<String> = std::env::args().collect();
    let is_test = arguments.iter().any(|argument| argument == "--test");
    let (files, rounds) = if is_test { (20_000, 1) } else { (1_000_000, 5) };
    let server = StandIn::start(Settings::new(BlockStore::Local));
    new_repository(&server).await;
    let old = server.commit_generated(REPOSITORY, "main", files).await;
    let changed: Vec<u64> = (0..10).map(|number| number * files / 10).collect();
    let new = server.change_generated(REPOSITORY, "main", &changed, 1).await;
    let (before, after) = (server.range_ids(REPOSITORY, &old), server.range_ids(REPOSITORY, &new));
    let unshared = after.iter().filter(|id| !before.contains(id)).count();
    println!(
        "{files} entries in {} ranges, 10 changes in {unshared} of them",
        after.len()
    );
    let mut ratios = Vec::new();
    for _ in 0..rounds {
        let mut seconds = Vec::new();
        for case in [BY_PAGES, BY_RANGES, PLAN] {
            server.forget();
            let child = Command::new(&arguments[0])
                .env("LAKESYNC_BENCH_CASE", case)
                .env("LAKESYNC_BENCH_SERVER", &server.endpoint)
                .env("LAKESYNC_BENCH_COMMITS", format!("{old} {new}"))
                .stderr(Stdio::inherit())
                .output()
                .unwrap();
            assert!(child.status.success());
            let text = String::from_utf8(child.stdout).unwrap();
            print!("{text}");
            let (pages, ranges) = (server.count(Call::List), server.count(Call::Range));
            println!("    {pages} pages, {ranges} ranges fetched");
            if case == PLAN {
                // The ledger was made from the whole tree before.
                let planned = ranges - before.len();
                assert_eq!(planned, 2 * unshared, "the others are the same in both commits");
            }
            seconds.push(text.split_whitespace().next().unwrap().parse::<f64>().unwrap());
        }
        ratios.push(seconds[1] / seconds[0]);
    }
    ratios.sort_by(f64::total_cmp);
    println!("by ranges / by pages: {:.3}", ratios[ratios.len() / 2]);
}

async fn new_repository(server: &StandIn) {
    let provider = rustls::crypto::ring::default_provider();
    provider.install_default().unwrap();
    let made = reqwest::Client::new()
        .post(format!("{}/api/v1/repositories", server.endpoint))
        .basic_auth(ACCESS_KEY_ID, Some(SECRET_ACCESS_KEY))
        .header("content-type", "application/json")
        .body(format!(
            r#"{{"name":"{REPOSITORY}","storage_namespace":"local://{REPOSITORY}","default_branch":"main"}}"#
        ))
        .send()
        .await;
    assert!(made.unwrap().status().is_success());
}

async fn source(listing: ListingChoice) -> LakeFsSource {
    let endpoint = std::env::var("LAKESYNC_BENCH_SERVER").unwrap();
    let keys = LakeFsKeys {
        access_key_id: ACCESS_KEY_ID.to_owned(),
        secret_access_key: SECRET_ACCESS_KEY.to_owned(),
    };
    let client = LakeFsClient::new(LakeFsConfig::new(endpoint.parse().unwrap(), keys)).unwrap();
    let config = LakeFsSourceConfig {
        reference: Some("main".parse().unwrap()),
        listing,
        ..LakeFsSourceConfig::new(REPOSITORY.parse().unwrap())
    };
    LakeFsSource::open(client, config).await.unwrap()
}

async fn one_case(case: &str) {
    let commits = std::env::var("LAKESYNC_BENCH_COMMITS").unwrap();
    let (old, new) = commits.split_once(' ').unwrap();
    let (old, new) = (CommitId::new(old), CommitId::new(new));
    let (what, seconds) = match case {
        PLAN => {
            let store = generated::empty();
            let exporter = generated::exporter(source(ListingChoice::Ranges).await, &store);
            generated::write_ledger(&exporter, &store, old).await;
            // Of another process: nothing is known yet. The bucket, which is in this one, is part of the peak.
            std::fs::write("/proc/self/clear_refs", "5").unwrap();
            let bucket_mib = mib("VmRSS");
            let exporter = generated::exporter(source(ListingChoice::Ranges).await, &store);
            let began = Instant::now();
            let plan = exporter.dry_run().await.unwrap();
            let took = began.elapsed();
            let written = plan.totals.put + plan.totals.copied;
            let what = format!("{written} objects to write, {bucket_mib} MiB before");
            (what, took)
        }
        _ => {
            let listing = if case == BY_PAGES {
                ListingChoice::Pages
            } else {
                ListingChoice::Ranges
            };
            let source = source(listing).await;
            let began = Instant::now();
            let mut entries = source.tree(&new).await.unwrap();
            let mut count = 0_u64;
            while let Some(item) = entries.next().await.unwrap() {
                count += u64::from(matches!(item, Item::Entry(_)));
            }
            (format!("{count} entries"), began.elapsed())
        }
    };
    println!(
        "{:.3} s, {case}: {what}; peak {} MiB",
        seconds.as_secs_f64(),
        mib("VmHWM")
    );
}

/// A figure of `/proc/self/status`.
fn mib(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}
