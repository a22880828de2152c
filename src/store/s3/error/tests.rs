use super::StoreErrorKind as Kind;
use super::*;

/// The words of a request that has no region to tell.
fn told(request: RequestKind, status: u16, code: &str) -> Kind {
    kind(request, status, code, None)
}

#[test]
fn codes_say_what_happened_whatever_the_status() {
    for (status, code, wanted) in [
        (404, "NoSuchKey", Kind::NotFound),
        (404, "NoSuchBucket", Kind::NoSuchBucket),
        (404, "NoSuchUpload", Kind::NoSuchUpload),
        (412, "PreconditionFailed", Kind::ConditionFailed),
        (409, "ConditionalRequestConflict", Kind::Conflict),
        (403, "InvalidAccessKeyId", Kind::BadCredentials),
        (403, "SignatureDoesNotMatch", Kind::BadCredentials),
        (400, "ExpiredToken", Kind::ExpiredCredentials),
        (403, "RequestTimeTooSkewed", Kind::ClockSkew),
        (403, "AccessDenied", Kind::Denied),
        (503, "SlowDown", Kind::Throttled),
        (200, "SlowDown", Kind::Throttled),
        (200, "InternalError", Kind::Unavailable),
        (503, "ServiceUnavailable", Kind::Unavailable),
        (400, "RequestTimeout", Kind::Unavailable),
        (400, "BadDigest", Kind::BadDigest),
        (400, "XAmzContentSHA256Mismatch", Kind::BadDigest),
        (501, "NotImplemented", Kind::NotSupported),
    ] {
        assert_eq!(told(RequestKind::Put, status, code), wanted, "{status} {code}");
    }
}

#[test]
fn without_a_code_the_status_speaks() {
    for (status, wanted) in [
        (403, Kind::Denied),
        (404, Kind::NotFound),
        (409, Kind::Conflict),
        (412, Kind::ConditionFailed),
        (429, Kind::Throttled),
        (500, Kind::Unavailable),
        (502, Kind::NoReply),
        (503, Kind::Unavailable),
        (504, Kind::NoReply),
        (501, Kind::NotSupported),
    ] {
        assert_eq!(told(RequestKind::Head, status, ""), wanted, "{status}");
    }
    assert_eq!(told(RequestKind::List, 404, ""), Kind::NoSuchBucket);
    assert_eq!(told(RequestKind::CompleteUpload, 404, ""), Kind::NoSuchUpload);
}

#[test]
fn the_right_region_is_named_where_the_store_names_it() {
    let region = Some("eu-west-1".to_owned());
    for (status, code) in [
        (301, "PermanentRedirect"),
        (400, "AuthorizationHeaderMalformed"),
        (400, ""),
    ] {
        let found = kind(RequestKind::Head, status, code, region.clone());
        assert_eq!(found, Kind::WrongRegion { region: region.clone() }, "{status} {code}");
    }
    let body = b"<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region></Error>";
    assert_eq!(element(body, "Region"), region);
}

#[test]
fn an_unknown_refusal_keeps_its_code() {
    for (status, code) in [(400, "InvalidPart"), (403, "InvalidObjectState")] {
        let wanted = Kind::Refused {
            status,
            code: code.to_owned(),
        };
        assert_eq!(told(RequestKind::Put, status, code), wanted);
    }
}

#[test]
fn nothing_that_opens_a_door_is_printed() {
    for text in [
        "GET /x?X-Amz-Signature=CANARY&a=b",
        "x-amz-security-token: CANARY",
        "Authorization: AWS4-HMAC-SHA256 Credential=CANARY/20261123/r/s3/aws4_request, Signature=CANARY",
        "the Credential=CANARY is malformed",
        "proxy http://user:CANARY@proxy:3128/ refused",
    ] {
        let printed = plain(text);
        assert!(!printed.contains("CANARY"), "{printed}");
    }
    assert_eq!(plain("two\r\nlines\x1b[2J"), "two lines[2J");
    assert_eq!(
        plain("Please reduce your request rate."),
        "Please reduce your request rate."
    );
    assert!(plain(&"x".repeat(1000)).len() < 400);
}

/// A request that came to nothing because of `error`.
fn unsent(error: impl Error + Send + Sync + 'static) -> Failure {
    use aws_sdk_s3::operation::get_object::GetObjectError;
    use aws_smithy_runtime_api::client::result::ConnectorError;
    let error = ConnectorError::other(error.into(), None);
    let error: SdkError<GetObjectError, HttpResponse> = SdkError::dispatch_failure(error);
    failure(RequestKind::Get, &error)
}

#[test]
fn missing_and_expired_credentials_are_told_apart() {
    let missing = unsent(CredentialsError::not_loaded(
        "no providers in chain provided credentials",
    ));
    assert_eq!(missing.kind, Kind::NoCredentials);
    let expired = unsent(CredentialsError::provider_error("the SSO session has expired"));
    assert_eq!(expired.kind, Kind::ExpiredCredentials);
    assert!(expired.cause.unwrap().to_string().contains("SSO session"));
}

#[test]
fn a_certificate_that_nobody_trusts_names_its_cure() {
    let refused = unsent(std::io::Error::other("invalid peer certificate: UnknownIssuer"));
    assert!(refused.detail.unwrap().contains("AWS_CA_BUNDLE"));
}
