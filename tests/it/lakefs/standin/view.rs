//! A tree as a ref shows it: committed, or with what is staged on a branch laid over it.

use std::ops::Bound;
use std::sync::Arc;

use super::entry::Entry;
use super::tree::{Changes, Tree};

/// What a ref shows.
#[derive(Clone)]
pub struct View {
    /// The committed tree.
    pub tree: Arc<Tree>,
    /// What is not committed yet; empty for all but a branch's own name.
    pub staging: Arc<Changes>,
}

/// A line of a listing.
pub enum Line {
    Object(Vec<u8>, Entry),
    CommonPrefix(Vec<u8>),
}

/// Which lines of a listing, a diff included.
#[derive(Clone, Debug)]
pub struct Page {
    pub prefix: Vec<u8>,
    /// Exclusive.
    pub after: Vec<u8>,
    /// Empty for none.
    pub delimiter: Vec<u8>,
    pub amount: usize,
}

impl View {
    /// The entry at a path.
    pub fn get(&self, key: &[u8]) -> Option<Entry> {
        match self.staging.get(key) {
            Some(staged) => staged.clone(),
            None => self.tree.get(key),
        }
    }

    /// One page, and whether there is more behind it.
    pub fn list(&self, page: &Page) -> (Vec<Line>, bool) {
        let mut lines = Vec::new();
        let mut from = page.first_key();
        while let Some((key, entry)) = self.at_or_after(&from) {
            if !key.starts_with(&page.prefix) {
                break;
            }
            let common = page.common_prefix(&key);
            let line = common.as_ref().unwrap_or(&key);
            let next = match &common {
                Some(common) => upper_bound(common),
                None => Some(successor(&key)),
            };
            if *line != page.after {
                if lines.len() == page.amount {
                    return (lines, true);
                }
                lines.push(match common {
                    Some(common) => Line::CommonPrefix(common),
                    None => Line::Object(key, entry),
                });
            }
            let Some(next) = next else { break };
            from = next;
        }
        (lines, false)
    }

    /// The first object whose key is not below `from`.
    fn at_or_after(&self, from: &[u8]) -> Option<(Vec<u8>, Entry)> {
        let mut place = self.tree.place_of(from);
        let mut staged = self
            .staging
            .range::<[u8], _>((Bound::Included(from), Bound::Unbounded))
            .peekable();
        loop {
            let committed = self.tree.at(place);
            let staged_key = staged.peek().map(|(key, _)| key.as_slice());
            let use_staged = match (committed, staged_key) {
                (None, None) => return None,
                (Some(record), Some(key)) => key <= record.key,
                (None, Some(_)) => true,
                (Some(_), None) => false,
            };
            if !use_staged {
                let record = committed?;
                return Some((record.key.to_vec(), record.entry()));
            }
            let (key, entry) = staged.next()?;
            if committed.is_some_and(|record| record.key == key.as_slice()) {
                place = self.tree.after(place);
            }
            if let Some(entry) = entry {
                return Some((key.clone(), entry.clone()));
            }
        }
    }
}

impl Page {
    /// The key from which a page is looked for. A line at `after` itself, common prefix or not, is left out.
    pub fn first_key(&self) -> Vec<u8> {
        self.after.clone().max(self.prefix.clone())
    }

    /// The prefix under which a key is hidden.
    pub fn common_prefix(&self, key: &[u8]) -> Option<Vec<u8>> {
        if self.delimiter.is_empty() {
            return None;
        }
        let rest = &key[self.prefix.len()..];
        let place = rest
            .windows(self.delimiter.len())
            .position(|part| part == self.delimiter)?;
        Some(key[..self.prefix.len() + place + self.delimiter.len()].to_vec())
    }
}

/// The least key above `key`.
pub fn successor(key: &[u8]) -> Vec<u8> {
    let mut next = key.to_vec();
    next.push(0);
    next
}

/// The least key above all that start with `prefix`.
pub fn upper_bound(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut bound = prefix.to_vec();
    while let Some(last) = bound.pop() {
        if last < u8::MAX {
            bound.push(last + 1);
            return Some(bound);
        }
    }
    None
}
