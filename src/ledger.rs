//! What lakesync knows it has put under an export path, kept in the bucket under `_lakesync/`.

mod cache;
mod cleanup;
mod envelope;
mod error;
mod file;
mod folder;
mod holder;
mod lease;
mod packed;
mod range_file;
mod range_writer;
mod reader;
mod record;
mod rewrite;
mod root;
mod root_file;
mod runs;
mod whole;
#[cfg(test)]
mod testing;

pub use cleanup::{Cleaned, cleanup};
pub use error::LedgerError;
pub use folder::LedgerFolder;
pub use holder::Holder;
pub use lease::{Lease, LeaseError, LeaseFile, LeaseRequest, Takeover, TakeoverReason};
pub use range_file::RangeRecords;
pub use range_writer::RangeWriter;
pub use reader::LedgerReader;
pub use record::{HeadersDigest, RangeRef, Record};
pub use rewrite::{Edit, rewrite};
pub use root::{Root, RunRef, State, StatusName, StatusPlace, Unsettled};
pub use root_file::{Loaded, SwapError, load_root, swap_root};
pub use runs::{Done, DoneLog, Intent, IntentKind, IntentWriter, Outcome as DoneOutcome, read_done, read_intents};
pub use whole::read_ledger;
