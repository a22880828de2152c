//! What lakesync knows it has put under an export path, kept in the bucket under `_lakesync/`.

mod record;
mod root;

pub use record::{HeadersDigest, RangeRef, Record};
pub use root::{Root, RunRef, State, StatusName, StatusPlace, Unsettled};
