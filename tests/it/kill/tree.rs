//! A tree that changes in every way at once, so that each run has all kinds of work.

use std::collections::BTreeSet;

use crate::process::Room;

/// Objects that go in parts are above this, the least that there is.
pub const WORDS: [&str; 4] = ["--part-size", "5MiB", "--concurrency", "4"];

const PARTS_BYTES: usize = (6 << 20) + 1;

/// The small files that there are, and how often anything changed.
pub struct Tree {
    small: BTreeSet<String>,
    age: usize,
}

impl Tree {
    pub fn new() -> Self {
        Self {
            small: BTreeSet::new(),
            age: 0,
        }
    }

    /// Adds, changes, deletes and renames some; there is always an object in parts and one that goes last.
    pub fn change(&mut self, room: &Room, random: &mut fastrand::Rng) {
        self.age += 1;
        let age = self.age;
        for number in 0..4 {
            let path = format!("d{}/new-{age}-{number}", number % 2);
            room.write(&path, format!("new {age} {number}"));
            self.small.insert(path);
        }
        for _ in 0..2 {
            let path = self.any(random);
            room.write(&path, format!("changed {age} {}", random.u32(..)));
        }
        while self.small.len() > 12 {
            let path = self.any(random);
            std::fs::remove_file(room.tree().join(&path)).unwrap();
            self.small.remove(&path);
        }
        let (from, to) = (self.any(random), format!("renamed/{age}"));
        std::fs::create_dir_all(room.tree().join("renamed")).unwrap();
        std::fs::rename(room.tree().join(&from), room.tree().join(&to)).unwrap();
        self.small.remove(&from);
        self.small.insert(to);
        room.write("d0/_SUCCESS", format!("{age}"));
        room.write("twin", "the same");
        room.write(&format!("twins/{}", age % 3), "the same");
        // One that changes its bytes, and one that changes its name.
        let seed = u8::try_from(age % 256).unwrap();
        let mut bytes = vec![seed; PARTS_BYTES];
        bytes[..8].copy_from_slice(&(age as u64).to_le_bytes());
        room.write("big/changes", bytes);
        for name in ["big/one", "big/two"] {
            let path = room.tree().join(name);
            if path.exists() {
                std::fs::remove_file(path).unwrap();
            }
        }
        room.write(
            if age.is_multiple_of(2) { "big/one" } else { "big/two" },
            vec![1; PARTS_BYTES],
        );
        // A file, then a folder of its name, then a file.
        let turns = room.tree().join("turns");
        if turns.is_dir() {
            std::fs::remove_dir_all(&turns).unwrap();
        } else if turns.exists() {
            std::fs::remove_file(&turns).unwrap();
        }
        room.write(
            if age.is_multiple_of(2) { "turns" } else { "turns/inside" },
            format!("{age}"),
        );
    }

    fn any(&self, random: &mut fastrand::Rng) -> String {
        self.small.iter().nth(random.usize(..self.small.len())).unwrap().clone()
    }
}

/// Puts what somebody else might have there: objects, and an upload that is not done yet.
pub async fn add_foreign(room: &mut Room) {
    let prefix = room.export_path.prefix.to_string();
    for path in ["theirs", "d0/theirs", "big/theirs"] {
        room.bucket.write(&format!("{prefix}{path}"), "theirs").await;
        room.others.foreign.insert(path.to_owned(), b"theirs".to_vec());
    }
    let key = format!("{prefix}big/their-upload");
    let client = room.bucket.server.client();
    let begun = client
        .create_multipart_upload()
        .bucket(room.bucket.bucket.as_str())
        .key(&key);
    begun.send().await.unwrap();
    room.others.uploads.push(key);
    room.others.uploads.sort();
}
