//! `tests/read_status.py`, kept running: importing boto3 takes longer than all its checks.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

use super::{Audit, Expected};
use crate::servers::Server;

struct Reader {
    // Ends by itself when its standard input does.
    _child: Child,
    asks: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// Fails unless the reader finds what its page says; one check at a time.
pub fn agrees(audit: &Audit, expected: &Expected) {
    static READER: OnceLock<Mutex<Reader>> = OnceLock::new();
    let mut words = vec![
        audit.server.endpoint.clone(),
        audit.export_path.bucket.to_string(),
        audit.status_path.prefix.to_string(),
        audit.export_path.prefix.to_string(),
        format!("--status-bucket={}", audit.status_path.bucket),
    ];
    words.extend(expected.foreign.keys().map(|path| format!("--foreign={path}")));
    let reader = READER.get_or_init(|| Mutex::new(start(audit.server)));
    // Where another test failed in the middle of a check, what it left unread would answer ours.
    let mut reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
    let answer = reader.ask(&words);
    drop(reader);
    let (code, line): (i32, String) = serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{answer}: {error}"));
    assert_eq!(code, 0, "{}: {words:?}: {line}", audit.server.name);
    let objects = format!(" {} objects as recorded", expected.files.len());
    assert!(line.contains(&objects), "{}: not {objects}: {line}", audit.server.name);
}

impl Reader {
    fn ask(&mut self, words: &[String]) -> String {
        writeln!(self.asks, "{}", serde_json::to_string(words).unwrap()).unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        answer
    }
}

/// A script of `tests/`, with the keys of a server; both servers have the same.
pub fn script(name: &str, server: &Server) -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let home = std::env::var_os("LAKESYNC_TEST_SERVERS").map_or_else(|| root.join(".servers"), Into::into);
    let mut command = Command::new(home.join("venv/bin/python"));
    command
        .arg(root.join("tests").join(name))
        .env_clear()
        .env("AWS_ACCESS_KEY_ID", server.access_key)
        .env("AWS_SECRET_ACCESS_KEY", server.secret_key)
        .env("AWS_DEFAULT_REGION", server.region);
    command
}

fn start(server: &Server) -> Reader {
    let mut child = script("read_status.py", server)
        .arg("--batch")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("run tools/servers.sh: the reader of status files does not start: {error}"));
    Reader {
        asks: child.stdin.take().unwrap(),
        answers: BufReader::new(child.stdout.take().unwrap()),
        _child: child,
    }
}
