//! What grew commit by commit is what a single export would have made.

use std::collections::BTreeMap;

use lakesync::model::S3Url;
use lakesync::status::{StatusRecord, read_newest, read_records};
use rustix::process::Signal;

use super::*;
use crate::process::said;

/// What a reader can see of an object, but for what differs from one export to the next.
type Visible = (Vec<u8>, Option<String>, Option<String>, BTreeMap<String, String>);

impl Room {
    async fn visible(&self, at: &S3Url) -> BTreeMap<String, Visible> {
        let client = self.bucket.server.client();
        let (bucket, prefix) = (at.bucket.to_string(), at.prefix.to_string());
        let mut pages = client
            .list_objects_v2()
            .bucket(&bucket)
            .prefix(&prefix)
            .into_paginator()
            .send();
        let mut found = BTreeMap::new();
        while let Some(page) = pages.next().await {
            for object in page.unwrap().contents() {
                let key = object.key().unwrap();
                let path = key.strip_prefix(&prefix).unwrap();
                if path.starts_with("_lakesync/") || path.starts_with("_STATUS_") {
                    continue;
                }
                let got = client.get_object().bucket(&bucket).key(key).send().await.unwrap();
                let mut metadata: BTreeMap<String, String> =
                    got.metadata().cloned().unwrap_or_default().into_iter().collect();
                assert!(metadata.remove("lakesync").is_some(), "{key} has no mark");
                let (kind, encoding) = (
                    got.content_type().map(str::to_owned),
                    got.content_encoding().map(str::to_owned),
                );
                let bytes = got.body.collect().await.unwrap().into_bytes().to_vec();
                found.insert(path.to_owned(), (bytes, kind, encoding, metadata));
            }
        }
        found
    }

    async fn records(&self, at: &S3Url) -> Vec<(String, Option<u64>)> {
        let store = self.bucket.store_at(&self.bucket.server.endpoint).await;
        let newest = read_newest(&store, &at.prefix).await.unwrap().unwrap();
        let mut records = Vec::new();
        let each = |record: StatusRecord| records.push((record.path.to_string(), record.size));
        read_records(&store, &newest.key, each).await.unwrap();
        records
    }
}

/// Changes some files of a repository.
fn change(repository: &Repository, random: &mut fastrand::Rng, step: usize) {
    for _ in 0..random.usize(1..6) {
        // Few names, so that they meet; the second half are folders of the same names.
        let name = format!("{}{}", ["a", "b", "c.csv"][random.usize(0..3)], random.usize(0..4));
        let name = if random.bool() {
            name
        } else {
            format!("folder/{name}/deep.json")
        };
        let path = repository.path.join(&name);
        if random.u8(0..4) == 0 {
            // It need not be there.
            drop(std::fs::remove_file(&path));
        } else if path.is_dir() {
            std::fs::remove_dir_all(&path).unwrap();
        } else {
            let text = format!("{} ", random.usize(0..5)).repeat(random.usize(0..2_000));
            repository.write(&name, text);
        }
    }
    repository.write("last", step.to_string());
}

/// P1, P6: after random commits, merges and resets the bucket is what a fresh export of the head makes.
#[tokio::test]
async fn what_grew_commit_by_commit_equals_a_fresh_export() {
    let room = room().await;
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let repository = Repository::new();
    repository.commit_files(&["a0", "folder/b0/deep.json"]);
    // So that a reset always has somewhere to go.
    for _ in 0..40 {
        repository.commit("ground");
    }
    let follower = room.follow_git(&room.bucket.server.endpoint, &repository, &[]);
    for step in 0..40 {
        match random.u8(0..6) {
            0 => {
                repository.git(&["checkout", "--quiet", "-B", "side"]);
                change(&repository, &mut random, step);
                repository.commit("side");
                repository.git(&["checkout", "--quiet", "main"]);
                repository.write("beside", step.to_string());
                repository.commit("main");
                repository.git(&["merge", "--quiet", "--no-edit", "--strategy-option=theirs", "side"]);
            }
            1 => {
                repository.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
            }
            _ => {
                change(&repository, &mut random, step);
                repository.commit("step");
            }
        }
        if random.u8(0..4) == 0 {
            let head = repository.id("main");
            room.until_out(&follower, |status| status.commit == head.as_str()).await;
        }
    }
    let head = repository.id("main");
    room.until_out(&follower, |status| status.commit == head.as_str()).await;
    follower.ends(Signal::TERM, 143).await;

    let fresh: S3Url = format!("s3://{}/fresh/", room.bucket.bucket).parse().unwrap();
    let (source, export_path) = (git(&repository), fresh.to_string());
    let words = ["export", &source, "--export-path", &export_path];
    let output = ended(room.program(&room.bucket.server.endpoint, &words).spawn().unwrap()).await;
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let (grown, made) = (room.visible(&room.export_path).await, room.visible(&fresh).await);
    assert_eq!(
        grown.keys().collect::<Vec<_>>(),
        made.keys().collect::<Vec<_>>(),
        "seed {seed}"
    );
    assert!(grown == made, "seed {seed}: bytes or headers differ");
    assert_eq!(
        room.records(&room.export_path).await,
        room.records(&fresh).await,
        "seed {seed}"
    );
}
