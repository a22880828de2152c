//! Sorts lists that are longer than memory: sorted pieces on disk, merged as they are read.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{CHUNK_BYTES, Spool, SpoolError, SpoolReader};

/// How many items are sorted at once as a rule: with paths of usual length some 8 MiB.
pub const SORTED_AT_ONCE: usize = 1 << 15;

/// How much all pieces together read ahead from disk while they are merged.
const MERGE_BYTES: usize = 8 << 20;

/// What one piece reads ahead at least: below that the system calls cost more than the memory. It is reached at
/// 512 pieces, 16 million items where [`SORTED_AT_ONCE`] are.
const LEAST_AHEAD_BYTES: usize = 16 << 10;

/// Says which of two items comes first.
type Compare<T> = fn(&T, &T) -> Ordering;

/// Takes items in any order and gives them sorted; equal ones stay in the order in which they came.
///
/// However many there are, it holds `items` of them, and what a [`Spool`] keeps (16 MiB); beyond that they are on
/// disk. Reading them takes one item for each piece of `items`, and 8 MiB (16 KiB for each piece where there are
/// more than 512).
pub struct Sorter<T> {
    spool: Spool<T>,
    /// Where the sorted pieces begin, and how many items each has.
    pieces: Vec<(u64, u64)>,
    /// What is not yet sorted.
    open: Vec<T>,
    items: usize,
    most_held: usize,
    compare: Compare<T>,
}

impl<T> Sorter<T> {
    /// Makes an empty one that holds up to `items` items; temporary files go to `folder`, or to where the system
    /// keeps them.
    pub fn new(folder: Option<&Path>, items: usize, compare: Compare<T>) -> Self {
        Self {
            spool: Spool::new(folder),
            pieces: Vec::new(),
            open: Vec::new(),
            items: items.max(1),
            most_held: 0,
            compare,
        }
    }
}

impl<T> std::fmt::Debug for Sorter<T> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Sorter")
            .field("pieces", &self.pieces.len())
            .field("open", &self.open.len())
            .finish_non_exhaustive()
    }
}

impl<T: Serialize> Sorter<T> {
    /// Takes an item. After an error the list is no longer whole and should be dropped.
    pub fn push(&mut self, item: T) -> Result<(), SpoolError> {
        self.open.push(item);
        self.most_held = self.most_held.max(self.open.len());
        if self.open.len() >= self.items {
            self.close_piece()?;
        }
        Ok(())
    }

    /// Ends the list.
    pub fn finish(mut self) -> Result<Sorted<T>, SpoolError> {
        self.close_piece()?;
        Ok(Sorted {
            spool: self.spool,
            pieces: self.pieces,
            most_held: self.most_held,
            compare: self.compare,
        })
    }

    fn close_piece(&mut self) -> Result<(), SpoolError> {
        if self.open.is_empty() {
            return Ok(());
        }
        self.open.sort_by(self.compare);
        self.pieces.push((self.spool.end(), self.open.len() as u64));
        for item in self.open.drain(..) {
            self.spool.push(&item)?;
        }
        Ok(())
    }
}

/// A sorted list, as a [`Sorter`] leaves it.
pub struct Sorted<T> {
    spool: Spool<T>,
    pieces: Vec<(u64, u64)>,
    most_held: usize,
    compare: Compare<T>,
}

impl<T> std::fmt::Debug for Sorted<T> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Sorted")
            .field("spool", &self.spool)
            .field("pieces", &self.pieces.len())
            .finish_non_exhaustive()
    }
}

impl<T> Sorted<T> {
    /// How many items it has.
    pub fn len(&self) -> u64 {
        self.spool.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.spool.is_empty()
    }

    /// How many items were or will be in memory at once: while it was made, or while it is read.
    pub fn most_held(&self) -> usize {
        self.most_held.max(self.pieces.len())
    }
}

impl<T: DeserializeOwned> Sorted<T> {
    /// Reads all items in their order.
    pub fn iter(&self) -> Merge<'_, T> {
        let share = MERGE_BYTES / self.pieces.len().max(1);
        let ahead_bytes = share.clamp(LEAST_AHEAD_BYTES, CHUNK_BYTES);
        let pieces = self
            .pieces
            .iter()
            .map(|(offset, items)| SpoolReader::section(&self.spool, *offset, *items, ahead_bytes))
            .collect();
        Merge {
            pieces,
            heads: BinaryHeap::new(),
            to_read: (0..self.pieces.len()).collect(),
            compare: self.compare,
        }
    }
}

/// Reads a [`Sorted`] list; ends after an error.
pub struct Merge<'a, T> {
    pieces: Vec<SpoolReader<&'a Spool<T>, T>>,
    heads: BinaryHeap<Reverse<Head<T>>>,
    /// The pieces whose next item is not among the heads.
    to_read: Vec<usize>,
    compare: Compare<T>,
}

impl<T> std::fmt::Debug for Merge<'_, T> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Merge")
            .field("pieces", &self.pieces.len())
            .finish_non_exhaustive()
    }
}

impl<T: DeserializeOwned> Iterator for Merge<'_, T> {
    type Item = Result<T, SpoolError>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(piece) = self.to_read.pop() {
            match self.pieces[piece].next() {
                Some(Ok(item)) => self.heads.push(Reverse(Head {
                    item,
                    piece,
                    compare: self.compare,
                })),
                Some(Err(error)) => {
                    self.heads.clear();
                    self.to_read.clear();
                    return Some(Err(error));
                }
                None => {}
            }
        }
        let Reverse(head) = self.heads.pop()?;
        self.to_read.push(head.piece);
        Some(Ok(head.item))
    }
}

/// The next item of a piece. Of equal ones that of the earlier piece comes first, since it came first.
struct Head<T> {
    item: T,
    piece: usize,
    compare: Compare<T>,
}

impl<T> Ord for Head<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.compare)(&self.item, &other.item).then(self.piece.cmp(&other.piece))
    }
}

impl<T> PartialOrd for Head<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Head<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<T> Eq for Head<T> {}

#[cfg(test)]
mod tests;
