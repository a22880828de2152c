//! Shared secrets: read from a file, compared in constant time, never shown.

use std::path::{Path, PathBuf};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

/// Shorter ones can be guessed over a network in reasonable time.
const SHORTEST_BYTES: usize = 16;

/// Secrets that each open the door; more than one while an old one is replaced by a new one. No `Debug`.
#[derive(Clone)]
pub struct Secrets(Vec<String>);

/// Why a file holds no secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The system said no.
    #[error("{flag} {}: cannot be read", path.display())]
    Read {
        /// The flag that named it.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Nothing that could be a secret.
    #[error(
        "{flag} {}: holds no secret of at least 16 letters in a line; make one with `openssl rand -hex 32`",
        path.display()
    )]
    Weak {
        /// The flag that named it.
        flag: &'static str,
        /// The file.
        path: PathBuf,
    },
}

impl Secrets {
    /// Reads a file: one secret in each line, white space around it aside.
    pub fn read(flag: &'static str, path: &Path) -> Result<Self, SecretError> {
        let text = std::fs::read_to_string(path).map_err(|source| SecretError::Read {
            flag,
            path: path.to_owned(),
            source,
        })?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let secrets: Vec<String> = lines.map(str::to_owned).collect();
        if secrets.is_empty() || secrets.iter().any(|secret| secret.len() < SHORTEST_BYTES) {
            return Err(SecretError::Weak {
                flag,
                path: path.to_owned(),
            });
        }
        Ok(Self(secrets))
    }

    /// The first, for whoever must show it to the other side.
    pub fn first(&self) -> &str {
        &self.0[0]
    }

    /// Whether a text is one of them. How long it takes tells nothing of where they differ.
    pub fn holds(&self, given: &str) -> bool {
        // Hashes are of one length, so that not even that of the secret shows.
        let given = blake3::hash(given.as_bytes());
        let equal = |secret: &String| given.as_bytes().ct_eq(blake3::hash(secret.as_bytes()).as_bytes());
        let any = self
            .0
            .iter()
            .map(equal)
            .fold(subtle::Choice::from(0), |any, one| any | one);
        any.into()
    }

    /// Whether a body was signed with one of them: HMAC-SHA256, as `sha256=` and hex.
    pub fn signed(&self, body: &[u8], signature: &str) -> bool {
        let Some(Ok(given)) = signature.strip_prefix("sha256=").map(hex::decode) else {
            return false;
        };
        self.0.iter().any(|secret| {
            let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key of any length does");
            mac.update(body);
            mac.verify_slice(&given).is_ok()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn each_line_is_a_secret_and_short_ones_are_refused() {
        let good = file("first-secret-of-all\n\n  second-secret-of-all \n");
        let secrets = Secrets::read("--token-file", good.path()).unwrap();
        assert!(secrets.holds("first-secret-of-all") && secrets.holds("second-secret-of-all"));
        for wrong in ["", "first", "first-secret-of-al", "first-secret-of-all "] {
            assert!(!secrets.holds(wrong), "{wrong:?}");
        }
        for bad in ["", "\n \n", "short\n", "long-enough-a-secret\nshort\n"] {
            let bad = file(bad);
            assert!(matches!(
                Secrets::read("--token-file", bad.path()),
                Err(SecretError::Weak { .. })
            ));
        }
    }

    /// The example of GitHub's own documentation.
    #[test]
    fn a_signature_counts_only_for_its_body_and_secret() {
        let secrets = Secrets(vec!["It's a Secret to Everybody".to_owned()]);
        let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        assert!(secrets.signed(b"Hello, World!", signature));
        assert!(!secrets.signed(b"Hello, World?", signature));
        assert!(!secrets.signed(b"Hello, World!", &signature.replace("757", "758")));
        for bad in ["", "sha256=", "sha256=zz", "sha1=757107", &signature["sha256=".len()..]] {
            assert!(!secrets.signed(b"Hello, World!", bad), "{bad}");
        }
    }
}
