//! Many exports that have nothing to do.

use super::Serving;
use crate::process::PATIENCE;

/// All exports of one repository have one watch, and one look at a bucket for each is all they ever ask.
#[tokio::test]
async fn many_exports_of_one_repository_share_a_watch_and_rest() {
    const COUNT: usize = 40;
    let serving = Serving::start(&[]).await;
    serving.repository.write("a", "1");
    let first = serving.repository.commit("first");
    for number in 0..COUNT {
        serving.define(&format!("e{number}"), &serving.definition(&format!("out/{number}")));
    }
    let idle = format!("lakesync_exports{{state=\"idle\"}} {COUNT}");
    let settled = async {
        while !serving.get("/metrics").await.text().lines().any(|line| line == idle) {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, settled).await;
    assert!(waited.is_ok(), "{}", serving.get("/metrics").await.text());
    serving.until_out("e7", first.as_str()).await;
    let before = serving.get("/metrics").await.text();
    assert!(before.lines().any(|line| line == "lakesync_watches 1"), "{before}");
    let requests = |text: &str| -> Vec<String> {
        let is_count = |line: &&str| line.starts_with("lakesync_s3_requests_total");
        text.lines().filter(is_count).map(str::to_owned).collect()
    };
    // Three looks at the folder of definitions.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    let after = serving.get("/metrics").await.text();
    assert_eq!(
        requests(&before),
        requests(&after),
        "nothing is asked of a store while nothing happens"
    );
    serving.repository.write("a", "2");
    let second = serving.repository.commit("second");
    serving.until_out("e39", second.as_str()).await;
    serving.check("out/39", &[("a", "2")]).await;
}
