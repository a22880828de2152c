//! Steps through the records of a table in the order of their keys, and checks them on the way.

use std::ops::Range;

use super::block::{Block, Checksums, Handle, RawRecord};
use super::entry::RangeEntryRef;
use super::error::{TableError, TableFault, TablePart};
use super::format::KEY_TRAILER;
use super::id::TableId;
use super::ident::TableHasher;
use super::table::{IndexLevels, Table};
use super::varint::{take_bytes, take_zigzag};

/// One record, borrowed from the reader until its next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The key.
    pub key: &'a [u8],
    /// What equal records of one key have in common.
    pub identity: &'a [u8],
    /// The message.
    pub data: &'a [u8],
}

/// Steps through the records of a table.
///
/// It holds one block of each level and the last key, whatever the length of the table. Records are handed out
/// before the id is known to be right: only a reader that has said that it is at its end has vouched for them.
pub struct TableReader {
    table: Table,
    /// Where the data blocks are; of an index with two levels, the lower one.
    index: Block,
    /// The upper one.
    top_index: Option<Block>,
    block: Block,
    checksums: Checksums,
    /// The id to compare, and what computes it; without it nothing is compared at the end.
    check: Option<(TableId, TableHasher)>,
    /// Where the last data block ended: blocks lie in the order of their keys, so that no damage makes a loop.
    data_end: u64,
    /// Where the last block of the lower index ended.
    index_end: u64,
    /// The last key with its trailer; empty before the first.
    key: Vec<u8>,
    is_first_in_block: bool,
    identity: Range<usize>,
    data: Range<usize>,
    records: u64,
    state: State,
}

#[derive(Clone, Copy)]
enum State {
    Reading,
    Ended,
    Failed(TableError),
}

impl TableReader {
    pub(super) fn checked(table: Table, id: TableId) -> Result<Self, TableError> {
        Self::begin(table, Checksums::Compared, Some((id, TableHasher::new())))
    }

    pub(super) fn known_good(table: Table) -> Result<Self, TableError> {
        Self::begin(table, Checksums::KnownGood, None)
    }

    /// Begins at the first record whose key is not less than `wanted`; `None` where there is none. What is passed over
    /// is not looked at, so this is for tables that were read through before.
    pub(super) fn known_good_from(table: Table, wanted: &[u8]) -> Result<Option<Self>, TableError> {
        let mut reader = Self::known_good(table)?;
        if let Some(top_index) = &mut reader.top_index {
            let Some(handle) = seek_handle(top_index, wanted)? else {
                return Ok(None);
            };
            reader.index_end = in_order(handle, 0, TablePart::Index)?;
            reader.index.load(reader.table.bytes(), handle, reader.checksums)?;
        }
        let Some(handle) = seek_handle(&mut reader.index, wanted)? else {
            return Ok(None);
        };
        reader.data_end = in_order(handle, 0, TablePart::Data)?;
        reader.block.load(reader.table.bytes(), handle, reader.checksums)?;
        while reader.advance()? {
            if reader.user_key() >= wanted {
                return Ok(Some(reader));
            }
        }
        Ok(None)
    }

    fn begin(table: Table, checksums: Checksums, check: Option<(TableId, TableHasher)>) -> Result<Self, TableError> {
        let (handle, levels) = table.index();
        let mut first = Block::new(TablePart::Index);
        first.load(table.bytes(), handle, checksums)?;
        let (index, top_index) = match levels {
            IndexLevels::One => (first, None),
            IndexLevels::Two => (Block::new(TablePart::Index), Some(first)),
        };
        Ok(Self {
            table,
            index,
            top_index,
            block: Block::new(TablePart::Data),
            checksums,
            check,
            data_end: 0,
            index_end: 0,
            key: Vec::new(),
            is_first_in_block: true,
            identity: 0..0,
            data: 0..0,
            records: 0,
            state: State::Reading,
        })
    }

    /// Steps to the next record and gives it; `None` at the end of a table in which all was right. After an
    /// error it gives that error again.
    #[inline]
    pub fn next_record(&mut self) -> Result<Option<Record<'_>>, TableError> {
        Ok(if self.advance()? { self.record() } else { None })
    }

    /// Steps to the next record; `false` at the end.
    #[inline]
    pub fn advance(&mut self) -> Result<bool, TableError> {
        match self.state {
            State::Reading => {}
            State::Ended => return Ok(false),
            State::Failed(error) => return Err(error),
        }
        let outcome = self.step();
        match outcome {
            Ok(true) => {}
            Ok(false) => self.state = State::Ended,
            Err(error) => self.state = State::Failed(error),
        }
        outcome
    }

    /// The record last stepped to; `None` before the first step and after the last.
    #[inline]
    pub fn record(&self) -> Option<Record<'_>> {
        if self.records == 0 || !matches!(self.state, State::Reading) {
            return None;
        }
        Some(Record {
            key: self.user_key(),
            identity: self.block.bytes(self.identity.clone()),
            data: self.block.bytes(self.data.clone()),
        })
    }

    /// Decodes the record last stepped to as an entry of a range.
    #[inline]
    pub fn entry(&self) -> Result<Option<RangeEntryRef<'_>>, TableError> {
        let Some(record) = self.record() else { return Ok(None) };
        let identity = record.identity.try_into();
        let identity = identity.map_err(|_| self.block.fault(TableFault::Identity))?;
        let mut entry = RangeEntryRef::without_fields(record.key, identity);
        match entry.fill(record.data) {
            Ok(()) => Ok(Some(entry)),
            Err(fault) => Err(self.fault(TableFault::Message(fault))),
        }
    }

    /// Steps to the next entry of a range and gives it; `None` at the end of a table in which all was right.
    #[inline]
    pub fn next_entry(&mut self) -> Result<Option<RangeEntryRef<'_>>, TableError> {
        if self.advance()? { self.entry() } else { Ok(None) }
    }

    /// How many records were stepped to.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// The key last stepped to, which stays at the end.
    pub(super) fn last_key(&self) -> &[u8] {
        self.user_key()
    }

    /// Says that something is wrong with the record last stepped to.
    pub(super) fn fault(&self, fault: TableFault) -> TableError {
        self.block.fault(fault)
    }

    #[inline]
    fn user_key(&self) -> &[u8] {
        &self.key[..self.key.len().saturating_sub(KEY_TRAILER.len())]
    }

    #[inline]
    fn step(&mut self) -> Result<bool, TableError> {
        loop {
            if let Some(raw) = self.block.step()? {
                self.take(&raw)?;
                return Ok(true);
            }
            if !self.load_next_block()? {
                self.check_end()?;
                return Ok(false);
            }
        }
    }

    /// Takes a record in.
    #[inline]
    fn take(&mut self, raw: &RawRecord) -> Result<(), TableError> {
        self.take_key(raw).map_err(|fault| self.block.fault(fault))?;
        let value = self.block.bytes(raw.value.clone());
        let parts = split_value(value).ok_or_else(|| self.block.fault(TableFault::Value))?;
        if let Some((_, hasher)) = &mut self.check {
            hasher.record(&self.key[..self.key.len() - KEY_TRAILER.len()], value);
        }
        let at = |range: Range<usize>| raw.value.start + range.start..raw.value.start + range.end;
        self.identity = at(parts.0);
        self.data = at(parts.1);
        self.records += 1;
        Ok(())
    }

    /// Puts the record's key in the place of the last one, which it must be greater than.
    #[inline]
    fn take_key(&mut self, raw: &RawRecord) -> Result<(), TableFault> {
        let suffix = self.block.bytes(raw.suffix.clone());
        let known = if self.is_first_in_block { 0 } else { self.key.len() };
        if raw.shared > known {
            return Err(TableFault::Record);
        }
        self.is_first_in_block = false;
        let last_user_key = self.key.len().saturating_sub(KEY_TRAILER.len());
        match suffix.split_last_chunk::<{ KEY_TRAILER.len() }>() {
            // Nearly always the shared beginning ends within both keys, and what follows tells which is greater.
            Some((end, trailer)) if raw.shared <= last_user_key => {
                if *trailer != KEY_TRAILER {
                    return Err(TableFault::KeyTrailer);
                }
                if self.records > 0 && end <= &self.key[raw.shared..last_user_key] {
                    return Err(TableFault::KeyOrder);
                }
                self.key.truncate(raw.shared);
                self.key.extend_from_slice(suffix);
            }
            _ => {
                let mut key = self.key[..raw.shared].to_vec();
                key.extend_from_slice(suffix);
                let user_key = key.strip_suffix(&KEY_TRAILER).ok_or(TableFault::KeyTrailer)?;
                if self.records > 0 && user_key <= &self.key[..last_user_key] {
                    return Err(TableFault::KeyOrder);
                }
                self.key = key;
            }
        }
        Ok(())
    }

    /// Goes to the next data block; `false` behind the last.
    fn load_next_block(&mut self) -> Result<bool, TableError> {
        loop {
            if let Some(handle) = next_handle(&mut self.index)? {
                self.data_end = in_order(handle, self.data_end, TablePart::Data)?;
                self.block.load(self.table.bytes(), handle, self.checksums)?;
                self.is_first_in_block = true;
                return Ok(true);
            }
            let Some(top_index) = &mut self.top_index else {
                return Ok(false);
            };
            let Some(handle) = next_handle(top_index)? else {
                return Ok(false);
            };
            self.index_end = in_order(handle, self.index_end, TablePart::Index)?;
            self.index.load(self.table.bytes(), handle, self.checksums)?;
        }
    }

    /// Compares what the whole table must be.
    fn check_end(&mut self) -> Result<(), TableError> {
        let Some((id, hasher)) = self.check.take() else {
            return Ok(());
        };
        let whole = |fault: TableFault| fault.at(TablePart::Whole, 0);
        let found = self.records;
        match self.table.properties().count {
            Some(told) if told != found => return Err(whole(TableFault::Count { told, found })),
            _ => {}
        }
        let found = TableId::new(id.kind(), hasher.finish(id.kind()));
        if found != id {
            return Err(whole(TableFault::Id { found }));
        }
        Ok(())
    }
}

/// Steps to the next handle of an index block; `None` at its end.
fn next_handle(index: &mut Block) -> Result<Option<Handle>, TableError> {
    let Some(raw) = index.step()? else { return Ok(None) };
    match Handle::from_value(index.bytes(raw.value)) {
        Some(handle) => Ok(Some(handle)),
        None => Err(index.fault(TableFault::Handle)),
    }
}

/// Steps to the handle of the first block that may hold a key that is not less than `wanted`: each stands under a key
/// that none in its block is greater than.
fn seek_handle(index: &mut Block, wanted: &[u8]) -> Result<Option<Handle>, TableError> {
    let mut key = Vec::new();
    while let Some(raw) = index.step()? {
        if raw.shared > key.len() {
            return Err(index.fault(TableFault::Record));
        }
        key.truncate(raw.shared);
        key.extend_from_slice(index.bytes(raw.suffix));
        let Some((user_key, _)) = key.split_last_chunk::<{ KEY_TRAILER.len() }>() else {
            return Err(index.fault(TableFault::KeyTrailer));
        };
        if user_key >= wanted {
            let handle = Handle::from_value(index.bytes(raw.value));
            return handle.map(Some).ok_or_else(|| index.fault(TableFault::Handle));
        }
    }
    Ok(None)
}

/// Checks that a block begins behind the last one of its level, and gives where it ends.
fn in_order(handle: Handle, last_end: u64, part: TablePart) -> Result<u64, TableError> {
    if handle.at < last_end {
        return Err(TableFault::BlockOrder.at(part, handle.at));
    }
    handle.end().ok_or_else(|| TableFault::Handle.at(part, handle.at))
}

/// Finds the identity and the message in a value; what follows them is passed over.
#[inline]
fn split_value(value: &[u8]) -> Option<(Range<usize>, Range<usize>)> {
    let mut rest = value;
    let place = |rest: &mut &[u8]| {
        let length = u64::try_from(take_zigzag(rest)?).ok()?;
        let start = value.len() - rest.len();
        let taken = take_bytes(rest, length)?;
        Some(start..start + taken.len())
    };
    let identity = place(&mut rest)?;
    let data = place(&mut rest)?;
    Some((identity, data))
}
