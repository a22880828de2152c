//! Checksums of bodies, in the form in which S3 takes them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::Digest as _;

use super::Checksum;

/// Computes a checksum and gives it as S3 headers want it: big-endian, base64; `None` for no checksum.
pub fn checksum_base64(kind: Checksum, bytes: &[u8]) -> Option<String> {
    let text = match kind {
        Checksum::Crc64Nvme => STANDARD.encode(crc_fast::crc64_nvme(bytes).to_be_bytes()),
        Checksum::Crc32c => STANDARD.encode(crc_fast::crc32_iscsi(bytes).to_be_bytes()),
        Checksum::Crc32 => STANDARD.encode(crc_fast::crc32_iso_hdlc(bytes).to_be_bytes()),
        Checksum::Sha256 => STANDARD.encode(sha2::Sha256::digest(bytes)),
        Checksum::Md5 => STANDARD.encode(md5::Md5::digest(bytes)),
        Checksum::None => return None,
    };
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check values of the catalogue of CRCs, RFC 1321 and FIPS 180 for "123456789".
    #[test]
    fn known_vectors_come_out_as_s3_wants_them() {
        for (kind, hexadecimal) in [
            (Checksum::Crc64Nvme, "ae8b14860a799888"),
            (Checksum::Crc32c, "e3069283"),
            (Checksum::Crc32, "cbf43926"),
            (
                Checksum::Sha256,
                "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
            ),
            (Checksum::Md5, "25f9e794323b453885f5181f1b624d0b"),
        ] {
            let wanted = STANDARD.encode(hex::decode(hexadecimal).unwrap());
            assert_eq!(checksum_base64(kind, b"123456789"), Some(wanted), "{kind:?}");
        }
        assert_eq!(checksum_base64(Checksum::None, b"123456789"), None);
    }

    #[test]
    fn an_empty_body_has_a_checksum_too() {
        assert_eq!(
            checksum_base64(Checksum::Md5, b"").as_deref(),
            Some("1B2M2Y8AsgTpgAmY7PhCfg==")
        );
        assert_eq!(checksum_base64(Checksum::Crc32, b"").as_deref(), Some("AAAAAA=="));
    }
}
