//! What holds for the bucket as a whole: its clock, versions, region and rules.

use jiff::{SignedDuration, Timestamp};

use super::{Finding, Verdict};
use crate::store::{Store, StoreErrorKind, Versioning};

/// HTTP dates have whole seconds and the reply takes its time; less than this is no difference.
const UNREMARKABLE: SignedDuration = SignedDuration::from_secs(5);

/// From here on S3 refuses requests.
const REFUSED: SignedDuration = SignedDuration::from_secs(15 * 60);

/// Compares the store's clock with ours.
pub(super) async fn clock(store: &dyn Store, prefix: &str) -> Option<Finding> {
    // A listing fails for lack of rights, which is told elsewhere; the clock is known by then or never.
    match store.list(prefix, None, 1).await {
        Ok(page) => Some(judge_clock(page.date.map(|date| Timestamp::now().duration_since(date)))),
        Err(error) if error.kind == StoreErrorKind::ClockSkew => Some(judge_clock(Some(REFUSED))),
        Err(_) => None,
    }
}

/// Judges how far our clock is ahead of the store's.
pub(super) fn judge_clock(ahead: Option<SignedDuration>) -> Finding {
    const TOPIC: &str = "clock";
    let Some(ahead) = ahead else {
        let text = "the store sends no date: a dead exporter's lease never expires";
        return Finding::new(TOPIC, Verdict::Bad, text).cure("have the proxy before the store pass the Date header on");
    };
    let seconds = ahead.abs().as_secs();
    let side = if ahead.is_negative() { "behind" } else { "ahead of" };
    let text = format!("this machine's clock is {seconds} s {side} the store's");
    if ahead.abs() <= UNREMARKABLE {
        Finding::good(TOPIC, "this machine's clock and the store's agree")
    } else if ahead.abs() < REFUSED {
        Finding::new(TOPIC, Verdict::Limited, text).cure("set this machine's clock (NTP) before the difference grows")
    } else {
        Finding::new(TOPIC, Verdict::Bad, text).cure("set this machine's clock (NTP): S3 refuses such requests")
    }
}

/// Asks for the bucket's settings.
pub(super) async fn facts(store: &dyn Store) -> Vec<Finding> {
    let facts = match store.bucket_facts().await {
        Ok(facts) => facts,
        Err(error) => return vec![Finding::failed("bucket", &error)],
    };
    let versioning = match facts.versioning {
        Some(Versioning::Off) => Finding::good("versioning", "the bucket keeps no old versions"),
        Some(Versioning::Enabled) => Finding::good(
            "versioning",
            "the bucket keeps old versions: readers can stay on one commit, and old bytes cost money until a rule expires them",
        ),
        Some(Versioning::Suspended) => Finding::good("versioning", "the bucket kept old versions and no longer does"),
        None => Finding::new(
            "versioning",
            Verdict::Unknown,
            "the store does not say whether it keeps versions",
        ),
    };
    let stale = match facts.abort_uploads_after_days {
        Some(Some(days)) => Finding::good("stale uploads", format!("a rule aborts them after {days} days")),
        Some(None) => Finding::new(
            "stale uploads",
            Verdict::Limited,
            "no rule aborts them: where lakesync is killed and never runs again, they cost money unseen",
        )
        .cure("add a lifecycle rule AbortIncompleteMultipartUpload with 7 days"),
        None => Finding::new(
            "stale uploads",
            Verdict::Unknown,
            "the store does not tell its lifecycle rules",
        ),
    };
    let region = match facts.region {
        Some(region) => Finding::good("region", region),
        None => Finding::new("region", Verdict::Unknown, "the store does not say its region"),
    };
    vec![versioning, stale, region]
}
