//! From what a server says of an object to an entry of the tree that is exported.

use std::collections::BTreeMap;

use super::client::ObjectStats;
use super::ranges::{DATA_FOLDER, PhysicalAddress, is_written_by_lakefs};
use crate::model::{Attributes, ContentIds, ETag, Entry, ObjectKey, OriginObject, RelPath};
use crate::source::Filter;

/// What a store that is a folder of the server begins its addresses with.
const LOCAL_SCHEME: &str = "local://";

/// What lakeFS tells its own readers where an object has no content type.
const NO_CONTENT_TYPE: &str = "application/octet-stream";

/// What the S3 gateway of lakeFS leaves in front of the metadata of what went through it.
const GATEWAY_METADATA: &str = "x-amz-meta-";

/// What is known of an object, whichever way it became known.
pub(super) struct ObjectFacts<'a> {
    pub(super) path: RelPath,
    pub(super) size: u64,
    pub(super) address: PhysicalAddress,
    /// An opaque token; empty where lakeFS has none.
    pub(super) checksum: &'a str,
    pub(super) content_type: &'a str,
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) mtime_unix: i64,
}

/// Makes an entry: the one place where it is said what of lakeFS counts as what.
pub(super) fn entry_of(object: ObjectFacts<'_>) -> Entry {
    let content_type = match object.content_type {
        "" => NO_CONTENT_TYPE,
        content_type => content_type,
    };
    Entry {
        content: ContentIds {
            address: Some(address_id(&object)),
            checksum: (!object.checksum.is_empty()).then(|| ContentIds::digest_checksum(object.checksum)),
            ..ContentIds::default()
        },
        path: object.path,
        size: object.size,
        origin: origin_of(&object.address, object.checksum).map(Box::new),
        attributes: Attributes {
            content_type: Some(content_type.into()),
            metadata: object.metadata.into_iter().map(metadata_pair).collect(),
            mode: None,
            mtime_unix: Some(object.mtime_unix),
        },
    }
}

/// Names the bytes at an address. Those of an import are named by their checksum, too: where it lies they may be
/// others tomorrow, and then lakeFS has to import them anew.
///
/// What was imported from a folder of the server is named by its path and its checksum: the API tells another address
/// of it than the commit does. Not by the checksum alone, which compares one path across commits and never two: the id
/// groups what is copied from one another. Likewise where there is no checksum to tell one day's bytes at an address
/// from the next day's.
fn address_id(object: &ObjectFacts<'_>) -> [u8; 32] {
    let (url, checksum) = (object.address.url.as_str(), object.checksum);
    let mut hasher = blake3::Hasher::new();
    if object.address.inside_namespace {
        return *hasher.update(url.as_bytes()).finalize().as_bytes();
    }
    let is_local = url.starts_with(LOCAL_SCHEME);
    hasher
        .update(if is_local { LOCAL_SCHEME } else { url }.as_bytes())
        .update(b"\0")
        .update(checksum.as_bytes())
        .update(b"\0")
        .update(&object.size.to_le_bytes());
    if is_local || checksum.is_empty() {
        hasher.update(object.path.as_bytes());
    }
    *hasher.finalize().as_bytes()
}

/// The object on S3 that holds the bytes, where they are there. What is inside the namespace is written once, so
/// nothing needs to be compared.
fn origin_of(address: &PhysicalAddress, checksum: &str) -> Option<OriginObject> {
    let (bucket, key) = address.url.strip_prefix("s3://")?.split_once('/')?;
    let is_compared = !address.inside_namespace && !checksum.is_empty();
    Some(OriginObject {
        bucket: bucket.parse().ok()?,
        key: ObjectKey::new(key),
        etag: is_compared.then(|| ETag::new(checksum)),
    })
}

fn metadata_pair((key, value): (String, String)) -> (String, String) {
    let key = key.to_ascii_lowercase();
    match key.strip_prefix(GATEWAY_METADATA) {
        Some(rest) if !rest.is_empty() => (rest.to_owned(), value),
        _ => (key, value),
    }
}

/// Which keys are exported, and under which paths.
#[derive(Clone, Debug)]
pub(super) struct Selection {
    /// What keys begin with: empty, or ending in `/`.
    pub(super) prefix: String,
    pub(super) filter: Filter,
}

impl Selection {
    /// The path of a key in the export, where it is exported at all. The folder object of the prefix itself has none.
    pub(super) fn path_of(&self, key: &[u8]) -> Option<RelPath> {
        let path = RelPath::new(key.strip_prefix(self.prefix.as_bytes())?).ok()?;
        self.filter.wants_file(&path).then_some(path)
    }

    /// What the keys of a folder of the export begin with; of the root, those of all.
    pub(super) fn keys_below(&self, folder: Option<&RelPath>) -> Vec<u8> {
        let mut keys = self.prefix.clone().into_bytes();
        if let Some(folder) = folder {
            keys.extend_from_slice(folder.as_bytes());
            keys.push(b'/');
        }
        keys
    }

    /// The path of the sub-folder that such keys lie in, where it is exported.
    pub(super) fn folder_path(&self, keys: &[u8]) -> Option<RelPath> {
        let path = keys.strip_prefix(self.prefix.as_bytes())?.strip_suffix(b"/")?;
        // A folder without a name is shown by its slash alone, which no glob can mean.
        match RelPath::new(path) {
            Ok(path) => self.filter.wants_folder(path.as_bytes()).then_some(path),
            Err(_) => None,
        }
    }
}

/// Makes an entry of what the API says of an object.
pub(super) fn entry_of_stats(path: RelPath, stats: ObjectStats, storage_namespace: &str) -> Entry {
    entry_of(ObjectFacts {
        path,
        size: stats.size_bytes.unwrap_or(0),
        address: address_of_stats(storage_namespace, &stats.physical_address),
        checksum: &stats.checksum,
        content_type: stats.content_type.as_deref().unwrap_or_default(),
        metadata: stats.metadata.unwrap_or_default(),
        mtime_unix: stats.mtime,
    })
}

/// Whether lakeFS itself wrote what the API says this of, so that the bytes never change.
pub(super) fn is_written_once(storage_namespace: &str, stats: &ObjectStats) -> bool {
    address_of_stats(storage_namespace, &stats.physical_address).inside_namespace
}

/// Reads the address that the API tells, which is always a whole one.
fn address_of_stats(storage_namespace: &str, url: &str) -> PhysicalAddress {
    let namespace = storage_namespace.trim_end_matches('/');
    let below = url.strip_prefix(namespace).and_then(|rest| rest.strip_prefix('/'));
    if let Some(below) = below {
        return PhysicalAddress {
            url: url.to_owned(),
            inside_namespace: is_written_by_lakefs(below),
        };
    }
    match below_local(namespace, url) {
        Some(below) => PhysicalAddress {
            url: format!("{namespace}/{below}"),
            inside_namespace: true,
        },
        None => PhysicalAddress {
            url: url.to_owned(),
            inside_namespace: false,
        },
    }
}

/// Of a store that is a folder of the server, the API tells the folder, and a commit does not: it is taken out, so
/// that both name the same bytes alike.
fn below_local<'a>(namespace: &str, url: &'a str) -> Option<&'a str> {
    let name = namespace.strip_prefix(LOCAL_SCHEME)?;
    let path = url.strip_prefix(LOCAL_SCHEME)?;
    let folder = format!("/{name}/{DATA_FOLDER}");
    let at = path.find(&folder)? + folder.len() - DATA_FOLDER.len();
    Some(&path[at..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lakefs_itself_wrote_is_told_from_what_was_imported() {
        for (namespace, url, shown, inside) in [
            ("s3://b/ns", "s3://b/ns/data/p/x", "s3://b/ns/data/p/x", true),
            ("s3://b/ns/", "s3://b/ns/data/p/x", "s3://b/ns/data/p/x", true),
            ("s3://b/ns", "s3://b/ns2/data/x", "s3://b/ns2/data/x", false),
            ("s3://b/ns", "s3://other/data/x", "s3://other/data/x", false),
            ("s3://b", "s3://b/landing/x", "s3://b/landing/x", false),
            ("s3://b", "s3://b/a?b#c%20d", "s3://b/a?b#c%20d", false),
            (
                "local://ns",
                "local:///srv/block/ns/data/p/x",
                "local://ns/data/p/x",
                true,
            ),
            ("local://ns", "local:///srv/import/x", "local:///srv/import/x", false),
        ] {
            let address = address_of_stats(namespace, url);
            assert_eq!(
                (address.url.as_str(), address.inside_namespace),
                (shown, inside),
                "{url}"
            );
        }
    }

    fn entry(url: &str, inside_namespace: bool, checksum: &str) -> Entry {
        entry_at("a", url, inside_namespace, checksum)
    }

    fn entry_at(path: &str, url: &str, inside_namespace: bool, checksum: &str) -> Entry {
        entry_of(ObjectFacts {
            path: RelPath::new(path).unwrap(),
            size: 1,
            address: PhysicalAddress {
                url: url.to_owned(),
                inside_namespace,
            },
            checksum,
            content_type: "",
            metadata: BTreeMap::from([("X-Amz-Meta-Owner".to_owned(), "V".to_owned())]),
            mtime_unix: 7,
        })
    }

    #[test]
    fn an_address_names_bytes_and_the_checksum_those_of_an_import_too() {
        let id = |inside, checksum| entry("s3://bkt/x", inside, checksum).content.primary().unwrap();
        assert_eq!(id(true, "one"), id(true, "two"));
        assert_ne!(id(false, "one"), id(false, "two"));
        assert_ne!(id(true, "one"), id(false, "one"));
        let id = |url| entry(url, false, "one").content.primary().unwrap();
        assert_eq!(id("local:///srv/import/x"), id("local:///srv/block/srv/import/x"));
        assert_ne!(id("s3://bkt/x"), id("s3://bkt/y"));
    }

    #[test]
    fn imports_that_no_checksum_of_a_store_tells_apart_are_never_taken_for_one_another() {
        fn id(path: &str, url: &str, checksum: &str) -> crate::model::ContentId {
            entry_at(path, url, false, checksum).content.primary().unwrap()
        }
        // Of one path the checksum decides, whatever the address; of two it says nothing.
        for checksum in ["made up", ""] {
            let local = |path, name| id(path, &format!("local:///srv/import/{name}"), checksum);
            assert_ne!(local("a", "a"), local("b", "b"));
            assert_eq!(local("a", "a"), local("a", "b"));
        }
        assert_ne!(id("a", "gs://bkt/x", ""), id("b", "gs://bkt/x", ""));
        assert_eq!(id("a", "s3://bkt/x", "one"), id("b", "s3://bkt/x", "one"));
    }

    #[test]
    fn s3_copies_what_lies_on_s3_and_compares_only_imports() {
        let etag = |url, inside, checksum| entry(url, inside, checksum).origin.map(|origin| origin.etag);
        assert_eq!(etag("s3://bkt/x", true, "one"), Some(None));
        assert_eq!(etag("s3://bkt/x", false, "one"), Some(Some(ETag::new("one"))));
        assert_eq!(etag("s3://bkt/x", false, ""), Some(None));
        assert_eq!(etag("local://bkt/x", true, "one"), None);
        assert_eq!(etag("gs://bkt/x", false, "one"), None);
        let origin = entry("s3://bkt/a?b#c%20d/ä", true, "").origin.unwrap();
        assert_eq!(origin.key.as_str(), "a?b#c%20d/ä");
    }

    #[test]
    fn content_type_and_metadata_are_as_lakefs_tells_its_readers() {
        let attributes = entry("s3://bkt/x", true, "").attributes;
        assert_eq!(attributes.content_type.as_deref(), Some(NO_CONTENT_TYPE));
        assert_eq!(
            attributes.metadata,
            BTreeMap::from([("owner".to_owned(), "V".to_owned())])
        );
    }

    #[test]
    fn paths_are_relative_to_the_prefix_and_filtered_as_such() {
        let selection = Selection {
            prefix: "a/".to_owned(),
            filter: Filter::new(&[], &["/x".to_owned()]).unwrap(),
        };
        let path = |key: &str| selection.path_of(key.as_bytes()).map(|path| path.to_string());
        assert_eq!(path("a/b/c").as_deref(), Some("b/c"));
        assert_eq!(path("a//c").as_deref(), Some("/c"));
        assert_eq!(path("a/"), None);
        assert_eq!(path("a/x"), None);
        assert_eq!(path("a/b/x").as_deref(), Some("b/x"));
    }
}
