//! Differences of two trees, against a comparison of all their entries.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use super::super::writer::TreeTables;
use super::super::{KeySpan, MetaRangeId, RangeChange, RangeEntry, TableId, Tables, read_changes};
use super::read_whole::{generated, served, small_ranges};
use super::recording::{MemoryTables, exchanges, metaranges, recorded_tables};

/// What a change gives: the key, and the entry where there is one.
type Told = (Vec<u8>, Option<RangeEntry>);

async fn changes(tables: &Tables, from: Option<MetaRangeId>, to: Option<MetaRangeId>, span: KeySpan) -> Vec<Told> {
    let make = |change: RangeChange<'_>| {
        Ok(Some(match change {
            RangeChange::Put(entry) => (entry.key.to_vec(), Some(entry.to_owned())),
            RangeChange::Gone(key) => (key.to_vec(), None),
        }))
    };
    read_changes(tables, from, to, span, make).collect().await.unwrap()
}

/// What the whole trees tell.
fn compared(old: &[RangeEntry], new: &[RangeEntry], span: &KeySpan) -> Vec<Told> {
    let map = |entries: &[RangeEntry]| -> BTreeMap<Vec<u8>, RangeEntry> {
        entries.iter().map(|entry| (entry.key.clone(), entry.clone())).collect()
    };
    let (old, new) = (map(old), map(new));
    let keys: BTreeSet<_> = old.keys().chain(new.keys()).filter(|key| span.contains(key)).collect();
    let identity = |entry: Option<&RangeEntry>| entry.map(|entry| entry.encode().0);
    let differing = keys
        .into_iter()
        .filter(|key| identity(old.get(*key)) != identity(new.get(*key)));
    differing.map(|key| (key.clone(), new.get(key).cloned())).collect()
}

fn edited(old: &[RangeEntry], seed: u64, edits: usize) -> Vec<RangeEntry> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut new = old.to_vec();
    for edit in 0..edits {
        let at = rng.usize(..new.len());
        match rng.u8(..4) {
            0 => drop(new.remove(at)),
            1 => new[at].e_tag = format!("edit{edit}"),
            // Neither is in the identity.
            2 => new[at].address = format!("data/again/{edit}"),
            _ => {
                let mut entry = new[at].clone();
                entry.key.extend_from_slice(format!("+{edit}").as_bytes());
                new.push(entry);
            }
        }
    }
    new.sort_by(|left, right| left.key.cmp(&right.key));
    new.dedup_by(|left, right| left.key == right.key);
    new
}

fn unshared(of: &TreeTables, other: &TreeTables) -> Vec<TableId> {
    let theirs: HashSet<_> = other.ranges.iter().map(|(range, _)| range.id).collect();
    let ranges = of.ranges.iter().map(|(range, _)| range.id);
    ranges.filter(|id| !theirs.contains(id)).map(Into::into).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_those_of_the_whole_trees_and_only_unshared_ranges_are_fetched() {
    let old = generated(9_000);
    for (seed, edits) in [(1, 1), (2, 3), (3, 40), (4, 3_000)] {
        let new = edited(&old, seed, edits);
        let (left, right) = (small_ranges(&old), small_ranges(&new));
        for (from, to, old, new) in [(&left, &right, &old, &new), (&right, &left, &new, &old)] {
            let (memory, tables) = served(&[from, to]);
            let span = KeySpan::default();
            let found = changes(&tables, Some(from.metarange), Some(to.metarange), span.clone()).await;
            assert_eq!(found, compared(old, new, &span));
            let mut asked = memory.asked.lock().unwrap().clone();
            asked.sort();
            let mut wanted = vec![from.metarange.into(), to.metarange.into()];
            wanted.extend(unshared(from, to));
            wanted.extend(unshared(to, from));
            wanted.sort();
            assert_eq!(asked, wanted);
            if edits < 10 {
                assert!(asked.len() <= 2 + 6 * edits, "{edits} edits, {} tables", asked.len());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_under_a_prefix_are_a_part_of_all() {
    let old = generated(9_000);
    let new = edited(&old, 7, 500);
    let (left, right) = (small_ranges(&old), small_ranges(&new));
    for span in [
        KeySpan::of_prefix("a/"),
        KeySpan::of_prefix("a-b/0001"),
        KeySpan::of_prefix("z"),
        KeySpan {
            prefix: b"b/".to_vec(),
            from: b"b/0001500".to_vec(),
        },
    ] {
        let (memory, tables) = served(&[&left, &right]);
        let found = changes(&tables, Some(left.metarange), Some(right.metarange), span.clone()).await;
        assert_eq!(found, compared(&old, &new, &span));
        assert!(memory.asked.lock().unwrap().len() < left.ranges.len());
    }
}

#[tokio::test]
async fn from_and_to_the_tree_without_files_everything_changes() {
    let all = generated(900);
    let tree = small_ranges(&all);
    let (memory, tables) = served(&[&tree]);
    let span = KeySpan::default();
    let put = changes(&tables, None, Some(tree.metarange), span.clone()).await;
    assert_eq!(put, compared(&[], &all, &span));
    let gone = changes(&tables, Some(tree.metarange), None, span.clone()).await;
    assert_eq!(gone, compared(&all, &[], &span));
    memory.asked.lock().unwrap().clear();
    let same = changes(&tables, Some(tree.metarange), Some(tree.metarange), span).await;
    assert_eq!(same, []);
    assert!(memory.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn recorded_trees_differ_as_the_recorded_two_dot_diffs_say() {
    let memory = MemoryTables {
        tables: recorded_tables(),
        ..MemoryTables::default()
    };
    let tables = Tables::new(Arc::new(memory), None);
    let metaranges = metaranges();
    let mut diffs = 0;
    for exchange in exchanges() {
        let is_whole = exchange["body"]["pagination"]["has_more"] == false;
        if exchange["query"]["type"] != "two_dot" || !is_whole {
            continue;
        }
        let path: Vec<_> = exchange["path"].as_str().unwrap().split('/').collect();
        let found = changes(&tables, metaranges[path[6]], metaranges[path[8]], KeySpan::default()).await;
        let results = exchange["body"]["results"].as_array().unwrap();
        assert_eq!(found.len(), results.len());
        for ((key, entry), result) in found.iter().zip(results) {
            assert_eq!(key, result["path"].as_str().unwrap().as_bytes());
            assert_eq!(entry.is_none(), result["type"] == "removed");
            let Some(entry) = entry else { continue };
            assert_eq!(entry.size, result["size_bytes"].as_u64().unwrap());
            if let Some(right) = result.get("right") {
                assert_eq!(entry.e_tag, right["checksum"].as_str().unwrap());
                assert_eq!(entry.last_modified_unix, right["mtime"].as_i64().unwrap());
            }
        }
        diffs += 1;
    }
    assert_eq!(diffs, 3);
}
