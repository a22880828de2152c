//! What must never be printed.

use super::{Room, ended, said};
use crate::servers;

const CANARY: &str = "canary+secret/with=signs0123456789abcdefg";
const TOKEN: &str = "canary-token-FwoGZXIvYXdzEBYaD";
const PASSWORD: &str = "canary-password";

/// P10: at every level, whether it goes well or not, and in no file of ours.
#[tokio::test]
async fn no_secret_is_printed_at_any_level_on_success_or_failure() {
    for server in servers::both() {
        let room = Room::new(server).await;
        room.write("a", "1");
        room.write("b/c", "2");
        let path = room.export_path.to_string();
        let export = ["export", "dir:tree", "--export-path", &path];
        let loud = ["--log", "trace", "-vvv"];
        let secret = server.secret_key;
        let mut all = String::new();
        let mut run = async |words: &[&str], variables: &[(&str, &str)], endpoint: &str, code: i32| {
            let words = [words, &loud].concat();
            let mut command = room.program(endpoint, &words);
            command
                .envs(variables.iter().copied())
                .env("LAKESYNC_LOG", "trace")
                .env("RUST_LOG", "trace");
            let output = ended(command.spawn().unwrap()).await;
            let text = said(&output);
            assert_eq!(output.status.code(), Some(code), "{} {words:?}: {text}", server.name);
            all.push_str(&text);
        };
        let here = server.endpoint.as_str();
        // What the library and the SDK log for a request is there only where requests are made and succeed.
        run(&export, &[], here, 0).await;
        run(&[&export[..], &["--json"]].concat(), &[], here, 0).await;
        for words in [
            ["status", &path].as_slice(),
            &["verify", &path, "--level", "bytes"],
            &["ledger", "dump", &path],
        ] {
            run(words, &[], here, 0).await;
        }
        run(&["config"], &[], here, 0).await;
        let wrong = [("AWS_SECRET_ACCESS_KEY", CANARY)];
        run(&export, &wrong, here, 1).await;
        run(
            &export,
            &[("AWS_SECRET_ACCESS_KEY", CANARY), ("AWS_SESSION_TOKEN", TOKEN)],
            here,
            1,
        )
        .await;
        run(&["doctor", &path], &wrong, here, 1).await;
        // Nobody listens there.
        run(&export, &wrong, "http://127.0.0.1:9", 1).await;
        let proxy = format!("http://user:{PASSWORD}@127.0.0.1:9");
        run(&export, &[("HTTP_PROXY", &proxy)], "http://store.invalid", 1).await;

        assert!(
            all.contains("DEBUG") || all.contains("TRACE"),
            "nothing was logged: {all}"
        );
        let password = PASSWORD.to_owned();
        for canary in [secret, CANARY, TOKEN, &password, "Signature=", "X-Amz-Signature"] {
            let line = all.lines().find(|line| line.contains(canary));
            assert!(line.is_none(), "{}: {canary} in {line:?}", server.name);
        }
        for key in room.bucket.keys().await {
            let bytes = room.bucket.read(&key).await;
            let text = String::from_utf8_lossy(&bytes);
            assert!(!text.contains(secret), "{}: {key}", server.name);
        }
    }
}
