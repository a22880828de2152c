//! Just enough of protobuf's wire format for the two small messages in a table.

use ascii::AsciiStr;

use super::varint::{take_bytes, take_unsigned};

/// What can be wrong with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageFault {
    /// It ends within a field.
    #[error("ends within a field")]
    Cut,
    /// A field has a wire type that no field has today.
    #[error("has a field of wire type {0}")]
    WireType(u8),
    /// A field that is known has another type than it should have.
    #[error("has field {0} with another type")]
    FieldType(u64),
    /// A field that should be text is not UTF-8.
    #[error("has field {0} with text that is not UTF-8")]
    Text(u64),
    /// A field has a value that it cannot have.
    #[error("has field {0} with the value {1}, which it cannot have")]
    Value(u64, i64),
}

/// What a field begins with: its number, and in the last three bits how it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag(u64);

const NUMBER: u64 = 0;
const EIGHT_BYTES: u64 = 1;
const BYTES: u64 = 2;
const FOUR_BYTES: u64 = 5;

impl Tag {
    /// A field that holds bytes, a text or a message.
    pub(super) const fn bytes(field: u64) -> Self {
        Self(field << 3 | BYTES)
    }

    /// A field that holds a number.
    pub(super) const fn number(field: u64) -> Self {
        Self(field << 3 | NUMBER)
    }

    const fn field(self) -> u64 {
        self.0 >> 3
    }
}

/// A message that is read from its front: a tag, then what the tag says, as often as there is one.
///
/// All of it is inlined: half of the time that an entry takes would else go into moving results about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'a> {
    rest: &'a [u8],
}

impl<'a> Message<'a> {
    #[inline(always)]
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Takes the next tag; `None` at the end.
    #[inline(always)]
    pub(super) fn tag(&mut self) -> Result<Option<Tag>, MessageFault> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        match take_unsigned(&mut self.rest) {
            Some(tag) => Ok(Some(Tag(tag))),
            None => Err(MessageFault::Cut),
        }
    }

    #[inline(always)]
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], MessageFault> {
        let length = take_unsigned(&mut self.rest).ok_or(MessageFault::Cut)?;
        take_bytes(&mut self.rest, length).ok_or(MessageFault::Cut)
    }

    #[inline(always)]
    pub(super) fn text(&mut self, tag: Tag) -> Result<&'a str, MessageFault> {
        let bytes = self.bytes()?;
        // Nearly all texts are ASCII, and to see that takes a third of the time of the general check.
        let text = match AsciiStr::from_ascii(bytes) {
            Ok(text) => Some(text.as_str()),
            Err(_) => std::str::from_utf8(bytes).ok(),
        };
        text.ok_or(MessageFault::Text(tag.field()))
    }

    /// A signed number; negative ones are written as large unsigned ones.
    #[inline(always)]
    pub(super) fn signed(&mut self) -> Result<i64, MessageFault> {
        match take_unsigned(&mut self.rest) {
            Some(number) => Ok(number as i64),
            None => Err(MessageFault::Cut),
        }
    }

    /// A number that is never negative, though its type would allow it.
    #[inline(always)]
    pub(super) fn natural(&mut self, tag: Tag) -> Result<u64, MessageFault> {
        let value = self.signed()?;
        u64::try_from(value).map_err(|_| MessageFault::Value(tag.field(), value))
    }

    /// Passes over a field that nobody takes. Fields up to `known` have been taken where they are written as they
    /// should be.
    #[cold]
    pub(super) fn skip(&mut self, tag: Tag, known: u64) -> Result<(), MessageFault> {
        if (1..=known).contains(&tag.field()) {
            return Err(MessageFault::FieldType(tag.field()));
        }
        match tag.0 & 7 {
            NUMBER => self.signed().map(drop),
            BYTES => self.bytes().map(drop),
            EIGHT_BYTES => take_bytes(&mut self.rest, 8).map(drop).ok_or(MessageFault::Cut),
            FOUR_BYTES => take_bytes(&mut self.rest, 4).map(drop).ok_or(MessageFault::Cut),
            other => Err(MessageFault::WireType(other as u8)),
        }
    }
}

/// Writes messages; what is zero or empty is left out, as it should be.
#[cfg(any(test, feature = "testing"))]
pub(super) mod write {
    use super::super::varint::put_unsigned;
    use super::Tag;

    pub(in super::super) fn number(tag: Tag, value: u64, to: &mut Vec<u8>) {
        if value != 0 {
            put_unsigned(tag.0, to);
            put_unsigned(value, to);
        }
    }

    pub(in super::super) fn bytes(tag: Tag, value: &[u8], to: &mut Vec<u8>) {
        if !value.is_empty() {
            message(tag, value, to);
        }
    }

    /// A message is there even where it is empty.
    pub(in super::super) fn message(tag: Tag, value: &[u8], to: &mut Vec<u8>) {
        put_unsigned(tag.0, to);
        put_unsigned(value.len() as u64, to);
        to.extend_from_slice(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_every_wire_type_are_passed_over() {
        let bytes = [
            0x08, 0x96, 0x01, 0x11, 1, 2, 3, 4, 5, 6, 7, 8, 0x1a, 2, 9, 9, 0x25, 1, 2, 3, 4,
        ];
        let pass_over = |bytes: &[u8]| -> Result<Vec<u64>, MessageFault> {
            let mut message = Message::of(bytes);
            let mut fields = Vec::new();
            while let Some(tag) = message.tag()? {
                fields.push(tag.field());
                message.skip(tag, 0)?;
            }
            Ok(fields)
        };
        assert_eq!(pass_over(&bytes), Ok(vec![1, 2, 3, 4]));
        for length in 1..bytes.len() {
            let is_between_fields = [3, 12, 16].contains(&length);
            let outcome = pass_over(&bytes[..length]);
            assert_eq!(outcome.is_ok(), is_between_fields, "{length}");
            assert!(is_between_fields || outcome == Err(MessageFault::Cut));
        }
    }

    #[test]
    fn a_group_is_refused() {
        assert_eq!(Message::of(&[]).skip(Tag(0x0b), 0), Err(MessageFault::WireType(3)));
    }
}
