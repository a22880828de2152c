//! Takes secrets out of texts that others wrote: promise P10 must not hang on what a library prints.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

/// User and password of a URL; the values of signatures, tokens and keys in queries and headers.
static SECRETS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r#"(?i)(?P<scheme>[a-z][a-z0-9+.-]*://)[^/\s@'"`]+@"#,
        r#"|(?P<name>x-amz-(?:signature|credential|security-token)|aws_?secret_?access_?key|aws_?session_?token)"#,
        r#"(?P<mark>["']?\s*[=:]\s*["']?)[^\s&"',;]+"#,
        r#"|(?P<header>authorization["']?\s*[:=]\s*["']?)[^"'\r\n]+"#,
    ))
    .expect("the expression is a constant that the tests compile")
});

/// Replaces secrets by `***`.
pub fn mask(text: &str) -> Cow<'_, str> {
    SECRETS.replace_all(text, |found: &regex::Captures<'_>| {
        let part = |name: &str| found.name(name).map(|part| part.as_str());
        match (part("scheme"), part("name"), part("header")) {
            (Some(scheme), _, _) => format!("{scheme}***@"),
            (_, Some(name), _) => format!("{name}{}***", part("mark").unwrap_or("=")),
            (_, _, Some(header)) => format!("{header}***"),
            _ => "***".to_owned(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_all_shapes_are_taken_out_and_the_rest_stays() {
        for (text, masked) in [
            ("https://user:hunter2@host/x.git: no", "https://***@host/x.git: no"),
            ("ssh://git@host/x", "ssh://***@host/x"),
            (
                "GET /k?X-Amz-Credential=AKIA/2026&X-Amz-Signature=hunter2&x=1",
                "GET /k?X-Amz-Credential=***&X-Amz-Signature=***&x=1",
            ),
            (
                r#"{"x-amz-security-token": "hunter2", "a": 1}"#,
                r#"{"x-amz-security-token": "***", "a": 1}"#,
            ),
            (
                "AWS_SECRET_ACCESS_KEY=hunter2 lakesync",
                "AWS_SECRET_ACCESS_KEY=*** lakesync",
            ),
            (
                "Authorization: AWS4-HMAC-SHA256 Credential=hunter2",
                "Authorization: ***",
            ),
            ("s3://bucket/a@b and mail@host", "s3://bucket/a@b and mail@host"),
        ] {
            assert_eq!(mask(text), masked);
        }
    }
}
