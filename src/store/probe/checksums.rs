//! Which checksums a store verifies: the right one is taken, and a wrong one is not.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::desk::{Desk, Trial, body};
use crate::store::{Checksum, Put, StoreError, StoreErrorKind};

/// Finds the first of some checksums that the store verifies on `PutObject`; none where it verifies none.
pub async fn verified_on_put(desk: &Desk<'_>, candidates: &[Checksum]) -> Result<Checksum, StoreError> {
    for &checksum in candidates {
        let key = desk.key(&format!("s-{checksum:?}"));
        let put = |checksum_value| Put {
            checksum,
            checksum_value,
            ..Put::new(body(b's'), desk.fresh())
        };
        let wrong = desk.store.put(&key, put(Some(wrong_value(checksum)))).await;
        if is_rejected(desk, wrong)? && desk.judge(Trial::Way, desk.store.put(&key, put(None)).await)?.is_done() {
            return Ok(checksum);
        }
    }
    Ok(Checksum::None)
}

/// Whether a wrong checksum was noticed; which error it is called by is not agreed on.
pub fn is_rejected<T>(desk: &Desk<'_>, answer: Result<T, StoreError>) -> Result<bool, StoreError> {
    match answer {
        Err(error) if error.kind == StoreErrorKind::BadDigest => Ok(true),
        other => Ok(!desk.judge(Trial::Odd, other)?.is_done()),
    }
}

/// A value of the right length that no body of a probe has.
pub fn wrong_value(checksum: Checksum) -> String {
    let length_bytes = match checksum {
        Checksum::Crc64Nvme => 8,
        Checksum::Crc32c | Checksum::Crc32 => 4,
        Checksum::Md5 => 16,
        Checksum::Sha256 => 32,
        Checksum::None => 0,
    };
    STANDARD.encode(vec![0; length_bytes])
}
