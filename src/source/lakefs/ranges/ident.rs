//! How lakeFS writes values down before it hashes them.

use sha2::{Digest as _, Sha256};

use super::id::TableKind;

/// What a number begins with: its type, and its length of eight bytes.
const NUMBER: [u8; 2] = [2, 8];
/// What a text or a row of bytes begins with.
const BYTES: u8 = 1;
/// What a map begins with.
const MAP: u8 = 4;

/// Appends a number.
fn number(value: i64, to: &mut Vec<u8>) {
    to.extend_from_slice(&NUMBER);
    to.extend_from_slice(&value.to_be_bytes());
}

/// Appends a text or a row of bytes.
fn text(value: &[u8], to: &mut Vec<u8>) {
    to.push(BYTES);
    number(i64::try_from(value.len()).expect("no slice is that long"), to);
    to.extend_from_slice(value);
}

/// Appends a map, sorted by its keys.
fn map<'a>(pairs: impl ExactSizeIterator<Item = (&'a str, &'a str)>, to: &mut Vec<u8>) {
    to.push(MAP);
    number(i64::try_from(pairs.len()).expect("no map is that long"), to);
    for (key, value) in pairs {
        text(key.as_bytes(), to);
        text(value.as_bytes(), to);
    }
}

/// Computes the identity of an entry: what two equal entries of one path have in common. Neither the address
/// nor the time is in it.
#[cfg(any(test, feature = "testing"))]
pub(super) fn entry_identity(
    size: i64,
    e_tag: &str,
    metadata: &std::collections::BTreeMap<String, String>,
    content_type: &str,
) -> [u8; 32] {
    let mut written = Vec::with_capacity(256);
    number(size, &mut written);
    text(e_tag.as_bytes(), &mut written);
    let pairs = metadata.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    map(pairs, &mut written);
    if !content_type.is_empty() {
        text(content_type.as_bytes(), &mut written);
    }
    Sha256::digest(&written).into()
}

/// Gathers records before they are hashed: hashing many short pieces would cost more than the hash itself.
const GATHER_BYTES: usize = 4 << 10;

/// Computes the id of a table from its records and its kind.
pub(super) struct TableHasher {
    hash: Sha256,
    gathered: Vec<u8>,
}

impl TableHasher {
    pub(super) fn new() -> Self {
        Self {
            hash: Sha256::new(),
            gathered: Vec::with_capacity(GATHER_BYTES),
        }
    }

    /// Takes the next record in: length, key, bar, length, value, bar.
    #[inline]
    pub(super) fn record(&mut self, key: &[u8], value: &[u8]) {
        if self.gathered.len() + key.len() + value.len() + 2 * DECIMAL_BYTES + 2 > GATHER_BYTES {
            self.hash.update(&self.gathered);
            self.gathered.clear();
        }
        decimal(key.len(), &mut self.gathered);
        self.gathered.extend_from_slice(key);
        self.gathered.push(b'|');
        decimal(value.len(), &mut self.gathered);
        if value.len() > GATHER_BYTES / 2 {
            self.hash.update(&self.gathered);
            self.hash.update(value);
            self.gathered.clear();
        } else {
            self.gathered.extend_from_slice(value);
        }
        self.gathered.push(b'|');
    }

    /// Gives the id of a table of this kind.
    pub(super) fn finish(mut self, kind: TableKind) -> [u8; 32] {
        map([("type", kind.property())].into_iter(), &mut self.gathered);
        self.hash.update(&self.gathered);
        self.hash.finalize().into()
    }
}

/// The digits of the largest length.
const DECIMAL_BYTES: usize = 20;

/// Appends a length in decimal digits. Most have two or three, and are not worth a loop.
#[inline(always)]
fn decimal(value: usize, to: &mut Vec<u8>) {
    let digit = |of: usize| b'0' + (value / of % 10) as u8;
    match value {
        0..10 => to.push(digit(1)),
        10..100 => to.extend_from_slice(&[digit(10), digit(1)]),
        100..1000 => to.extend_from_slice(&[digit(100), digit(10), digit(1)]),
        _ => to.extend_from_slice(value.to_string().as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_written_in_decimal_digits() {
        for value in [0, 7, 9, 10, 99, 100, 560, 999, 1000, usize::MAX] {
            let mut written = Vec::new();
            decimal(value, &mut written);
            assert_eq!(written, value.to_string().as_bytes());
        }
    }

    #[test]
    fn a_long_value_is_hashed_like_a_short_one() {
        let value = vec![7; 3 * GATHER_BYTES];
        let mut hasher = TableHasher::new();
        hasher.record(b"key", &value);
        hasher.record(b"other", b"");
        let mut plain = Vec::new();
        plain.extend_from_slice(format!("3key|{}", value.len()).as_bytes());
        plain.extend_from_slice(&value);
        plain.extend_from_slice(b"|5other|0|");
        map([("type", "ranges")].into_iter(), &mut plain);
        assert_eq!(
            hasher.finish(TableKind::Range),
            <[u8; 32]>::from(Sha256::digest(&plain))
        );
    }
}
