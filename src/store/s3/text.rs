//! Text on the wire: times, keys in URLs, what may stand in a header.

use aws_sdk_s3::primitives::DateTime;

use crate::model::ObjectKey;
use crate::store::{CopySource, ObjectHeaders, StoreTime};

/// A time of the SDK, in the whole seconds that HTTP headers have: listings may know more, but then the
/// same object would have two ages.
pub(super) fn store_time(time: &DateTime) -> Option<StoreTime> {
    StoreTime::from_second(time.secs()).ok()
}

/// The time in a `Date` header.
pub(super) fn http_date(text: &str) -> Option<StoreTime> {
    jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()
}

/// A source of a copy, as `x-amz-copy-source` wants it: encoded, but for the slashes.
pub(super) fn copy_source(from: &CopySource) -> String {
    let mut text = format!("{}/", from.bucket);
    for byte in from.key.as_str().bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

/// A key out of a listing that was asked for with `encoding-type=url`: a space may come as `+`.
///
/// `None` where the bytes are not UTF-8, which no key is.
pub(super) fn decoded_key(text: &str) -> Option<ObjectKey> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let digits = tail.get(..2).and_then(|digits| {
            let high = char::from(digits[0]).to_digit(16)?;
            let low = char::from(digits[1]).to_digit(16)?;
            u8::try_from(high * 16 + low).ok()
        });
        rest = tail;
        match (first, digits) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            (b'+', _) => bytes.push(b' '),
            (other, _) => bytes.push(other),
        }
    }
    String::from_utf8(bytes).ok().map(ObjectKey::new)
}

/// Says which header cannot be sent. S3 takes ASCII in headers; some clients encode other text their own
/// way, but what one writes so the others read as noise.
pub(super) fn unsendable(headers: &ObjectHeaders) -> Option<String> {
    let named = [
        ("Content-Type", &headers.content_type),
        ("Cache-Control", &headers.cache_control),
        ("Content-Disposition", &headers.content_disposition),
        ("Content-Encoding", &headers.content_encoding),
        ("Content-Language", &headers.content_language),
    ];
    let plain = |value: &str| value.bytes().all(|byte| (b' '..0x7f).contains(&byte));
    for (name, value) in named {
        if value.as_deref().is_some_and(|value| !plain(value)) {
            return Some(format!("the value of {name} is not plain ASCII"));
        }
    }
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    for (name, value) in &headers.metadata {
        if name.is_empty() || !name.bytes().all(token) {
            return Some(format!("{name:?} cannot be the name of metadata"));
        }
        if !plain(value) {
            return Some(format!("the value of the metadata {name:?} is not plain ASCII"));
        }
    }
    None
}

/// The length of the whole object, from `Content-Range: bytes 0-9/100`.
pub(super) fn whole_length(content_range: &str) -> Option<u64> {
    content_range.rsplit_once('/')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ETag;

    #[test]
    fn keys_of_a_listing_decode_to_what_was_written() {
        for (sent, key) in [
            ("a/b", "a/b"),
            ("a+b%2Bc%20d", "a b+c d"),
            ("100%25", "100%"),
            ("%C3%A9", "é"),
            ("half%2", "half%2"),
            ("%zz%", "%zz%"),
        ] {
            assert_eq!(decoded_key(sent).unwrap().as_str(), key, "{sent}");
        }
        assert_eq!(decoded_key("%FF"), None);
    }

    #[test]
    fn a_copy_source_is_encoded_but_for_its_slashes() {
        let from = CopySource {
            bucket: "bucket".parse().unwrap(),
            key: ObjectKey::new("a b/é+?#%.txt"),
            etag: Some(ETag::new("x")),
            size: 1,
        };
        assert_eq!(copy_source(&from), "bucket/a%20b/%C3%A9%2B%3F%23%25.txt");
    }

    #[test]
    fn a_date_header_is_read() {
        let date = http_date("Mon, 23 Nov 2026 03:00:22 GMT").unwrap();
        assert_eq!(date.to_string(), "2026-11-23T03:00:22Z");
        assert_eq!(http_date("yesterday"), None);
    }

    #[test]
    fn headers_that_are_not_ascii_are_named() {
        let mut headers = ObjectHeaders::default();
        assert_eq!(unsendable(&headers), None);
        headers.metadata.insert("author".to_owned(), "Zoë".to_owned());
        assert!(unsendable(&headers).unwrap().contains("author"));
        headers.metadata = [("bad name".to_owned(), String::new())].into();
        assert!(unsendable(&headers).unwrap().contains("bad name"));
        headers.metadata.clear();
        headers.cache_control = Some("no\r\nX-Evil: 1".to_owned());
        assert!(unsendable(&headers).unwrap().contains("Cache-Control"));
    }
}
