//! Just enough of protobuf's wire format for the two small messages in a table.

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

/// One field: its number and what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field<'a> {
    pub(super) number: u64,
    pub(super) value: Value<'a>,
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// A number of four or eight bytes: no message here has one.
    Fixed,
}

/// The fields of a message, one after another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn of(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// Gives the next field; `None` at the end.
    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<Field<'a>>, MessageFault> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = take_unsigned(&mut self.rest).ok_or(MessageFault::Cut)?;
        let value = match tag & 7 {
            0 => take_unsigned(&mut self.rest).map(Value::Number),
            1 => take_bytes(&mut self.rest, 8).map(|_| Value::Fixed),
            2 => take_unsigned(&mut self.rest)
                .and_then(|length| take_bytes(&mut self.rest, length))
                .map(Value::Bytes),
            5 => take_bytes(&mut self.rest, 4).map(|_| Value::Fixed),
            other => return Err(MessageFault::WireType(other as u8)),
        };
        let value = value.ok_or(MessageFault::Cut)?;
        Ok(Some(Field {
            number: tag >> 3,
            value,
        }))
    }
}

impl<'a> Field<'a> {
    #[inline]
    pub(super) fn bytes(&self) -> Result<&'a [u8], MessageFault> {
        match self.value {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(MessageFault::FieldType(self.number)),
        }
    }

    #[inline]
    pub(super) fn text(&self) -> Result<&'a str, MessageFault> {
        std::str::from_utf8(self.bytes()?).map_err(|_| MessageFault::Text(self.number))
    }

    /// A signed number; negative ones are written as large unsigned ones.
    #[inline]
    pub(super) fn signed(&self) -> Result<i64, MessageFault> {
        match self.value {
            Value::Number(number) => Ok(number as i64),
            _ => Err(MessageFault::FieldType(self.number)),
        }
    }

    /// A number that is never negative, though its type would allow it.
    #[inline]
    pub(super) fn natural(&self) -> Result<u64, MessageFault> {
        let value = self.signed()?;
        u64::try_from(value).map_err(|_| MessageFault::Value(self.number, value))
    }
}

/// Writes messages; what is zero or empty is left out, as it should be.
#[cfg(any(test, feature = "testing"))]
pub(super) mod write {
    use super::super::varint::put_unsigned;

    pub(in super::super) fn number(field: u64, value: u64, to: &mut Vec<u8>) {
        if value != 0 {
            put_unsigned(field << 3, to);
            put_unsigned(value, to);
        }
    }

    pub(in super::super) fn bytes(field: u64, value: &[u8], to: &mut Vec<u8>) {
        if !value.is_empty() {
            message(field, value, to);
        }
    }

    /// A message is there even where it is empty.
    pub(in super::super) fn message(field: u64, value: &[u8], to: &mut Vec<u8>) {
        put_unsigned(field << 3 | 2, to);
        put_unsigned(value.len() as u64, to);
        to.extend_from_slice(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_every_wire_type_are_passed_over() {
        let message = [
            0x08, 0x96, 0x01, 0x11, 1, 2, 3, 4, 5, 6, 7, 8, 0x1a, 2, 9, 9, 0x25, 1, 2, 3, 4,
        ];
        let mut fields = Fields::of(&message);
        let mut numbers = Vec::new();
        while let Some(field) = fields.next().unwrap() {
            numbers.push(field.number);
        }
        assert_eq!(numbers, [1, 2, 3, 4]);
        for length in 1..message.len() {
            let mut fields = Fields::of(&message[..length]);
            let outcome = loop {
                match fields.next() {
                    Ok(Some(_)) => {}
                    other => break other,
                }
            };
            let whole = [0, 3, 12, 16].contains(&length);
            assert_eq!(outcome.is_ok(), whole, "{length}");
        }
    }

    #[test]
    fn a_group_is_refused() {
        assert_eq!(Fields::of(&[0x0b]).next(), Err(MessageFault::WireType(3)));
    }
}
