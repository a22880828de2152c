//! A registry on a disk that is full.

use super::http::Request;
use super::{Serving, command};
use crate::git_source::repository::Repository;
use crate::process::{Room, in_a_namespace};
use crate::servers;

/// Nothing of the registry is lost or half written, what runs goes on, and with some room all is well again.
#[tokio::test]
async fn a_full_disk_changes_nothing_and_stops_no_export() {
    let room = Room::new(servers::seaweedfs()).await;
    std::fs::create_dir_all(room.folder().join("exports")).unwrap();
    // A disk of eight pages, which only this server sees.
    let mount = "mount -t tmpfs -o size=32k,mode=700 none exports";
    let small = in_a_namespace(&command(&room, &[]), &["--mount"], mount);
    let serving = Serving::start_by(small, room, Repository::new()).await;
    serving.repository.write("a", "1");
    let first = serving.repository.commit("first");
    let mut made = 0;
    let refused = loop {
        let request = serving.request(&format!("e{made}"), &format!("out/{made}"));
        let reply = serving.post("/api/v1/exports", Some(&request)).await;
        if reply.status != 201 {
            break reply;
        }
        made += 1;
        assert!(made < 20, "the disk is never full");
    };
    assert_eq!(refused.status, 507, "{}", refused.text());
    let error = refused.error();
    assert!(
        error.contains("the disk is full") && error.contains(&format!("e{made}.toml")),
        "{error}"
    );
    assert!(made >= 2, "{made}");
    let is_there = async |number: usize| serving.get(&format!("/api/v1/exports/e{number}")).await.status;
    assert_eq!(is_there(made).await, 404);

    // A change that cannot be kept is not made.
    let stopped = serving.post("/api/v1/exports/e0/stop", None).await;
    assert_eq!(stopped.status, 507, "{}", stopped.text());
    serving.until_out("e0", first.as_str()).await;
    serving.repository.write("a", "2");
    let second = serving.repository.commit("second");
    for number in 0..made {
        serving.until_out(&format!("e{number}"), second.as_str()).await;
    }
    serving.check("out/0", &[("a", "2")]).await;
    // As the server sees the folder; what was half written would lie there.
    let seen = format!(
        "/proc/{}/root{}",
        serving.child.id().unwrap(),
        serving.registry().display()
    );
    let mut files: Vec<String> = std::fs::read_dir(seen)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    let mut expected: Vec<String> = (0..made).map(|number| format!("e{number}.toml")).collect();
    expected.sort();
    assert_eq!(files, expected);

    let removed = Request::new("DELETE", "/api/v1/exports/e1")
        .send(&serving.address)
        .await;
    assert_eq!(removed.status, 204, "{}", removed.text());
    let stopped = serving.post("/api/v1/exports/e0/stop", None).await;
    assert_eq!(stopped.json()["state"], "stopped", "{}", stopped.text());
    serving.create("later", "later").await;
    serving.until_out("later", second.as_str()).await;
}
