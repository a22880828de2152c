//! What must not be in a table, one thing at a time.

use bytes::Bytes;

use super::super::block::{Block, Checksums, Handle};
use super::super::error::{TableFault, TablePart};
use super::super::format::{FOOTER_BYTES, masked_checksum};
use super::super::id::{MetaRangeId, RangeId, TableId, TableKind};
use super::super::metarange::{MetaRange, RangeRef};
use super::super::table::{Footer, Table};
use super::super::varint::put_unsigned;
use super::super::writer::{TableWriter, write_metarange};
use super::recording::{entries, recorded_tables};

/// A recorded range of some 20 entries.
fn recorded() -> (TableId, Vec<u8>) {
    let mut tables = recorded_tables().into_iter();
    let (id, bytes) = tables.find(|(id, _)| id.kind() == TableKind::Range).unwrap();
    (id, bytes.to_vec())
}

fn fault_of(bytes: Vec<u8>, id: TableId) -> TableFault {
    entries(&Bytes::from(bytes), id).unwrap_err().fault
}

#[test]
fn each_field_of_the_footer_is_checked() {
    let (id, bytes) = recorded();
    let footer = bytes.len() - FOOTER_BYTES;
    for (at, byte, fault) in [
        (bytes.len() - 1, 0, TableFault::Magic),
        (bytes.len() - 12, 5, TableFault::Version(5)),
        (footer, 4, TableFault::ChecksumType(4)),
        (footer + 2, 0xff, TableFault::Handle),
    ] {
        let mut changed = bytes.clone();
        changed[at] = byte;
        assert_eq!(fault_of(changed, id), fault);
    }
    assert_eq!(fault_of(bytes[..FOOTER_BYTES - 1].to_vec(), id), TableFault::TooShort);
    assert_eq!(fault_of(Vec::new(), id), TableFault::TooShort);
    assert!(TableFault::Version(5).is_unknown_format() && !TableFault::Checksum.is_unknown_format());
}

#[test]
fn a_table_of_other_records_or_of_the_other_kind_is_refused() {
    let (id, bytes) = recorded();
    let other = TableId::Range(RangeId::from_hash([7; 32]));
    assert_eq!(fault_of(bytes.clone(), other), TableFault::Id { found: id });
    let kind = TableId::MetaRange(MetaRangeId::from_hash(*id.hash()));
    assert_eq!(fault_of(bytes, kind), TableFault::Kind(TableKind::MetaRange));
}

#[test]
fn an_error_stays_and_says_where_it_is() {
    let (id, mut bytes) = recorded();
    bytes[100] ^= 1;
    let mut reader = Table::open(bytes.into()).unwrap().read(id).unwrap();
    let error = reader.advance().unwrap_err();
    assert_eq!(
        (error.fault, error.part, error.at),
        (TableFault::Checksum, TablePart::Data, 0)
    );
    assert_eq!(error.to_string(), "data block at byte 0: does not have its checksum");
    assert_eq!(reader.advance(), Err(error));
    assert_eq!(reader.record(), None);
}

/// A block with its trailer, packed with Snappy or not.
fn sealed(packed: &[u8], packing: u8) -> Vec<u8> {
    let mut block = packed.to_vec();
    block.push(packing);
    block.extend_from_slice(&masked_checksum(&block.clone()).to_le_bytes());
    block
}

fn load(block: &[u8]) -> Result<Block, TableFault> {
    let handle = Handle {
        at: 0,
        length: block.len() as u64 - 5,
    };
    let mut loaded = Block::new(TablePart::Data);
    loaded
        .load(block, handle, Checksums::Compared)
        .map(|()| loaded)
        .map_err(|error| error.fault)
}

#[test]
fn a_block_that_says_it_would_be_huge_is_refused_before_room_is_made() {
    for (length, padding, fault) in [
        (1 << 40, 0, TableFault::Unpacked(1 << 40)),
        (1 << 20, 1_000, TableFault::Unpacked(1 << 20)),
        (17 << 20, 1 << 20, TableFault::Unpacked(17 << 20)),
        (100, 100, TableFault::Snappy),
    ] {
        let mut packed = Vec::new();
        put_unsigned(length, &mut packed);
        packed.resize(packed.len() + padding, 0xff);
        assert_eq!(load(&sealed(&packed, 1)).err(), Some(fault));
    }
    assert_eq!(
        load(&sealed(&vec![0; (16 << 20) + 1], 0)).err(),
        Some(TableFault::Unpacked((16 << 20) + 1))
    );
    assert_eq!(load(&sealed(b"", 1)).err(), Some(TableFault::Snappy));
    assert_eq!(load(&sealed(b"", 7)).err(), Some(TableFault::Packing(7)));
}

#[test]
fn a_block_must_say_where_its_records_end() {
    for block in [
        &b""[..],
        b"\0\0\0",
        b"\0\0\0\0",
        b"\x01\0\0\0",
        b"\0\0\0\0\xff\xff\xff\xff",
    ] {
        assert_eq!(load(&sealed(block, 0)).err(), Some(TableFault::Restarts), "{block:?}");
    }
    let mut empty = load(&sealed(b"\0\0\0\0\x01\0\0\0", 0)).unwrap();
    assert!(empty.step().unwrap().is_none());
    for record in [
        &b"\0\x05\0abc"[..],
        b"\0\x01\x7fabc",
        b"\x80",
        b"\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x01a",
    ] {
        let block = [record, b"\0\0\0\0\x01\0\0\0"].concat();
        let fault = load(&sealed(&block, 0)).unwrap().step().err().map(|error| error.fault);
        assert_eq!(fault, Some(TableFault::Record), "{record:?}");
    }
}

#[test]
fn a_known_table_with_its_data_blocks_in_a_loop_is_refused() {
    let mut writer = TableWriter::new(TableKind::Range).with_block_bytes(40).unpacked();
    for key in [b"a", b"b", b"c"] {
        writer.push(key, &[0; 32], b"");
    }
    let (id, bytes) = writer.finish();
    let id = TableId::Range(id.parse().unwrap());
    let mut bytes = bytes.to_vec();
    let index = Footer::read(&bytes).unwrap().index;
    // The top index: its first record's value is the handle of the first partition.
    let first = Footer::read(&bytes).unwrap();
    assert_eq!(first.index, index);
    let start = index.at as usize;
    let end = start + index.length as usize;
    let block = bytes[start..end].to_vec();
    let mut walk = load_at(&bytes, index);
    let values: Vec<_> = std::iter::from_fn(|| walk.step().unwrap())
        .map(|record| record.value)
        .collect();
    assert!(values.len() > 1, "the index has two levels");
    assert_eq!(values[0].len(), values[1].len());
    let mut looping = block.clone();
    let value = block[values[0].clone()].to_vec();
    looping[values[1].clone()].copy_from_slice(&value);
    bytes[start..end].copy_from_slice(&looping);
    let checksum = masked_checksum(&bytes[start..=end]);
    bytes[end + 1..end + 5].copy_from_slice(&checksum.to_le_bytes());
    assert_eq!(fault_of(bytes, id), TableFault::BlockOrder);
}

fn load_at(table: &[u8], handle: Handle) -> Block {
    let mut block = Block::new(TablePart::Index);
    block.load(table, handle, Checksums::Compared).unwrap();
    block
}

#[test]
fn ranges_that_overlap_or_lie_about_their_keys_are_refused() {
    let range = |min: &str, max: &str| RangeRef {
        id: RangeId::from_hash([1; 32]),
        min_key: min.into(),
        max_key: max.into(),
        count: 1,
        estimated_size_bytes: 1,
    };
    let read = |ranges: &[RangeRef]| {
        let (id, bytes) = write_metarange(ranges);
        MetaRange::read(bytes, id).map_err(|error| error.fault)
    };
    assert!(read(&[range("a", "b"), range("c", "c")]).is_ok());
    for ranges in [
        [range("a", "b"), range("b", "c")],
        [range("a", "c"), range("b", "d")],
        [range("a", "b"), range("d", "c")],
    ] {
        assert_eq!(read(&ranges), Err(TableFault::RangeOrder));
    }
    let mut writer = TableWriter::new(TableKind::MetaRange);
    let one = range("a", "b");
    writer.push(b"other", one.id.to_string().as_bytes(), &one.encode());
    let (id, bytes) = writer.finish();
    assert_eq!(
        MetaRange::read(bytes, id.parse().unwrap()).unwrap_err().fault,
        TableFault::RangeOrder
    );
    let mut writer = TableWriter::new(TableKind::MetaRange);
    writer.push(b"b", one.id.hash(), &one.encode());
    let (id, bytes) = writer.finish();
    assert_eq!(
        MetaRange::read(bytes, id.parse().unwrap()).unwrap_err().fault,
        TableFault::Identity
    );
}
