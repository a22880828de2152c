//! Requests about more than one object.

use lakesync::store::{RequestKind, Store as _, StoreErrorKind, Versioning};

use super::server::{Answer, Server};
use super::{key, retrying, store};

#[tokio::test]
async fn only_the_keys_that_failed_for_a_passing_reason_are_deleted_again() {
    let server = Server::start(|at, _| {
        let errors = match at {
            0 => {
                "<Error><Key>busy</Key><Code>SlowDown</Code></Error>\
                  <Error><Key>shut</Key><Code>AccessDenied</Code></Error>"
            }
            1 => return Answer::error(503, "SlowDown"),
            _ => "",
        };
        Answer::new(200, "", &format!("<DeleteResult>{errors}</DeleteResult>"))
    })
    .await;
    let (retrying, counts) = retrying(&server, None).await;
    let keys = ["done", "busy", "shut"].map(|name| (key(name), None));
    let outcomes = retrying.delete_many(&keys).await.unwrap();
    let kinds = outcomes.into_iter().map(|outcome| outcome.map_err(|error| error.kind));
    assert_eq!(Vec::from_iter(kinds), [Ok(()), Ok(()), Err(StoreErrorKind::Denied)]);
    let bodies = server
        .seen()
        .into_iter()
        .map(|seen| String::from_utf8(seen.body).unwrap());
    let named: Vec<usize> = bodies.map(|body| body.matches("<Key>").count()).collect();
    assert_eq!(named, [3, 1, 1]);
    let totals = counts.totals();
    assert_eq!(totals.attempts, [(RequestKind::DeleteMany, 3)].into());
    assert_eq!((totals.retries, totals.throttles), (2, 2));
}

#[tokio::test]
async fn uploads_are_listed_page_by_page_whatever_their_keys() {
    let page = |next: &str| {
        format!(
            "<ListMultipartUploadsResult><EncodingType>url</EncodingType>{next}\
             <Upload><Key>p/a%0Ab</Key><UploadId>u1</UploadId><Initiated>2026-11-23T03:00:22.000Z</Initiated></Upload>\
             </ListMultipartUploadsResult>"
        )
    };
    let more = "<IsTruncated>true</IsTruncated><NextKeyMarker>p/a%0Ab</NextKeyMarker>\
                <NextUploadIdMarker>u1</NextUploadIdMarker>";
    let (first, last) = (page(more), page(""));
    let server = Server::start(move |at, _| Answer::new(200, "", if at == 0 { &first } else { &last })).await;
    let store = store(&server).await;
    let listing = store.list_uploads("p/", None).await.unwrap();
    let upload = &listing.uploads[0];
    assert_eq!((upload.key.as_str(), upload.id.as_str()), ("p/a\nb", "u1"));
    assert_eq!(upload.initiated.unwrap().to_string(), "2026-11-23T03:00:22Z");
    let listing = store.list_uploads("p/", listing.next.as_deref()).await.unwrap();
    assert_eq!(listing.next, None);
    let target = &server.seen()[1].target;
    assert!(target.contains("key-marker=p%2Fa%0Ab"), "{target}");
    assert!(target.contains("upload-id-marker=u1"), "{target}");
}

#[tokio::test]
async fn a_bucket_tells_its_settings_as_far_as_it_may() {
    let rule = |days: u32, prefix: &str| {
        format!(
            "<Rule><ID>r{days}</ID><Status>Enabled</Status><Filter><Prefix>{prefix}</Prefix></Filter>\
             <AbortIncompleteMultipartUpload><DaysAfterInitiation>{days}</DaysAfterInitiation>\
             </AbortIncompleteMultipartUpload></Rule>"
        )
    };
    let rules = format!(
        "<LifecycleConfiguration>{}{}</LifecycleConfiguration>",
        rule(3, "only/here/"),
        rule(7, "")
    );
    let server = Server::start(move |_, seen| match seen.target.as_str() {
        target if target.contains("versioning") => Answer::new(
            200,
            "",
            "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>",
        ),
        target if target.contains("lifecycle") => Answer::new(200, "", &rules),
        _ => Answer::error(403, "AccessDenied"),
    })
    .await;
    let facts = store(&server).await.bucket_facts().await.unwrap();
    assert_eq!(facts.versioning, Some(Versioning::Enabled));
    assert_eq!(
        facts.abort_uploads_after_days,
        Some(Some(7)),
        "the other rule is for one prefix only"
    );
    assert_eq!(facts.region, None, "the rights do not tell");
}

#[tokio::test]
async fn a_bucket_without_rules_is_told_from_one_that_hides_them() {
    let server = Server::start(|_, seen| match seen.target.as_str() {
        target if target.contains("versioning") => Answer::new(200, "", "<VersioningConfiguration/>"),
        target if target.contains("lifecycle") => Answer::error(404, "NoSuchLifecycleConfiguration"),
        _ => Answer::new(200, "", "<LocationConstraint>eu-west-1</LocationConstraint>"),
    })
    .await;
    let facts = store(&server).await.bucket_facts().await.unwrap();
    assert_eq!(facts.versioning, Some(Versioning::Off));
    assert_eq!(facts.abort_uploads_after_days, Some(None));
    assert_eq!(facts.region.as_deref(), Some("eu-west-1"));

    let server = Server::start(|_, _| Answer::error(404, "NoSuchBucket")).await;
    let error = store(&server).await.bucket_facts().await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::NoSuchBucket);
}
