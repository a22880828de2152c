//! How the store is reached, and how objects are written there.

use clap::Args;
use regex::bytes::Regex;

use super::{Addressing, ChecksumChoice, Preserve};

/// How the store is reached. Credentials come from AWS's own variables and files, never from flags.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Store")]
pub struct StoreArgs {
    /// Talk to the S3 server at URL [default: AWS, or what AWS_ENDPOINT_URL says]
    #[arg(long, value_name = "URL", value_parser = parse_endpoint)]
    pub endpoint_url: Option<String>,
    /// Say where the bucket's name goes: into the path or the host name
    #[arg(long, value_enum, value_name = "STYLE", default_value_t)]
    pub addressing: Addressing,
    /// Sign for region REGION [default: what the AWS configuration says, or the bucket's own]
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
    /// Take credentials and settings from the AWS profile NAME
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// Say that we pay for requests to the bucket
    #[arg(long)]
    pub request_payer: bool,
    /// Refuse a bucket that does not belong to the account ID
    #[arg(long, value_name = "ID")]
    pub expected_bucket_owner: Option<String>,
    /// Have the store encrypt objects: AES256, aws:kms or aws:kms:dsse [default: as the bucket says]
    #[arg(long, value_name = "KIND", value_parser = ["AES256", "aws:kms", "aws:kms:dsse"])]
    pub sse: Option<String>,
    /// Encrypt with the KMS key ID; means --sse aws:kms where that is not given
    #[arg(long, value_name = "ID")]
    pub sse_kms_key_id: Option<String>,
    /// Say which checksum goes with the bytes, for the store to verify [auto: the best that the store verifies]
    #[arg(long, value_enum, value_name = "KIND", default_value_t)]
    pub checksum: ChecksumChoice,
}

/// How objects of the tree are written.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "How objects are written")]
pub struct ObjectArgs {
    /// Set a header of files that match GLOB: 'GLOB: Name=value'; the last match wins (can be repeated)
    ///
    /// A changed rule writes the objects again although their bytes are equal.
    #[arg(long, value_name = "RULE", value_parser = parse_header_rule)]
    pub header: Vec<String>,
    /// Keep these of a file in the metadata of its object [default: none]
    #[arg(long, value_enum, value_name = "WHAT", value_delimiter = ',')]
    pub preserve: Vec<Preserve>,
    /// Send files that match GLOB last, behind _SUCCESS, _delta_log/ and metadata/ (can be repeated)
    #[arg(long, value_name = "GLOB")]
    pub last: Vec<String>,
    /// Put an empty _lakefs_success into each folder that matches REGEX, after its files
    #[arg(long, value_name = "REGEX", value_parser = parse_regex)]
    pub prefix_regex: Option<Regex>,
    /// Write objects with the storage class CLASS, such as STANDARD_IA
    #[arg(long, value_name = "CLASS")]
    pub storage_class: Option<String>,
    /// Write objects with the canned ACL, such as public-read
    #[arg(long, value_name = "ACL")]
    pub acl: Option<String>,
    /// Write objects with tags: 'key=value&key=value'
    #[arg(long, value_name = "TAGS", value_parser = parse_tagging)]
    pub tagging: Option<String>,
}

/// Why a text is not what the flag wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// No endpoint.
    #[error("not the URL of a server; write http://HOST:PORT or https://HOST, without user name and path")]
    Endpoint,
    /// No header rule.
    #[error("not a header rule; write 'GLOB: Name=value', such as '*.html: Cache-Control=max-age=60'")]
    HeaderRule,
    /// No tags.
    #[error("not tags; write 'key=value&key=value'")]
    Tagging,
    /// No regular expression.
    #[error("not a regular expression")]
    Regex,
}

/// Reads an endpoint; one that carries a password would print it in messages and process lists.
pub(super) fn parse_endpoint(text: &str) -> Result<String, ShapeError> {
    let host = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"))
        .ok_or(ShapeError::Endpoint)?;
    let host = host.strip_suffix('/').unwrap_or(host);
    let odd = |letter: char| letter.is_whitespace() || matches!(letter, '@' | '/' | '?' | '#');
    if host.is_empty() || host.contains(odd) {
        return Err(ShapeError::Endpoint);
    }
    Ok(text.strip_suffix('/').unwrap_or(text).to_owned())
}

fn parse_header_rule(text: &str) -> Result<String, ShapeError> {
    let shaped = text.split_once(": ").is_some_and(|(glob, header)| {
        let name = header.split_once('=').map(|(name, _)| name.trim());
        !glob.trim().is_empty() && name.is_some_and(|name| !name.is_empty())
    });
    if shaped {
        Ok(text.to_owned())
    } else {
        Err(ShapeError::HeaderRule)
    }
}

fn parse_tagging(text: &str) -> Result<String, ShapeError> {
    let shaped = |pair: &str| pair.split_once('=').is_some_and(|(key, _)| !key.is_empty());
    if text.split('&').all(shaped) {
        Ok(text.to_owned())
    } else {
        Err(ShapeError::Tagging)
    }
}

/// Reads a regular expression. The library's own message is a drawing over many lines, so it is left out.
fn parse_regex(text: &str) -> Result<Regex, ShapeError> {
    Regex::new(text).map_err(|_| ShapeError::Regex)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_server_and_carries_no_password() {
        assert_eq!(
            parse_endpoint("http://127.0.0.1:8333/").unwrap(),
            "http://127.0.0.1:8333"
        );
        for bad in [
            "127.0.0.1:8333",
            "https://",
            "https://user:secret@host",
            "http://host/path",
            "ftp://host",
        ] {
            assert_eq!(parse_endpoint(bad), Err(ShapeError::Endpoint), "{bad}");
        }
    }

    #[test]
    fn header_rules_and_tags_have_their_shape() {
        parse_header_rule("*.html: Cache-Control=max-age=60, public").unwrap();
        for bad in ["", "*.html", "*.html: Cache-Control", ": A=b", "*.html: =b"] {
            assert_eq!(parse_header_rule(bad), Err(ShapeError::HeaderRule), "{bad}");
        }
        parse_tagging("a=1&b=").unwrap();
        for bad in ["", "a", "a=1&", "=1"] {
            assert_eq!(parse_tagging(bad), Err(ShapeError::Tagging), "{bad}");
        }
    }
}
