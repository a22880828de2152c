//! Tests that need to look inside: the stat cache is given forged hashes, to see whether they are believed.

use crate::files::Stamp;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, SystemTime};

use super::cache::StatCache;
use super::listing::{Listed, Place, Request, Tree};
use super::*;

const FORGED: [u8; 32] = [7; 32];

struct Room {
    _temp: tempfile::TempDir,
    root: PathBuf,
    cache: PathBuf,
}

impl Room {
    fn new() -> Self {
        Self::inside(&std::env::temp_dir())
    }

    fn inside(folder: &Path) -> Self {
        let temp = tempfile::tempdir_in(folder).unwrap();
        let base = temp.path().canonicalize().unwrap();
        let room = Self {
            root: base.join("tree"),
            cache: base.join("cache"),
            _temp: temp,
        };
        fs::create_dir(&room.root).unwrap();
        fs::create_dir(&room.cache).unwrap();
        room
    }

    fn source(&self) -> DirSource {
        DirSource::open(DirConfig {
            path: self.root.clone(),
            cache: Some(self.cache.clone()),
            ..DirConfig::default()
        })
        .unwrap()
    }

    /// Writes a cache as a scan that began `offset` seconds from now would, with forged hashes.
    fn forge(&self, names: &[&str], offset: i64) {
        let mut began = Stamp::now();
        began.seconds += offset;
        let mut cache = StatCache::open(&self.cache, &self.root, began);
        for name in names {
            let stat = FileStat::of(fs::File::open(self.root.join(name)).unwrap()).unwrap();
            cache.record(&RelPath::new(*name).unwrap(), stat, FORGED, true);
        }
        cache.finish();
    }

    fn cache_file(&self) -> PathBuf {
        let only = fs::read_dir(&self.cache).unwrap().next().unwrap().unwrap();
        only.path()
    }

    fn hashes(&self) -> Vec<[u8; 32]> {
        let scan = self.scan().unwrap();
        let mut hashes = Vec::new();
        let each = |item| {
            match item {
                spool::Spooled::File { blake3, .. } => hashes.push(blake3),
                spool::Spooled::Notice(notice) => panic!("{notice:?}"),
                spool::Spooled::Failed { path, error } => panic!("{path}: {error}"),
            }
            true
        };
        scan.spool.read(each).unwrap();
        hashes
    }

    fn tree(&self) -> Arc<Tree> {
        Arc::new(Tree {
            root: scan::open_root(&self.root, self.source().shared.identity).unwrap(),
            path: self.root.clone(),
            filter: Filter::default(),
            symlinks: SymlinkPolicy::Skip,
            excluded: Vec::new(),
            stop: Arc::default(),
            wide: AtomicBool::default(),
            open_folders: Default::default(),
            ahead_bytes: Default::default(),
        })
    }

    fn scan(&self) -> Result<Scan, SourceError> {
        let source = self.source();
        scan::run(
            &source.shared.config,
            &self.root,
            source.shared.identity,
            Arc::default(),
        )
    }
}

fn b3(bytes: &[u8]) -> [u8; 32] {
    *blake3::hash(bytes).as_bytes()
}

#[test]
fn a_file_that_is_as_it_was_is_not_read() {
    let room = Room::new();
    fs::write(room.root.join("a"), "one").unwrap();
    room.forge(&["a"], 10);
    assert_eq!(room.hashes(), [FORGED]);
    assert_eq!(room.hashes(), [FORGED], "and what was found is kept for the next scan");
}

#[test]
fn an_edit_of_the_same_size_with_the_old_mtime_is_seen() {
    let room = Room::new();
    let file = room.root.join("a");
    fs::write(&file, "one").unwrap();
    let mtime = fs::metadata(&file).unwrap().modified().unwrap();
    room.forge(&["a"], 10);
    let before = fs::metadata(&file).unwrap();
    // The clock of the file system moves in ticks; the rule for racy files, tested below, covers the first.
    loop {
        fs::write(&file, "two").unwrap();
        fs::File::options()
            .write(true)
            .open(&file)
            .unwrap()
            .set_modified(mtime)
            .unwrap();
        let after = fs::metadata(&file).unwrap();
        if (after.ctime(), after.ctime_nsec()) != (before.ctime(), before.ctime_nsec()) {
            assert_eq!(
                (after.mtime(), after.mtime_nsec()),
                (before.mtime(), before.mtime_nsec())
            );
            break;
        }
    }
    assert_eq!(room.hashes(), [b3(b"two")]);
}

#[test]
fn a_file_touched_within_two_seconds_before_the_scan_is_hashed_again() {
    let room = Room::new();
    let file = room.root.join("a");
    fs::write(&file, "one").unwrap();
    // All that the file system tells is the same; only the times are too new to be believed.
    for offset in [0, 1] {
        room.forge(&["a"], offset);
        assert_eq!(room.hashes(), [b3(b"one")]);
    }
    // A time of modification from long ago does not help when the inode was changed just now...
    fs::File::options()
        .write(true)
        .open(&file)
        .unwrap()
        .set_modified(SystemTime::UNIX_EPOCH)
        .unwrap();
    room.forge(&["a"], 0);
    assert_eq!(room.hashes(), [b3(b"one")]);
    // ...and nor does one that lies ahead.
    let ahead = SystemTime::now() + Duration::from_secs(3_600);
    fs::File::options()
        .write(true)
        .open(&file)
        .unwrap()
        .set_modified(ahead)
        .unwrap();
    room.forge(&["a"], 10);
    assert_eq!(room.hashes(), [b3(b"one")]);
}

#[test]
fn a_file_put_in_the_place_of_another_is_hashed() {
    let room = Room::new();
    fs::write(room.root.join("a"), "one").unwrap();
    fs::write(room.root.join("b"), "two").unwrap();
    fs::write(room.root.join("c"), "six").unwrap();
    room.forge(&["a", "b", "c"], 10);
    fs::rename(room.root.join("b"), room.root.join("a")).unwrap();
    assert_eq!(room.hashes(), [b3(b"two"), FORGED]);
}

#[test]
fn a_damaged_cache_is_believed_up_to_the_damage_at_most() {
    let room = Room::new();
    let names: Vec<String> = (0..1_200).map(|index| format!("{index:04}")).collect();
    for name in &names {
        fs::write(room.root.join(name), name).unwrap();
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let forge = || {
        room.forge(&names, 10);
        fs::read(room.cache_file()).unwrap()
    };
    let whole = forge();
    let right = |name: &str, found: [u8; 32]| found == FORGED || found == b3(name.as_bytes());
    for at in [0, 22, 40, 200, 1_000, whole.len() / 2, whole.len() - 1] {
        for cut in [false, true] {
            let mut bytes = forge();
            // A number of fewer digits can make it a byte or two shorter.
            let at = at.min(bytes.len() - 1);
            if cut {
                bytes.truncate(at);
            } else {
                bytes[at] ^= 1;
            }
            fs::write(room.cache_file(), bytes).unwrap();
            let found = room.hashes();
            assert_eq!(found.len(), names.len());
            assert!(
                names.iter().zip(&found).all(|(name, found)| right(name, *found)),
                "{at} {cut}"
            );
            assert!(
                at >= whole.len() / 2 || found[1_199] != FORGED,
                "{at} {cut}: it was used"
            );
        }
    }
}

#[test]
fn a_cache_of_a_newer_format_is_left_aside_and_replaced() {
    let room = Room::new();
    fs::write(room.root.join("a"), "one").unwrap();
    room.forge(&["a"], 10);
    let mut bytes = fs::read(room.cache_file()).unwrap();
    let version = b"lakesync stat cache\n".len();
    bytes[version] = 99;
    fs::write(room.cache_file(), bytes).unwrap();
    assert_eq!(room.hashes(), [b3(b"one")]);
    assert_eq!(fs::read(room.cache_file()).unwrap()[version], 1);
}

#[test]
fn a_cache_that_another_process_writes_is_not_disturbed() {
    let room = Room::new();
    fs::write(room.root.join("a"), "one").unwrap();
    let mut other = StatCache::open(&room.cache, &room.root, Stamp::now());
    assert_eq!(room.hashes(), [b3(b"one")]);
    let stat = FileStat::of(fs::File::open(room.root.join("a")).unwrap()).unwrap();
    other.record(&RelPath::new("a").unwrap(), stat, FORGED, true);
    other.finish();
    assert_eq!(
        fs::read_dir(&room.cache).unwrap().count(),
        1,
        "nothing is left beside it"
    );
}

#[test]
fn a_scan_that_is_given_up_stops_and_leaves_nothing_behind() {
    let room = Room::new();
    fs::write(room.root.join("a"), "one").unwrap();
    let source = room.source();
    let stop = Arc::new(AtomicBool::new(true));
    let outcome = scan::run(&source.shared.config, &room.root, source.shared.identity, stop);
    assert!(matches!(outcome, Err(SourceError::Interrupted)));
    assert_eq!(fs::read_dir(&room.cache).unwrap().count(), 0);
}

#[test]
fn a_folder_of_100_000_files_takes_few_bytes_for_each() {
    // In memory where there is such a place: making and removing the files is what takes the time here.
    let memory = Path::new("/dev/shm");
    let room = if memory.is_dir() {
        Room::inside(memory)
    } else {
        Room::new()
    };
    // Few inodes with many names each, for the same reason.
    for index in 0..100_000 {
        let path = |index| room.root.join(format!("{index:06}.parquet"));
        match index % 50_000 {
            0 => fs::write(path(index), "").unwrap(),
            nth => fs::hard_link(path(index - nth), path(index)).unwrap(),
        }
    }
    let tree = room.tree();
    let request = Request {
        tree,
        place: Place::Root,
        prefix: Vec::new(),
        real: Vec::new(),
    };
    let Ok(Listed::Here { listing, .. }) = request.run() else {
        panic!("it can be read");
    };
    assert_eq!(listing.children.len(), 100_000);
    assert!(listing.bytes() < 100_000 * (24 + 15), "{} bytes", listing.bytes());
    drop(listing);
    assert_eq!(room.hashes(), vec![b3(b""); 100_000]);
}

#[test]
fn a_file_has_a_hash_only_where_it_was_as_long_as_it_said() {
    let room = Room::new();
    // One that a single core hashes, and one that all do, with an end that fills no buffer.
    for length in [70_000, (20 << 20) + 3] {
        let content: Vec<u8> = (0..length as u32).map(|index| (index % 251) as u8).collect();
        let path = room.root.join("a");
        fs::write(&path, &content).unwrap();
        let mut open = fs::File::open(&path).unwrap();
        let stat = FileStat::of(&open).unwrap();
        let whole = hash::file_digest(&room.tree(), &mut open, &stat).unwrap();
        assert_eq!(whole, Some(*blake3::hash(&content).as_bytes()));
        for cut in [0, 1, length - 1] {
            fs::File::options()
                .write(true)
                .open(&path)
                .unwrap()
                .set_len(cut)
                .unwrap();
            let mut open = fs::File::open(&path).unwrap();
            assert_eq!(hash::file_digest(&room.tree(), &mut open, &stat).unwrap(), None);
            fs::write(&path, &content).unwrap();
        }
        let longer = [&content[..], b"+"].concat();
        fs::write(&path, longer).unwrap();
        let mut open = fs::File::open(&path).unwrap();
        assert_eq!(hash::file_digest(&room.tree(), &mut open, &stat).unwrap(), None);
    }
}
