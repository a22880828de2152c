//! Decodes a range of lakeFS from memory beside the floor, and says how many entries a second: `cargo bench --bench
//! ranges`.
//!
//! The floor is what cannot be left out over the very same blocks: CRC32C, Snappy and SHA-256. Target: at most 1.5
//! times the floor, and a million entries a second on one core.

#![allow(clippy::unwrap_used, missing_docs, reason = "a bench is a program of its own")]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use lakesync::source::lakefs::ranges::writer::{SplitParams, write_tree};
use lakesync::source::lakefs::ranges::{AddressType, RangeEntry, Table, TableId};
use sha2::{Digest, Sha256};

/// Entries as a data lake has them: partitioned folders, hashes that nothing packs.
fn entries(count: u64) -> Vec<RangeEntry> {
    let mut rng = fastrand::Rng::with_seed(4);
    let mut hex = |digits: usize| -> String {
        let mut digit = || char::from_digit(rng.u32(..16), 16).unwrap();
        (0..digits).map(|_| digit()).collect()
    };
    (0..count)
        .map(|number| RangeEntry {
            key: format!("tables/events/day={:03}/part-{number:07}.snappy.parquet", number / 200).into_bytes(),
            address: format!("data/ft62tb9ksduesscmcvkg/dc1{}", hex(17)),
            address_type: AddressType::Relative,
            size: 1_000_000 + number * 37 % 90_000,
            e_tag: hex(32),
            last_modified_unix: 1_795_348_525 + number as i64 / 50,
            content_type: "application/octet-stream".to_owned(),
            ..RangeEntry::default()
        })
        .collect()
}

fn decode(criterion: &mut Criterion) {
    let is_test = std::env::args().any(|argument| argument == "--test");
    let written = entries(if is_test { 1_000 } else { 50_000 });
    let split = SplitParams {
        modulus: u64::MAX,
        ..SplitParams::default()
    };
    let tree = write_tree(&written, split);
    let [(range, bytes)] = tree.ranges.as_slice() else {
        panic!("one range was expected")
    };
    let id = TableId::from(range.id);
    let table = Table::open(bytes.clone()).unwrap();
    let blocks = table.blocks().unwrap();

    let mut group = criterion.benchmark_group(format!("range of {} bytes an entry", bytes.len() / written.len()));
    group.throughput(Throughput::Elements(written.len() as u64));
    group.bench_function("floor: CRC32C, Snappy, SHA-256", |bencher| {
        bencher.iter_batched_ref(
            || (snap::raw::Decoder::new(), vec![0; 1 << 16], Sha256::new()),
            |(snappy, buffer, hash)| {
                let mut checksums = 0;
                for block in &blocks {
                    checksums ^= crc_fast::crc32_iscsi(&bytes[block.start..=block.end]);
                    let packed = &bytes[block.clone()];
                    if bytes[block.end] == 1 {
                        let length = snappy.decompress(packed, buffer).unwrap();
                        hash.update(&buffer[..length]);
                    } else {
                        hash.update(packed);
                    }
                }
                (checksums, hash.finalize_reset())
            },
            BatchSize::LargeInput,
        );
    });
    group.bench_function("entries, all checks", |bencher| {
        bencher.iter(|| {
            let mut reader = Table::open(bytes.clone()).unwrap().read(id).unwrap();
            let mut sizes = 0;
            while let Some(entry) = reader.next_entry().unwrap() {
                sizes += entry.size;
            }
            sizes
        });
    });
    group.bench_function("records, all checks", |bencher| {
        bencher.iter(|| Table::open(bytes.clone()).unwrap().verify(id).unwrap().records());
    });
    let verified = table.verify(id).unwrap();
    group.bench_function("entries, verified before", |bencher| {
        bencher.iter(|| {
            let mut reader = verified.read().unwrap();
            let mut sizes = 0;
            while let Some(entry) = reader.next_entry().unwrap() {
                sizes += entry.size;
            }
            sizes
        });
    });
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
