use std::cell::Cell;
use std::os::unix::fs::FileExt as _;

use serde::{Deserialize, Deserializer};

use super::*;

/// The n-th number of a scrambled row in which each number comes several times.
fn scrambled(at: u64) -> u64 {
    at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 52
}

fn sorted(items: u64, at_once: usize) -> Sorted<(u64, u64)> {
    let mut sorter = Sorter::new(None, at_once, |left: &(u64, u64), right| left.0.cmp(&right.0));
    for at in 0..items {
        sorter.push((scrambled(at), at)).unwrap();
    }
    sorter.finish().unwrap()
}

#[test]
fn items_come_sorted_and_equal_ones_as_they_came() {
    for (items, at_once) in [(0, 10), (1, 10), (10, 10), (11, 10), (20_000, 7), (20_000, usize::MAX)] {
        let mut expected: Vec<_> = (0..items).map(|at| (scrambled(at), at)).collect();
        expected.sort();
        let sorted = sorted(items, at_once);
        assert_eq!((sorted.len(), sorted.is_empty()), (items, items == 0));
        for _ in 0..2 {
            let read: Vec<_> = sorted.iter().map(Result::unwrap).collect();
            assert_eq!(read, expected, "{items} items, {at_once} at once");
        }
    }
}

thread_local! {
    /// How many [`Counted`] there are, and how many there ever were at once.
    static ALIVE: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

/// An item that counts how many of its kind are in memory; as long as a path.
#[derive(Serialize)]
struct Counted(u64, String);

impl Counted {
    fn new(number: u64, text: String) -> Self {
        ALIVE.with(|alive| {
            let (now, most) = alive.get();
            alive.set((now + 1, most.max(now + 1)));
        });
        Self(number, text)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        ALIVE.with(|alive| alive.set((alive.get().0 - 1, alive.get().1)));
    }
}

impl<'de> Deserialize<'de> for Counted {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let (number, text) = Deserialize::deserialize(from)?;
        Ok(Self::new(number, text))
    }
}

#[test]
fn no_more_items_are_in_memory_than_was_said() {
    let mut sorter = Sorter::new(None, 1_000, |left: &Counted, right| left.0.cmp(&right.0));
    for at in 0..300_000 {
        sorter.push(Counted::new(scrambled(at), "x".repeat(100))).unwrap();
    }
    let sorted = sorter.finish().unwrap();
    assert_eq!(ALIVE.get(), (0, 1_000), "30 MiB, of which a thousand items are held");
    let mut last = 0;
    for item in sorted.iter() {
        let item = item.unwrap();
        assert!(last <= item.0);
        last = item.0;
    }
    assert_eq!(ALIVE.get(), (0, 1_000));
    let (_, on_disk) = sorted.spool.file.as_ref().unwrap();
    assert!(*on_disk > 20 << 20, "{on_disk}");
    assert_eq!(sorted.most_held(), 1_000);
}

#[test]
fn a_damaged_file_is_an_error_and_ends_the_reading() {
    let mut sorter = Sorter::new(None, 1_000, |left: &String, right| left.cmp(right));
    for at in 0..200_000 {
        sorter.push(format!("{:0100}", scrambled(at))).unwrap();
    }
    let sorted = sorter.finish().unwrap();
    let (file, _) = sorted.spool.file.as_ref().unwrap();
    file.write_all_at(&[0xff; 8], 0).unwrap();
    let outcomes: Vec<_> = sorted.iter().collect();
    assert!(
        matches!(outcomes[..], [Err(SpoolError::Damaged { .. })]),
        "{} items",
        outcomes.len()
    );
}
