//! A committed tree: a metarange and its ranges.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::entry::Entry;
use super::leaf::{Leaf, Record, Records};
use super::table;

/// The files of one commit.
#[derive(Default)]
pub struct Tree {
    /// The id of the metarange; empty for the first commit.
    pub id: String,
    /// The metarange, byte for byte.
    pub table: Bytes,
    /// The ranges, in the order of their keys.
    pub leaves: Vec<Arc<Leaf>>,
}

/// Where a tree is read: a range and a record in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    leaf: usize,
    record: usize,
}

/// What a commit does to a path; `None` deletes it.
pub type Changes = BTreeMap<Vec<u8>, Option<Entry>>;

impl Tree {
    /// The place of the first key that is not below `key`.
    pub fn place_of(&self, key: &[u8]) -> Place {
        let leaf = self.leaves.partition_point(|leaf| leaf.max() < key);
        let record = self.leaves.get(leaf).map_or(0, |leaf| leaf.place_of(key));
        Place { leaf, record }
    }

    /// The record at a place; none behind the last.
    pub fn at(&self, place: Place) -> Option<Record<'_>> {
        Some(self.leaves.get(place.leaf)?.get(place.record))
    }

    /// The next place.
    pub fn after(&self, place: Place) -> Place {
        if place.record + 1 < self.leaves[place.leaf].len() {
            Place {
                record: place.record + 1,
                ..place
            }
        } else {
            self.leaf_after(place)
        }
    }

    fn leaf_after(&self, place: Place) -> Place {
        Place {
            leaf: place.leaf + 1,
            record: 0,
        }
    }

    /// The entry at a path.
    pub fn get(&self, key: &[u8]) -> Option<Entry> {
        let record = self.at(self.place_of(key))?;
        (record.key == key).then(|| record.entry())
    }

    /// The tree after some changes; ranges that none of them touches are taken over as they are.
    pub fn with(&self, changes: &Changes, raggedness: u64) -> Self {
        let mut writer = TreeWriter::new(raggedness);
        let mut changes = changes.iter().peekable();
        let put = |writer: &mut TreeWriter, key: &[u8], entry: &Option<Entry>| {
            if let Some(entry) = entry {
                writer.push_entry(key, entry);
            }
        };
        for leaf in &self.leaves {
            while let Some((key, entry)) = changes.next_if(|(key, _)| key.as_slice() < leaf.min()) {
                put(&mut writer, key, entry);
            }
            if changes.peek().is_none_or(|(key, _)| key.as_slice() > leaf.max()) {
                writer.push_leaf(leaf.clone());
                continue;
            }
            for place in 0..leaf.len() {
                let record = leaf.get(place);
                while let Some((key, entry)) = changes.next_if(|(key, _)| key.as_slice() < record.key) {
                    put(&mut writer, key, entry);
                }
                match changes.next_if(|(key, _)| key.as_slice() == record.key) {
                    Some((key, entry)) => put(&mut writer, key, entry),
                    None => writer.push(record),
                }
            }
        }
        for (key, entry) in changes {
            put(&mut writer, key, entry);
        }
        writer.finish()
    }
}

/// Walks two trees at once and gives what differs, in the order of the keys; ranges that both have are skipped.
pub struct Differences<'a> {
    left: (&'a Tree, Place),
    right: (&'a Tree, Place),
}

/// A path at which two trees differ; one side at least has a record.
pub struct Difference<'a> {
    pub key: &'a [u8],
    pub left: Option<Record<'a>>,
    pub right: Option<Record<'a>>,
}

impl<'a> Differences<'a> {
    /// Begins at the first key that is not below `from`.
    pub fn from(left: &'a Tree, right: &'a Tree, from: &[u8]) -> Self {
        Self {
            left: (left, left.place_of(from)),
            right: (right, right.place_of(from)),
        }
    }

    fn skip_what_is_shared(&mut self) {
        loop {
            let (left, right) = (&mut self.left, &mut self.right);
            match (left.0.leaves.get(left.1.leaf), right.0.leaves.get(right.1.leaf)) {
                (Some(one), Some(other)) if one.id == other.id && left.1.record == right.1.record => {
                    left.1 = left.0.leaf_after(left.1);
                    right.1 = right.0.leaf_after(right.1);
                }
                _ => return,
            }
        }
    }
}

impl<'a> Iterator for Differences<'a> {
    type Item = Difference<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            self.skip_what_is_shared();
            let (mut left, mut right) = (self.left.0.at(self.left.1), self.right.0.at(self.right.1));
            if let (Some(one), Some(other)) = (left, right) {
                // The side that is ahead waits.
                match one.key.cmp(other.key) {
                    std::cmp::Ordering::Less => right = None,
                    std::cmp::Ordering::Greater => left = None,
                    std::cmp::Ordering::Equal => {}
                }
            }
            if left.is_some() {
                self.left.1 = self.left.0.after(self.left.1);
            }
            if right.is_some() {
                self.right.1 = self.right.0.after(self.right.1);
            }
            let key = left.or(right)?.key;
            if left.map(|record| record.identity) != right.map(|record| record.identity) {
                return Some(Difference { key, left, right });
            }
        }
    }
}

/// Puts a tree together from records in the order of their keys.
pub struct TreeWriter {
    raggedness: u64,
    open: Records,
    leaves: Vec<Arc<Leaf>>,
}

impl TreeWriter {
    /// A range ends at a key whose hash is a multiple of `raggedness`.
    pub fn new(raggedness: u64) -> Self {
        Self {
            raggedness,
            open: Records::default(),
            leaves: Vec::new(),
        }
    }

    /// Adds a record.
    pub fn push(&mut self, record: Record<'_>) {
        self.open.push(record);
        if fnv1a(record.key).is_multiple_of(self.raggedness) {
            self.close();
        }
    }

    /// Adds an entry.
    pub fn push_entry(&mut self, key: &[u8], entry: &Entry) {
        let (identity, data) = (entry.identity(), entry.encode());
        self.push(Record {
            key,
            identity: &identity,
            data: &data,
        });
    }

    /// Adds a whole range; what is open is closed before it, whatever its size.
    pub fn push_leaf(&mut self, leaf: Arc<Leaf>) {
        self.close();
        self.leaves.push(leaf);
    }

    /// Ends the tree.
    pub fn finish(mut self) -> Tree {
        self.close();
        let leaves = self.leaves;
        // Only the first commit has no metarange; a tree that became empty has one without records.
        let (id, table) = table::metarange(&leaves);
        Tree { id, table, leaves }
    }

    fn close(&mut self) {
        if self.open.len() > 0 {
            let leaf = table::range(std::mem::take(&mut self.open));
            self.leaves.push(Arc::new(leaf));
        }
    }
}

/// FNV-1a with 64 bits.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// What three trees make of a merge: the changes to `destination`, or the path of a conflict.
pub fn merge(base: &Tree, source: &Tree, destination: &Tree, on_conflict: Option<Winner>) -> Result<Changes, Vec<u8>> {
    let mut changes = Changes::new();
    for difference in Differences::from(base, source, b"") {
        let here = destination.at(destination.place_of(difference.key));
        let here = here.filter(|record| record.key == difference.key);
        let identity = |record: Option<Record<'_>>| record.map(|record| record.identity.to_vec());
        if identity(here) == identity(difference.right) {
            continue;
        }
        let conflict = identity(here) != identity(difference.left);
        match on_conflict {
            None if conflict => return Err(difference.key.to_vec()),
            Some(Winner::Destination) if conflict => continue,
            _ => {}
        }
        changes.insert(difference.key.to_vec(), difference.right.map(|record| record.entry()));
    }
    Ok(changes)
}

/// Whose entry counts where both sides changed a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Winner {
    Source,
    Destination,
}
