//! One block of a table: found, checked, unpacked, and stepped through record by record.

use std::ops::Range;

use super::error::{TableError, TableFault, TablePart};
use super::format::{PACKED_RAW, PACKED_SNAPPY, TRAILER_BYTES, masked_checksum};
use super::varint::take_unsigned;

/// The longest block, unpacked. Blocks end soon after 4 KiB, so that only one huge record makes one longer, and
/// no request to lakeFS can carry a record of this length.
const MAX_UNPACKED_BYTES: u64 = 16 << 20;

/// How often its own length a packed block can be, unpacked: Snappy's best step makes 64 bytes out of 3.
const MAX_UNPACKED_RATIO: u64 = 22;

/// The bytes of a restart, and of their count.
const RESTART_BYTES: usize = 4;

/// Where a block is: its first byte, and its length without the trailer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Handle {
    pub(super) at: u64,
    pub(super) length: u64,
}

impl Handle {
    pub(super) fn take(input: &mut &[u8]) -> Option<Self> {
        let at = take_unsigned(input)?;
        let length = take_unsigned(input)?;
        Some(Self { at, length })
    }

    /// Reads a value that is a handle and nothing more.
    pub(super) fn from_value(mut value: &[u8]) -> Option<Self> {
        let handle = Self::take(&mut value)?;
        value.is_empty().then_some(handle)
    }

    /// Where the block's trailer ends.
    pub(super) fn end(self) -> Option<u64> {
        self.at.checked_add(self.length)?.checked_add(TRAILER_BYTES as u64)
    }
}

/// Whether checksums are compared; tables that were read through before need not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Checksums {
    Compared,
    KnownGood,
}

/// A record of a block; its parts are places in the block.
pub(super) struct RawRecord {
    /// How many bytes of the key before it its own key begins with.
    pub(super) shared: usize,
    /// The rest of its key.
    pub(super) suffix: Range<usize>,
    pub(super) value: Range<usize>,
}

/// One block at a time, in a buffer that is used again for the next.
pub(super) struct Block {
    part: TablePart,
    snappy: snap::raw::Decoder,
    buffer: Vec<u8>,
    /// Where the block is in the table.
    at: u64,
    /// Where the next record begins.
    next: usize,
    /// Where the records end.
    end: usize,
}

impl Block {
    /// Makes an empty one.
    pub(super) fn new(part: TablePart) -> Self {
        Self {
            part,
            snappy: snap::raw::Decoder::new(),
            buffer: Vec::new(),
            at: 0,
            next: 0,
            end: 0,
        }
    }

    /// Takes a block of a table in.
    pub(super) fn load(&mut self, table: &[u8], handle: Handle, checksums: Checksums) -> Result<(), TableError> {
        self.at = handle.at;
        self.next = 0;
        self.end = 0;
        let whole = handle
            .end()
            .and_then(|end| table.get(usize::try_from(handle.at).ok()?..usize::try_from(end).ok()?));
        let whole = whole.ok_or_else(|| self.fault(TableFault::Handle))?;
        let (packed, checksum) = whole.split_at(whole.len() - (TRAILER_BYTES - 1));
        if checksums == Checksums::Compared && masked_checksum(packed).to_le_bytes() != checksum {
            return Err(self.fault(TableFault::Checksum));
        }
        let (packing, packed) = packed.split_last().expect("the trailer is five bytes long");
        match *packing {
            PACKED_RAW => self.set_length(packed.len() as u64)?.copy_from_slice(packed),
            PACKED_SNAPPY => self.unpack(packed)?,
            other => return Err(self.fault(TableFault::Packing(other))),
        }
        self.end = self.records_end().ok_or_else(|| self.fault(TableFault::Restarts))?;
        Ok(())
    }

    fn unpack(&mut self, packed: &[u8]) -> Result<(), TableError> {
        let length = take_unsigned(&mut &*packed).ok_or_else(|| self.fault(TableFault::Snappy))?;
        if length > MAX_UNPACKED_RATIO * packed.len() as u64 {
            return Err(self.fault(TableFault::Unpacked(length)));
        }
        self.set_length(length)?;
        match self.snappy.decompress(packed, &mut self.buffer) {
            Ok(unpacked) if unpacked as u64 == length => Ok(()),
            _ => Err(self.fault(TableFault::Snappy)),
        }
    }

    fn set_length(&mut self, length: u64) -> Result<&mut [u8], TableError> {
        if length > MAX_UNPACKED_BYTES {
            return Err(self.fault(TableFault::Unpacked(length)));
        }
        self.buffer.resize(length as usize, 0);
        Ok(&mut self.buffer)
    }

    /// The restarts are only for seeking; what is needed here is where they begin.
    fn records_end(&self) -> Option<usize> {
        let (rest, count) = self.buffer.split_last_chunk::<RESTART_BYTES>()?;
        let restarts = usize::try_from(u32::from_le_bytes(*count)).ok()?;
        if restarts == 0 {
            return None;
        }
        rest.len().checked_sub(restarts.checked_mul(RESTART_BYTES)?)
    }

    /// Steps to the next record; `None` at the end of the block.
    #[inline]
    pub(super) fn step(&mut self) -> Result<Option<RawRecord>, TableError> {
        if self.next == self.end {
            return Ok(None);
        }
        match self.parse() {
            Some(record) => {
                self.next = record.value.end;
                Ok(Some(record))
            }
            None => Err(self.fault(TableFault::Record)),
        }
    }

    #[inline]
    fn parse(&self) -> Option<RawRecord> {
        let mut rest = &self.buffer[self.next..self.end];
        let shared = usize::try_from(take_unsigned(&mut rest)?).ok()?;
        let suffix = take_unsigned(&mut rest)?;
        let value = take_unsigned(&mut rest)?;
        if suffix.checked_add(value)? > rest.len() as u64 {
            return None;
        }
        let start = self.end - rest.len();
        let middle = start + suffix as usize;
        Some(RawRecord {
            shared,
            suffix: start..middle,
            value: middle..middle + value as usize,
        })
    }

    /// The bytes of a part of a record.
    #[inline]
    pub(super) fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.buffer[range]
    }

    /// The whole block, unpacked.
    #[cfg(test)]
    pub(super) fn whole(&self) -> &[u8] {
        &self.buffer
    }

    /// Says that something is wrong in this block.
    #[cold]
    pub(super) fn fault(&self, fault: TableFault) -> TableError {
        fault.at(self.part, self.at)
    }

    /// Steps through a block whose keys and values are texts of their own, as that of the properties is.
    pub(super) fn pairs(&mut self, mut each: impl FnMut(&[u8], &[u8])) -> Result<(), TableError> {
        let mut key = Vec::new();
        while let Some(record) = self.step()? {
            if record.shared > key.len() {
                return Err(self.fault(TableFault::Record));
            }
            key.truncate(record.shared);
            key.extend_from_slice(self.bytes(record.suffix));
            each(&key, self.bytes(record.value));
        }
        Ok(())
    }
}
