//! Reads a recorded range by the shortest way: no checks, since the recording is what it is.
//!
//! The library's reader keeps no parts of a second, and the tables cannot be made again without them.

use crate::lakefs::standin::Entry;

const FOOTER_BYTES: usize = 53;
const TRAILER_BYTES: usize = 5;
const KEY_TRAILER_BYTES: usize = 8;

/// The keys and entries of a range.
pub fn read(table: &[u8]) -> Vec<(Vec<u8>, Entry)> {
    let mut footer = &table[table.len() - FOOTER_BYTES + 1..];
    let _metaindex = Handle::read(&mut footer);
    let index = Handle::read(&mut footer).block(table);
    let mut found = Vec::new();
    for (_, value) in records(&index) {
        let block = Handle::read(&mut value.as_slice()).block(table);
        // One level of the index more where its values name blocks of handles.
        let is_index = records(&block).iter().all(|(_, value)| value.len() < 2 * 10);
        let blocks = if is_index {
            let inner = records(&block);
            inner
                .iter()
                .map(|(_, value)| Handle::read(&mut value.as_slice()).block(table))
                .collect()
        } else {
            vec![block]
        };
        for (key, value) in blocks.iter().flat_map(|block| records(block)) {
            let mut rest = value.as_slice();
            take(&mut rest);
            let data = take(&mut rest);
            found.push((key[..key.len() - KEY_TRAILER_BYTES].to_vec(), Entry::decode(data)));
        }
    }
    found
}

/// Where the properties of a table begin, behind its data and its index.
pub fn properties_at(table: &[u8]) -> usize {
    let mut footer = &table[table.len() - FOOTER_BYTES + 1..];
    let metaindex = records(&Handle::read(&mut footer).block(table));
    let (_, value) = metaindex.iter().find(|(key, _)| key == b"rocksdb.properties").unwrap();
    Handle::read(&mut value.as_slice()).at
}

struct Handle {
    at: usize,
    length: usize,
}

impl Handle {
    fn read(from: &mut &[u8]) -> Self {
        Self {
            at: varint(from),
            length: varint(from),
        }
    }

    fn block(&self, table: &[u8]) -> Vec<u8> {
        let bytes = &table[self.at..self.at + self.length];
        assert!(self.at + self.length + TRAILER_BYTES <= table.len());
        match table[self.at + self.length] {
            0 => bytes.to_vec(),
            1 => snap::raw::Decoder::new().decompress_vec(bytes).unwrap(),
            other => panic!("packing {other}"),
        }
    }
}

/// The keys and values of a block.
fn records(block: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let restarts = u32::from_le_bytes(block[block.len() - 4..].try_into().unwrap()) as usize;
    let mut rest = &block[..block.len() - 4 * (restarts + 1)];
    let (mut found, mut key) = (Vec::new(), Vec::new());
    while !rest.is_empty() {
        let (shared, own, length) = (varint(&mut rest), varint(&mut rest), varint(&mut rest));
        key.truncate(shared);
        key.extend_from_slice(&rest[..own]);
        found.push((key.clone(), rest[own..own + length].to_vec()));
        rest = &rest[own + length..];
    }
    found
}

/// Bytes with their length, doubled, before them.
fn take<'a>(from: &mut &'a [u8]) -> &'a [u8] {
    let length = varint(from) / 2;
    let (taken, rest) = from.split_at(length);
    *from = rest;
    taken
}

fn varint(from: &mut &[u8]) -> usize {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let byte = from[0];
        *from = &from[1..];
        value |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    value
}
