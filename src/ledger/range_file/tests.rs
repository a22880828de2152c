use proptest::prelude::*;

use super::*;

fn record(path: &str) -> Record {
    Record {
        path: RelPath::new(path).unwrap(),
        etag: ETag::new("d41d8cd98f00b204e9800998ecf8427e"),
        size: 300,
        content: ContentIds::default(),
        headers: HeadersDigest(7),
        version_id: None,
    }
}

fn encode(records: &[Record]) -> Vec<u8> {
    let mut encoder = RangeEncoder::default();
    for record in records {
        encoder.push(record).unwrap();
    }
    encoder.finish()
}

fn decode(file: &[u8]) -> Result<Vec<Record>, LedgerError> {
    RangeRecords::open("f", file)?.collect()
}

prop_compose! {
    fn any_record()(
        path in proptest::collection::vec(any::<u8>(), 1..40),
        etag in "[a-z0-9\"-]{0,40}",
        size in any::<u64>(),
        git in proptest::option::of(prop_oneof![
            any::<[u8; 20]>().prop_map(GitId::Sha1),
            any::<[u8; 32]>().prop_map(GitId::Sha256),
        ]),
        blake3 in any::<Option<[u8; 32]>>(),
        address in any::<Option<[u8; 32]>>(),
        checksum in any::<Option<[u8; 16]>>(),
        headers in any::<u64>(),
        version_id in proptest::option::of("[a-zA-Z0-9_.]{0,40}"),
    ) -> Record {
        Record {
            path: RelPath::new(path).unwrap(),
            etag: ETag::new(&etag),
            size,
            content: ContentIds { git, blake3, address, checksum },
            headers: HeadersDigest(headers),
            version_id: version_id.map(Into::into),
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(mut records in proptest::collection::vec(any_record(), 1..60)) {
        records.sort_by(|a, b| a.path.cmp(&b.path));
        records.dedup_by(|a, b| a.path == b.path);
        prop_assert_eq!(decode(&encode(&records)).unwrap(), records);
    }
}

#[test]
fn an_encoder_starts_anew_after_each_file() {
    let mut encoder = RangeEncoder::default();
    encoder.push(&record("a/b")).unwrap();
    encoder.finish();
    encoder.push(&record("a/c")).unwrap();
    assert_eq!(decode(&encoder.finish()).unwrap(), [record("a/c")]);
}

#[test]
fn a_record_costs_little_more_than_its_hashes() {
    let records: Vec<_> = (0..10_000_u32)
        .map(|number| {
            let hash = *blake3::hash(&number.to_le_bytes()).as_bytes();
            let mut record = record(&format!("tables/events/part-{number:08}.parquet"));
            record.etag = ETag::new(&hex::encode(&hash[..16]));
            record.content.blake3 = Some(hash);
            record
        })
        .collect();
    let length = encode(&records).len() / records.len();
    assert!(length < 16 + 32 + 16, "{length} bytes each");
}

#[test]
fn what_no_reader_would_take_is_not_written() {
    let mut encoder = RangeEncoder::default();
    let mut long = record("a");
    long.etag = ETag::new(&"e".repeat(MAX_ETAG + 1));
    let error = encoder.push(&long).unwrap_err();
    assert!(matches!(error, LedgerError::TooLong { what: "etag", .. }), "{error}");
    encoder.push(&record(&"p".repeat(MAX_PATH + 1))).unwrap_err();
    assert_eq!(encoder.count(), 0);
}

#[test]
fn unsorted_and_empty_bodies_are_damaged() {
    let mut encoder = RangeEncoder::default();
    assert!(decode(&encoder.finish()).is_err(), "no range is empty");
    for paths in [["b", "a"], ["a", "a"], ["ab", "a"]] {
        for path in paths {
            encoder.push(&record(path)).unwrap();
        }
        decode(&encoder.finish()).unwrap_err();
    }
}

/// Bodies are damaged in every way, files resealed: no panic, no wrong order, no more memory than the body is long.
#[test]
fn no_damage_makes_the_decoder_panic_or_lie() {
    let records: Vec<_> = (0..12)
        .map(|number: u8| {
            let mut record = record(&format!("folder/{:02}", number * 3));
            record.size = u64::from(number) << (4 * number);
            record.content.git = number.is_multiple_of(3).then_some(GitId::Sha1([number; 20]));
            record.content.blake3 = number.is_multiple_of(2).then_some([number; 32]);
            record.version_id = number.is_multiple_of(4).then(|| "version".into());
            record
        })
        .collect();
    let body = FORMAT.unpack("f", &encode(&records)).unwrap();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let mut decoded = 0;
    for _ in 0..150_000 {
        let mut bad = body.clone();
        for _ in 0..=random(3) {
            let at = random(bad.len());
            match random(4) {
                0 => bad[at] ^= 1 << random(8),
                1 => bad[at] = [0, 0x7f, 0x80, 0xff][random(4)],
                2 => bad.truncate(at.max(1)),
                _ => bad.insert(at, random(256) as u8),
            }
        }
        let Ok(records) = RangeRecords::of_body("f", bad) else {
            continue;
        };
        assert!(records.total() <= MAX_RECORDS);
        let read: Vec<_> = records.map_while(Result::ok).collect();
        assert!(read.is_sorted_by(|a, b| a.path < b.path));
        decoded += read.len();
    }
    assert!(decoded > 100_000, "the damage must leave something to read: {decoded}");
}

#[test]
fn a_damaged_file_is_an_error_whatever_is_damaged() {
    let file = encode(&[record("a"), record("b")]);
    for at in 0..file.len() {
        decode(&file[..at]).unwrap_err();
        let mut bad = file.clone();
        bad[at] ^= 0x10;
        decode(&bad).unwrap_err();
    }
}

#[test]
fn a_name_holds_run_and_hash_and_nothing_else_is_one() {
    let run = RunId::generate();
    let name = range_name(run, b"file");
    assert_eq!(hash_in_name(&name), Some(blake3::hash(b"file")));
    for bad in [
        "",
        "-",
        "x",
        &name[1..],
        &name[..name.len() - 1],
        &format!("../{name}"),
        &format!("{name}/"),
        &name.to_lowercase(),
        &format!("{run}-{}", "AB".repeat(32)),
    ] {
        assert_eq!(hash_in_name(bad), None, "{bad}");
    }
}
