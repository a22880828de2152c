use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::bucket::judge_clock;
use super::*;
use crate::store::faulty::{Fault, FaultyStore, Matching, NoFaults, Nth};
use crate::store::memory::MemoryStore;
use crate::store::{Checksum, RequestKind, StoreErrorKind};

const PREFIX: &str = "exp/_lakesync/doctor/run/";

fn store_that_can(capabilities: Capabilities) -> MemoryStore {
    let store = MemoryStore::new("bucket".parse().unwrap(), capabilities);
    store.foreign_put(&ObjectKey::new("exp/other"), "somebody else's");
    store.set_clock_skew(Timestamp::now().duration_since(store.now()));
    store
}

fn assert_nothing_is_left(store: &MemoryStore, when: &str) {
    let keys: Vec<_> = store.objects().into_keys().collect();
    assert_eq!(keys, [ObjectKey::new("exp/other")], "{when}");
    assert_eq!(store.uploads(), [], "{when}");
}

fn not_good(report: &DoctorReport) -> Vec<(&'static str, Verdict)> {
    let lines = report.lines.iter().filter(|line| line.verdict != Verdict::Good);
    lines.map(|line| (line.topic, line.verdict)).collect()
}

#[tokio::test]
async fn a_healthy_store_has_only_the_limits_that_the_double_is_made_with() {
    let store = store_that_can(Capabilities::ALL);
    let shared = store.clone();
    let report = tokio::spawn(async move { doctor(&shared, PREFIX, std::future::pending()).await });
    let report = report.await.unwrap();
    let limits = [
        ("stale uploads", Verdict::Limited),
        ("region", Verdict::Unknown),
        ("multipart", Verdict::Limited),
    ];
    assert_eq!(not_good(&report), limits, "{report:#?}");
    assert_eq!(report.capabilities, Some(Capabilities::ALL));
    assert!(report.is_usable());
    assert_nothing_is_left(&store, "all went well");
}

#[tokio::test]
async fn what_a_store_cannot_do_is_said_and_a_store_without_guards_is_bad() {
    type Loss = fn(&mut Capabilities);
    let losses: [(&str, Verdict, Loss); 14] = [
        ("guards", Verdict::Bad, |can| can.put_absent = false),
        ("guards", Verdict::Bad, |can| can.put_matches = false),
        ("guards", Verdict::Limited, |can| can.complete_absent = false),
        ("guards", Verdict::Limited, |can| can.complete_matches = false),
        ("guards", Verdict::Limited, |can| can.copy_absent = false),
        ("guards", Verdict::Limited, |can| can.copy_matches = false),
        ("guards", Verdict::Limited, |can| can.copy_source_matches = false),
        ("guards", Verdict::Limited, |can| can.part_copy = false),
        ("guards", Verdict::Limited, |can| can.delete_matches = false),
        ("guards", Verdict::Limited, |can| can.delete_many = false),
        ("guards", Verdict::Limited, |can| can.delete_many_matches = false),
        ("folders", Verdict::Limited, |can| can.file_beside_folder = false),
        ("keys", Verdict::Limited, |can| can.odd_keys = false),
        ("checksums", Verdict::Limited, |can| can.checksum = Checksum::None),
    ];
    for (number, (topic, verdict, lose)) in losses.into_iter().enumerate() {
        let mut can = Capabilities::ALL;
        lose(&mut can);
        let store = store_that_can(can);
        let report = doctor(&store, PREFIX, std::future::pending()).await;
        assert!(not_good(&report).contains(&(topic, verdict)), "{number}: {report:#?}");
        assert_eq!(report.is_usable(), verdict != Verdict::Bad, "{number}: {report:#?}");
        assert_nothing_is_left(&store, topic);
    }
}

#[tokio::test]
async fn each_right_that_is_lacking_is_named_by_itself() {
    for (kind, action, usable) in [
        (RequestKind::Put, "s3:PutObject", false),
        (RequestKind::Get, "s3:GetObject", false),
        (RequestKind::List, "s3:ListBucket", false),
        (RequestKind::Delete, "s3:DeleteObject", false),
        (RequestKind::ListUploads, "s3:ListBucketMultipartUploads", true),
        (RequestKind::AbortUpload, "s3:AbortMultipartUpload", true),
    ] {
        let memory = store_that_can(Capabilities::ALL);
        let denied = Matching::new(Fault::Before(StoreErrorKind::Denied)).kind(kind);
        let store = FaultyStore::new(Arc::new(memory), denied);
        let report = doctor(&store, PREFIX, std::future::pending()).await;
        let lines = report.lines.iter().filter(|line| line.topic == "rights");
        let lacking: Vec<_> = lines.filter(|line| line.verdict != Verdict::Good).collect();
        let [line] = lacking[..] else {
            panic!("{action}: {lacking:#?}")
        };
        let cure = line.cure.as_deref().unwrap();
        assert!(
            cure.contains(action) && (cure.contains("for bucket/exp/* ") || cure.contains("for the bucket bucket ")),
            "{cure}"
        );
        assert_eq!(line.verdict == Verdict::Limited, usable, "{action}");
    }
}

#[tokio::test]
async fn what_cannot_be_deleted_again_is_named() {
    let memory = store_that_can(Capabilities::ALL);
    let denied = Matching::new(Fault::Before(StoreErrorKind::Denied)).kind(RequestKind::Delete);
    let store = FaultyStore::new(Arc::new(memory), denied);
    let report = doctor(&store, PREFIX, std::future::pending()).await;
    let line = report.lines.last().unwrap();
    assert_eq!((line.topic, line.verdict), ("left behind", Verdict::Bad));
    assert!(line.text.contains("exp/_lakesync/doctor/run/rights"), "{}", line.text);
}

#[tokio::test]
async fn stopped_at_any_point_it_leaves_nothing() {
    let whole = FaultyStore::new(Arc::new(store_that_can(Capabilities::ALL)), NoFaults);
    doctor(&whole, PREFIX, std::future::pending()).await;
    // The hung request never ends by itself, so that the stop comes exactly there.
    for number in (0..whole.calls() / 2).step_by(11) {
        let memory = store_that_can(Capabilities::ALL);
        let fault = Fault::HangAfter;
        let store = FaultyStore::new(Arc::new(memory.clone()), Nth { number, fault });
        let hung = async {
            while store.calls() <= number {
                tokio::task::yield_now().await;
            }
            // What is sent beside it is answered meanwhile.
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
        };
        let report = doctor(&store, PREFIX, hung).await;
        assert!(
            not_good(&report).contains(&("examination", Verdict::Unknown)),
            "{number}"
        );
        assert_nothing_is_left(&memory, &format!("stopped at {number}"));
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_at_any_point_leaves_nothing() {
    let whole = FaultyStore::new(Arc::new(store_that_can(Capabilities::ALL)), NoFaults);
    doctor(&whole, PREFIX, std::future::pending()).await;
    // Not in the sweep, which comes last; that is the case above.
    for number in (0..whole.calls() * 2 / 3).step_by(11) {
        for fault in [
            Fault::Before(StoreErrorKind::Unavailable),
            Fault::After(StoreErrorKind::NoReply),
        ] {
            let memory = store_that_can(Capabilities::ALL);
            let store = FaultyStore::new(Arc::new(memory.clone()), Nth { number, fault });
            doctor(&store, PREFIX, std::future::pending()).await;
            assert_nothing_is_left(&memory, &format!("failed at {number}"));
        }
    }
}

#[test]
fn clocks_are_judged_by_what_s3_tolerates() {
    for (seconds, verdict) in [
        (0, Verdict::Good),
        (-5, Verdict::Good),
        (60, Verdict::Limited),
        (-899, Verdict::Limited),
        (900, Verdict::Bad),
        (-90_000, Verdict::Bad),
    ] {
        let line = judge_clock(Some(SignedDuration::from_secs(seconds)));
        assert_eq!(line.verdict, verdict, "{}", line.text);
    }
    assert_eq!(judge_clock(None).verdict, Verdict::Bad);
}

#[test]
fn a_report_reads_as_json() {
    let report = DoctorReport {
        lines: vec![Finding::new("clock", Verdict::Limited, "late").cure("set it")],
        capabilities: None,
    };
    let json = serde_json::to_string(&report).unwrap();
    let line = r#"{"topic":"clock","verdict":"limited","text":"late","cure":"set it"}"#;
    assert_eq!(json, format!(r#"{{"lines":[{line}],"capabilities":null}}"#));
}
