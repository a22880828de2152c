//! The shell of the binary files: a name of the format, its version, a zstd body and a checksum.
//!
//! ```text
//! magic (8 bytes) · version (u16) · length of the unpacked body (u32) · zstd frame · BLAKE3 of all before (32 bytes)
//! ```
//!
//! Numbers are little-endian.

use std::io::Read as _;

use super::LedgerError;

/// A kind of file.
pub(super) struct Format {
    /// What each such file begins with.
    pub(super) magic: &'static [u8; 8],
    /// The version that is written, and the newest that is read.
    pub(super) version: u16,
    /// How long an unpacked body can be at most, in bytes.
    pub(super) body_limit: u32,
}

const HEADER: usize = 8 + 2 + 4;
const CHECKSUM: usize = blake3::OUT_LEN;

/// Half the time of the higher levels for nearly their size: what is left after prefixes are shared is
/// mostly hashes, which no level can shrink.
const LEVEL: i32 = 3;

impl Format {
    /// Makes the file of a body, which the caller keeps within the limit.
    pub(super) fn pack(&self, body: &[u8]) -> Vec<u8> {
        debug_assert!(body.len() <= self.body_limit as usize);
        let length = u32::try_from(body.len()).expect("a body is within its limit");
        let frame = zstd::bulk::compress(body, LEVEL).expect("zstd gets the room that it asks for");
        let mut file = Vec::with_capacity(HEADER + frame.len() + CHECKSUM);
        file.extend_from_slice(self.magic);
        file.extend_from_slice(&self.version.to_le_bytes());
        file.extend_from_slice(&length.to_le_bytes());
        file.extend_from_slice(&frame);
        let checksum = blake3::hash(&file);
        file.extend_from_slice(checksum.as_bytes());
        file
    }

    /// Reads the body of a file. It takes no more memory than the body is really long, whatever the file says.
    pub(super) fn unpack(&self, name: &str, file: &[u8]) -> Result<Vec<u8>, LedgerError> {
        let damaged = |why: &str| LedgerError::damaged(name, why);
        let (magic, rest) = file.split_first_chunk::<8>().ok_or_else(|| damaged("it is cut off"))?;
        if magic != self.magic {
            return Err(damaged("it does not begin as such a file does"));
        }
        let (version, rest) = rest.split_first_chunk::<2>().ok_or_else(|| damaged("it is cut off"))?;
        // Before the checksum: a newer version may end otherwise.
        let version = u16::from_le_bytes(*version);
        if version > self.version {
            return Err(LedgerError::Newer {
                file: name.to_owned(),
                found: version.into(),
                known: self.version.into(),
            });
        }
        let (rest, checksum) = rest
            .split_last_chunk::<CHECKSUM>()
            .ok_or_else(|| damaged("it is cut off"))?;
        if blake3::hash(&file[..file.len() - CHECKSUM]) != *checksum || version == 0 {
            return Err(damaged("its checksum does not fit"));
        }
        let (length, frame) = rest.split_first_chunk::<4>().ok_or_else(|| damaged("it is cut off"))?;
        let length = u32::from_le_bytes(*length);
        if length > self.body_limit {
            return Err(damaged("it is longer than such a file can be"));
        }
        let wrong = |_| damaged("its body cannot be unpacked");
        let mut decoder = zstd::stream::read::Decoder::with_buffer(frame).map_err(wrong)?;
        // Our own level never asks for a window of more than 8 MiB; a forged frame may.
        decoder.window_log_max(23).map_err(wrong)?;
        let mut body = Vec::new();
        decoder
            .take(u64::from(length) + 1)
            .read_to_end(&mut body)
            .map_err(wrong)?;
        if body.len() != length as usize {
            return Err(damaged("its body has another length than it says"));
        }
        Ok(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMAT: Format = Format {
        magic: b"LKSTEST\n",
        version: 2,
        body_limit: 1 << 16,
    };

    fn sealed(mut file: Vec<u8>) -> Vec<u8> {
        let end = file.len() - CHECKSUM;
        let checksum = blake3::hash(&file[..end]);
        file[end..].copy_from_slice(checksum.as_bytes());
        file
    }

    #[test]
    fn a_packed_body_is_unpacked() {
        for body in [&b""[..], b"x", &[7; 60_000]] {
            assert_eq!(FORMAT.unpack("f", &FORMAT.pack(body)).unwrap(), body);
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_found() {
        let file = FORMAT.pack(b"some body of a file");
        for at in 0..file.len() {
            FORMAT.unpack("f", &file[..at]).unwrap_err();
            for bit in 0..8 {
                let mut bad = file.clone();
                bad[at] ^= 1 << bit;
                FORMAT.unpack("f", &bad).unwrap_err();
            }
        }
    }

    #[test]
    fn a_newer_version_is_not_called_damaged() {
        let mut file = FORMAT.pack(b"body");
        file[8] = 3;
        let error = FORMAT.unpack("s3://b/f", &file).unwrap_err();
        assert!(
            matches!(error, LedgerError::Newer { found: 3, known: 2, .. }),
            "{error}"
        );
        assert!(error.to_string().contains("update lakesync"), "{error}");
    }

    #[test]
    fn a_forged_length_takes_no_memory_and_is_an_error() {
        let bomb = zstd::bulk::compress(&vec![0; 32 << 20], 3).unwrap();
        for length in [0_u32, 5, 1 << 16, u32::MAX] {
            let mut file = FORMAT.pack(b"");
            file.truncate(10);
            file.extend_from_slice(&length.to_le_bytes());
            file.extend_from_slice(&bomb);
            file.extend_from_slice(&[0; CHECKSUM]);
            let error = FORMAT.unpack("f", &sealed(file)).unwrap_err();
            assert!(matches!(error, LedgerError::Damaged { .. }), "{error}");
        }
    }
}
