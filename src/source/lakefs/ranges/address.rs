//! Where the bytes of an entry are.

use super::entry::{AddressType, RangeEntryRef};

/// What begins a whole URL in an address that does not say how it is meant, as lakeFS tells the two apart.
const SCHEMES: [&str; 7] = [
    "s3://",
    "gs://",
    "http://",
    "https://",
    "local://",
    "mem://",
    "memory://",
];

/// The folder of a storage namespace into which lakeFS puts the bytes of objects.
pub const DATA_FOLDER: &str = "data/";

/// Where the bytes of an entry are, and who looks after them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhysicalAddress {
    /// The URL, its key as it is: nothing is escaped.
    pub url: String,
    /// Whether lakeFS itself put the bytes there, so that they never change; imported ones may change or go.
    pub inside_namespace: bool,
}

/// Finds where the bytes of an entry are; `storage_namespace` is that of its repository.
///
/// Whether it is inside is told by its URL alone, since that is all that the API tells.
pub fn physical_address(storage_namespace: &str, entry: &RangeEntryRef<'_>) -> PhysicalAddress {
    let namespace = storage_namespace.trim_end_matches('/');
    let is_whole = match entry.address_type {
        AddressType::Full => true,
        AddressType::Relative => false,
        AddressType::ByPrefix => SCHEMES.iter().any(|scheme| entry.address.starts_with(scheme)),
    };
    if is_whole {
        let below = entry
            .address
            .strip_prefix(namespace)
            .and_then(|rest| rest.strip_prefix('/'));
        return PhysicalAddress {
            url: entry.address.to_owned(),
            inside_namespace: below.is_some_and(is_written_by_lakefs),
        };
    }
    let mut url = String::with_capacity(namespace.len() + 1 + entry.address.len());
    url.push_str(namespace);
    url.push('/');
    url.push_str(entry.address);
    PhysicalAddress {
        url,
        inside_namespace: is_written_by_lakefs(entry.address),
    }
}

/// Whether what stands so below a namespace was put there by lakeFS: a namespace may be a whole bucket, and an
/// import from elsewhere in that bucket is still an import.
///
/// lakeFS keeps data in a folder of the namespace; before it did so, at its root, under names that it made: 20
/// letters of an xid, or the 32 digits of a UUID.
pub fn is_written_by_lakefs(below_namespace: &str) -> bool {
    let is_xid = |name: &str| name.len() == 20 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'v'));
    let is_uuid = |name: &str| name.len() == 32 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    below_namespace.starts_with(DATA_FOLDER) || is_xid(below_namespace) || is_uuid(below_namespace)
}

#[cfg(test)]
mod tests {
    use super::super::entry::RangeEntry;
    use super::*;

    #[test]
    fn each_type_of_address_is_resolved() {
        use AddressType::{ByPrefix, Full, Relative};

        for (namespace, address_type, address, url, inside) in [
            ("s3://b/ns", Relative, "data/p/x", "s3://b/ns/data/p/x", true),
            (
                "s3://b/ns/",
                Relative,
                "9m4e2mr0ui3e8a215n4g",
                "s3://b/ns/9m4e2mr0ui3e8a215n4g",
                true,
            ),
            ("s3://b", Relative, "data/p/x", "s3://b/data/p/x", true),
            ("s3://b/ns", Relative, "s3://odd", "s3://b/ns/s3://odd", false),
            ("s3://b/ns", ByPrefix, "data/x", "s3://b/ns/data/x", true),
            ("s3://b/ns", ByPrefix, "s3://other/x", "s3://other/x", false),
            ("s3://b/ns", ByPrefix, "s3://b/ns/data/p/x", "s3://b/ns/data/p/x", true),
            ("s3://b/ns", Full, "s3://b/ns/data/p/x", "s3://b/ns/data/p/x", true),
            ("s3://b/ns", Full, "s3://b/ns/landing/x", "s3://b/ns/landing/x", false),
            ("s3://b/ns", Full, "s3://b/ns2/data/x", "s3://b/ns2/data/x", false),
            ("s3://b", Full, "s3://b/landing/x", "s3://b/landing/x", false),
            ("s3://b/ns", Full, "s3://b/a?b#c%20d", "s3://b/a?b#c%20d", false),
            (
                "local:///srv/ns",
                Relative,
                "data/p/x",
                "local:///srv/ns/data/p/x",
                true,
            ),
        ] {
            let entry = RangeEntry {
                address: address.to_owned(),
                address_type,
                ..RangeEntry::default()
            };
            let (identity, data) = entry.encode();
            let entry = RangeEntryRef::decode(b"k", &identity, &data).unwrap();
            let found = physical_address(namespace, &entry);
            assert_eq!((found.url.as_str(), found.inside_namespace), (url, inside), "{address}");
        }
    }
}
