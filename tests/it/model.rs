//! The model test: random commits, exports, faults, crashes, pauses, races and meddling; a judge that knows what
//! must hold looks after each (the promises of `docs/semantics.md`).
//!
//! A failing case prints as a test that can be pasted into `model/regressions.rs`. More cases:
//! `LAKESYNC_MODEL_CASES=100000 LAKESYNC_MODEL_SEED=7 cargo test --test it model`.

#![allow(clippy::print_stderr, reason = "what was tried is worth reading beside the verdict")]

mod bucket;
mod ends;
mod env;
mod generate;
mod judge;
mod logs;
mod ops;
mod regressions;
mod switches;
mod wire;
mod world;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;

use self::ops::Case;
use self::wire::STEPS;
use self::world::{Tally, World};

/// How many cases a usual test run has: some seconds of them.
const CASES: u64 = 3_000;

/// Carries out a case; `strict`: writes without a condition are faults by themselves.
fn try_case(case: &Case, strict: bool) -> Result<Tally, String> {
    fastrand::seed(7);
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut world = World::new(case, strict);
            world.run(case).await.map(|()| world.tally)
        })
    };
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
        Err(format!("panicked: {}", text.unwrap_or_default()))
    })
}

/// Leaves out ops as long as the case fails without them.
fn shrink(case: &Case, strict: bool) -> (Case, String) {
    let mut smallest = case.clone();
    let mut why = try_case(case, strict).expect_err("only a failing case is shrunk");
    let mut at = smallest.ops.len();
    while at > 0 {
        at -= 1;
        let shorter = smallest.without(at);
        if let Err(other) = try_case(&shorter, strict) {
            (smallest, why) = (shorter, other);
        }
    }
    (smallest, why)
}

fn number_from_env<T: FromStr>(name: &str, usual: T) -> T {
    std::env::var(name)
        .ok()
        .map_or(usual, |text| text.parse().ok().expect("a number"))
}

/// Failures by what they say, numbers left out: one case of each kind is enough.
fn kind_of(why: &str) -> String {
    let last = why.rsplit(": ").next().unwrap_or(why);
    let is_name = |word: &&str| word.chars().any(|letter| letter.is_ascii_digit() || letter == '/');
    last.split(' ')
        .filter(|word| !is_name(word))
        .collect::<Vec<_>>()
        .join(" ")
}

/// P1, P2, P3, P4, P5, P6, P7: whatever happens, they hold.
#[test]
fn whatever_happens_the_promises_hold() {
    let cases = number_from_env("LAKESYNC_MODEL_CASES", CASES);
    let first = number_from_env("LAKESYNC_MODEL_SEED", 0);
    let most = number_from_env("LAKESYNC_MODEL_FAILURES", 3);
    let mut total = Tally::default();
    let mut failures = BTreeMap::new();
    for seed in first..first + cases {
        let case = Case::generate(seed);
        match try_case(&case, true) {
            Ok(tally) => total.add(&tally),
            Err(why) => {
                failures.entry(kind_of(&why)).or_insert_with(|| {
                    let (smallest, smallest_why) = shrink(&case, true);
                    format!(
                        "seed {seed}: {why}\nsmallest: {smallest_why}\n\n{}\n",
                        smallest.as_test()
                    )
                });
            }
        }
        if failures.len() >= most {
            break;
        }
    }
    let failures: Vec<String> = failures.into_values().collect();
    assert!(failures.is_empty(), "{total:?}\n{}", failures.join("\n"));
    assert!(
        total.exported > 0 && total.unchanged > 0 && total.failed > 0 && total.lost > 0,
        "{total:?}"
    );
    eprintln!("{cases} cases from seed {first}: {total:?}");
    if cases >= CASES {
        for step in 1..STEPS {
            assert!(total.crashes[step] > 0, "no run was killed at step {step}: {total:?}");
            assert!(total.pauses[step] > 0, "no run stood still at step {step}: {total:?}");
        }
    }
}
