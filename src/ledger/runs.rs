//! What a run writes down while it is under way: what it is about to do, and what it has done.
//!
//! Both lie in `runs/<run>/` and count for that run alone. Intents are written whole before the root turns dirty,
//! never after, and say what a dead run may have left behind. Done records only save requests when one is
//! settled.

mod done;
mod files;
mod intents;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub(super) use self::done::DONE;
pub use self::done::{Done, DoneLog, Outcome, read_done};
pub(super) use self::intents::INTENTS;
pub use self::intents::{Intent, IntentKind, IntentWriter, read_intents};

use super::LedgerError;
use super::packed::Format;

/// How many records a file holds at most: some 8 MiB, to be decoded while the next one is under way.
const FILE_RECORDS: u32 = 100_000;

/// When a file is full although it has few records.
const FILE_BYTES: usize = 8 << 20;

/// What each file begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    /// Which file of its kind this is, from 1.
    number: u32,
    /// How many records it has.
    records: u32,
    /// On the last file of a whole set: how many records all of them have.
    complete: Option<u64>,
}

/// Gathers the records of one file.
#[derive(Debug, Default)]
struct Page {
    body: Vec<u8>,
    records: u32,
}

impl Page {
    fn push<T: Serialize>(&mut self, record: &T) {
        self.body = postcard::to_extend(record, std::mem::take(&mut self.body))
            .expect("the ledger's records are plain and a vector grows");
        self.records += 1;
    }

    fn is_full(&self) -> bool {
        self.records >= FILE_RECORDS || self.body.len() >= FILE_BYTES
    }

    /// Makes the file and starts anew.
    fn finish(&mut self, format: &Format, number: u32, complete: Option<u64>) -> Vec<u8> {
        let head = Head {
            number,
            records: self.records,
            complete,
        };
        let mut file = postcard::to_stdvec(&head).expect("three numbers can be written down");
        file.append(&mut self.body);
        self.records = 0;
        format.pack(&file)
    }
}

/// Reads one file; all its records are in memory then, some 20 MiB.
fn read_page<T: DeserializeOwned>(format: &Format, file: &str, bytes: &[u8]) -> Result<(Head, Vec<T>), LedgerError> {
    let body = format.unpack(file, bytes)?;
    let (head, mut rest) =
        postcard::take_from_bytes::<Head>(&body).map_err(|_| LedgerError::damaged(file, "its head cannot be"))?;
    if head.records > FILE_RECORDS {
        return Err(LedgerError::damaged(file, "it has more records than a file can"));
    }
    // Each takes at least a byte of what there is, whatever the number says.
    let mut records = Vec::with_capacity((head.records as usize).min(rest.len()));
    for number in 1..=head.records {
        let (record, after) = postcard::take_from_bytes(rest)
            .map_err(|_| LedgerError::damaged(file, format!("record {number} of {} cannot be", head.records)))?;
        records.push(record);
        rest = after;
    }
    if !rest.is_empty() {
        return Err(LedgerError::damaged(file, "something follows its last record"));
    }
    Ok((head, records))
}

#[cfg(test)]
mod tests;
