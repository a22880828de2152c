//! Numbers of variable length, as blocks, values and protobuf messages have them.

/// Takes an unsigned number off the front; `None` where it is cut short or longer than 64 bits.
#[inline(always)]
pub(super) fn take_unsigned(input: &mut &[u8]) -> Option<u64> {
    match **input {
        [first, ref rest @ ..] if first < 0x80 => {
            *input = rest;
            Some(u64::from(first))
        }
        [first, second, ref rest @ ..] if second < 0x80 => {
            *input = rest;
            Some(u64::from(first & 0x7f) | u64::from(second) << 7)
        }
        _ => take_long(input),
    }
}

/// Takes a number of any length; most have one byte or two.
fn take_long(input: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for (position, &byte) in input.iter().enumerate().take(10) {
        if position == 9 && byte > 1 {
            return None;
        }
        value |= u64::from(byte & 0x7f) << (7 * position);
        if byte < 0x80 {
            *input = &input[position + 1..];
            return Some(value);
        }
    }
    None
}

/// Takes a signed number off the front, whose sign is in the lowest bit.
#[inline]
pub(super) fn take_zigzag(input: &mut &[u8]) -> Option<i64> {
    let value = take_unsigned(input)?;
    Some((value >> 1) as i64 ^ -((value & 1) as i64))
}

/// Takes `length` bytes off the front; `None` where there are fewer.
#[inline(always)]
pub(super) fn take_bytes<'a>(input: &mut &'a [u8], length: u64) -> Option<&'a [u8]> {
    let (taken, rest) = input.split_at_checked(usize::try_from(length).ok()?)?;
    *input = rest;
    Some(taken)
}

/// Appends an unsigned number.
#[cfg(any(test, feature = "testing"))]
pub(super) fn put_unsigned(mut value: u64, to: &mut Vec<u8>) {
    while value >= 0x80 {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

/// Appends a signed number.
#[cfg(any(test, feature = "testing"))]
pub(super) fn put_zigzag(value: i64, to: &mut Vec<u8>) {
    put_unsigned((value << 1 ^ value >> 63) as u64, to);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_and_cut_ones_do_not() {
        let edges = (0..64).flat_map(|bit| {
            [
                (1_u64 << bit) - 1,
                1 << bit,
                u64::MAX >> bit,
                0x5555_5555_5555_5555 >> bit,
            ]
        });
        for value in edges {
            let mut written = Vec::new();
            put_unsigned(value, &mut written);
            assert_eq!(take_unsigned(&mut &written[..]), Some(value));
            assert_eq!(take_unsigned(&mut &written[..written.len() - 1]), None);
            // With more behind it, which stays.
            let length = written.len();
            written.extend_from_slice(&[0xff, 3, 0, 0x80, 0xff, 0, 1, 2, 3]);
            let mut rest = &written[..];
            assert_eq!(take_unsigned(&mut rest), Some(value));
            assert_eq!(rest, &written[length..]);
        }
        for value in [0, -1, 1, 63, -64, i64::MIN, i64::MAX] {
            let mut written = Vec::new();
            put_zigzag(value, &mut written);
            assert_eq!(take_zigzag(&mut &written[..]), Some(value));
        }
        assert_eq!(take_unsigned(&mut &[0xff; 11][..]), None);
        assert_eq!(
            take_unsigned(&mut &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2][..]),
            None
        );
    }
}
