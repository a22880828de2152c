use aws_sdk_s3::types::ObjectIdentifier;

use super::*;
use crate::store::StoreErrorKind;

fn head(status: u16) -> Parts {
    http::Response::builder()
        .status(status)
        .body(())
        .unwrap()
        .into_parts()
        .0
}

#[test]
fn a_batch_is_written_with_all_that_xml_wants_escaped() {
    let object = |key: &str, etag: Option<&str>| {
        let etag = etag.map(str::to_owned);
        ObjectIdentifier::builder().key(key).set_e_tag(etag).build().unwrap()
    };
    let objects = vec![object("a<&>\r\n\"b", None), object("c", Some("\"e\""))];
    let delete = Delete::builder()
        .set_objects(Some(objects))
        .quiet(true)
        .build()
        .unwrap();
    let text = batch(&delete);
    let rest = text
        .strip_prefix("<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">")
        .unwrap();
    assert_eq!(
        rest,
        "<Object><Key>a&lt;&amp;&gt;&#xD;&#xA;&quot;b</Key></Object><Object><Key>c</Key><ETag>&quot;e&quot;</ETag>\
         </Object><Quiet>true</Quiet></Delete>"
    );
}

#[test]
fn a_copy_is_read_whatever_stands_around_its_words() {
    let text = "\n \n<?xml version=\"1.0\"?>\n<CopyObjectResult xmlns=\"x\"><LastModified>now</LastModified>\
                <ETag>&quot;e&quot;</ETag><ChecksumCRC64NVME>AAA=</ChecksumCRC64NVME></CopyObjectResult>";
    // S3 sends white space while it copies.
    let read = copied(RequestKind::Copy, &head(200), text.trim_start().as_bytes()).unwrap();
    assert_eq!(read.e_tag(), Some("\"e\""));
    assert_eq!(read.checksum_crc64_nvme(), Some("AAA="));
    assert_eq!(read.checksum_sha256(), None);
}

#[test]
fn a_copy_that_was_not_done_or_cannot_be_read_is_an_error() {
    let error = b"<Error><Code>SlowDown</Code></Error>";
    let failed = copied(RequestKind::Copy, &head(200), error).unwrap_err();
    assert_eq!(failed.kind, StoreErrorKind::Throttled);
    let bodies: [&[u8]; 5] = [
        b"",
        b"<CopyObj",
        b"<CopyObjectResult><ETag>x",
        b"<html>no</html>",
        b"\xff",
    ];
    for body in bodies {
        let failed = copied(RequestKind::Copy, &head(200), body).unwrap_err();
        assert_eq!(failed.kind, StoreErrorKind::NoReply, "{body:?}");
    }
}

#[test]
fn a_batch_with_errors_is_read_and_one_that_was_not_done_is_an_error() {
    let text = "<DeleteResult><Deleted><Key>a</Key></Deleted><Error><Key>b&amp;c</Key><VersionId>v</VersionId>\
                <Code>AccessDenied</Code><Message>no</Message></Error></DeleteResult>";
    let errors = batch_errors(RequestKind::DeleteMany, &head(200), text.as_bytes()).unwrap();
    let told = [errors[0].key(), errors[0].code(), errors[0].message()];
    assert_eq!(
        (errors.len(), told),
        (1, [Some("b&c"), Some("AccessDenied"), Some("no")])
    );
    for (body, kind) in [
        ("<Error><Code>InternalError</Code></Error>", StoreErrorKind::Unavailable),
        ("<DeleteResult><Error><Key>a", StoreErrorKind::NoReply),
        ("", StoreErrorKind::NoReply),
    ] {
        let failed = batch_errors(RequestKind::DeleteMany, &head(200), body.as_bytes()).unwrap_err();
        assert_eq!(failed.kind, kind, "{body}");
    }
}
