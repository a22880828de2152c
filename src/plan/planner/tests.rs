use super::*;
use crate::model::Prefix;

fn entry(size: u64, address: u8, checksum: u8) -> Entry {
    Entry {
        path: RelPath::new("a").unwrap(),
        size,
        content: ContentIds {
            address: Some([address; 32]),
            checksum: Some([checksum; 16]),
            ..ContentIds::default()
        },
        origin: None,
        attributes: crate::model::Attributes::default(),
    }
}

/// How many writes it takes to bring a path from one entry to another.
fn writes(before: &Entry, after: &Entry) -> u64 {
    let headers = HeaderRules::default();
    let last = LastRules::new(&[]).unwrap();
    let rules = PlanRules {
        keys: KeyRules::new(&Prefix::default(), false),
        odd_keys: OddKeys::Error,
        headers: &headers,
        last: &last,
        capabilities: Capabilities::ALL,
        overwrite: false,
        copies_outside: false,
    };
    let record = Record {
        path: before.path.clone(),
        etag: ETag::new("etag"),
        size: before.size,
        content: before.content,
        headers: headers.entry_digest(before),
        version_id: None,
    };
    let mut planner = Planner::new(rules);
    planner.pair(Some(after.clone()), Some(Standing::Ours(record))).unwrap();
    planner.finish().unwrap().finish().unwrap().totals.put
}

#[test]
fn an_equal_checksum_of_another_length_is_another_content() {
    assert_eq!(writes(&entry(5, 1, 1), &entry(5, 2, 1)), 0);
    assert_eq!(writes(&entry(5, 1, 1), &entry(5, 2, 2)), 1);
    // Whoever stages an object of lakeFS by hand says its checksum.
    assert_eq!(writes(&entry(5, 1, 1), &entry(6, 2, 1)), 1);
}
