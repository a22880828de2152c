//! The stand-in is right when it answers what a real server was asked as that one did.
//!
//! With block store S3 the stand-in is told the addresses and the times of the recording, and then every answer has to
//! be the same, down to the ids of commits, metaranges and ranges and the bytes of their tables; only signatures, the
//! ids of imports and the time of an update are its own. With block store `local` a part of the answers was recorded,
//! and ids are matched by what they name.

mod compare;
mod table;

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use self::compare::{Differences, same};
use super::http::{Api, Reply, Sent};
use super::receiver::Receiver;
use super::recorded::{self, Exchange};
use super::standin::{self, BlockStore, Entry, S3Place, Scripted, Settings, StandIn};

/// The range that an import of 12,000 objects made.
const IMPORTED_RANGE: &str = "9bdc2d451d9c3b74a9352c3a74f8593a962100b5c2f4772a267e0b243d632202";

/// What the action file of the recording was is not known; only its length and its checksum are.
const ACTION_FILE: &str = "_lakefs_actions/hook.yaml";
const ACTION_FILE_BYTES: usize = 232;

/// The entries of all recorded ranges.
fn recorded_entries() -> Vec<(Vec<u8>, Entry)> {
    let ranges = [
        "279934c5fe2591ced2625dcc652e6b0cde60dd2dc8559a44c9c1b99fc510bb1c",
        "2e8f480073829c70f071bcff3aa70c76bad0dbf995db29df3be8cea830555c39",
        "33432d7c78e5f808319342654b146ef1a6a659de75907b6bcd2fc1d0176cb051",
        IMPORTED_RANGE,
    ];
    ranges
        .iter()
        .flat_map(|id| table::read(&recorded::table("range", id)))
        .collect()
}

/// The bytes that were uploaded to a path in the recording.
fn uploaded(path: &str, earlier: bool, action_file: &str) -> String {
    match path {
        ACTION_FILE => {
            let padding = ACTION_FILE_BYTES - action_file.len();
            format!("{action_file}#{}", "x".repeat(padding - 1))
        }
        "a" if earlier => "changed a".to_owned(),
        "dir/" => String::new(),
        "meta/with.json" => "{\"a\":1}".to_owned(),
        "new/file" => "new".to_owned(),
        "uncommitted" => "staged".to_owned(),
        "from/dev" => "dev".to_owned(),
        path => format!("content of {path}"),
    }
}

fn action_file(receiver: &str) -> String {
    format!(
        "name: pub\non:\n  post-commit:\n    branches: [\"*\"]\n  post-merge:\nhooks:\n  - id: wake\n    type: webhook\n    \
         properties:\n      url: {receiver}/wake?x=1\n      headers:\n        Authorization: secret-text\n"
    )
}

/// What an exchange sends besides what was recorded of it.
fn sent(exchange: &Exchange, seen: &mut BTreeMap<String, usize>, action_file: &str) -> Sent {
    let mut sent = Sent {
        query: exchange.query(),
        ..Sent::default()
    };
    if let Some(request) = &exchange.request {
        sent = sent
            .header("content-type", "application/json")
            .bytes(request.to_string());
    }
    match exchange.note.as_str() {
        "upload" => {
            let path = exchange.object_path();
            let count = seen.entry(path.to_owned()).or_default();
            sent = sent.bytes(uploaded(path, *count > 0, action_file));
            *count += 1;
            if path == "meta/with.json" {
                sent = sent
                    .header("content-type", "application/json")
                    .header("x-lakefs-meta-Owner", "data team")
                    .header("x-lakefs-meta-Mixed-Case", "V");
            }
        }
        "read a range" => sent = sent.header("range", "bytes=3-6"),
        "read past the end" => sent = sent.header("range", "bytes=100-"),
        "bad credentials" => sent = sent.header("authorization", "Basic YTpi"),
        _ => {}
    }
    sent
}

/// What time it was at an exchange: the creation date of what is next created.
fn now(rest: &[Exchange], known: &mut Vec<String>) -> Option<i64> {
    for (place, exchange) in rest.iter().enumerate() {
        let Some(body) = &exchange.body else { continue };
        let body = body.get("commit").unwrap_or(body);
        let (Some(id), Some(date)) = (body["id"].as_str(), body["creation_date"].as_i64()) else {
            continue;
        };
        if known.iter().any(|known| known == id) {
            continue;
        }
        if place == 0 {
            known.push(id.to_owned());
        }
        return Some(date);
    }
    None
}

/// Says where and when each upload of the recording was stored.
fn scripted(exchanges: &[Exchange], root: &str, entries: &[(Vec<u8>, Entry)]) -> Vec<Scripted> {
    let by_address: HashMap<&str, &Entry> = entries
        .iter()
        .map(|(_, entry)| (entry.address.as_str(), entry))
        .collect();
    let uploads = exchanges.iter().filter(|exchange| exchange.note == "upload");
    let script = uploads.map(|exchange| {
        let told = exchange.body.as_ref().unwrap();
        let address = told["physical_address"].as_str().unwrap().strip_prefix(root).unwrap();
        let committed = by_address.get(address);
        Scripted {
            address: address.to_owned(),
            mtime: committed.map_or((told["mtime"].as_i64().unwrap(), 0), |entry| entry.mtime),
            checksum: (exchange.object_path() == ACTION_FILE).then(|| told["checksum"].as_str().unwrap().to_owned()),
            metadata_order: committed.map_or(Vec::new(), |entry| {
                entry.metadata.iter().map(|(name, _)| name.clone()).collect()
            }),
        }
    });
    script.collect()
}

/// The bytes with some MD5: those that were imported are decimal numbers.
fn numbers_by_checksum() -> HashMap<String, String> {
    (0..20_000)
        .map(|number: u32| (standin::md5_hex(number.to_string().as_bytes()), number.to_string()))
        .collect()
}

#[tokio::test]
async fn every_recorded_answer_is_given_again_down_to_the_ids() {
    let exchanges = recorded::exchanges("s3-store");
    let entries = recorded_entries();
    let place = S3Place {
        endpoint: "http://127.0.0.1:8333".to_owned(),
        region: "us-east-1".to_owned(),
        access_key_id: "AKIATESTTESTTEST".to_owned(),
        secret_access_key: "nobody asks for it".to_owned(),
    };
    let stand_in = StandIn::start(Settings::new(BlockStore::S3InMemory(place)));
    stand_in.script(scripted(&exchanges, "s3://lakefs-store/s3-store2/", &entries));
    let numbers = numbers_by_checksum();
    for (_, entry) in entries
        .iter()
        .filter(|(_, entry)| entry.address.starts_with("s3://bkt/imp2/"))
    {
        let bytes = numbers[&entry.checksum].clone();
        assert_eq!(bytes.len() as u64, entry.size_bytes);
        stand_in.put_outside_dated(&entry.address, bytes, entry.mtime);
    }
    let receiver = Receiver::start().await;
    let action_file = action_file(&receiver.url);
    let api = Api::new(&stand_in.endpoint, standin::ACCESS_KEY_ID, standin::SECRET_ACCESS_KEY);
    let (mut seen, mut known, mut found) = (BTreeMap::new(), Vec::new(), Differences::default());
    let mut import = String::new();
    for (place, exchange) in exchanges.iter().enumerate() {
        stand_in.set_now(now(&exchanges[place..], &mut known));
        let mut sent = sent(exchange, &mut seen, &action_file);
        let mut reply;
        if exchange.note == "import status, ended" {
            sent.query = vec![("id".to_owned(), import.clone())];
            loop {
                reply = api.send(&exchange.method, &exchange.path, sent.clone()).await;
                if reply.json()["completed"] == true {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        } else {
            reply = api.send(&exchange.method, &exchange.path, sent).await;
        }
        if exchange.note == "import" {
            import = reply.json()["id"].as_str().unwrap().to_owned();
        }
        found.compare(place, exchange, &reply);
    }
    found.assert_none();
    assert_eq!(stand_in.range_ids("s3-store", "main"), [IMPORTED_RANGE]);

    let mut recorded = recorded::webhooks();
    let mut sent = receiver.wait_for(recorded.len()).await;
    recorded.sort_by_key(|hook| hook.body["commit_id"].to_string());
    sent.sort_by_key(|hook| hook.body["commit_id"].to_string());
    for (recorded, sent) in recorded.iter().zip(&sent) {
        assert_eq!(recorded.path, sent.path);
        let (mut expected, mut body) = (recorded.body.clone(), sent.body.clone());
        for body in [&mut expected, &mut body] {
            let time: jiff::Timestamp = body["event_time"].as_str().unwrap().parse().unwrap();
            assert_eq!(time.subsec_nanosecond(), 0);
            body["event_time"] = Value::Null;
        }
        same(&expected, &body).unwrap();
        let names = |headers: &BTreeMap<String, String>| {
            let kept = headers.iter().map(|(name, value)| {
                let name = name.to_ascii_lowercase();
                let own = name == "host" || name == "content-length";
                (name, if own { String::new() } else { value.clone() })
            });
            kept.collect::<BTreeMap<_, _>>()
        };
        assert_eq!(names(&recorded.headers), names(&sent.headers));
    }
}

#[tokio::test]
async fn with_block_store_local_addresses_and_refusals_are_those_of_the_recording() {
    let exchanges = recorded::exchanges("local-store");
    let uploads: Vec<Exchange> = recorded::exchanges("s3-store")
        .into_iter()
        .take_while(|exchange| exchange.note != "commit")
        .filter(|exchange| exchange.note == "upload")
        .collect();
    let stand_in = StandIn::start(Settings::new(BlockStore::Local));
    let api = Api::new(&stand_in.endpoint, standin::ACCESS_KEY_ID, standin::SECRET_ACCESS_KEY);
    let listing = exchanges.iter().find(|exchange| exchange.note == "listing").unwrap();
    let recorded_at = |path: &str| {
        let lines = listing.body.as_ref().unwrap()["results"].as_array().unwrap();
        lines.iter().find(|line| line["path"] == path).unwrap().clone()
    };
    stand_in.script(uploads.iter().map(|upload| {
        let told = recorded_at(upload.object_path());
        let root = "local:///var/lib/lakefs/block/local-store2/";
        Scripted {
            address: told["physical_address"]
                .as_str()
                .unwrap()
                .strip_prefix(root)
                .unwrap()
                .to_owned(),
            mtime: (told["mtime"].as_i64().unwrap(), 0),
            checksum: (upload.object_path() == ACTION_FILE).then(|| told["checksum"].as_str().unwrap().to_owned()),
            metadata_order: Vec::new(),
        }
    }));
    for number in 0..5 {
        let address = format!("local:///data/in/y0/{number:05}");
        stand_in.put_outside_dated(&address, number.to_string(), (1_795_348_437, 0));
    }
    let (mut seen, mut found, mut known) = (BTreeMap::new(), Differences::default(), Vec::new());
    let mut ids: Vec<(String, String)> = Vec::new();
    for (place, exchange) in exchanges.iter().enumerate() {
        stand_in.set_now(now(&exchanges[place..], &mut known));
        let mut path = exchange.path.clone();
        for (recorded, ours) in &ids {
            path = path.replace(recorded, ours);
        }
        let reply = api.send(&exchange.method, &path, sent(exchange, &mut seen, "")).await;
        found.compare(place, exchange, &reply);
        if exchange.note == "create repository" {
            // What was not recorded: the uploads, the commit and the import.
            for upload in &uploads {
                let path = upload.path.replace("s3-store", "local-store");
                api.send("POST", &path, sent(upload, &mut seen, "name: none\n"))
                    .await
                    .expect(201);
            }
            let commit = commit_and_import(&api).await;
            ids.extend(commit);
        }
    }
    found.assert_none();
}

/// Commits and imports; gives the recorded ids of what came of it and ours.
async fn commit_and_import(api: &Api) -> Vec<(String, String)> {
    let base = "/api/v1/repositories/local-store/branches/main";
    let commit = Sent::json(&serde_json::json!({ "message": "odd keys" }));
    let commit = api
        .send("POST", &format!("{base}/commits"), commit)
        .await
        .expect(201)
        .json();
    let wanted = serde_json::json!({
        "paths": [{
            "path": "local:///data/in/", "type": "common_prefix", "destination": "imported/",
        }],
        "commit": { "message": "import" },
    });
    let import: Reply = api
        .send("POST", &format!("{base}/import"), Sent::json(&wanted))
        .await
        .expect(202);
    let id = import.json()["id"].as_str().unwrap().to_owned();
    let imported = loop {
        let told = api
            .send("GET", &format!("{base}/import"), Sent::default().query("id", &*id))
            .await
            .json();
        if told["completed"] == true {
            break told;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    };
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let recorded = [
        "905f7fccdd125e535a3b9a6eefb49cacac88c684c03869bc4051c234c6ed740d",
        "164bf8c9c43dab80f178cb51766c6fcafc582553826bb9d772413f568633be29",
        "75016fbec256379decae59cd1da5c23d1d91d9ae1b5391b534e0489d0dde000d",
    ];
    let ours = [&commit["id"], &commit["meta_range_id"], &imported["commit"]["id"]];
    recorded
        .iter()
        .zip(ours)
        .map(|(recorded, ours)| ((*recorded).to_owned(), text(ours)))
        .collect()
}
