use std::time::SystemTime;

use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode,
    sign,
};
use aws_sigv4::sign::v4;

use super::super::super::text::{encoded_key, encoded_value};
use super::*;

/// What may stand in keys, names and values, the odd ones among it.
const LETTERS: &str = "abcXYZ019-._~/ +%?#&=:,;@!$'()*[]{}|\\^`\"<>\täß✓𝄞\u{1}\u{7f}";

fn text(rng: &mut fastrand::Rng, most: usize, allowed: impl Fn(char) -> bool) -> String {
    let letters: Vec<char> = LETTERS.chars().filter(|letter| allowed(*letter)).collect();
    (0..rng.usize(..=most))
        .map(|_| letters[rng.usize(..letters.len())])
        .collect()
}

fn key(rng: &mut fastrand::Rng) -> String {
    let odd = ["", "/", "//", "./", "../", "a/../b/./", "..", "/.", "a//b"];
    let first = odd[rng.usize(..odd.len())];
    format!("{first}{}", text(rng, 40, |_| true))
}

fn endpoint(rng: &mut fastrand::Rng) -> Endpoint {
    let regions = ["us-east-1", "eu-west-1", "cn-north-1", "garage"];
    let places = [
        "https://s3.test/bucket/key",
        "http://127.0.0.1:8333/bucket/key",
        "https://bucket.s3.test/key",
    ];
    let place = places[rng.usize(..places.len())];
    let region = regions[rng.usize(..regions.len())];
    let signed = format!("AWS4-HMAC-SHA256 Credential=a/20261125/{region}/s3/aws4_request, SignedHeaders=host");
    Endpoint::of_request(place, &signed).unwrap()
}

/// The value of `Authorization` as the SDK's own signer has it.
fn by_the_sdk(
    credentials: &Credentials,
    endpoint: &Endpoint,
    time: SystemTime,
    request: &Signable<'_>,
    body: SignableBody<'_>,
) -> String {
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    let identity = credentials.clone().into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(&endpoint.region)
        .name(&endpoint.service)
        .time(time)
        .settings(settings)
        .build()
        .unwrap()
        .into();
    let added = ["host", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token"];
    let headers = request
        .headers
        .iter()
        .filter(|(name, _)| !added.contains(&name.as_ref()));
    let uri = format!("{}{}?{}", endpoint.origin(), request.path, request.query);
    let headers = headers.map(|(name, value)| (name.as_ref(), value.as_str()));
    let signable = SignableRequest::new(request.method, uri, headers, body).unwrap();
    let (signed, _) = sign(signable, &params).unwrap().into_parts();
    let mut headers = signed.headers();
    headers.find(|(name, _)| *name == "authorization").unwrap().1.to_owned()
}

#[test]
fn thousands_of_odd_requests_are_signed_as_the_sdk_signs_them() {
    let mut rng = fastrand::Rng::with_seed(7);
    for at in 0..4_000 {
        let token = rng
            .bool()
            .then(|| text(&mut rng, 60, |letter| letter.is_ascii_graphic()) + "t");
        let secret = text(&mut rng, 40, |letter| letter.is_ascii_graphic()) + "s";
        let credentials = Credentials::new("AKIDEXAMPLE", secret, token.clone(), None, "test");
        let endpoint = endpoint(&mut rng);
        let seconds = rng.i64(0..4_000_000_000);
        let moment = Moment::at(Timestamp::from_second(seconds).unwrap());
        let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds.unsigned_abs());
        let path = endpoint.path(&encoded_key(&key(&mut rng)));
        let query = match rng.u8(..3) {
            0 => "x-id=PutObject".to_owned(),
            1 => "delete=".to_owned(),
            _ => {
                let id = encoded_value(&text(&mut rng, 30, |_| true));
                format!("partNumber={}&uploadId={id}&x-id=UploadPart", rng.u16(1..))
            }
        };
        let bytes = text(&mut rng, 200, |_| true);
        let (payload, body) = if rng.bool() {
            (UNSIGNED_PAYLOAD.to_owned(), SignableBody::UnsignedPayload)
        } else {
            (sha256_hex(bytes.as_bytes()), SignableBody::Bytes(bytes.as_bytes()))
        };
        let mut headers: Vec<(Cow<'static, str>, String)> = vec![
            ("host".into(), endpoint.authority.clone()),
            ("x-amz-content-sha256".into(), payload.clone()),
            ("x-amz-date".into(), moment.text().to_owned()),
        ];
        headers.extend(token.map(|token| ("x-amz-security-token".into(), token)));
        for number in 0..rng.usize(..8) {
            let names = ["x-amz-meta-", "x-amz-", "content-", "if-", ""];
            let name = format!(
                "{}{number}{}",
                names[rng.usize(..names.len())],
                text(&mut rng, 6, |letter| {
                    letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-'
                })
            );
            let value = text(&mut rng, 30, |letter| letter == ' ' || letter.is_ascii_graphic());
            headers.push((name.into(), value.replace('%', "  ")));
        }
        headers.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
        let request = Signable {
            method: ["GET", "PUT", "POST"][rng.usize(..3)],
            path: &path,
            query: &query,
            headers: &headers,
            payload: &payload,
        };
        let ours = Identity::new(&credentials).sign(&endpoint, &moment, &request);
        let theirs = by_the_sdk(&credentials, &endpoint, time, &request, body);
        assert_eq!(ours, theirs, "request {at}: {path}?{query} {headers:?}");
    }
}

#[test]
fn a_key_that_is_kept_is_that_of_its_day_and_place() {
    let credentials = Credentials::new("AKIDEXAMPLE", "secret", None, None, "test");
    let kept = Identity::new(&credentials);
    let mut rng = fastrand::Rng::with_seed(8);
    for _ in 0..200 {
        let endpoint = endpoint(&mut rng);
        let moment = Moment::at(Timestamp::from_second(rng.i64(0..400_000)).unwrap());
        let request = Signable {
            method: "GET",
            path: "/a",
            query: "",
            headers: &[],
            payload: SHA256_OF_NOTHING,
        };
        let fresh = Identity::new(&credentials).sign(&endpoint, &moment, &request);
        assert_eq!(kept.sign(&endpoint, &moment, &request), fresh);
    }
}

#[test]
fn the_digest_of_nothing_is_the_one_written_down() {
    assert_eq!(sha256_hex(b""), SHA256_OF_NOTHING);
}
