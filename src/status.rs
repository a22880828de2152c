//! The status file: the public contract with readers, written and read.

mod error;
mod file;
mod head;
mod read;
mod record;
mod verify;

pub use error::StatusError;
pub use file::{RecordStream, StatusFile};
pub use head::{ExportState, ObjectFailure, RecordsListed, StatusHead};
pub use read::{Newest, list_names, read_head, read_newest, read_records};
pub use record::{HEAD_BYTES, StatusRecord, record_bytes};
pub use verify::{Difference, Level, Verified, verify};
