//! The program itself: how it finds lakeFS, and that its flags reach what they are for.

use std::process::{Output, Stdio};

use tokio::process::Command;

use super::fill;
use super::world::World;
use crate::lakefs::server::{BlockStoreKind, LakeFsServer};
use crate::lakefs::standin::Call;
use crate::process::{ended, said, summary};
use crate::servers;

/// The program with some words, in an environment that knows both servers.
pub(super) fn program(world: &World<'_>, words: &[&str]) -> Command {
    let store = world.bucket.server;
    let mut command = Command::new(env!("CARGO_BIN_EXE_lakesync"));
    command
        .args(words)
        .current_dir(world.room())
        .env_clear()
        .env("HOME", world.room())
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_ACCESS_KEY_ID", store.access_key)
        .env("AWS_SECRET_ACCESS_KEY", store.secret_key)
        .env("AWS_REGION", store.region)
        .env("AWS_ENDPOINT_URL", &world.wire.endpoint)
        .env("LAKECTL_SERVER_ENDPOINT_URL", &world.server.endpoint)
        .env("LAKECTL_CREDENTIALS_ACCESS_KEY_ID", &world.server.access_key_id)
        .env("LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY", &world.server.secret_access_key)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

pub(super) async fn run(mut command: Command) -> Output {
    ended(command.spawn().unwrap()).await
}

/// An export that must succeed; gives its summary and all that was said.
async fn exported(world: &World<'_>, source: &str, words: &[&str]) -> (serde_json::Value, String) {
    let export_path = world.config.export_path.to_string();
    let first = ["export", source, "--export-path", &export_path, "--json"];
    let output = run(program(world, &[&first[..], words].concat())).await;
    assert_eq!(output.status.code(), Some(0), "{}: {}", world.name(), said(&output));
    (summary(&output), said(&output))
}

/// Whatever words name the branch, the same is exported and nothing twice.
#[tokio::test]
async fn every_way_to_name_a_branch_means_the_same_export() {
    for server in LakeFsServer::start_all().await {
        let world = World::new(&server).await;
        fill(&world).await;
        let name = &world.repository.name;
        let export_path = world.config.export_path.to_string();
        let whole = format!("lakefs://{name}/main");
        let (told, text) = exported(&world, &whole, &["-v"]).await;
        assert_eq!(
            told["put"].as_u64().unwrap() + told["copied"].as_u64().unwrap(),
            15,
            "{text}"
        );
        world.check(&world.repository.head("main").await).await;
        let old = format!("lakefs://{name}@main");
        let bare = format!("lakefs://{name}");
        for words in [
            &["export", &old][..],
            &["export", &bare],
            &["export", &bare, "--branch", "main"],
            &["repo", "export", name, "--branch", "main", "--once"],
            &["repo", "export", &bare, "--branch", "main"],
            &["branch", "export", name, "--branch", "main"],
        ] {
            let words = [words, &["--export-path", &export_path, "--json"]].concat();
            let output = run(program(&world, &words)).await;
            assert_eq!(output.status.code(), Some(0), "{words:?}: {}", said(&output));
            let told = summary(&output);
            assert_eq!(
                (&told["kept"], &told["put"]),
                (&15.into(), &0.into()),
                "{words:?}: {told}"
            );
        }
        let mut command = program(
            &world,
            &["repo", "export", "--branch", "main", "--export-path", &export_path],
        );
        command.env("LAKECTL_BASE_URI", &whole[..whole.len() - "main".len()]);
        let output = run(command).await;
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));

        // What people have for lakectl does.
        let file = world.room().join(".lakectl.yaml");
        let text = format!(
            "credentials:\n  access_key_id: {}\n  secret_access_key: {}\nserver:\n  endpoint_url: {}/api/v1\n",
            server.access_key_id, server.secret_access_key, server.endpoint
        );
        std::fs::write(&file, text).unwrap();
        let mut command = program(&world, &["ls", &whole]);
        for variable in [
            "SERVER_ENDPOINT_URL",
            "CREDENTIALS_ACCESS_KEY_ID",
            "CREDENTIALS_SECRET_ACCESS_KEY",
        ] {
            command.env_remove(format!("LAKECTL_{variable}"));
        }
        let ls = run(command).await;
        assert_eq!(ls.status.code(), Some(0), "{}", said(&ls));
        for listing in ["ranges", "pages"] {
            let other = run(program(&world, &["ls", &whole, "--listing", listing])).await;
            assert_eq!(other.stdout, ls.stdout, "{listing}: {}", said(&other));
        }
        assert_eq!(ls.stdout.split(|byte| *byte == b'\n').count(), 15 + 1, "{}", said(&ls));
    }
}

/// Flags reach what they are for.
#[tokio::test]
async fn transfer_and_listing_are_what_was_asked_for() {
    let server = LakeFsServer::stand_in_with(BlockStoreKind::S3, |_| ()).await;
    let stand_in = server.stand_in().unwrap();
    for (transfer, reads) in [("auto", 0), ("copy", 0), ("stream", 13)] {
        for (listing, lists) in [("auto", 0), ("ranges", 0), ("pages", 1)] {
            let world = World::new(&server).await;
            fill(&world).await;
            stand_in.forget();
            let source = format!("lakefs://{}/main/", world.repository.name);
            let words = ["--transfer", transfer, "--listing", listing, "--log", "info"];
            let (told, text) = exported(&world, &source, &words).await;
            // The plan promised what was done.
            let plan = format!("\"put\":{},", told["put"]);
            let line = text.lines().find(|line| line.contains("\"type\":\"plan\"")).unwrap();
            assert!(line.contains(&plan), "{words:?}: {line}, {told}");
            assert_eq!(
                (stand_in.count(Call::Read), stand_in.count(Call::List)),
                (reads, lists),
                "{words:?}: {text}"
            );
            assert_eq!(stand_in.count(Call::MetaRange) > 0, lists == 0, "{words:?}");
            let way = if lists == 0 { "ranges" } else { "pages" };
            assert!(text.contains(&format!("way={way}")), "{words:?}: {text}");
            world.check(&world.repository.head("main").await).await;
        }
    }
}

/// With a server or credentials of its own for the source, bytes come straight from there, and none through lakeFS.
#[tokio::test]
async fn the_store_behind_lakefs_is_read_straight_with_other_credentials() {
    let server = LakeFsServer::stand_in_with(BlockStoreKind::S3, |_| ()).await;
    let stand_in = server.stand_in().unwrap();
    let lake = servers::seaweedfs();
    for (profile, reads) in [("reader", 0), ("stranger", 13)] {
        let world = World::to(&server, servers::apart()).await;
        fill(&world).await;
        let file = format!(
            "[reader]\naws_access_key_id = {}\naws_secret_access_key = {}\n\n\
             [stranger]\naws_access_key_id = AKIASTRANGER\naws_secret_access_key = wrong\n",
            lake.access_key, lake.secret_key
        );
        std::fs::create_dir_all(world.room().join(".aws")).unwrap();
        std::fs::write(world.room().join(".aws/credentials"), file).unwrap();
        stand_in.forget();
        let source = format!("lakefs://{}/main", world.repository.name);
        let words = ["--source-endpoint-url", &lake.endpoint, "--source-profile", profile];
        let (told, text) = exported(&world, &source, &words).await;
        // Asked, and read from the store by a pre-signed URL.
        assert_eq!(stand_in.count(Call::Read), reads, "{profile}: {text}");
        assert_eq!(
            (&told["put"], &told["copied"]),
            (&15.into(), &0.into()),
            "{profile}: {told}"
        );
        assert_eq!(
            text.contains("cannot be read with --source-*"),
            reads > 0,
            "{profile}: {text}"
        );
        world.check(&world.repository.head("main").await).await;
    }
}
