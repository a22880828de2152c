//! One block: records whose keys share their beginnings, and where they do not.

use super::super::varint::put_unsigned;

/// The bytes of a restart, and of their count.
const RESTART_BYTES: usize = 4;

/// Gathers the records of one block.
pub(super) struct BlockBuilder {
    restart_interval: usize,
    out: Vec<u8>,
    restarts: Vec<u32>,
    records: usize,
    key: Vec<u8>,
    last_key: Vec<u8>,
}

impl BlockBuilder {
    pub(super) fn new(restart_interval: usize) -> Self {
        Self {
            restart_interval,
            out: Vec::new(),
            restarts: Vec::new(),
            records: 0,
            key: Vec::new(),
            last_key: Vec::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// How long the block is by now; an empty one is counted without the restart that it ends up with.
    pub(super) fn raw_bytes(&self) -> usize {
        self.out.len() + RESTART_BYTES * (self.restarts.len() + 1)
    }

    /// Whether a record of these lengths is better put into the next block: this one is as large as it should
    /// be, or nearly so and would grow beyond it.
    pub(super) fn is_full_for(&self, key: usize, value: usize, block_bytes: usize) -> bool {
        let now = self.raw_bytes();
        let restart = if self.records.is_multiple_of(self.restart_interval) {
            RESTART_BYTES
        } else {
            0
        };
        let lengths = RESTART_BYTES + varint_bytes(key) + varint_bytes(value);
        let then = now + key + value + restart + lengths;
        !self.is_empty() && (now >= block_bytes || (now > block_bytes * 9 / 10 && then > block_bytes))
    }

    /// Appends a record whose key is `key` and `trailer` after one another.
    pub(super) fn push(&mut self, key: &[u8], trailer: &[u8], value: &[u8]) {
        self.key.clear();
        self.key.extend_from_slice(key);
        self.key.extend_from_slice(trailer);
        let shared = if self.records.is_multiple_of(self.restart_interval) {
            self.restarts
                .push(u32::try_from(self.out.len()).expect("a block is far below 4 GiB"));
            0
        } else {
            let pairs = self.last_key.iter().zip(&self.key);
            pairs.take_while(|(last, this)| last == this).count()
        };
        put_unsigned(shared as u64, &mut self.out);
        put_unsigned((self.key.len() - shared) as u64, &mut self.out);
        put_unsigned(value.len() as u64, &mut self.out);
        self.out.extend_from_slice(&self.key[shared..]);
        self.out.extend_from_slice(value);
        std::mem::swap(&mut self.key, &mut self.last_key);
        self.records += 1;
    }

    /// Gives the block and begins the next.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        if self.restarts.is_empty() {
            self.restarts.push(0);
        }
        for restart in &self.restarts {
            self.out.extend_from_slice(&restart.to_le_bytes());
        }
        let count = u32::try_from(self.restarts.len()).expect("a block is far below 4 GiB");
        self.out.extend_from_slice(&count.to_le_bytes());
        self.restarts.clear();
        self.records = 0;
        std::mem::take(&mut self.out)
    }
}

fn varint_bytes(value: usize) -> usize {
    let bits = usize::BITS - value.leading_zeros();
    bits.div_ceil(7).max(1) as usize
}
