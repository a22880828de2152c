//! What the doctor says of real servers.

use std::collections::BTreeMap;

use lakesync::store::doctor::{DoctorReport, Verdict, doctor};

use crate::servers::{self, Server};

async fn report_on(server: &'static Server) -> DoctorReport {
    let bucket = server.new_bucket().await;
    bucket.write("exp/other", "somebody else's").await;
    let store = bucket.store_at(&server.endpoint).await;
    let report = doctor(&store, "exp/_lakesync/doctor/run/", std::future::pending()).await;
    assert_eq!(bucket.keys().await, ["exp/other"], "{} is left clean", server.name);
    assert!(bucket.uploads().await.is_empty(), "{} is left clean", server.name);
    assert!(report.is_usable(), "{}: {report:#?}", server.name);
    report
}

/// What is not as on S3, by topic and the start of its text.
fn limits(report: &DoctorReport) -> BTreeMap<&str, Vec<&str>> {
    let mut limits: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in report.lines.iter().filter(|line| line.verdict == Verdict::Limited) {
        let what = line.text.split([':', ';']).next().unwrap();
        limits.entry(line.topic).or_default().push(what);
    }
    limits
}

#[tokio::test]
async fn of_seaweedfs_it_says_where_keys_folders_and_order_are_odd() {
    let report = report_on(servers::seaweedfs()).await;
    let expected = BTreeMap::from([
        ("stale uploads", vec!["no rule aborts them"]),
        ("folders", vec!["If-None-Match takes the folder a/ for an object a"]),
        (
            "keys",
            vec![
                "a backslash",
                "an empty segment",
                "a leading slash",
                "a trailing slash",
                "a . segment",
                "a .. segment",
            ],
        ),
        ("listing", vec!["complete, but not in the order of the keys' bytes"]),
    ]);
    assert_eq!(limits(&report), expected, "{report:#?}");
}

#[tokio::test]
async fn of_versitygw_it_says_which_guards_and_keys_are_lacking() {
    let report = report_on(servers::versitygw()).await;
    let expected = BTreeMap::from([
        (
            "guards",
            vec![
                "CopyObject with If-None-Match is not honoured",
                "CopyObject with If-Match is not honoured",
                "DeleteObjects with an ETag for each key is not honoured",
            ],
        ),
        ("folders", vec!["a and a/b cannot both be objects"]),
        (
            "keys",
            vec![
                "an empty segment",
                "a leading slash",
                "a trailing slash",
                "a . segment",
                "a .. segment",
                "a control character",
                "U+FFFE",
            ],
        ),
    ]);
    assert_eq!(limits(&report), expected, "{report:#?}");
}
