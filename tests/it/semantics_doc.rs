//! `docs/semantics.md` promises; each promise is named by a test that would fail without it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use regex::Regex;

/// The numbers of the promises, which never change: others refer to them.
const PROMISES: std::ops::RangeInclusive<u8> = 1..=10;

/// The numbers that the headings of the page give, in order.
fn promised(page: &str) -> Vec<u8> {
    let heading = Regex::new(r"(?m)^## P(\d+)[.:] \S").unwrap();
    heading
        .captures_iter(page)
        .map(|found| found[1].parse().unwrap())
        .collect()
}

/// The promises that the tests of one file name: by a comment directly above the test that begins with
/// `P4:` or `P1, P5:`, or by a part of its name (`p4_an_unchanged_file_is_not_sent`).
fn proved(text: &str) -> BTreeMap<u8, String> {
    let comment = Regex::new(r"^//[/!]?\s*((?:P\d+(?:, | and )?)+):").unwrap();
    let number = Regex::new(r"[Pp](\d+)").unwrap();
    let function = Regex::new(r"^(?:async )?fn (\w+)").unwrap();
    let mut found = BTreeMap::new();
    let mut named = BTreeSet::new();
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        if let Some(list) = comment.captures(line) {
            named.extend(
                number
                    .captures_iter(&list[1])
                    .map(|digits| digits[1].parse::<u8>().unwrap()),
            );
        } else if line.starts_with("#[") {
            is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        } else if let Some(name) = function.captures(line).filter(|_| is_test) {
            let parts = name[1]
                .split('_')
                .filter_map(|part| number.captures(part).filter(|_| part.starts_with('p')));
            named.extend(parts.filter_map(|digits| digits[1].parse::<u8>().ok()));
            found.extend(named.iter().map(|promise| (*promise, name[1].to_owned())));
            (named, is_test) = (BTreeSet::new(), false);
        } else if !line.starts_with("//") {
            (named, is_test) = (BTreeSet::new(), false);
        }
    }
    found
}

/// Every Rust file below a folder but this one, whose examples prove nothing.
fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with(file!()) {
            found.push(path);
        }
    }
}

#[test]
fn the_page_numbers_every_promise_once_and_in_order() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/semantics.md")).unwrap();
    assert_eq!(promised(&page), PROMISES.collect::<Vec<_>>());
}

#[test]
fn every_promise_is_named_by_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    rust_files(&root.join("src"), &mut files);
    rust_files(&root.join("tests"), &mut files);
    let mut all = BTreeMap::new();
    for file in files {
        all.extend(proved(&std::fs::read_to_string(file).unwrap()));
    }
    let unproved: Vec<String> = PROMISES
        .filter(|promise| !all.contains_key(promise))
        .map(|promise| format!("P{promise}"))
        .collect();
    assert!(
        unproved.is_empty(),
        "no test names {} of docs/semantics.md",
        unproved.join(", ")
    );
    let unknown: Vec<_> = all.iter().filter(|(promise, _)| !PROMISES.contains(*promise)).collect();
    assert!(
        unknown.is_empty(),
        "these tests name promises that nobody made: {unknown:?}"
    );
}

#[test]
fn only_a_comment_or_a_name_of_a_test_counts_as_a_proof() {
    let text = "
        /// P1, P5: two exporters never interleave.
        #[tokio::test(start_paused = true)]
        async fn the_loser_says_so() {}

        #[test]
        // P9: attributes may stand before the comment.
        fn bad_input_is_named() {}

        #[test]
        fn p4_an_unchanged_file_is_not_sent() {}

        /// P2: a helper is no test.
        fn helper() {}

        // P3: a comment that belongs to nothing.

        #[test]
        fn unlike_a_top7_list_this_counts_nothing() {}

        /// Speaks of P6 without claiming it.
        #[test]
        fn something() {}
    ";
    assert_eq!(proved(text).into_keys().collect::<Vec<_>>(), [1, 4, 5, 9]);
    assert_eq!(promised("## P1. One\ntext P2. no\n## P2: Two\n### P3. No\n"), [1, 2]);
}
