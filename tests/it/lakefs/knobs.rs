//! The stand-in's knobs do what they say.

use std::time::{Duration, Instant};

use super::http::{Reply, Sent};
use super::repository::Repository;
use super::server::{BlockStoreKind, LakeFsServer};
use super::standin::{Call, Damage, Fault, When, generated_entry, generated_key};

async fn stand_in(block_store: BlockStoreKind) -> LakeFsServer {
    LakeFsServer::stand_in_with(block_store, |_| ()).await
}

async fn get(repository: &Repository<'_>, path: &str) -> Reply {
    repository.send("GET", path, Sent::default()).await
}

#[tokio::test]
async fn faults_hit_the_requests_that_they_are_for() {
    let server = stand_in(BlockStoreKind::Local).await;
    let knobs = server.stand_in().unwrap();
    let repository = server.new_repository().await;
    knobs.fail(Call::GetBranch, When::Nth(2), Fault::Status(503));
    knobs.fail(Call::List, When::First(1), Fault::Status(429));
    knobs.fail(Call::GetCommit, When::After(1), Fault::Status(500));
    let mut statuses = Vec::new();
    for _ in 0..3 {
        for path in ["/branches/main", "/refs/main/objects/ls", "/commits/main"] {
            statuses.push(get(&repository, path).await.status);
        }
    }
    assert_eq!(statuses, [200, 429, 200, 503, 200, 500, 200, 200, 500]);
    assert_eq!(knobs.count(Call::GetBranch), 3);
    let log = knobs.log();
    let seen = log.iter().find(|seen| seen.status == Some(503)).unwrap();
    assert_eq!((seen.method.as_str(), seen.call), ("GET", Call::GetBranch));
    assert_eq!(seen.path, format!("/repositories/{}/branches/main", repository.name));

    knobs.heal();
    knobs.forget();
    knobs.fail(None, When::Always, Fault::WebPage);
    let page = get(&repository, "/branches/main").await.expect(200);
    assert!(page.body.starts_with(b"<!doctype html>"));
    assert_eq!(knobs.log().len(), 1);
    knobs.heal();
    knobs.set_in_deletion(&repository.name, true);
    get(&repository, "/branches/main").await.expect(410);
    get(&repository, "/refs/main/objects/ls").await.expect(410);
    get(&repository, "/commits/main").await.expect(500);
    knobs.set_in_deletion(&repository.name, false);
    get(&repository, "/branches/main").await.expect(200);
}

#[tokio::test]
async fn answers_break_off_come_late_or_never() {
    let server = stand_in(BlockStoreKind::Local).await;
    let knobs = server.stand_in().unwrap();
    let repository = server.new_repository().await;
    repository.upload("main", "a", vec![7; 10_000]).await;
    knobs.forget();
    knobs.fail(Call::Read, When::Nth(1), Fault::Cut(5_000));
    knobs.fail(Call::Stat, When::Always, Fault::Hang);
    knobs.fail(Call::GetBranch, When::Always, Fault::Late(Duration::from_millis(60)));
    let sent = || Sent::default().query("path", "a").header("range", "bytes=0-8999");
    let path = format!("/api/v1/repositories/{}/refs/main/objects", repository.name);
    assert!(server.api.try_send("GET", &path, sent()).await.is_err());
    let again = server.api.send("GET", &path, sent()).await.expect(206);
    assert_eq!(again.body.len(), 9_000);
    let read = knobs.log().into_iter().find(|seen| seen.call == Call::Read).unwrap();
    assert_eq!(read.range.as_deref(), Some("bytes=0-8999"));
    assert_eq!(read.query, [("path".to_owned(), "a".to_owned())]);
    assert_eq!(read.body_bytes, Some(9_000));

    let never = repository.stat("main", "a");
    assert!(tokio::time::timeout(Duration::from_millis(100), never).await.is_err());
    let began = Instant::now();
    repository.head("main").await;
    assert!(began.elapsed() >= Duration::from_millis(60));
    knobs.set_latency(Duration::from_millis(70));
    let began = Instant::now();
    get(&repository, "/refs/main/objects/ls").await.expect(200);
    assert!(began.elapsed() >= Duration::from_millis(70));
}

#[tokio::test]
async fn urls_can_be_such_as_have_ended() {
    let server = stand_in(BlockStoreKind::S3).await;
    let repository = server.new_repository().await;
    repository.upload("main", "a", "bytes").await;
    for (expired, status) in [(true, 403), (false, 200)] {
        server.stand_in().unwrap().set_expired_urls(expired);
        let sent = Sent::default().query("path", "a").query("presign", "true");
        let url = repository.send("GET", "/refs/main/objects", sent).await.expect(302);
        server.get_url(url.header("location").unwrap()).await.expect(status);
    }
}

#[tokio::test]
async fn damage_to_a_table_is_seen_by_all_who_read_it() {
    for block_store in [BlockStoreKind::Local, BlockStoreKind::S3] {
        let server = stand_in(block_store).await;
        let knobs = server.stand_in().unwrap();
        let repository = server.new_repository().await;
        repository.upload("main", "a", "bytes").await;
        repository.commit("main", "one").await;
        let [id] = knobs.range_ids(&repository.name, "main").try_into().unwrap();
        let path = format!("/metadata/object/range/{id}");
        let whole = get(&repository, &path).await.expect(200).body;
        let mut flipped = whole.to_vec();
        flipped[9] ^= 1;
        for (damage, expected) in [
            (Damage::Flipped(9), Some(flipped.as_slice())),
            (Damage::Truncated(20), Some(&flipped[..20])),
            (Damage::Gone, None),
        ] {
            knobs.damage(&repository.name, &id, damage).await;
            let plain = get(&repository, &path).await;
            assert_eq!(plain.status, if expected.is_some() { 200 } else { 410 });
            let signed = repository
                .send("GET", &path, Sent::default().query("presign", "true"))
                .await;
            let Some(url) = signed.header("location") else {
                assert_eq!((signed.status, block_store), (400, BlockStoreKind::Local));
                continue;
            };
            let read = server.get_url(url).await;
            match expected {
                Some(bytes) => assert_eq!((plain.body, read.body), (bytes.to_vec().into(), bytes.to_vec().into())),
                None => assert_eq!(read.status, 404),
            }
        }
    }
}

#[tokio::test]
async fn a_generated_tree_is_one_like_any_other() {
    const FILES: u64 = 3_000;
    let server = LakeFsServer::stand_in_with(BlockStoreKind::Local, |settings| settings.raggedness = 100).await;
    let knobs = server.stand_in().unwrap();
    let repository = server.new_repository().await;
    let first = knobs.commit_generated(&repository.name, "main", FILES).await;
    assert_eq!(repository.head("main").await, first);
    let listing = repository.list(&first).await;
    let keys: Vec<String> = (0..FILES).map(generated_key).collect();
    assert_eq!(
        listing.iter().map(|stat| &stat.path).collect::<Vec<_>>(),
        keys.iter().collect::<Vec<_>>()
    );
    assert_eq!(listing[7].checksum, generated_entry(7, 0).checksum);
    let before = knobs.range_ids(&repository.name, &first);
    assert!(before.len() > 10, "{} ranges", before.len());

    let changed = [5, 1_500, 2_999];
    let second = knobs.change_generated(&repository.name, "main", &changed, 1).await;
    let after = knobs.range_ids(&repository.name, &second);
    let unshared = after.iter().filter(|id| !before.contains(id)).count();
    assert_eq!(unshared, changed.len(), "a change touches its own range alone");
    let sent = Sent::default().query("type", "two_dot");
    let told = repository
        .send("GET", &format!("/refs/{first}/diff/{second}"), sent)
        .await
        .expect(200)
        .json();
    let paths: Vec<&str> = told["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line["path"].as_str().unwrap())
        .collect();
    assert_eq!(paths, changed.map(generated_key));
}
