//! The numbers of the table format: RocksDB's block-based table, version 2, as pebble writes it.

/// What a table ends with.
pub(super) const MAGIC: [u8; 8] = [0xf7, 0xcf, 0xf4, 0x85, 0xb7, 0x41, 0xe2, 0x88];
/// The length of the footer: checksum type, two handles padded to 40 bytes, version, magic.
pub(super) const FOOTER_BYTES: usize = 53;
/// Where the padding of the handles ends in the footer.
pub(super) const HANDLES_END: usize = 41;
/// The version of the footer that is read.
pub(super) const VERSION: u32 = 2;
/// The checksum type CRC32C.
pub(super) const CHECKSUM_CRC32C: u8 = 1;

/// What follows a block: how it is packed, and the checksum over both.
pub(super) const TRAILER_BYTES: usize = 5;
/// A block as it is.
pub(super) const PACKED_RAW: u8 = 0;
/// A block packed with Snappy.
pub(super) const PACKED_SNAPPY: u8 = 1;

/// What an internal key ends with: sequence number 0, kind "set". Files that lakeFS writes have no other.
pub(super) const KEY_TRAILER: [u8; 8] = [1, 0, 0, 0, 0, 0, 0, 0];
/// What a shortened key in an index ends with.
#[cfg(any(test, feature = "testing"))]
pub(super) const SEPARATOR_TRAILER: [u8; 8] = [0x11, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];

/// The name of the properties in the metaindex.
pub(super) const PROPERTIES: &[u8] = b"rocksdb.properties";
/// The property that tells the kind of index.
pub(super) const INDEX_TYPE: &[u8] = b"rocksdb.block.based.table.index.type";
/// The property that tells the order of the keys.
pub(super) const COMPARATOR: &[u8] = b"rocksdb.comparator";
/// The order of the keys: by bytes.
pub(super) const BYTEWISE: &[u8] = b"leveldb.BytewiseComparator";

/// Computes the checksum of a block and of the byte that says how it is packed. It is masked, so that a checksum
/// over data that holds checksums is still one.
#[inline]
pub(super) fn masked_checksum(block_and_packing: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(block_and_packing)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8)
}
