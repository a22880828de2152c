//! Content ids: what says that two contents are equal.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha1::Digest as _;

/// A Git object id: SHA-1 or, in repositories of that format, SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum GitId {
    /// 20 bytes.
    Sha1([u8; 20]),
    /// 32 bytes.
    Sha256([u8; 32]),
}

impl GitId {
    /// The raw bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Sha1(bytes) => bytes,
            Self::Sha256(bytes) => bytes,
        }
    }
}

/// One content id, as it stands in an object's mark: `git:`, `b3:` or `addr:` and hex.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ContentId {
    /// The id of a Git blob.
    Git(GitId),
    /// The BLAKE3 hash of the bytes.
    Blake3([u8; 32]),
    /// The BLAKE3 hash of a physical address inside a lakeFS namespace, which is written once.
    Address([u8; 32]),
}

impl fmt::Display for ContentId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Git(id) => write!(out, "git:{}", hex::encode(id.as_bytes())),
            Self::Blake3(hash) => write!(out, "b3:{}", hex::encode(hash)),
            Self::Address(hash) => write!(out, "addr:{}", hex::encode(hash)),
        }
    }
}

impl fmt::Debug for ContentId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "ContentId({self})")
    }
}

/// The text is no content id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a content id (git:, b3: or addr: and hex)")]
pub struct ContentIdError(String);

impl FromStr for ContentId {
    type Err = ContentIdError;

    fn from_str(text: &str) -> Result<Self, ContentIdError> {
        let bad = || ContentIdError(text.to_owned());
        let (kind, digits) = text.split_once(':').ok_or_else(bad)?;
        let bytes = hex::decode(digits).map_err(|_| bad())?;
        let whole = || <[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| bad());
        match kind {
            "git" if bytes.len() == 20 => {
                let id = <[u8; 20]>::try_from(bytes.as_slice()).map_err(|_| bad())?;
                Ok(Self::Git(GitId::Sha1(id)))
            }
            "git" => Ok(Self::Git(GitId::Sha256(whole()?))),
            "b3" => Ok(Self::Blake3(whole()?)),
            "addr" => Ok(Self::Address(whole()?)),
            _ => Err(bad()),
        }
    }
}

/// Every content id that is known of one content. In text it is a list of ids as marks have them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ContentIds {
    /// The Git blob id.
    pub git: Option<GitId>,
    /// The BLAKE3 hash of the bytes.
    pub blake3: Option<[u8; 32]>,
    /// The BLAKE3 hash of the physical address.
    pub address: Option<[u8; 32]>,
    /// A digest of a lakeFS checksum, which compares contents of one path and never of two: whoever wrote an
    /// object may have made it up.
    pub checksum: Option<[u8; 16]>,
}

impl ContentIds {
    /// Whether both name the same content of one path, as far as a kind that both know can tell; where they
    /// know none in common the contents count as different, since a needless PUT is safe and a missing one is not.
    ///
    /// The same bytes can lie at two addresses, so of two that differ the checksum decides.
    pub fn same_content(&self, other: &Self) -> bool {
        fn agree<T: PartialEq>(left: Option<T>, right: Option<T>) -> Option<bool> {
            Some(left? == right?)
        }
        agree(self.git, other.git)
            .or_else(|| agree(self.blake3, other.blake3))
            .or_else(|| agree(self.address, other.address).filter(|same| *same))
            .or_else(|| agree(self.checksum, other.checksum))
            .unwrap_or(false)
    }

    /// The id that goes into an object's mark, and that groups duplicates.
    pub fn primary(&self) -> Option<ContentId> {
        self.git
            .map(ContentId::Git)
            .or_else(|| self.blake3.map(ContentId::Blake3))
            .or_else(|| self.address.map(ContentId::Address))
    }

    /// Adds the ids that only `other` knows.
    pub fn merge(&mut self, other: &Self) {
        self.git = self.git.or(other.git);
        self.blake3 = self.blake3.or(other.blake3);
        self.address = self.address.or(other.address);
        self.checksum = self.checksum.or(other.checksum);
    }

    /// The digest of a lakeFS checksum.
    pub fn digest_checksum(checksum: &str) -> [u8; 16] {
        let hash = blake3::hash(checksum.as_bytes());
        *hash.as_bytes().first_chunk().expect("a hash has 32 bytes")
    }
}

impl ContentIds {
    fn known(&self) -> impl Iterator<Item = ContentId> {
        let git = self.git.map(ContentId::Git);
        let blake3 = self.blake3.map(ContentId::Blake3);
        git.into_iter()
            .chain(blake3)
            .chain(self.address.map(ContentId::Address))
    }
}

impl Serialize for ContentIds {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if to.is_human_readable() {
            to.collect_seq(self.known().map(|id| id.to_string()))
        } else {
            (self.git, self.blake3, self.address, self.checksum).serialize(to)
        }
    }
}

impl<'de> Deserialize<'de> for ContentIds {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        if from.is_human_readable() {
            let mut ids = Self::default();
            for text in Vec::<String>::deserialize(from)? {
                let id: ContentId = text.parse().map_err(serde::de::Error::custom)?;
                ids.merge(&id.into());
            }
            Ok(ids)
        } else {
            let (git, blake3, address, checksum) = Deserialize::deserialize(from)?;
            Ok(Self {
                git,
                blake3,
                address,
                checksum,
            })
        }
    }
}

impl From<ContentId> for ContentIds {
    fn from(id: ContentId) -> Self {
        match id {
            ContentId::Git(id) => Self {
                git: Some(id),
                ..Self::default()
            },
            ContentId::Blake3(hash) => Self {
                blake3: Some(hash),
                ..Self::default()
            },
            ContentId::Address(hash) => Self {
                address: Some(hash),
                ..Self::default()
            },
        }
    }
}

/// Recomputes the ids of bytes that are being sent, so that what is recorded is what went out.
///
/// Only the kinds that the expected ids hold are computed. An address says nothing of the bytes, so an
/// entry known by its address alone gets its BLAKE3 hash here.
pub struct ContentHasher {
    expected: ContentIds,
    sha1: Option<sha1::Sha1>,
    sha256: Option<sha2::Sha256>,
    blake3: Option<Box<blake3::Hasher>>,
}

impl ContentHasher {
    /// Prepares to hash `size` bytes that should have the ids `expected`.
    pub fn new(expected: ContentIds, size: u64) -> Self {
        let header = format!("blob {size}\0");
        let mut hasher = Self {
            expected,
            sha1: None,
            sha256: None,
            blake3: None,
        };
        match expected.git {
            Some(GitId::Sha1(_)) => hasher.sha1 = Some(sha1::Sha1::new_with_prefix(header)),
            Some(GitId::Sha256(_)) => hasher.sha256 = Some(sha2::Sha256::new_with_prefix(header)),
            None => {}
        }
        if expected.blake3.is_some() || expected.git.is_none() {
            hasher.blake3 = Some(Box::default());
        }
        hasher
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        if let Some(sha1) = &mut self.sha1 {
            sha1.update(bytes);
        }
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(bytes);
        }
        if let Some(blake3) = &mut self.blake3 {
            blake3.update(bytes);
        }
    }

    /// Gives the ids of the bytes, or `None` where they are not those that were expected.
    pub fn finish(self) -> Option<ContentIds> {
        let git = match (self.sha1, self.sha256) {
            (Some(sha1), _) => Some(GitId::Sha1(sha1.finalize().into())),
            (None, Some(sha256)) => Some(GitId::Sha256(sha256.finalize().into())),
            (None, None) => None,
        };
        let blake3 = self.blake3.map(|hasher| *hasher.finalize().as_bytes());
        let differs = (self.expected.git.is_some() && self.expected.git != git)
            || (self.expected.blake3.is_some() && self.expected.blake3 != blake3);
        (!differs).then_some(ContentIds {
            git,
            blake3,
            ..self.expected
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_an_id_reads_back() {
        for text in [
            &format!("git:{}", "ab".repeat(20)),
            &format!("git:{}", "cd".repeat(32)),
            &format!("b3:{}", "01".repeat(32)),
        ] {
            assert_eq!(&text.parse::<ContentId>().unwrap().to_string(), text);
        }
        for bad in ["", "git", "git:xy", "b3:00", "sha9:00"] {
            bad.parse::<ContentId>().unwrap_err();
        }
    }

    #[test]
    fn a_git_blob_has_the_id_that_git_gives_it() {
        // `printf hello | git hash-object --stdin`
        let id: ContentId = "git:b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0".parse().unwrap();
        let mut hasher = ContentHasher::new(id.into(), 5);
        hasher.update(b"hel");
        hasher.update(b"lo");
        assert_eq!(hasher.finish().unwrap().primary(), Some(id));
        let mut hasher = ContentHasher::new(id.into(), 5);
        hasher.update(b"jello");
        assert_eq!(hasher.finish(), None);
    }

    #[test]
    fn ids_read_back_from_text_and_from_bytes() {
        let ids = ContentIds {
            git: Some(GitId::Sha1([1; 20])),
            blake3: Some([2; 32]),
            address: None,
            checksum: None,
        };
        let text = serde_json::to_string(&ids).unwrap();
        assert!(text.starts_with("[\"git:0101"), "{text}");
        assert_eq!(serde_json::from_str::<ContentIds>(&text).unwrap(), ids);
        let bytes = postcard::to_stdvec(&ids).unwrap();
        assert_eq!(postcard::from_bytes::<ContentIds>(&bytes).unwrap(), ids);
    }

    #[test]
    fn contents_without_a_common_kind_count_as_different() {
        let git = ContentIds::from(ContentId::Git(GitId::Sha1([1; 20])));
        let hash = ContentIds::from(ContentId::Blake3([1; 32]));
        assert!(!git.same_content(&hash));
        let both = ContentIds { git: git.git, ..hash };
        assert!(both.same_content(&git) && both.same_content(&hash));
    }
}
