//! The hash that a record has, and whether bytes are those that the branch names: in one pass.

use crate::model::{ContentHasher, ContentIds};

/// Hashes the bytes of one file. A BLAKE3 is always among what is computed, and never twice.
pub(super) struct RecordHasher {
    blake3: blake3::Hasher,
    expected_blake3: Option<[u8; 32]>,
    /// Where the branch names bytes by their Git id.
    git: Option<ContentHasher>,
}

/// What bytes turned out to be.
pub(super) struct Hashed {
    pub(super) blake3: [u8; 32],
    /// Whether they have every id of bytes that was expected.
    pub(super) is_expected: bool,
}

impl RecordHasher {
    /// Prepares to hash `size` bytes that should have the ids `expected`.
    pub(super) fn new(expected: ContentIds, size: u64) -> Self {
        let git = expected.git.map(|id| {
            let only = ContentIds {
                git: Some(id),
                ..ContentIds::default()
            };
            ContentHasher::new(only, size)
        });
        Self {
            blake3: blake3::Hasher::new(),
            expected_blake3: expected.blake3,
            git,
        }
    }

    /// Takes the next bytes.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.blake3.update(bytes);
        if let Some(git) = &mut self.git {
            git.update(bytes);
        }
    }

    /// Says what the bytes were.
    pub(super) fn finish(self) -> Hashed {
        let blake3 = *self.blake3.finalize().as_bytes();
        Hashed {
            blake3,
            is_expected: self.expected_blake3.is_none_or(|expected| expected == blake3)
                && self.git.is_none_or(|git| git.finish().is_some()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ContentId;

    fn hashed(expected: ContentIds, bytes: &[u8]) -> Hashed {
        let mut hasher = RecordHasher::new(expected, bytes.len() as u64);
        for chunk in bytes.chunks(2) {
            hasher.update(chunk);
        }
        hasher.finish()
    }

    #[test]
    fn every_id_of_bytes_is_compared_and_the_blake3_is_always_there() {
        let blake3 = *blake3::hash(b"hello").as_bytes();
        // `printf hello | git hash-object --stdin`
        let git: ContentId = "git:b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0".parse().unwrap();
        let mut both = ContentIds::from(git);
        both.blake3 = Some(blake3);
        let address = ContentIds {
            address: Some([7; 32]),
            ..ContentIds::default()
        };
        for (expected, tells) in [
            (git.into(), true),
            (ContentId::Blake3(blake3).into(), true),
            (both, true),
            (address, false),
        ] {
            let same = hashed(expected, b"hello");
            assert!(same.is_expected && same.blake3 == blake3);
            assert_eq!(hashed(expected, b"jello").is_expected, !tells);
        }
    }
}
