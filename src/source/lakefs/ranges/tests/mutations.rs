//! A million damaged tables: each is an error or gives the very records of its id.

use std::collections::HashSet;
use std::mem::{Discriminant, discriminant};
use std::ops::Range;

use bytes::Bytes;
use fastrand::Rng;

use super::super::block::{Block, Checksums, Handle};
use super::super::error::{TableError, TableFault, TablePart};
use super::super::format::{
    CHECKSUM_CRC32C, FOOTER_BYTES, HANDLES_END, MAGIC, TRAILER_BYTES, VERSION, masked_checksum,
};
use super::super::id::{TableId, TableKind};
use super::super::reader::TableReader;
use super::super::table::{Footer, Table};
use super::super::varint::put_unsigned;
use super::super::writer::TableWriter;
use super::recording::recorded_tables;

/// How many of each kind; two kinds of damage and two of edits.
const SMALL: u32 = 260_000;
/// How many of each kind on the table with 12,019 records.
const LARGE: u32 = 400;
const _: () = assert!(4 * SMALL >= 1_000_000);

/// A table to be damaged, and what it holds.
struct Base {
    id: TableId,
    bytes: Vec<u8>,
    records: Vec<Owned>,
    /// Every block of it.
    blocks: Vec<Range<usize>>,
}

#[derive(PartialEq)]
struct Owned {
    key: Vec<u8>,
    identity: Vec<u8>,
    data: Vec<u8>,
}

impl Base {
    fn new(id: TableId, bytes: &[u8]) -> Self {
        let mut reader = Table::open(Bytes::copy_from_slice(bytes)).unwrap().read(id).unwrap();
        let mut records = Vec::new();
        while let Some(record) = reader.next_record().unwrap() {
            records.push(Owned {
                key: record.key.to_vec(),
                identity: record.identity.to_vec(),
                data: record.data.to_vec(),
            });
        }
        Self {
            id,
            bytes: bytes.to_vec(),
            records,
            blocks: Table::open(Bytes::copy_from_slice(bytes)).unwrap().blocks().unwrap(),
        }
    }

    /// The same records in another table: blocks of another size, packed or not.
    fn rewritten(&self, block_bytes: usize, packed: bool) -> Self {
        let mut writer = TableWriter::new(self.id.kind()).with_block_bytes(block_bytes);
        if !packed {
            writer = writer.unpacked();
        }
        for record in &self.records {
            writer.push(&record.key, &record.identity, &record.data);
        }
        let (id, bytes) = writer.finish();
        assert_eq!(id, self.id.to_string());
        Self::new(self.id, &bytes)
    }

    /// Reads a damaged table; what it gives before an error does not matter, only that there is an end.
    fn judge(&self, damaged: Vec<u8>) -> Option<TableFault> {
        let length = damaged.len();
        match self.differs(damaged.into()) {
            Ok(true) => panic!("{} damaged to {length} bytes gave other records", self.id),
            Ok(false) => None,
            Err(error) => Some(error.fault),
        }
    }

    fn differs(&self, damaged: Bytes) -> Result<bool, TableError> {
        let table = Table::open(damaged)?;
        // The way on which nothing is compared has no checksum in front of it.
        if let Ok(mut reader) = TableReader::known_good(table.clone()) {
            while let Ok(true) = reader.advance() {
                let _ = reader.entry();
            }
        }
        let mut reader = table.read(self.id)?;
        let mut expected = self.records.iter();
        let mut differs = false;
        while let Some(record) = reader.next_record()? {
            differs |= !expected.next().is_some_and(|expected| {
                (expected.key.as_slice(), &*expected.identity, &*expected.data)
                    == (record.key, record.identity, record.data)
            });
        }
        Ok(differs || expected.next().is_some())
    }
}

fn small_bases() -> Vec<Base> {
    let recorded = recorded_tables().into_iter().filter(|(_, bytes)| bytes.len() < 10_000);
    let mut bases: Vec<_> = recorded.map(|(id, bytes)| Base::new(id, &bytes)).collect();
    let ranges = bases.iter().filter(|base| base.id.kind() == TableKind::Range);
    let rewritten: Vec<_> = ranges
        .flat_map(|base| {
            [(4096, false), (300, false), (300, true)].map(|(bytes, packed)| base.rewritten(bytes, packed))
        })
        .collect();
    bases.extend(rewritten);
    assert_eq!(bases.len(), 9 + 12);
    bases
}

fn large_base() -> Base {
    let (id, bytes) = recorded_tables()
        .into_iter()
        .max_by_key(|(_, bytes)| bytes.len())
        .expect("there are tables");
    Base::new(id, &bytes)
}

/// Bytes at which things begin or end to be something else.
fn odd_byte(rng: &mut Rng) -> u8 {
    rng.choice([0, 1, 2, 0x7f, 0x80, 0xfe, 0xff]).expect("there are some")
}

/// Changes a few bytes of a part.
fn scribble(bytes: &mut [u8], rng: &mut Rng) {
    if bytes.is_empty() {
        return;
    }
    for _ in 0..rng.usize(1..=3) {
        let at = rng.usize(..bytes.len());
        match rng.u8(..4) {
            0 => bytes[at] ^= 1 << rng.u8(..8),
            1 => bytes[at] = odd_byte(rng),
            2 => bytes[at] = bytes[at].wrapping_add(1),
            _ => bytes[at] = rng.u8(..),
        }
    }
}

/// Makes the checksum of a block right again.
fn seal(table: &mut [u8], block: &Range<usize>) {
    let checksum = masked_checksum(&table[block.start..=block.end]);
    table[block.end + 1..block.end + TRAILER_BYTES].copy_from_slice(&checksum.to_le_bytes());
}

fn flips(base: &Base, rng: &mut Rng) -> Option<TableFault> {
    let mut bytes = base.bytes.clone();
    // A third of them in the footer, which no checksum covers.
    let start = if rng.u8(..3) == 0 {
        bytes.len() - FOOTER_BYTES
    } else {
        0
    };
    scribble(&mut bytes[start..], rng);
    base.judge(bytes)
}

fn cuts(base: &Base, other: &Base, rng: &mut Rng) -> Option<TableFault> {
    let mut bytes = base.bytes.clone();
    let start = rng.usize(..bytes.len());
    let end = rng.usize(start..=bytes.len());
    match rng.u8(..4) {
        0 => bytes.truncate(start),
        1 => drop(bytes.drain(start..end)),
        2 => {
            let from = rng.usize(..other.bytes.len());
            let to = rng.usize(from..=other.bytes.len());
            bytes.splice(start..end, other.bytes[from..to].iter().copied());
        }
        // Two blocks change places.
        _ => {
            let (left, right) = (rng.choice(&base.blocks), rng.choice(&other.blocks));
            let (left, right) = (left.expect("has blocks"), right.expect("has blocks"));
            let whole = |block: &Range<usize>| block.start..block.end + TRAILER_BYTES;
            bytes.splice(whole(left), other.bytes[whole(right)].iter().copied());
        }
    }
    base.judge(bytes)
}

/// Changes bytes within a block, and its checksum with them.
fn sealed_edits(base: &Base, rng: &mut Rng) -> Option<TableFault> {
    let mut bytes = base.bytes.clone();
    let block = rng.choice(&base.blocks).expect("has blocks");
    let start = block.start;
    // The byte behind the block says how it is packed.
    let end = block.end + usize::from(rng.u8(..8) == 0);
    // Restarts and their count are at the end, the lengths of the first record at the beginning.
    let part = match rng.u8(..4) {
        0 => end.saturating_sub(8).max(start)..end,
        1 => start..end.min(start + 4),
        _ => start..end,
    };
    scribble(&mut bytes[part], rng);
    seal(&mut bytes, block);
    base.judge(bytes)
}

/// Puts a longer or shorter metaindex or index behind the table, where the footer finds it.
fn sealed_replacements(base: &Base, rng: &mut Rng) -> Option<TableFault> {
    let footer = Footer::read(&base.bytes).unwrap();
    let of_index = rng.bool();
    let handle = if of_index { footer.index } else { footer.metaindex };
    let mut block = Block::new(TablePart::Index);
    block.load(&base.bytes, handle, Checksums::Compared).unwrap();
    let mut unpacked = block.whole().to_vec();
    match rng.u8(..4) {
        0 => unpacked.truncate(rng.usize(..unpacked.len())),
        1 => {
            let at = rng.usize(..unpacked.len());
            let odd: Vec<u8> = (0..rng.usize(1..12)).map(|_| odd_byte(rng)).collect();
            unpacked.splice(at..at, odd);
        }
        2 => {
            let at = rng.usize(..unpacked.len());
            let again = unpacked[at..rng.usize(at..=unpacked.len())].to_vec();
            unpacked.splice(at..at, again);
        }
        _ => {
            let at = rng.usize(..unpacked.len());
            unpacked.drain(at..rng.usize(at..=unpacked.len()));
        }
    }
    scribble(&mut unpacked, rng);
    let mut bytes = base.bytes[..base.bytes.len() - FOOTER_BYTES].to_vec();
    let block = bytes.len()..bytes.len() + unpacked.len();
    let new = Handle {
        at: block.start as u64,
        length: block.len() as u64,
    };
    bytes.extend_from_slice(&unpacked);
    bytes.extend_from_slice(&[0; TRAILER_BYTES]);
    seal(&mut bytes, &block);
    let (metaindex, index) = if of_index {
        (footer.metaindex, new)
    } else {
        (new, footer.index)
    };
    let end = bytes.len() + HANDLES_END;
    bytes.push(CHECKSUM_CRC32C);
    for number in [metaindex.at, metaindex.length, index.at, index.length] {
        put_unsigned(number, &mut bytes);
    }
    bytes.resize(end, 0);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&MAGIC);
    base.judge(bytes)
}

/// Damages small tables in one way; gives the kinds of fault that were found.
fn each_small(
    seed: u64,
    mut damage: impl FnMut(&Base, &Base, &mut Rng) -> Option<TableFault>,
) -> HashSet<Discriminant<TableFault>> {
    let bases = small_bases();
    let mut rng = Rng::with_seed(seed);
    let mut faults = HashSet::new();
    for number in 0..SMALL {
        let base = &bases[number as usize % bases.len()];
        let other = &bases[rng.usize(..bases.len())];
        faults.extend(damage(base, other, &mut rng).map(|fault| discriminant(&fault)));
    }
    faults
}

/// Damage that only ever met the first check would prove nothing of the others.
fn assert_met(found: &HashSet<Discriminant<TableFault>>, expected: &[TableFault]) {
    for fault in expected {
        assert!(found.contains(&discriminant(fault)), "{fault:?} was never met");
    }
}

#[test]
fn flipped_bytes_never_give_other_records() {
    let found = each_small(1, |base, _, rng| flips(base, rng));
    let expected = [
        TableFault::Magic,
        TableFault::Version(0),
        TableFault::ChecksumType(0),
        TableFault::Handle,
        TableFault::Checksum,
    ];
    assert_met(&found, &expected);
}

#[test]
fn cut_and_spliced_tables_never_give_other_records() {
    let found = each_small(2, cuts);
    let expected = [
        TableFault::TooShort,
        TableFault::Magic,
        TableFault::Handle,
        TableFault::Checksum,
    ];
    assert_met(&found, &expected);
}

#[test]
fn edited_blocks_with_right_checksums_never_give_other_records() {
    let found = each_small(3, |base, _, rng| sealed_edits(base, rng));
    let id = TableId::new(TableKind::Range, [0; 32]);
    let expected = [
        TableFault::Packing(0),
        TableFault::Snappy,
        TableFault::Unpacked(0),
        TableFault::Restarts,
        TableFault::Record,
        TableFault::KeyTrailer,
        TableFault::KeyOrder,
        TableFault::Value,
        TableFault::Handle,
        TableFault::BlockOrder,
        TableFault::IndexType(0),
        TableFault::Comparator,
        TableFault::Missing(""),
        TableFault::Kind(TableKind::Range),
        TableFault::Count { told: 0, found: 0 },
        TableFault::Id { found: id },
    ];
    assert_met(&found, &expected);
}

#[test]
fn replaced_indexes_with_right_checksums_never_give_other_records() {
    let found = each_small(4, |base, _, rng| sealed_replacements(base, rng));
    let expected = [
        TableFault::Restarts,
        TableFault::Record,
        TableFault::Handle,
        TableFault::BlockOrder,
        TableFault::Missing(""),
        TableFault::Count { told: 0, found: 0 },
    ];
    assert_met(&found, &expected);
}

#[test]
fn the_large_recorded_table_is_no_less_safe() {
    let base = large_base();
    let mut rng = Rng::with_seed(5);
    for _ in 0..LARGE {
        flips(&base, &mut rng);
        cuts(&base, &base, &mut rng);
        sealed_edits(&base, &mut rng);
        sealed_replacements(&base, &mut rng);
    }
}
