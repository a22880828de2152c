//! The command line as a user sees it: the real program in a sealed room, all that it says in one snapshot.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// A folder of its own, which is HOME and the current folder, and an environment with nothing else in it.
struct Room {
    folder: tempfile::TempDir,
    variables: Vec<(&'static str, &'static str)>,
}

impl Room {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("data/sub")).unwrap();
        std::fs::write(folder.path().join("data/a.txt"), "hello").unwrap();
        std::fs::write(folder.path().join("data/sub/b c.txt"), "").unwrap();
        Self {
            folder,
            variables: Vec::new(),
        }
    }

    fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.variables.push((name, value));
        self
    }

    fn file(self, name: &str, text: &str) -> Self {
        std::fs::write(self.path().join(name), text).unwrap();
        self
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lakesync"));
        command
            .args(words)
            .current_dir(self.path())
            .env_clear()
            .env("HOME", self.path())
            // The instance metadata service is asked for credentials otherwise, and takes its time to be absent.
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .envs(self.variables.iter().copied())
            .stdin(Stdio::null());
        command
    }

    fn output(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    /// What was typed, what was said where, and how it ended.
    fn run(&self, line: &str) -> String {
        let words: Vec<&str> = line.split_whitespace().collect();
        let output = self.output(&words);
        let clean = |bytes: &[u8]| {
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            let text = text.replace(self.path().to_str().unwrap(), "$HOME");
            assert!(
                !text.contains('\x1b'),
                "no colours and no movements off a terminal: {text:?}"
            );
            text
        };
        let mut shown = format!("$ lakesync {line}\n");
        for (name, text) in [("stdout", clean(&output.stdout)), ("stderr", clean(&output.stderr))] {
            if !text.is_empty() {
                write!(shown, "--- {name}\n{text}").unwrap();
                assert!(text.ends_with('\n'), "{name} ends in the middle of a line: {text:?}");
            }
        }
        writeln!(shown, "--- exit {}", output.status.code().unwrap()).unwrap();
        shown
    }
}

fn lines(room: &Room, lines: &[&str]) -> String {
    lines.iter().map(|line| room.run(line)).collect::<Vec<_>>().join("\n")
}

#[test]
fn nothing_typed_prints_the_help_and_is_wrong_use() {
    insta::assert_snapshot!(Room::new().run(""));
}

#[test]
fn help_is_an_answer_for_every_command() {
    let room = Room::new();
    for command in [
        "",
        "export",
        "repo",
        "repo export",
        "branch export",
        "status",
        "verify",
        "ls",
        "doctor",
        "ledger",
        "ledger dump",
        "ledger rebuild",
        "config",
        "completions",
        "man",
    ] {
        let mut words: Vec<&str> = command.split_whitespace().collect();
        words.push("--help");
        let output = room.output(&words);
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{command}");
        assert!(
            output.stderr.is_empty() && text.contains("Usage: lakesync"),
            "{command}: {text}"
        );
    }
    insta::assert_snapshot!(room.run("ls -h"));
    assert_eq!(
        room.run("--version"),
        format!(
            "$ lakesync --version\n--- stdout\nlakesync {}\n--- exit 0\n",
            env!("CARGO_PKG_VERSION")
        )
    );
}

#[test]
fn bad_words_are_one_clear_error() {
    insta::assert_snapshot!(lines(
        &Room::new(),
        &[
            "exprot data",
            "export data --export-pth s3://bucket",
            "export data --export-path bucket/x",
            "export data --export-path s3://b",
            "export data --export-path s3://bucket//x",
            "export data --export-path s3://bucket --part-size 8M",
            "export data --export-path s3://bucket --part-size 1MiB",
            "export data --export-path s3://bucket --lock-wait soon",
            "export data --export-path s3://bucket --max-cache-size 1G",
            "export data --export-path s3://bucket --max-delete 200%",
            "export data --export-path s3://bucket --header Cache-Control",
            "export data --export-path s3://bucket --endpoint-url localhost:8333",
            "verify s3://bucket --level deep",
            "man exprot",
            "ls data --log [",
        ]
    ));
}

#[test]
fn bad_sources_are_one_clear_error_with_the_cure() {
    insta::assert_snapshot!(lines(
        &Room::new(),
        &[
            "export",
            "export data",
            "export gone --export-path s3://bucket",
            "export data/a.txt --export-path s3://bucket",
            "export git:data --export-path s3://bucket",
            "export lakefs://repo/main --export-path s3://bucket",
            "export lakefs://repo/main --lakefs-endpoint-url http://127.0.0.1:1 --export-path s3://bucket",
            "export lakefs://repo/main --lakefs-endpoint-url https://me:hunter2@host --export-path s3://bucket",
            "export lakefs://repo/main$ --export-path s3://bucket",
            "export lakefs://me:hunter2@repo/main --export-path s3://bucket",
            "export lakefs://Repo --export-path s3://bucket",
            "export lakefs://repo/main --branch dev --export-path s3://bucket",
            "export s3://bucket/x --export-path s3://bucket",
            "export https://user:hunter2@host/x.git --export-path s3://bucket",
            "export git@host:x.git --export-path s3://bucket",
            "export data --branch main --export-path s3://bucket",
            "export data --export-path s3://bucket/_lakesync",
            "repo export --branch main --export-path s3://bucket",
            "repo export data --branch main --export-path s3://bucket",
            "repo export ./data --start --export-path s3://bucket",
            "branch export ./data --stop",
            "branch export ./data --once --export-path s3://bucket",
            "status",
        ]
    ));
}

#[test]
fn bad_layers_are_named_with_their_place() {
    let file = |text: &str| Room::new().file("lakesync.toml", text).run("config");
    let variable = |name, value| Room::new().with(name, value).run("config");
    let all = [
        file("# mine\npart_size = \"8MiB\"\n"),
        file("part-size = 8\n"),
        file("region = \"a\nb\"\n"),
        file("include = [1, [2]]\n"),
        variable("LAKESYNC_PART_SIZ", "8MiB"),
        variable("LAKESYNC_CONCURRENCY", "0"),
        Room::new().run("config --config gone.toml"),
    ];
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn config_shows_what_lakectl_says_and_never_the_secret() {
    let file = "credentials:\n  access_key_id: AKIA1\n  secret_access_key: hunter2\n\
                server:\n  endpoint_url: http://127.0.0.1:8000\n";
    let room = Room::new()
        .file(".lakectl.yaml", file)
        .with("LAKESYNC_LAKEFS_ACCESS_KEY_ID", "OWN")
        .with("LAKESYNC_LAKEFS_SECRET_ACCESS_KEY", "hunter2");
    let text = room.run("config");
    assert!(!text.contains("hunter2"), "{text}");
    for (key, value, origin) in [
        ("lakefs-endpoint-url", "http://127.0.0.1:8000", ".lakectl.yaml:5)"),
        ("lakefs-access-key-id", "OWN", "(LAKESYNC_LAKEFS_ACCESS_KEY_ID)"),
        ("lakefs-secret-access-key", "***", "(LAKESYNC_LAKEFS_SECRET_ACCESS_KEY)"),
    ] {
        let line = text.lines().find(|line| line.starts_with(key)).unwrap_or_default();
        assert!(
            line.contains(&format!("\"{value}\"")) && line.ends_with(origin),
            "{line:?}"
        );
    }
    let flag = room.run("config --lakefs-endpoint-url https://other");
    assert!(flag.contains("\"https://other\"  (command line)"), "{flag}");
}

#[test]
fn config_shows_each_value_and_where_it_comes_from() {
    let room = Room::new()
        .file(
            "lakesync.toml",
            "part-size = \"16MiB\"\nexclude = [\"*.tmp\", \"/private/\"]\nadopt = true\n",
        )
        .with("LAKESYNC_EXPORT_PATH", "s3://bucket/a")
        .with("LAKESYNC_SOURCE", "https://user:hunter2@host/x.git")
        .with("LAKESYNC_ADOPT", "no")
        .with("LAKESYNC_MAX_CACHE_SIZE", "64MiB");
    insta::assert_snapshot!(room.run("config --concurrency 7"));
    let json = room.run("config --json");
    let row = json.lines().find(|line| line.contains("\"part-size\"")).unwrap();
    let row: serde_json::Value = serde_json::from_str(row).unwrap();
    assert_eq!(row["type"], "value");
    assert_eq!(
        row["data"],
        serde_json::json!({"key": "part-size", "values": ["16MiB"], "origin": "lakesync.toml:1"})
    );
}

#[test]
fn a_warning_is_told_in_words_and_to_who_reads_events() {
    let room = Room::new();
    let said = room.run("ls data --cache data/a.txt/cache");
    let line = said.lines().find(|line| line.starts_with("Warning: "));
    assert!(
        line.is_some_and(|line| line.contains("the cache folder cannot be made")),
        "{said}"
    );
    assert!(!said.contains("lakesync::"), "{said}");
    let events = room.run("ls data --cache data/a.txt/cache --json");
    assert!(events.contains("\"type\":\"warning\""), "{events}");
    let logged = room.run("ls data --cache data/a.txt/cache --log warn");
    assert!(logged.contains(" WARN lakesync::"), "{logged}");
}

#[test]
fn a_cache_of_no_size_is_no_cache() {
    let room = Room::new();
    for (line, kept) in [
        ("ls data --cache kept", true),
        ("ls data --cache none --max-cache-size 0", false),
    ] {
        assert_eq!(room.output(&line.split(' ').collect::<Vec<_>>()).status.code(), Some(0));
        let folder = room.path().join(line.split(' ').nth(3).unwrap());
        assert_eq!(folder.exists(), kept, "{line}");
    }
}

#[test]
fn ls_lists_size_content_id_and_path() {
    let room = Room::new();
    assert!(room.run("ls data").contains(" data at b3tree:") || room.run("ls data").contains("data at b3tree:"));
    let listed = room.run("ls data --quiet");
    assert_eq!(
        listed,
        "$ lakesync ls data --quiet\n--- stdout\n           5 \
         b3:ea8f163db38682925e4491c5e58d4bb3506ef8c14eb78a86e908c5624a67200f a.txt\n           0 \
         b3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262 sub/b c.txt\n--- exit 0\n"
    );
    let json = room.run("ls data --json --quiet");
    let rows: Vec<serde_json::Value> = json
        .lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(rows.len(), 2);
    assert_eq!(
        (&rows[0]["type"], &rows[0]["v"], &rows[0]["data"]["path"]),
        (&"entry".into(), &1.into(), &"a.txt".into())
    );
    assert!(rows[0]["commit"].as_str().unwrap().starts_with("b3tree:"));
}

#[test]
fn completions_and_manual_pages_are_there_whatever_the_configuration_says() {
    let room = Room::new().file("lakesync.toml", "broken");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = room.output(&["completions", shell]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && text.contains("export-path"), "{shell}");
    }
    let page = room.output(&["man", "ledger-dump"]);
    assert!(
        String::from_utf8(page.stdout)
            .unwrap()
            .contains("lakesync\\-ledger\\-dump")
    );
    let output = room.output(&["man", "--dir", "pages"]);
    assert!(output.status.success());
    let pages: Vec<_> = std::fs::read_dir(room.path().join("pages"))
        .unwrap()
        .map(|page| page.unwrap().file_name())
        .collect();
    for page in [
        "lakesync.1",
        "lakesync-export.1",
        "lakesync-repo-export.1",
        "lakesync-ledger-dump.1",
    ] {
        assert!(pages.iter().any(|name| name == page), "{page} is not among {pages:?}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let room = Room::new();
    for number in 0..2_000 {
        std::fs::write(
            room.path().join(format!("data/file-with-a-rather-long-name-{number}")),
            "",
        )
        .unwrap();
    }
    for words in [["ls", "data"], ["completions", "bash"]] {
        let mut child = room
            .command(&words)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = [0; 1];
        let mut stdout = child.stdout.take().unwrap();
        stdout.read_exact(&mut first).unwrap();
        drop(stdout);
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{words:?}: {said}");
        assert!(!said.contains("Error"), "{said}");
    }
}

#[test]
fn errors_are_events_for_who_reads_events_and_quiet_drops_none() {
    let room = Room::new();
    let output = room.output(&["ls", "gone", "--json", "--quiet"]);
    let event: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(event["type"], "error");
    assert_eq!(event["data"]["message"], "gone: no such file or directory");
    assert_eq!(event["data"]["exit_code"], 2);
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "Error: gone: no such file or directory\n"
    );
}

#[test]
fn a_store_that_is_not_there_fails_with_the_cure_and_no_secret() {
    let room = Room::new()
        .with("AWS_ACCESS_KEY_ID", "canary-key")
        .with("AWS_SECRET_ACCESS_KEY", "canary-secret")
        .with("AWS_SESSION_TOKEN", "canary-token");
    // Nothing listens there.
    let endpoint = ["--endpoint-url", "http://127.0.0.1:9"];
    let output = room.output(&[&["status", "s3://bucket/x", "--log", "trace", "-vvv"][..], &endpoint].concat());
    assert_eq!(output.status.code(), Some(1));
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    for canary in ["canary-secret", "canary-token"] {
        assert!(!said.contains(canary), "{said}");
    }
    assert!(said.contains("Error: ") && said.contains("--endpoint-url"), "{said}");
}
