//! Whether bytes come back as they were sent, in one piece and in parts, and how long a small write takes.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt as _;

use super::{Bench, Finding, Verdict};
use crate::model::ObjectKey;
use crate::store::{Condition, ObjectHeaders, Store, StoreError, StoreErrorKind, Upload};

/// The least that S3 takes as a part, but for the last.
const LEAST_PART_BYTES: usize = 5 << 20;

/// Longer than the chunks of 64 KiB in which a framed body comes.
const FRAMED_BYTES: usize = 70_000;

/// How many small writes are timed.
const TIMED: usize = 5;

/// Writes an object with a checksum and reads it back: some stores keep the checksum's framing as content.
pub(super) async fn framing(bench: &Bench<'_>) -> Finding {
    const TOPIC: &str = "bytes";
    let key = bench.key("framing");
    let sent = pattern(FRAMED_BYTES);
    if let Err(error) = bench.put(&key, sent.to_vec()).await {
        return Finding::failed(TOPIC, &error);
    }
    match same_bytes(bench.store, &key, &[sent]).await {
        Ok(true) => Finding::good(TOPIC, "an object is read back as it was sent"),
        Ok(false) => Finding::new(
            TOPIC,
            Verdict::Bad,
            "an object is read back with other bytes than were sent",
        )
        .cure("try --checksum md5, and look for a proxy that changes bodies"),
        Err(error) => Finding::failed(TOPIC, &error),
    }
}

/// Sends objects in parts of one length and of several.
pub(super) async fn multipart(bench: &Bench<'_>) -> Vec<Finding> {
    const TOPIC: &str = "multipart";
    let least = pattern(LEAST_PART_BYTES);
    let more = pattern(LEAST_PART_BYTES + 1);
    let tail = pattern(1_000);
    let equal = send(bench, "equal-parts", &[least.clone(), tail.clone()]).await;
    let equal = match equal {
        Ok(true) => Finding::good(TOPIC, "an object sent in parts is read back as it was sent"),
        Ok(false) => Finding::new(
            TOPIC,
            Verdict::Bad,
            "an object sent in parts is read back with other bytes",
        ),
        Err(error) => Finding::failed(TOPIC, &error).cure("no file over the part size can be exported here"),
    };
    let unequal = match send(bench, "unequal-parts", &[least, more, tail]).await {
        Ok(true) => Finding::good(TOPIC, "parts may have different lengths"),
        Ok(false) => Finding::new(
            TOPIC,
            Verdict::Bad,
            "an object of parts of different lengths has other bytes",
        ),
        Err(error) if error.kind.is_transient() => Finding::failed(TOPIC, &error),
        Err(_) => {
            let text = "parts must have one length; lakesync's do, but for the last";
            Finding::new(TOPIC, Verdict::Limited, text)
        }
    };
    vec![equal, unequal]
}

async fn send(bench: &Bench<'_>, name: &str, parts: &[Bytes]) -> Result<bool, StoreError> {
    let (store, key) = (bench.store, bench.key(name));
    let checksum = bench.capabilities.checksum;
    let upload = store.create_upload(&key, &ObjectHeaders::default(), checksum).await?;
    if let Err(error) = send_parts(bench, &upload, parts).await {
        // By name, since not everybody may list uploads; the sweep at the end tries again.
        let _given_up = store.abort_upload(&upload).await;
        return Err(error);
    }
    same_bytes(store, &key, parts).await
}

async fn send_parts(bench: &Bench<'_>, upload: &Upload, parts: &[Bytes]) -> Result<(), StoreError> {
    let (store, checksum) = (bench.store, bench.capabilities.checksum);
    let mut sent = Vec::new();
    for (number, part) in (1..).zip(parts) {
        sent.push(store.upload_part(upload, number, part.clone(), checksum, None).await?);
    }
    let condition = if bench.capabilities.complete_absent {
        Condition::Absent
    } else {
        Condition::Always
    };
    store.complete_upload(upload, &sent, &condition).await.map(drop)
}

/// Whether an object is made of these pieces; reads it as a stream.
pub(super) async fn same_bytes(store: &dyn Store, key: &ObjectKey, pieces: &[Bytes]) -> Result<bool, StoreError> {
    let mut wanted = blake3::Hasher::new();
    pieces.iter().for_each(|piece| {
        wanted.update(piece);
    });
    let mut body = store.get(key, None).await?.body;
    let mut seen = blake3::Hasher::new();
    while let Some(chunk) = body.next().await {
        seen.update(&chunk?);
    }
    Ok(seen.finalize() == wanted.finalize())
}

/// Times a few small writes, one after the other.
pub(super) async fn latency(bench: &Bench<'_>) -> Finding {
    const TOPIC: &str = "latency";
    let mut times = Vec::with_capacity(TIMED);
    for number in 0..TIMED {
        let key = bench.key(&format!("latency-{number}"));
        let begun = Instant::now();
        if let Err(error) = bench.put(&key, vec![b'l'; 1_000]).await {
            // Asked to go slower is an answer about speed, too.
            let slow = error.kind == StoreErrorKind::Throttled;
            let verdict = if slow { Verdict::Limited } else { Verdict::Unknown };
            return Finding::new(TOPIC, verdict, error.to_string());
        }
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    let median: Duration = times[times.len() / 2];
    let milliseconds = median.as_secs_f64() * 1_000.0;
    Finding::good(
        TOPIC,
        format!("a small object is written in {milliseconds:.1} ms (median of {TIMED})"),
    )
}

/// Bytes that no shift and no repetition of a piece leaves the same.
fn pattern(length: usize) -> Bytes {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    bytes.into()
}
