//! Signatures (SigV4), with a key that is derived once a day.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use aws_credential_types::Credentials;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::endpoint::Endpoint;

/// The digest of no bytes.
pub(super) const SHA256_OF_NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Stands where a checksum says that the bytes arrived, so that they are not hashed once more.
pub(super) const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// When a request is signed.
#[derive(Clone, Debug)]
pub(super) struct Moment(String);

impl Moment {
    /// Reads the clock of this machine.
    pub(super) fn now() -> Self {
        Self::at(Timestamp::now())
    }

    pub(super) fn at(time: Timestamp) -> Self {
        let time = time.to_zoned(jiff::tz::TimeZone::UTC);
        let (date, time) = (time.date(), time.time());
        Self(format!(
            "{:04}{:02}{:02}T{:02}{:02}{:02}Z",
            date.year(),
            date.month(),
            date.day(),
            time.hour(),
            time.minute(),
            time.second()
        ))
    }

    /// As `x-amz-date` has it.
    pub(super) fn text(&self) -> &str {
        &self.0
    }

    fn day(&self) -> &str {
        &self.0[..8]
    }
}

/// What a signature covers. Path and query stand as they are sent; of the headers, sorted by name, all are covered.
pub(super) struct Signable<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    pub(super) headers: &'a [(Cow<'static, str>, String)],
    pub(super) payload: &'a str,
}

/// Credentials with the key that is derived from them.
pub(super) struct Identity {
    access_key_id: String,
    secret_access_key: String,
    pub(super) session_token: Option<String>,
    /// The day, region and service that it is for come first.
    key: Mutex<Option<(String, [u8; 32])>>,
}

/// Secrets are not shown.
impl fmt::Debug for Identity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Identity").finish_non_exhaustive()
    }
}

impl Identity {
    pub(super) fn new(credentials: &Credentials) -> Self {
        Self {
            access_key_id: credentials.access_key_id().to_owned(),
            secret_access_key: credentials.secret_access_key().to_owned(),
            session_token: credentials.session_token().map(str::to_owned),
            key: Mutex::default(),
        }
    }

    /// The value of `Authorization`.
    pub(super) fn sign(&self, endpoint: &Endpoint, moment: &Moment, request: &Signable<'_>) -> String {
        let scope = format!("{}/{}/{}/aws4_request", moment.day(), endpoint.region, endpoint.service);
        let (canonical, names) = canonical(request);
        let mut to_sign = format!("AWS4-HMAC-SHA256\n{}\n{scope}\n", moment.text());
        push_hex(&mut to_sign, &Sha256::digest(canonical));
        let key = self.key(&scope, endpoint, moment);
        let mut authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature=",
            self.access_key_id
        );
        push_hex(&mut authorization, &mac(&key, to_sign.as_bytes()));
        authorization
    }

    fn key(&self, scope: &str, endpoint: &Endpoint, moment: &Moment) -> [u8; 32] {
        let mut known = self.key.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, key)) = &*known
            && of == scope
        {
            return *key;
        }
        let secret = format!("AWS4{}", self.secret_access_key);
        let parts = [moment.day(), &endpoint.region, &endpoint.service, "aws4_request"];
        let mut key = mac(secret.as_bytes(), parts[0].as_bytes());
        for part in &parts[1..] {
            key = mac(&key, part.as_bytes());
        }
        *known = Some((scope.to_owned(), key));
        key
    }
}

/// The request in the form that is signed, and the names of its headers.
fn canonical(request: &Signable<'_>) -> (String, String) {
    let mut names = String::with_capacity(256);
    let mut text = String::with_capacity(1024);
    for part in [request.method, request.path, request.query] {
        text.push_str(part);
        text.push('\n');
    }
    for (name, value) in request.headers {
        if !names.is_empty() {
            names.push(';');
        }
        names.push_str(name);
        text.push_str(name);
        text.push(':');
        push_value(&mut text, value);
        text.push('\n');
    }
    text.push('\n');
    text.push_str(&names);
    text.push('\n');
    text.push_str(request.payload);
    (text, names)
}

/// Spaces at the ends are not signed, and of several in a row only one is.
fn push_value(text: &mut String, value: &str) {
    let value = value.trim_matches(' ');
    if !value.contains("  ") {
        text.push_str(value);
        return;
    }
    let mut before = '\0';
    for letter in value.chars() {
        if letter != ' ' || before != ' ' {
            text.push(letter);
        }
        before = letter;
    }
}

fn mac(key: &[u8], bytes: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length does");
    mac.update(bytes);
    mac.finalize().into_bytes().into()
}

/// The digest of a body, as `x-amz-content-sha256` has it.
pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(64);
    push_hex(&mut text, &Sha256::digest(bytes));
    text
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

#[cfg(test)]
mod tests;
