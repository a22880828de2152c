//! What a range says of one object.

use std::collections::BTreeMap;

use super::protobuf::{Message, MessageFault, Tag};

/// How an address is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AddressType {
    /// Whatever its beginning says: entries of old commits.
    #[default]
    ByPrefix,
    /// Below the storage namespace.
    Relative,
    /// A whole URL.
    Full,
}

/// One entry of a range, borrowed from the reader until its next entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RangeEntryRef<'a> {
    /// The path of the object: any bytes.
    pub key: &'a [u8],
    /// What equal entries of one path have in common: neither the address nor the time is in it.
    pub identity: &'a [u8; 32],
    /// Where the object's bytes are; see [`physical_address`](super::physical_address).
    pub address: &'a str,
    /// How the address is meant.
    pub address_type: AddressType,
    /// The length of the object in bytes.
    pub size: u64,
    /// The checksum, an opaque token.
    pub e_tag: &'a str,
    /// When the object was last changed, in whole seconds since 1970.
    pub last_modified_unix: i64,
    /// User metadata.
    pub metadata: MetadataRef<'a>,
    /// The content type; empty where there is none.
    pub content_type: &'a str,
}

/// The user metadata of an entry, decoded when it is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct MetadataRef<'a> {
    /// The whole message, looked through once already; empty where it has no metadata.
    message: &'a [u8],
}

/// One entry of a range, on its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RangeEntry {
    /// The path of the object: any bytes.
    pub key: Vec<u8>,
    /// Where the object's bytes are.
    pub address: String,
    /// How the address is meant.
    pub address_type: AddressType,
    /// The length of the object in bytes.
    pub size: u64,
    /// The checksum, an opaque token.
    pub e_tag: String,
    /// When the object was last changed, in whole seconds since 1970.
    pub last_modified_unix: i64,
    /// User metadata.
    pub metadata: BTreeMap<String, String>,
    /// The content type; empty where there is none.
    pub content_type: String,
}

/// The fields of an entry.
mod field {
    use super::Tag;

    pub(super) const ADDRESS: Tag = Tag::bytes(1);
    pub(super) const LAST_MODIFIED: Tag = Tag::bytes(2);
    pub(super) const SIZE: Tag = Tag::number(3);
    pub(super) const E_TAG: Tag = Tag::bytes(4);
    pub(super) const METADATA: Tag = Tag::bytes(5);
    pub(super) const ADDRESS_TYPE: Tag = Tag::number(6);
    pub(super) const CONTENT_TYPE: Tag = Tag::bytes(7);
    /// Up to which number they are known.
    pub(super) const KNOWN: u64 = 7;
}

/// The field of a time that is of use here; the other one is parts of a second.
const SECONDS: Tag = Tag::number(1);
/// The fields of a pair of metadata.
const KEY: Tag = Tag::bytes(1);
const VALUE: Tag = Tag::bytes(2);

impl<'a> RangeEntryRef<'a> {
    /// Decodes the message of an entry. Fields that are absent are zero or empty, unknown ones are passed over.
    pub fn decode(key: &'a [u8], identity: &'a [u8; 32], message: &'a [u8]) -> Result<Self, MessageFault> {
        let mut entry = Self::without_fields(key, identity);
        entry.fill(message)?;
        Ok(entry)
    }

    /// An entry all of whose fields are absent.
    #[inline]
    pub(super) fn without_fields(key: &'a [u8], identity: &'a [u8; 32]) -> Self {
        Self {
            key,
            identity,
            address: "",
            address_type: AddressType::ByPrefix,
            size: 0,
            e_tag: "",
            last_modified_unix: 0,
            metadata: MetadataRef { message: &[] },
            content_type: "",
        }
    }

    /// Takes the fields of a message. The entry is filled where it stands: moving it once more, within a result,
    /// costs five nanoseconds of two hundred.
    pub(super) fn fill(&mut self, message: &'a [u8]) -> Result<(), MessageFault> {
        let mut fields = Message::of(message);
        // Fields are written in the order of their numbers. Asked for in that order they cost no jump that the
        // processor guesses wrongly; whatever comes otherwise goes through the loop below.
        let mut next = fields.tag()?;
        if next == Some(field::ADDRESS) {
            self.address = fields.text(field::ADDRESS)?;
            next = fields.tag()?;
        }
        if next == Some(field::LAST_MODIFIED) {
            self.last_modified_unix = seconds(fields.bytes()?)?;
            next = fields.tag()?;
        }
        if next == Some(field::SIZE) {
            self.size = fields.natural(field::SIZE)?;
            next = fields.tag()?;
        }
        if next == Some(field::E_TAG) {
            self.e_tag = fields.text(field::E_TAG)?;
            next = fields.tag()?;
        }
        if next == Some(field::ADDRESS_TYPE) {
            self.address_type = address_type(fields.signed()?)?;
            next = fields.tag()?;
        }
        if next == Some(field::CONTENT_TYPE) {
            self.content_type = fields.text(field::CONTENT_TYPE)?;
            next = fields.tag()?;
        }
        while let Some(tag) = next {
            self.take_field(tag, &mut fields, message)?;
            next = fields.tag()?;
        }
        Ok(())
    }

    /// Takes a field in whose place it is not known which one stands.
    fn take_field(&mut self, tag: Tag, fields: &mut Message<'a>, message: &'a [u8]) -> Result<(), MessageFault> {
        match tag {
            field::ADDRESS => self.address = fields.text(tag)?,
            field::LAST_MODIFIED => self.last_modified_unix = seconds(fields.bytes()?)?,
            field::SIZE => self.size = fields.natural(tag)?,
            field::E_TAG => self.e_tag = fields.text(tag)?,
            field::METADATA => {
                pair(fields.bytes()?)?;
                self.metadata = MetadataRef { message };
            }
            field::ADDRESS_TYPE => self.address_type = address_type(fields.signed()?)?,
            field::CONTENT_TYPE => self.content_type = fields.text(tag)?,
            other => fields.skip(other, field::KNOWN)?,
        }
        Ok(())
    }

    /// Copies the entry out.
    pub fn to_owned(&self) -> RangeEntry {
        RangeEntry {
            key: self.key.to_vec(),
            address: self.address.to_owned(),
            address_type: self.address_type,
            size: self.size,
            e_tag: self.e_tag.to_owned(),
            last_modified_unix: self.last_modified_unix,
            metadata: self.metadata.to_map(),
            content_type: self.content_type.to_owned(),
        }
    }
}

impl<'a> MetadataRef<'a> {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.message.is_empty()
    }

    /// Gives key and value in the order in which they are written; of a key written twice the last counts.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let mut fields = Message::of(self.message);
        std::iter::from_fn(move || {
            // Nothing fails here: `decode` has been through all of it.
            while let Ok(Some(tag)) = fields.tag() {
                if tag == field::METADATA {
                    return pair(fields.bytes().ok()?).ok();
                }
                fields.skip(tag, 0).ok()?;
            }
            None
        })
    }

    /// Copies the metadata out.
    pub fn to_map(&self) -> BTreeMap<String, String> {
        self.iter()
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }
}

impl std::fmt::Debug for MetadataRef<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_map().entries(self.iter()).finish()
    }
}

fn address_type(number: i64) -> Result<AddressType, MessageFault> {
    match number {
        0 => Ok(AddressType::ByPrefix),
        1 => Ok(AddressType::Relative),
        2 => Ok(AddressType::Full),
        other => Err(MessageFault::Value(6, other)),
    }
}

/// Decodes a time; parts of a second are dropped.
#[inline(always)]
fn seconds(message: &[u8]) -> Result<i64, MessageFault> {
    let mut seconds = 0;
    let mut fields = Message::of(message);
    while let Some(tag) = fields.tag()? {
        match tag {
            SECONDS => seconds = fields.signed()?,
            other => fields.skip(other, 1)?,
        }
    }
    Ok(seconds)
}

/// Decodes one pair of metadata.
fn pair(message: &[u8]) -> Result<(&str, &str), MessageFault> {
    let (mut key, mut value) = ("", "");
    let mut fields = Message::of(message);
    while let Some(tag) = fields.tag()? {
        match tag {
            KEY => key = fields.text(tag)?,
            VALUE => value = fields.text(tag)?,
            other => fields.skip(other, 2)?,
        }
    }
    Ok((key, value))
}

#[cfg(any(test, feature = "testing"))]
impl RangeEntry {
    /// Gives the identity and the message of the entry, as lakeFS writes them.
    pub fn encode(&self) -> ([u8; 32], Vec<u8>) {
        use super::protobuf::write;

        let size = i64::try_from(self.size).expect("no object is that long");
        let identity = super::ident::entry_identity(size, &self.e_tag, &self.metadata, &self.content_type);
        let mut data = Vec::with_capacity(128);
        write::bytes(field::ADDRESS, self.address.as_bytes(), &mut data);
        let mut time = Vec::new();
        write::number(SECONDS, self.last_modified_unix as u64, &mut time);
        write::message(field::LAST_MODIFIED, &time, &mut data);
        write::number(field::SIZE, self.size, &mut data);
        write::bytes(field::E_TAG, self.e_tag.as_bytes(), &mut data);
        for (key, value) in &self.metadata {
            // Key and value of a map are always written, empty ones too.
            let mut pair = Vec::new();
            write::message(KEY, key.as_bytes(), &mut pair);
            write::message(VALUE, value.as_bytes(), &mut pair);
            write::message(field::METADATA, &pair, &mut data);
        }
        let address_type = match self.address_type {
            AddressType::ByPrefix => 0,
            AddressType::Relative => 1,
            AddressType::Full => 2,
        };
        write::number(field::ADDRESS_TYPE, address_type, &mut data);
        write::bytes(field::CONTENT_TYPE, self.content_type.as_bytes(), &mut data);
        (identity, data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_field_is_zero_and_an_unknown_one_is_passed_over() {
        let entry = RangeEntryRef::decode(b"k", &[1; 32], &[0x45, 1, 2, 3, 4, 0x22, 1, b'e']).unwrap();
        let expected = RangeEntry {
            key: b"k".to_vec(),
            e_tag: "e".to_owned(),
            ..RangeEntry::default()
        };
        assert_eq!(entry.to_owned(), expected);
        assert!(entry.metadata.is_empty());
    }

    #[test]
    fn what_an_entry_cannot_hold_is_an_error() {
        for (message, fault) in [
            (&[0x0a, 5, b'a'][..], MessageFault::Cut),
            (&[0x0a, 1, 0xff], MessageFault::Text(1)),
            (&[0x08, 1], MessageFault::FieldType(1)),
            (&[0x30, 3], MessageFault::Value(6, 3)),
            (
                &[0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
                MessageFault::Value(3, -1),
            ),
            (&[0x2a, 2, 0x0a, 1], MessageFault::Cut),
        ] {
            assert_eq!(
                RangeEntryRef::decode(b"k", &[0; 32], message),
                Err(fault),
                "{message:?}"
            );
        }
    }

    #[test]
    fn all_fields_come_back() {
        let entry = RangeEntry {
            key: b"\xff".to_vec(),
            address: "s3://bucket/key".to_owned(),
            address_type: AddressType::Full,
            size: 1 << 40,
            e_tag: "tag-2".to_owned(),
            last_modified_unix: -5,
            metadata: [("a", ""), ("", "b"), ("c", "d")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            content_type: "text/plain".to_owned(),
        };
        let (identity, data) = entry.encode();
        let decoded = RangeEntryRef::decode(&entry.key, &identity, &data).unwrap();
        assert_eq!(decoded.to_owned(), entry);
        assert!(!decoded.metadata.is_empty());
    }
}
