//! The index: a key that parts each block from the next, and where the block is.

use super::super::format::{KEY_TRAILER, SEPARATOR_TRAILER};
use super::Handle;
use super::block::BlockBuilder;

/// Gathers the index while data blocks are written.
pub(super) struct IndexBuilder {
    block: BlockBuilder,
    last_key: Vec<u8>,
    ended: Vec<Partition>,
}

/// One block of an index with two levels.
pub(super) struct Partition {
    pub(super) last_key: Vec<u8>,
    pub(super) block: Vec<u8>,
}

/// An index, ready to be written.
pub(super) struct IndexBlocks {
    /// The blocks below the top one; none where one level does.
    pub(super) partitions: Vec<Partition>,
    /// The one block of an index with one level.
    pub(super) top: Option<Vec<u8>>,
}

impl Default for IndexBuilder {
    fn default() -> Self {
        Self {
            block: BlockBuilder::new(1),
            last_key: Vec::new(),
            ended: Vec::new(),
        }
    }
}

impl IndexBuilder {
    /// The length of the block that is being filled; lakeFS's estimates leave those out that have ended.
    pub(super) fn raw_bytes(&self) -> usize {
        self.block.raw_bytes()
    }

    /// Adds a block by its last key and the first of the next block.
    pub(super) fn push(&mut self, last: &[u8], next: Option<&[u8]>, handle: Handle, block_bytes: usize) {
        let mut value = Vec::new();
        handle.put(&mut value);
        let key = match next {
            Some(next) => between(last, next),
            None => after(last),
        };
        let mut key_with_trailer = key.clone().unwrap_or_else(|| last.to_vec());
        key_with_trailer.extend_from_slice(if key.is_some() {
            &SEPARATOR_TRAILER
        } else {
            &KEY_TRAILER
        });
        if self.block.is_full_for(key_with_trailer.len(), value.len(), block_bytes) {
            self.end_partition();
        }
        self.block.push(&key_with_trailer, &[], &value);
        self.last_key = key_with_trailer;
    }

    pub(super) fn finish(mut self) -> IndexBlocks {
        if self.ended.is_empty() {
            return IndexBlocks {
                partitions: Vec::new(),
                top: Some(self.block.finish()),
            };
        }
        self.end_partition();
        IndexBlocks {
            partitions: self.ended,
            top: None,
        }
    }

    fn end_partition(&mut self) {
        self.ended.push(Partition {
            last_key: std::mem::take(&mut self.last_key),
            block: self.block.finish(),
        });
    }
}

/// A key shorter than `last` that is greater than it and less than `next`, where there is one.
fn between(last: &[u8], next: &[u8]) -> Option<Vec<u8>> {
    let shared = last.iter().zip(next).take_while(|(left, right)| left == right).count();
    // Cut behind the first byte that can be raised and still be less than `next`; the last byte gains nothing.
    (shared..last.len().saturating_sub(1)).find_map(|cut| {
        let mut key = last[..=cut].to_vec();
        key[cut] = key[cut].checked_add(1)?;
        (key.as_slice() < next).then_some(key)
    })
}

/// A key not longer than `last` that is greater than it, where there is one.
fn after(last: &[u8]) -> Option<Vec<u8>> {
    let cut = last.iter().position(|byte| *byte != u8::MAX)?;
    let mut key = last[..=cut].to_vec();
    key[cut] += 1;
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parting_key_lies_between_and_is_short() {
        for (last, next, expected) in [
            (&b"table/part"[..], &b"uni"[..], Some(&b"u"[..])),
            (b"table/part", b"u", Some(b"tb")),
            (b"t", b"u", None),
            (b"abcd", b"abzz", Some(b"abd")),
            (b"ab", b"abc", None),
            (b"a\xffz", b"b", None),
        ] {
            assert_eq!(between(last, next).as_deref(), expected, "{last:?} {next:?}");
        }
        assert_eq!(after(b"\xffab"), Some(b"\xffb".to_vec()));
        assert_eq!(after(b"\xff"), None);
    }
}
