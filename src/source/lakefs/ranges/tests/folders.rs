//! Folders and single keys by seeking: what a whole reading would find, at the price of the ranges they touch.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::{RangeChild, RangeEntry, TableKind, find_entry, has_prefix, ranges_across_folders, read_folder};
use super::read_whole::{generated, served, small_ranges};

/// What stands in the folder of a prefix, by going through all keys.
fn expected(entries: &[RangeEntry], prefix: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in entries {
        let key = std::str::from_utf8(&entry.key).unwrap();
        let Some(rest) = key.strip_prefix(prefix) else { continue };
        let child = match rest.find('/') {
            None => format!("file {key}"),
            Some(slash) => format!("folder {prefix}{}", &rest[..=slash]),
        };
        if found.last() != Some(&child) {
            found.push(child);
        }
    }
    found
}

async fn children(tables: &super::super::Tables, tree: super::super::MetaRangeId, prefix: &str) -> Vec<String> {
    let make = |child: RangeChild<'_>| {
        Ok(Some(match child {
            RangeChild::File(entry) => format!("file {}", std::str::from_utf8(entry.key).unwrap()),
            RangeChild::Folder(keys) => format!("folder {}", std::str::from_utf8(keys).unwrap()),
        }))
    };
    let stream = read_folder(tables, Some(tree), prefix.into(), make);
    stream.collect().await.unwrap()
}

fn entries_of(keys: impl IntoIterator<Item = String>) -> Vec<RangeEntry> {
    let keys: BTreeSet<String> = keys.into_iter().collect();
    let entry = |key: String| RangeEntry {
        address: format!("data/p/{}", key.len()),
        size: key.len() as u64,
        key: key.into_bytes(),
        ..RangeEntry::default()
    };
    keys.into_iter().map(entry).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_folder_is_what_the_keys_say(
        keys in prop::collection::vec("[a-c/]{1,3}(/[ab]{0,2}){0,3}", 1..400),
        others in prop::collection::vec("[a-d/]{0,5}", 20),
    ) {
        let entries = entries_of(keys);
        let tree = small_ranges(&entries);
        let (_, tables) = served(&[&tree]);
        let mut prefixes: BTreeSet<String> = others.iter().cloned().collect();
        for entry in &entries {
            let key = std::str::from_utf8(&entry.key).unwrap();
            prefixes.extend(key.match_indices('/').map(|(slash, _)| key[..=slash].to_owned()));
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        runtime.block_on(async {
            for prefix in &prefixes {
                assert_eq!(children(&tables, tree.metarange, prefix).await, expected(&entries, prefix), "{prefix:?}");
                let any = entries.iter().any(|entry| entry.key.starts_with(prefix.as_bytes()));
                assert_eq!(has_prefix(&tables, Some(tree.metarange), prefix.as_bytes()).await.unwrap(), any, "{prefix:?}");
            }
            for key in entries.iter().map(|entry| entry.key.clone()).chain(others.into_iter().map(String::into_bytes)) {
                let found = find_entry(&tables, Some(tree.metarange), &key, |entry| entry.to_owned()).await.unwrap();
                assert_eq!(found.as_ref(), entries.iter().find(|entry| entry.key == key), "{key:?}");
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_that_lie_in_one_sub_folder_are_not_fetched() {
    let entries = generated(9_000);
    let tree = small_ranges(&entries);
    let (memory, tables) = served(&[&tree]);
    assert_eq!(
        children(&tables, tree.metarange, "").await,
        ["folder a-b/", "folder a/", "folder b/"]
    );
    let fetched = |kind| {
        let asked = memory.asked.lock().unwrap();
        asked.iter().filter(|table| table.kind() == kind).count()
    };
    // The ends of the three folders lie in two ranges at most; the metarange is read once for all.
    let across = ranges_across_folders(&tables, Some(tree.metarange), b"").await.unwrap();
    assert!(across <= 2 && fetched(TableKind::Range) <= across, "{across}");
    assert_eq!(fetched(TableKind::MetaRange), 1);
    let before = fetched(TableKind::Range);
    let found = find_entry(&tables, Some(tree.metarange), b"b/0001234", |entry| entry.size).await;
    assert_eq!(found.unwrap(), Some(1_234));
    assert!(fetched(TableKind::Range) <= before + 1);
    assert_eq!(children(&tables, tree.metarange, "b/").await.len(), 3_000);
}
