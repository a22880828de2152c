//! What is known of one object, and the bytes under which it stands in a range.

use std::collections::BTreeMap;

use super::ident::IdentHash;

/// How an entry's address is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressType {
    /// Full where it begins with a scheme; only very old servers wrote it.
    ByPrefix,
    /// Below the storage namespace.
    Relative,
    /// Anywhere.
    Full,
}

/// One object of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where its bytes are.
    pub address: String,
    /// How that is meant.
    pub address_type: AddressType,
    /// When it was written: whole seconds and nanoseconds.
    pub mtime: (i64, u32),
    /// Its length.
    pub size_bytes: u64,
    /// What lakeFS calls its checksum.
    pub checksum: String,
    /// User metadata; the order is that in which a range has it.
    pub metadata: Vec<(String, String)>,
    /// Empty where nobody said.
    pub content_type: String,
}

impl Entry {
    /// What says whether two entries are equal: neither address nor time is in it.
    pub fn identity(&self) -> [u8; 32] {
        IdentHash::default()
            .integer(i64::try_from(self.size_bytes).expect("no object is that large"))
            .string(&self.checksum)
            .map(&self.told_metadata())
            .string_if_any(&self.content_type)
            .finish()
    }

    /// Where the bytes are, as a whole address.
    pub fn physical_address(&self, root: &str) -> String {
        match self.address_type {
            AddressType::Full => self.address.clone(),
            AddressType::ByPrefix if self.address.contains("://") => self.address.clone(),
            AddressType::ByPrefix | AddressType::Relative => format!("{root}/{}", self.address),
        }
    }

    /// The user metadata that the API tells.
    pub fn told_metadata(&self) -> BTreeMap<String, String> {
        self.metadata.iter().cloned().collect()
    }

    /// The content type that the API tells.
    pub fn told_content_type(&self) -> &str {
        if self.content_type.is_empty() {
            "application/octet-stream"
        } else {
            &self.content_type
        }
    }

    /// The bytes of a range. Unlike the library's they keep parts of a second, which lakesync has no use for.
    pub fn encode(&self) -> Vec<u8> {
        let mut data = Vec::with_capacity(160);
        put_bytes(1, self.address.as_bytes(), &mut data);
        let mut time = Vec::new();
        put_number(1, self.mtime.0.cast_unsigned(), &mut time);
        put_number(2, self.mtime.1.into(), &mut time);
        put_bytes(2, &time, &mut data);
        put_number(3, self.size_bytes, &mut data);
        put_bytes(4, self.checksum.as_bytes(), &mut data);
        for (name, value) in &self.metadata {
            let mut pair = Vec::new();
            put_field(1, name.as_bytes(), &mut pair);
            put_field(2, value.as_bytes(), &mut pair);
            put_field(5, &pair, &mut data);
        }
        let address_type = match self.address_type {
            AddressType::ByPrefix => 0,
            AddressType::Relative => 1,
            AddressType::Full => 2,
        };
        put_number(6, address_type, &mut data);
        put_bytes(7, self.content_type.as_bytes(), &mut data);
        data
    }

    /// Reads the bytes of a range; it is written apart from the reader under test, so that each checks the other.
    pub fn decode(data: &[u8]) -> Self {
        let mut entry = Self {
            address: String::new(),
            address_type: AddressType::ByPrefix,
            mtime: (0, 0),
            size_bytes: 0,
            checksum: String::new(),
            metadata: Vec::new(),
            content_type: String::new(),
        };
        for (number, field) in Fields(data) {
            match number {
                1 => entry.address = field.text(),
                2 => {
                    for (number, part) in Fields(field.bytes()) {
                        match number {
                            1 => entry.mtime.0 = part.number().cast_signed(),
                            2 => entry.mtime.1 = u32::try_from(part.number()).expect("less than a second"),
                            other => panic!("a time has no field {other}"),
                        }
                    }
                }
                3 => entry.size_bytes = field.number(),
                4 => entry.checksum = field.text(),
                5 => {
                    let mut pair = [String::new(), String::new()];
                    for (number, part) in Fields(field.bytes()) {
                        pair[usize::try_from(number - 1).expect("1 or 2")] = part.text();
                    }
                    let [name, value] = pair;
                    entry.metadata.push((name, value));
                }
                6 => {
                    entry.address_type = match field.number() {
                        0 => AddressType::ByPrefix,
                        1 => AddressType::Relative,
                        2 => AddressType::Full,
                        other => panic!("address type {other}"),
                    }
                }
                7 => entry.content_type = field.text(),
                other => panic!("an entry has no field {other}"),
            }
        }
        entry
    }
}

fn put_varint(mut value: u64, data: &mut Vec<u8>) {
    while value >= 0x80 {
        data.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    data.push(value as u8);
}

/// Zero is not written.
fn put_number(field: u64, value: u64, data: &mut Vec<u8>) {
    if value != 0 {
        put_varint(field << 3, data);
        put_varint(value, data);
    }
}

/// Nothing is not written.
fn put_bytes(field: u64, bytes: &[u8], data: &mut Vec<u8>) {
    if !bytes.is_empty() {
        put_field(field, bytes, data);
    }
}

fn put_field(field: u64, bytes: &[u8], data: &mut Vec<u8>) {
    put_varint(field << 3 | 2, data);
    put_varint(bytes.len() as u64, data);
    data.extend_from_slice(bytes);
}

/// The fields of a protobuf message.
struct Fields<'a>(&'a [u8]);

enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Field<'a> {
    fn number(&self) -> u64 {
        match self {
            Self::Number(number) => *number,
            Self::Bytes(_) => panic!("bytes where a number should be"),
        }
    }

    fn bytes(&self) -> &'a [u8] {
        match self {
            Self::Number(_) => panic!("a number where bytes should be"),
            Self::Bytes(bytes) => bytes,
        }
    }

    fn text(&self) -> String {
        String::from_utf8(self.bytes().to_vec()).expect("protobuf strings are UTF-8")
    }
}

impl Fields<'_> {
    fn varint(&mut self) -> u64 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let byte = self.0[0];
            self.0 = &self.0[1..];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        value
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u64, Field<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let tag = self.varint();
        let field = match tag & 7 {
            0 => Field::Number(self.varint()),
            2 => {
                let length = usize::try_from(self.varint()).expect("a length");
                let (bytes, rest) = self.0.split_at(length);
                self.0 = rest;
                Field::Bytes(bytes)
            }
            other => panic!("an entry has no field of wire type {other}"),
        };
        Some((tag >> 3, field))
    }
}
