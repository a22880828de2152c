//! The hash under lakeFS's ids: each value goes into SHA-256 with its type and its length.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

const BYTES: u8 = 0;
const STRING: u8 = 1;
const INTEGER: u8 = 2;
const STRINGS: u8 = 3;
const MAP: u8 = 4;
const IDENTITY: u8 = 5;

/// An id in the making.
#[derive(Default)]
pub struct IdentHash(Sha256);

impl IdentHash {
    /// Adds a whole number.
    pub fn integer(mut self, value: i64) -> Self {
        self.add_integer(value);
        self
    }

    /// Adds a text.
    pub fn string(mut self, value: &str) -> Self {
        self.add_string(value);
        self
    }

    /// Adds a text unless it is empty.
    pub fn string_if_any(self, value: &str) -> Self {
        if value.is_empty() { self } else { self.string(value) }
    }

    /// Adds names and values, in the order of the names.
    pub fn map(mut self, values: &BTreeMap<String, String>) -> Self {
        self.0.update([MAP]);
        self.add_length(values.len());
        for (name, value) in values {
            self.add_string(name);
            self.add_string(value);
        }
        self
    }

    /// Adds a list of texts as something that has an id of its own.
    pub fn identity_of_strings(mut self, values: &[String]) -> Self {
        let mut inner = Self::default();
        inner.0.update([STRINGS]);
        inner.add_length(values.len());
        for value in values {
            inner.add_string(value);
        }
        let identity = inner.finish();
        self.0.update([IDENTITY, BYTES]);
        self.add_length(identity.len());
        self.0.update(identity);
        self
    }

    /// Ends it.
    pub fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }

    fn add_integer(&mut self, value: i64) {
        self.0.update([INTEGER, 8]);
        self.0.update(value.to_be_bytes());
    }

    fn add_length(&mut self, length: usize) {
        self.add_integer(i64::try_from(length).expect("what is hashed fits in memory"));
    }

    fn add_string(&mut self, value: &str) {
        self.0.update([STRING]);
        self.add_length(value.len());
        self.0.update(value);
    }
}
