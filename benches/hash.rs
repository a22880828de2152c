//! How fast a tree is scanned and hashed, beside what bounds it: reading the same files without hashing.
//!
//! `b3sum` runs on the same files where it is on PATH. Its process is started for each round, which costs
//! it about a millisecond.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lakesync::source::{DirConfig, DirSource, Source as _};
use rayon::prelude::*;

const SMALL_FILES: usize = 4_000;
const BIG_BYTES: usize = 64 << 20;

/// Makes a tree of files of 0.5 to 64 KiB and one big one; `bytes` is the same for everybody.
fn make_tree(root: &Path) -> (Vec<PathBuf>, u64) {
    let mut state = 1_u64;
    let mut random = move || {
        // Any generator will do: what is hashed makes no difference to the time.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    let noise: Vec<u8> = (0..BIG_BYTES).map(|_| random() as u8).collect();
    let mut files = Vec::new();
    let mut total = 0;
    for index in 0..SMALL_FILES {
        let folder = root.join(format!("part={:02}", index % 40));
        std::fs::create_dir_all(&folder).expect("the temporary folder can be written");
        let length = 512 << (random() % 8);
        let start = random() as usize % (BIG_BYTES - length);
        files.push((folder.join(format!("{index:06}.parquet")), start, length));
    }
    files.push((root.join("big.parquet"), 0, BIG_BYTES));
    for (path, start, length) in &files {
        std::fs::write(path, &noise[*start..start + length]).expect("the temporary folder can be written");
        total += *length as u64;
    }
    (files.into_iter().map(|(path, _, _)| path).collect(), total)
}

fn read(path: &Path) -> u64 {
    let mut file = File::open(path).expect("the file was just made");
    let mut buffer = vec![0; 1 << 20];
    let mut total = 0;
    loop {
        match file.read(&mut buffer).expect("the file can be read") {
            0 => return total,
            more => total += more as u64,
        }
    }
}

fn hash(criterion: &mut Criterion) {
    let temp = tempfile::tempdir().expect("there is a place for temporary files");
    let root = temp.path().join("tree");
    let (files, bytes) = make_tree(&root);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
    let open = |cache| {
        let config = DirConfig {
            path: root.clone(),
            cache,
            ..DirConfig::default()
        };
        DirSource::open(config).expect("the tree was just made")
    };
    let scan = |source: &DirSource| runtime.block_on(source.head()).expect("the tree can be read");

    let mut group = criterion.benchmark_group("hash");
    group.sample_size(10).throughput(Throughput::Bytes(bytes));
    group.bench_function("floor: read in parallel", |bencher| {
        bencher.iter(|| assert_eq!(files.par_iter().map(|path| read(path)).sum::<u64>(), bytes));
    });
    let fresh = open(None);
    let commit = scan(&fresh);
    group.bench_function("scan, every file read", |bencher| {
        bencher.iter(|| assert_eq!(scan(&fresh), commit));
    });
    let cached = open(Some(temp.path().join("cache")));
    // Files younger than two seconds are never taken from the cache.
    std::thread::sleep(std::time::Duration::from_millis(2_100));
    scan(&cached);
    group.bench_function("scan, every file known", |bencher| {
        bencher.iter(|| assert_eq!(scan(&cached), commit));
    });
    let b3sum = || {
        let mut command = Command::new("b3sum");
        command.args(&files).stdout(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    if b3sum() {
        group.bench_function("b3sum, the whole process", |bencher| bencher.iter(|| assert!(b3sum())));
    }
    group.finish();
}

criterion_group!(benches, hash);
criterion_main!(benches);
