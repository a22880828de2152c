//! The recorded tables hold what the server said of the same commits.

use std::collections::BTreeMap;

use super::super::writer::{TableWriter, write_metarange};
use super::super::{MetaRange, RangeEntry, Table, TableId, TableKind, physical_address};
use super::recording::{NAMESPACE, answer, entries, exchanges, metaranges, recorded_tables};

#[test]
fn every_recorded_table_is_what_its_name_says() {
    for (id, bytes) in recorded_tables() {
        let table = Table::open(bytes).unwrap();
        let properties = table.properties().clone();
        let verified = table.verify(id).unwrap();
        assert_eq!(Some(verified.records()), properties.count);
        assert_eq!(properties.kind, Some(id.kind()));
        assert!(properties.min_key <= properties.max_key && !properties.max_key.is_empty());
    }
}

#[test]
fn a_recorded_metarange_tells_what_its_range_holds() {
    let tables = recorded_tables();
    let mut ranges = 0;
    for (id, bytes) in &tables {
        let TableId::MetaRange(id) = *id else { continue };
        let metarange = MetaRange::read(bytes.clone(), id).unwrap();
        for range in metarange.ranges() {
            let table = Table::open(tables[&range.id.into()].clone()).unwrap();
            let properties = table.properties();
            assert_eq!(properties.estimated_size_bytes, Some(range.estimated_size_bytes));
            assert_eq!(properties.count, Some(range.count));
            let entries = entries(&tables[&range.id.into()], range.id.into()).unwrap();
            assert_eq!(entries.first().unwrap().key, range.min_key);
            assert_eq!(entries.last().unwrap().key, range.max_key);
            assert_eq!(entries.len() as u64, range.count);
            assert_eq!(metarange.count(), range.count);
            ranges += 1;
        }
    }
    assert_eq!(ranges, 5);
}

/// The entries of the only range of a recorded commit.
fn tree(commit: &str) -> Vec<RangeEntry> {
    let tables = recorded_tables();
    let metarange = metaranges()[commit].unwrap();
    let metarange = MetaRange::read(tables[&metarange.into()].clone(), metarange).unwrap();
    let [range] = metarange.ranges() else {
        panic!("{metarange:?}")
    };
    entries(&tables[&range.id.into()], range.id.into()).unwrap()
}

/// An entry as a listing shows it.
fn shown(entry: &RangeEntry) -> serde_json::Value {
    let (identity, data) = entry.encode();
    let borrowed = super::super::RangeEntryRef::decode(&entry.key, &identity, &data).unwrap();
    let mut shown = serde_json::json!({
        "path": String::from_utf8(entry.key.clone()).unwrap(),
        "path_type": "object",
        "physical_address": physical_address(NAMESPACE, &borrowed).url,
        "checksum": entry.e_tag,
        "size_bytes": entry.size,
        "mtime": entry.last_modified_unix,
        // What lakeFS says where the entry has none.
        "content_type": if entry.content_type.is_empty() { "application/octet-stream" } else { &entry.content_type },
    });
    if !entry.metadata.is_empty() {
        shown["metadata"] = serde_json::json!(entry.metadata);
    }
    shown
}

#[test]
fn the_first_tree_is_the_recorded_listing() {
    let (path, body) = answer("listing");
    let expected = body["results"].as_array().unwrap();
    let found: Vec<_> = tree(&path[6]).iter().map(shown).collect();
    assert_eq!(&found, expected);
    assert!(found.iter().any(|entry| entry.get("metadata").is_some()));
    assert!(found.iter().any(|entry| entry["size_bytes"] == 0));
}

#[test]
fn the_imported_objects_are_the_recorded_ones_and_lie_outside_of_the_namespace() {
    let (path, body) = answer("imported objects");
    let expected = body["results"].as_array().unwrap();
    let tree = tree(&path[6]);
    assert_eq!(tree.len(), 12_019);
    let imported: Vec<_> = tree
        .iter()
        .filter(|entry| entry.key.starts_with(b"imported/"))
        .collect();
    assert_eq!(imported.len(), 12_000);
    let first: Vec<_> = imported.iter().take(expected.len()).map(|entry| shown(entry)).collect();
    assert_eq!(&first, expected);
    let inside = |entry: &RangeEntry| {
        let (identity, data) = entry.encode();
        let entry = super::super::RangeEntryRef::decode(&entry.key, &identity, &data).unwrap();
        physical_address(NAMESPACE, &entry).inside_namespace
    };
    assert_eq!(tree.iter().filter(|entry| inside(entry)).count(), 19);
}

#[test]
fn trees_differ_as_the_recorded_two_dot_diffs_say() {
    let mut diffs = 0;
    for exchange in exchanges() {
        let is_whole = exchange["body"]["pagination"]["has_more"] == false;
        if exchange["query"]["type"] != "two_dot" || !is_whole {
            continue;
        }
        let path: Vec<_> = exchange["path"].as_str().unwrap().split('/').collect();
        let identities = |commit: &str| -> BTreeMap<Vec<u8>, [u8; 32]> {
            let entries = tree(commit).into_iter();
            entries.map(|entry| (entry.key.clone(), entry.encode().0)).collect()
        };
        let (old, new) = (identities(path[6]), identities(path[8]));
        let mut found = BTreeMap::new();
        for key in old.keys().chain(new.keys()) {
            let change = match (old.get(key), new.get(key)) {
                (Some(_), None) => "removed",
                (None, Some(_)) => "added",
                (left, right) if left != right => "changed",
                _ => continue,
            };
            found.insert(String::from_utf8(key.clone()).unwrap(), change);
        }
        let results = exchange["body"]["results"].as_array().unwrap().iter();
        let expected: BTreeMap<String, &str> = results
            .map(|result| {
                (
                    result["path"].as_str().unwrap().to_owned(),
                    result["type"].as_str().unwrap(),
                )
            })
            .collect();
        assert_eq!(found, expected, "{}", exchange["note"]);
        diffs += 1;
    }
    assert_eq!(diffs, 3);
}

#[test]
fn recorded_identities_and_messages_are_those_that_are_computed_here() {
    let mut entries = 0;
    for (id, bytes) in recorded_tables() {
        if id.kind() != TableKind::Range {
            continue;
        }
        let mut reader = Table::open(bytes).unwrap().read(id).unwrap();
        while reader.advance().unwrap() {
            let record = reader.record().unwrap();
            let (identity, data) = reader.entry().unwrap().unwrap().to_owned().encode();
            assert_eq!(record.identity, identity);
            let decoded = super::super::RangeEntryRef::decode(record.key, &identity, &data).unwrap();
            assert_eq!(decoded.to_owned(), reader.entry().unwrap().unwrap().to_owned());
            entries += 1;
        }
    }
    assert_eq!(entries, 12_019 + 19 + 19 + 20 + 20);
}

#[test]
fn the_writer_gives_a_recorded_tables_id_and_nearly_its_size() {
    for (id, bytes) in recorded_tables() {
        let table = Table::open(bytes.clone()).unwrap();
        let mut reader = table.read(id).unwrap();
        let mut writer = TableWriter::new(id.kind());
        while let Some(record) = reader.next_record().unwrap() {
            writer.push(record.key, record.identity, record.data);
        }
        let (written_id, written) = writer.finish();
        assert_eq!(written_id, id.to_string());
        let ours = Table::open(written.clone()).unwrap();
        let estimates = [&table, &ours].map(|table| table.properties().estimated_size_bytes.unwrap());
        assert!(estimates[0].abs_diff(estimates[1]) * 50 < estimates[0], "{estimates:?}");
        assert!(
            bytes.len().abs_diff(written.len()) * 50 < bytes.len(),
            "{} {}",
            bytes.len(),
            written.len()
        );
        ours.verify(id).unwrap();
    }
}

#[test]
fn a_recorded_metarange_is_written_again_with_its_id() {
    for (id, bytes) in recorded_tables() {
        let TableId::MetaRange(id) = id else { continue };
        let metarange = MetaRange::read(bytes.clone(), id).unwrap();
        let (written, _) = write_metarange(metarange.ranges());
        assert_eq!(written, id);
    }
}
