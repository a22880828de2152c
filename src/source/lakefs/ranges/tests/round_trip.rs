//! What the writer writes, the reader reads.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;

use super::super::writer::{SplitParams, TableWriter, write_tree};
use super::super::{AddressType, MetaRange, RangeEntry, TableId, TableKind};
use super::recording::entries;

/// Keys that share beginnings, and ones that end like the trailer of an internal key.
fn key() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"a/".to_vec()),
        Just(b"\x01".to_vec()),
        Just(b"\0".to_vec()),
        Just(b"\xff".to_vec()),
        vec(any::<u8>(), 0..4),
    ];
    vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

fn entry() -> impl Strategy<Value = RangeEntry> {
    let address_type = prop_oneof![
        Just(AddressType::ByPrefix),
        Just(AddressType::Relative),
        Just(AddressType::Full)
    ];
    let size = prop_oneof![Just(0), 0..1_000_u64, 0..=i64::MAX as u64];
    let texts = (".{0,60}", "[0-9a-f]{0,32}", "[a-z/]{0,12}");
    (
        texts,
        address_type,
        size,
        any::<i64>(),
        btree_map(".{0,9}", ".{0,9}", 0..3),
    )
        .prop_map(
            |((address, e_tag, content_type), address_type, size, last_modified_unix, metadata)| RangeEntry {
                key: Vec::new(),
                address,
                address_type,
                size,
                e_tag,
                last_modified_unix,
                metadata,
                content_type,
            },
        )
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        keys in btree_set(key(), 0..200),
        mut some in vec(entry(), 1..20),
        block_bytes in 20..6_000_usize,
        packed in any::<bool>(),
    ) {
        let written: Vec<RangeEntry> = keys.into_iter().enumerate().map(|(number, key)| {
            let count = some.len();
            let entry = &mut some[number % count];
            entry.key = key;
            entry.clone()
        }).collect();
        let mut writer = TableWriter::new(TableKind::Range).with_block_bytes(block_bytes);
        if !packed {
            writer = writer.unpacked();
        }
        for entry in &written {
            let (identity, data) = entry.encode();
            writer.push(&entry.key, &identity, &data);
        }
        let (id, bytes) = writer.finish();
        let read = entries(&bytes, TableId::Range(id.parse().unwrap())).unwrap();
        prop_assert_eq!(read, written);
    }

    #[test]
    fn a_tree_cut_into_ranges_is_whole(keys in btree_set(key(), 0..300), modulus in 1..40_u64, max_bytes in 500..5_000_u64) {
        let written: Vec<RangeEntry> =
            keys.into_iter().map(|key| RangeEntry { key, e_tag: "e".to_owned(), ..RangeEntry::default() }).collect();
        let tables = write_tree(&written, SplitParams { modulus, max_bytes });
        let metarange = MetaRange::read(tables.metarange_bytes.clone(), tables.metarange).unwrap();
        let mut read = Vec::new();
        for (range, (told, bytes)) in metarange.ranges().iter().zip(&tables.ranges) {
            prop_assert_eq!(range, told);
            let entries = entries(bytes, range.id.into()).unwrap();
            prop_assert_eq!(entries.len() as u64, range.count);
            prop_assert_eq!(&entries[0].key, &range.min_key);
            prop_assert_eq!(&entries.last().unwrap().key, &range.max_key);
            read.extend(entries);
        }
        prop_assert_eq!(read, written);
    }
}

#[test]
fn a_tree_is_cut_at_the_same_keys_whatever_was_put_between_them() {
    let tree = |numbers: BTreeSet<u32>| {
        let entries: Vec<_> = numbers
            .into_iter()
            .map(|number| RangeEntry {
                key: format!("key/{number:06}").into_bytes(),
                ..RangeEntry::default()
            })
            .collect();
        write_tree(
            &entries,
            SplitParams {
                modulus: 50,
                max_bytes: 1 << 20,
            },
        )
    };
    let ids = |numbers| {
        let tables = tree(numbers);
        tables.ranges.iter().map(|(range, _)| range.id).collect::<BTreeSet<_>>()
    };
    let before = ids((0..5_000).filter(|number| *number != 2_500).collect());
    let after = ids((0..5_000).collect());
    assert!(before.len() > 50);
    assert!(before.difference(&after).count() <= 2 && after.difference(&before).count() <= 2);
}

#[test]
fn a_table_without_records_is_read() {
    let (id, bytes) = TableWriter::new(TableKind::Range).finish();
    assert_eq!(entries(&bytes, TableId::Range(id.parse().unwrap())), Ok(Vec::new()));
}

#[test]
fn a_huge_record_is_read() {
    let mut metadata = BTreeMap::new();
    metadata.insert("k".to_owned(), "v".repeat(1 << 20));
    let big = RangeEntry {
        key: b"b".to_vec(),
        metadata,
        ..RangeEntry::default()
    };
    let small = |key: &[u8]| RangeEntry {
        key: key.to_vec(),
        ..RangeEntry::default()
    };
    let written = [small(b"a"), big, small(b"c")];
    let tables = write_tree(&written, SplitParams::default());
    let (range, bytes) = &tables.ranges[0];
    assert_eq!(entries(bytes, range.id.into()).unwrap(), written);
}
