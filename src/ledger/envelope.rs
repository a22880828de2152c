//! The shell of the JSON files: what the file is, its version, and a checksum over the exact bytes of its data.
//!
//! ```json
//! {"format":"lakesync root","version":1,"checksum":"b3:…","data":{…}}
//! ```

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::LedgerError;

/// A kind of file.
pub(super) struct Envelope {
    /// What the file says it is.
    pub(super) format: &'static str,
    /// The version that is written, and the newest that is read.
    pub(super) version: u32,
}

#[derive(Serialize)]
struct Sealed<'a> {
    format: &'a str,
    version: u32,
    checksum: String,
    data: &'a RawValue,
}

/// What every version of every file has; the rest may change with the version.
#[derive(Deserialize)]
struct Head {
    format: String,
    version: u32,
}

#[derive(Deserialize)]
struct Opened<'a> {
    checksum: String,
    #[serde(borrow)]
    data: &'a RawValue,
}

fn checksum(data: &RawValue) -> String {
    format!("b3:{}", blake3::hash(data.get().as_bytes()).to_hex())
}

impl Envelope {
    /// Makes the file.
    pub(super) fn seal<T: Serialize>(&self, data: &T) -> Vec<u8> {
        const PLAIN: &str = "the ledger's types have text for keys and cannot fail";
        let data = serde_json::value::to_raw_value(data).expect(PLAIN);
        let mut file = serde_json::to_vec(&Sealed {
            format: self.format,
            version: self.version,
            checksum: checksum(&data),
            data: &data,
        })
        .expect(PLAIN);
        file.push(b'\n');
        file
    }

    /// Reads the file; what is not wholly as it was written is an error, never an empty ledger.
    pub(super) fn open<T: DeserializeOwned>(&self, name: &str, file: &[u8]) -> Result<T, LedgerError> {
        let not_json = |error: serde_json::Error| LedgerError::damaged(name, format!("it does not parse: {error}"));
        let head: Head = serde_json::from_slice(file).map_err(not_json)?;
        if head.format != self.format {
            return Err(LedgerError::damaged(
                name,
                format!("it says that it is a {:?}, not a {:?}", head.format, self.format),
            ));
        }
        if head.version > self.version {
            return Err(LedgerError::Newer {
                file: name.to_owned(),
                found: head.version,
                known: self.version,
            });
        }
        let opened: Opened<'_> = serde_json::from_slice(file).map_err(not_json)?;
        if opened.checksum != checksum(opened.data) || head.version == 0 {
            return Err(LedgerError::damaged(name, "its checksum does not fit"));
        }
        serde_json::from_str(opened.data.get()).map_err(not_json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENVELOPE: Envelope = Envelope {
        format: "lakesync test",
        version: 1,
    };

    #[test]
    fn what_was_sealed_is_opened() {
        let file = ENVELOPE.seal(&("a", 7));
        assert_eq!(ENVELOPE.open::<(String, u32)>("f", &file).unwrap(), ("a".into(), 7));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_an_error() {
        let file = ENVELOPE.seal(&("some data", 7));
        // The final newline is no part of the data.
        for at in 0..file.len() - 1 {
            ENVELOPE.open::<(String, u32)>("f", &file[..at]).unwrap_err();
            for bit in 0..8 {
                let mut bad = file.clone();
                bad[at] ^= 1 << bit;
                ENVELOPE.open::<(String, u32)>("f", &bad).unwrap_err();
            }
        }
    }

    #[test]
    fn a_newer_version_is_named_whatever_else_it_holds() {
        let file = br#"{"format":"lakesync test","version":9,"body":[]}"#;
        let error = ENVELOPE.open::<u32>("s3://b/root.json", file).unwrap_err();
        assert!(matches!(error, LedgerError::Newer { found: 9, known: 1, .. }));
        assert!(
            error
                .to_string()
                .starts_with("s3://b/root.json was written by a newer lakesync"),
            "{error}"
        );
    }

    #[test]
    fn a_damaged_file_is_named_with_its_cure() {
        let error = ENVELOPE.open::<u32>("s3://b/root.json", b"").unwrap_err().to_string();
        assert!(
            error.contains("s3://b/root.json") && error.contains("lakesync ledger rebuild"),
            "{error}"
        );
    }

    #[test]
    fn another_kind_of_file_is_not_taken_for_this_one() {
        let other = Envelope {
            format: "lakesync other",
            version: 1,
        };
        ENVELOPE.open::<u32>("f", &other.seal(&1_u32)).unwrap_err();
    }
}
