//! What the program says of bad words and of failures, and what it never prints.

use base64::Engine as _;

use super::fill;
use super::program::{program, run};
use super::world::World;
use crate::lakefs::server::LakeFsServer;
use crate::process::said;

/// A source, variables beside the usual ones, the exit code, and what the error must have in it.
type Case<'a> = (String, &'a [(&'a str, &'a str)], i32, &'a [&'a str]);

/// P9: bad words are one line that names the thing and the cure; nothing is written.
#[tokio::test]
async fn bad_names_and_keys_are_one_line_and_nothing_is_written() {
    for server in LakeFsServer::start_all().await {
        let world = World::new(&server).await;
        fill(&world).await;
        let export_path = world.config.export_path.to_string();
        let name = &world.repository.name;
        let main = format!("lakefs://{name}/main");
        let none: [(&str, &str); 0] = [];
        let wrong_host = [("LAKECTL_SERVER_ENDPOINT_URL", "http://127.0.0.1:9")];
        let page = format!("{}/some/page", server.endpoint);
        let wrong_path = [("LAKECTL_SERVER_ENDPOINT_URL", &*page)];
        let wrong_secret = [("LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY", "wrong-secret")];
        let half = [("LAKESYNC_LAKEFS_ACCESS_KEY_ID", "AKIAHALF")];
        let cases: [Case<'_>; 12] = [
            (
                main.clone(),
                &wrong_host,
                1,
                &["http://127.0.0.1:9", "cannot be reached", "check the address"],
            ),
            (main.clone(), &wrong_path, 2, &[&page, "web page"]),
            (main.clone(), &wrong_secret, 1, &["access key"]),
            (
                main.clone(),
                &half,
                2,
                &[
                    "LAKESYNC_LAKEFS_ACCESS_KEY_ID",
                    "LAKESYNC_LAKEFS_SECRET_ACCESS_KEY",
                    "missing",
                ],
            ),
            (
                "lakefs://no-such-repository/main".to_owned(),
                &none,
                2,
                &["no-such-repository", "no such repository"],
            ),
            (
                "lakefs://no-such-repository".to_owned(),
                &none,
                2,
                &["no-such-repository", "no such repository"],
            ),
            (
                format!("lakefs://{name}/mian"),
                &none,
                2,
                &["\"mian\"", "there are main"],
            ),
            (
                format!("lakefs://{name}/v9.9"),
                &none,
                2,
                &["no branch, tag or commit \"v9.9\""],
            ),
            (format!("lakefs://{name}/main~99"), &none, 2, &["main~99"]),
            (
                format!("lakefs://{name}/{}", "0123456789abcdef".repeat(4)),
                &none,
                2,
                &["0123456789abcdef"],
            ),
            (
                format!("lakefs://{name}/main$"),
                &none,
                2,
                &["not committed", "leave the `$` out"],
            ),
            (
                "lakefs://REPO/main".to_owned(),
                &none,
                2,
                &["REPO", "no name of a lakeFS repository"],
            ),
        ];
        for (source, variables, code, parts) in cases {
            let mut command = program(&world, &["export", &source, "--export-path", &export_path]);
            command.envs(variables.iter().copied());
            let output = run(command).await;
            let text = String::from_utf8(output.stderr.clone()).unwrap();
            let case = format!("{}, {source}, {variables:?}: {text}", server.name());
            assert_eq!(output.status.code(), Some(code), "{case}");
            for part in parts {
                assert!(text.contains(part), "no {part:?} in {case}");
            }
            let problems: Vec<&str> = text.lines().filter(|line| line.starts_with("Error:")).collect();
            assert_eq!(problems.len(), 1, "{case}");
            assert!(!text.contains("wrong-secret"), "{case}");
            assert_eq!(world.paths().await, [""; 0], "{case}");
        }
        // Nothing configured at all.
        let mut command = program(&world, &["export", &main, "--export-path", &export_path]);
        for variable in [
            "SERVER_ENDPOINT_URL",
            "CREDENTIALS_ACCESS_KEY_ID",
            "CREDENTIALS_SECRET_ACCESS_KEY",
        ] {
            command.env_remove(format!("LAKECTL_{variable}"));
        }
        let output = run(command).await;
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(
            said(&output).contains("no lakeFS server was named"),
            "{}",
            said(&output)
        );
        let keys = world.bucket.keys().await;
        assert!(keys.iter().all(|key| !key.contains("_STATUS_")), "{keys:?}");
    }
}

/// P9: a beginning that several commits share names none of them.
#[tokio::test]
async fn the_beginning_of_several_commit_ids_names_none() {
    for server in LakeFsServer::start_all().await {
        let world = World::new(&server).await;
        let mut ids: Vec<String> = Vec::new();
        let shared = loop {
            world.repository.upload("main", "a", format!("{}", ids.len())).await;
            let id = world.repository.commit("main", "one more").await.id;
            if let Some(other) = ids.iter().find(|other| other[..2] == id[..2]) {
                break other[..2].to_owned();
            }
            ids.push(id);
        };
        // Two letters may be too few for the server; either way it is one clear error.
        let source = format!("lakefs://{}/{shared}", world.repository.name);
        let export_path = world.config.export_path.to_string();
        let output = run(program(&world, &["export", &source, "--export-path", &export_path])).await;
        assert_eq!(output.status.code(), Some(2), "{}: {}", server.name(), said(&output));
        assert!(
            said(&output).contains(&format!("no branch, tag or commit {shared:?}")),
            "{}",
            said(&output)
        );
        assert_eq!(world.bucket.keys().await, [""; 0]);
    }
}

/// Exit code 1, and the status file and the summary name the object.
#[tokio::test]
async fn a_lost_object_is_named_and_the_exit_code_is_1() {
    for server in LakeFsServer::start_all().await {
        let world = World::new(&server).await;
        fill(&world).await;
        let head = world.repository.head("main").await;
        world.repository.lose(&head, "data/part-05").await;
        let export_path = world.config.export_path.to_string();
        let source = format!("lakefs://{}/main", world.repository.name);
        let output = run(program(&world, &["export", &source, "--export-path", &export_path])).await;
        let text = said(&output);
        assert_eq!(output.status.code(), Some(1), "{}: {text}", server.name());
        let line = text.lines().find(|line| line.contains("data/part-05"));
        assert!(
            line.is_some_and(|line| line.contains("data is gone")),
            "{}: {text}",
            server.name()
        );
        // Nor does the marker go out, which would say that all is there.
        assert_eq!(world.paths().await.len(), 13, "{}", server.name());
    }
}

/// P10: at every level, whether it goes well or not, and in no file of ours.
#[tokio::test]
async fn no_secret_of_lakefs_is_printed_at_any_level_on_success_or_failure() {
    for server in LakeFsServer::start_all().await {
        let world = World::new(&server).await;
        fill(&world).await;
        let main = format!("lakefs://{}/main", world.repository.name);
        let export_path = world.config.export_path.to_string();
        let loud = ["--log", "trace", "-vvv"];
        let canary = "canary+secret/with=signs0123456789abcdefg";
        let wrong = [("LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY", canary)];
        let export = ["export", &main, "--export-path", &export_path];
        let mut all = String::new();
        let mut say = async |words: &[&str], variables: &[(&str, &str)], code: i32| {
            let mut command = program(&world, &[words, &loud].concat());
            command
                .env("RUST_LOG", "trace")
                .env("LAKESYNC_LOG", "trace")
                .envs(variables.iter().copied());
            let output = run(command).await;
            let text = said(&output);
            assert_eq!(output.status.code(), Some(code), "{}, {words:?}: {text}", server.name());
            all.push_str(&text);
        };
        say(&[&export[..], &["--dry-run"]].concat(), &[], 0).await;
        say(&[&export[..], &["--transfer", "stream", "--json"]].concat(), &[], 0).await;
        say(&["ls", &main, "--listing", "pages"], &[], 0).await;
        say(&["config"], &[], 0).await;
        say(&export, &wrong, 1).await;
        world.repository.upload("main", "lost", "lost").await;
        let commit = world.repository.commit("main", "lost").await;
        world.repository.lose(&commit.id, "lost").await;
        say(&[&export[..], &["--transfer", "stream"]].concat(), &[], 1).await;
        assert!(
            all.contains("DEBUG") || all.contains("TRACE"),
            "nothing was logged: {all}"
        );
        let basic = format!("{}:{}", server.access_key_id, server.secret_access_key);
        let basic = base64::engine::general_purpose::STANDARD.encode(basic);
        for secret in [
            &*server.secret_access_key,
            canary,
            &basic,
            "X-Amz-Signature",
            "Signature=",
        ] {
            let line = all.lines().find(|line| line.contains(secret));
            assert!(line.is_none(), "{}: {secret} in {line:?}", server.name());
        }
        for key in world.bucket.keys().await {
            let bytes = world.bucket.read(&key).await;
            let text = String::from_utf8_lossy(&bytes);
            assert!(!text.contains(&server.secret_access_key), "{}: {key}", server.name());
        }
    }
}
