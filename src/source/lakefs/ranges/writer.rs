//! Writes tables of the format that the reader reads: for tests and for a server that stands in for lakeFS.

mod block;
mod index;
mod tree;

use bytes::Bytes;

pub use tree::{SplitParams, TreeTables, write_metarange, write_ranges, write_tree};

use super::format::{
    BYTEWISE, CHECKSUM_CRC32C, COMPARATOR, FOOTER_BYTES, HANDLES_END, INDEX_TYPE, KEY_TRAILER, MAGIC, PACKED_RAW,
    PACKED_SNAPPY, PROPERTIES, TRAILER_BYTES, VERSION, masked_checksum,
};
use super::id::{TableId, TableKind};
use super::ident::TableHasher;
use super::varint::{put_unsigned, put_zigzag};
use block::BlockBuilder;
use index::IndexBuilder;

/// How large a block grows before the next begins.
const BLOCK_BYTES: usize = 4096;
/// How many keys of a data block share their beginnings with the one before, until one is written whole.
const RESTART_INTERVAL: usize = 16;

/// Where a block is: its first byte, and its length without the trailer.
#[derive(Clone, Copy)]
struct Handle {
    at: u64,
    length: u64,
}

impl Handle {
    fn put(self, to: &mut Vec<u8>) {
        put_unsigned(self.at, to);
        put_unsigned(self.length, to);
    }
}

/// Writes one table, record by record in the order of the keys.
pub struct TableWriter {
    kind: TableKind,
    out: Vec<u8>,
    hasher: TableHasher,
    block: BlockBuilder,
    index: IndexBuilder,
    snappy: snap::raw::Encoder,
    packed: Vec<u8>,
    value: Vec<u8>,
    min_key: Vec<u8>,
    /// The key of the last record.
    max_key: Vec<u8>,
    records: u64,
    data_blocks: u64,
    raw_key_bytes: u64,
    raw_value_bytes: u64,
    block_bytes: usize,
    packs: bool,
}

impl TableWriter {
    /// Begins a table.
    pub fn new(kind: TableKind) -> Self {
        Self {
            kind,
            out: Vec::new(),
            hasher: TableHasher::new(),
            block: BlockBuilder::new(RESTART_INTERVAL),
            index: IndexBuilder::default(),
            snappy: snap::raw::Encoder::new(),
            packed: Vec::new(),
            value: Vec::new(),
            min_key: Vec::new(),
            max_key: Vec::new(),
            records: 0,
            data_blocks: 0,
            raw_key_bytes: 0,
            raw_value_bytes: 0,
            block_bytes: BLOCK_BYTES,
            packs: true,
        }
    }

    /// Begins a block, of data and of the index, once the last one is about so long; 4 KiB unless told otherwise.
    #[must_use]
    pub fn with_block_bytes(mut self, bytes: usize) -> Self {
        self.block_bytes = bytes;
        self
    }

    /// Leaves every block as it is, where lakeFS would pack what grows smaller by an eighth.
    #[must_use]
    pub fn unpacked(mut self) -> Self {
        self.packs = false;
        self
    }

    /// Appends a record.
    ///
    /// # Panics
    ///
    /// Where the key is not greater than the last one.
    pub fn push(&mut self, key: &[u8], identity: &[u8], data: &[u8]) {
        assert!(
            self.records == 0 || key > self.max_key.as_slice(),
            "the keys of a table grow"
        );
        self.value.clear();
        put_zigzag(identity.len() as i64, &mut self.value);
        self.value.extend_from_slice(identity);
        put_zigzag(data.len() as i64, &mut self.value);
        self.value.extend_from_slice(data);
        self.hasher.record(key, &self.value);

        if self
            .block
            .is_full_for(key.len() + KEY_TRAILER.len(), self.value.len(), self.block_bytes)
        {
            self.end_block(Some(key));
        }
        self.block.push(key, &KEY_TRAILER, &self.value);
        if self.records == 0 {
            self.min_key = key.to_vec();
        }
        self.max_key.clear();
        self.max_key.extend_from_slice(key);
        self.records += 1;
        self.raw_key_bytes += (key.len() + KEY_TRAILER.len()) as u64;
        self.raw_value_bytes += self.value.len() as u64;
    }

    /// How many records were pushed.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// About how large the table is by now, in bytes.
    pub fn estimated_size_bytes(&self) -> u64 {
        (self.out.len() + self.block.raw_bytes() + self.index.raw_bytes()) as u64
    }

    /// Ends the table; gives its id in hexadecimal digits, and its bytes.
    pub fn finish(self) -> (String, Bytes) {
        let (id, bytes) = self.finish_table();
        (id.to_string(), bytes)
    }

    /// Ends the table; gives its id and its bytes.
    pub(super) fn finish_table(mut self) -> (TableId, Bytes) {
        let estimated_size_bytes = self.estimated_size_bytes();
        // A table without records has one block without records.
        if !self.block.is_empty() || self.data_blocks == 0 {
            self.end_block(None);
        }
        let data_bytes = self.out.len() as u64;
        let blocks = std::mem::take(&mut self.index).finish();
        let mut index_bytes = 0;
        let mut partitions = BlockBuilder::new(1);
        for partition in &blocks.partitions {
            index_bytes += (partition.block.len() + TRAILER_BYTES) as u64;
            let handle = self.put_block(&partition.block, true);
            let mut value = Vec::new();
            handle.put(&mut value);
            partitions.push(&partition.last_key, &[], &value);
        }
        let two_levels = blocks.top.is_none();
        let top = blocks.top.unwrap_or_else(|| partitions.finish());
        index_bytes += (top.len() + TRAILER_BYTES) as u64;
        let index = self.put_block(&top, true);

        let mut properties = self.properties(estimated_size_bytes, data_bytes, index_bytes);
        let kind_of_index = if two_levels { 2_u32 } else { 0 };
        properties.push((INDEX_TYPE, kind_of_index.to_le_bytes().to_vec()));
        if two_levels {
            properties.push((b"rocksdb.index.partitions", unsigned(blocks.partitions.len() as u64)));
            properties.push((b"rocksdb.top-level.index.size", unsigned(top.len() as u64)));
        }
        properties.sort();
        let mut block = BlockBuilder::new(usize::MAX);
        for (name, value) in &properties {
            block.push(name, &[], value);
        }
        let handle = self.put_block(&block.finish(), false);
        let mut value = Vec::new();
        handle.put(&mut value);
        let mut metaindex = BlockBuilder::new(1);
        metaindex.push(PROPERTIES, &[], &value);
        let metaindex = self.put_block(&metaindex.finish(), false);

        let mut footer = Vec::with_capacity(FOOTER_BYTES);
        footer.push(CHECKSUM_CRC32C);
        metaindex.put(&mut footer);
        index.put(&mut footer);
        footer.resize(HANDLES_END, 0);
        footer.extend_from_slice(&VERSION.to_le_bytes());
        footer.extend_from_slice(&MAGIC);
        self.out.extend_from_slice(&footer);
        (TableId::new(self.kind, self.hasher.finish(self.kind)), self.out.into())
    }

    /// Ends the data block; `next` is the first key of the next one.
    fn end_block(&mut self, next: Option<&[u8]>) {
        let block = self.block.finish();
        let handle = self.put_block(&block, true);
        self.data_blocks += 1;
        self.index.push(&self.max_key, next, handle, self.block_bytes);
    }

    /// Appends a block with its trailer, packed where that is worth it.
    fn put_block(&mut self, block: &[u8], may_pack: bool) -> Handle {
        let at = self.out.len();
        self.packed.resize(snap::raw::max_compress_len(block.len()), 0);
        let length = if may_pack && self.packs {
            self.snappy
                .compress(block, &mut self.packed)
                .expect("the buffer is as long as the encoder asked for")
        } else {
            block.len()
        };
        if length < block.len() - block.len() / 8 {
            self.out.extend_from_slice(&self.packed[..length]);
            self.out.push(PACKED_SNAPPY);
        } else {
            self.out.extend_from_slice(block);
            self.out.push(PACKED_RAW);
        }
        let checksum = masked_checksum(&self.out[at..]);
        let length = self.out.len() - at - 1;
        self.out.extend_from_slice(&checksum.to_le_bytes());
        Handle {
            at: at as u64,
            length: length as u64,
        }
    }

    /// The properties that lakeFS writes, and those that its library does; unsorted.
    fn properties(
        &self,
        estimated_size_bytes: u64,
        data_bytes: u64,
        index_bytes: u64,
    ) -> Vec<(&'static [u8], Vec<u8>)> {
        let text = |text: &str| text.as_bytes().to_vec();
        vec![
            (b"type", text(self.kind.property())),
            (b"min_key", self.min_key.clone()),
            (b"max_key", self.max_key.clone()),
            (b"count", text(&self.records.to_string())),
            (b"estimated_size_bytes", text(&estimated_size_bytes.to_string())),
            (COMPARATOR, BYTEWISE.to_vec()),
            (b"rocksdb.block.based.table.prefix.filtering", text("0")),
            (b"rocksdb.block.based.table.whole.key.filtering", text("0")),
            (b"rocksdb.column.family.id", unsigned(i32::MAX as u64)),
            (b"rocksdb.compression", text("Snappy")),
            (
                b"rocksdb.compression_options",
                text("window_bits=-14; level=32767; strategy=0; max_dict_bytes=0; zstd_max_train_bytes=0; enabled=0; "),
            ),
            (b"rocksdb.creation.time", unsigned(0)),
            (b"rocksdb.data.size", unsigned(data_bytes)),
            (b"rocksdb.deleted.keys", unsigned(0)),
            (b"rocksdb.external_sst_file.global_seqno", vec![0; 8]),
            (b"rocksdb.external_sst_file.version", 2_u32.to_le_bytes().to_vec()),
            (b"rocksdb.filter.size", unsigned(0)),
            (b"rocksdb.fixed.key.length", unsigned(0)),
            (b"rocksdb.format.version", unsigned(0)),
            (b"rocksdb.index.key.is.user.key", unsigned(0)),
            (b"rocksdb.index.size", unsigned(index_bytes)),
            (b"rocksdb.index.value.is.delta.encoded", unsigned(0)),
            (b"rocksdb.merge.operands", unsigned(0)),
            (b"rocksdb.merge.operator", text("pebble.concatenate")),
            (b"rocksdb.num.data.blocks", unsigned(self.data_blocks)),
            (b"rocksdb.num.entries", unsigned(self.records)),
            (b"rocksdb.num.range-deletions", unsigned(0)),
            (b"rocksdb.oldest.key.time", unsigned(0)),
            (b"rocksdb.prefix.extractor.name", text("nullptr")),
            (b"rocksdb.property.collectors", text("[static]")),
            (b"rocksdb.raw.key.size", unsigned(self.raw_key_bytes)),
            (b"rocksdb.raw.value.size", unsigned(self.raw_value_bytes)),
        ]
    }
}

fn unsigned(value: u64) -> Vec<u8> {
    let mut written = Vec::new();
    put_unsigned(value, &mut written);
    written
}
