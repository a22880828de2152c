//! The real lakeFS, where somebody has it: started on loopback with a throw-away folder and no word to the outside.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Mutex, OnceLock, mpsc};
use std::time::{Duration, Instant};

use super::http::{Api, Sent};
use super::server::BlockStoreKind;
use crate::servers::{self, free_ports, shelf, tail, tied_to_this_thread};

/// Says where the program is; without it tests use the stand-in.
pub const VARIABLE: &str = "LAKESYNC_TEST_LAKEFS";

/// The access key of the only user; it opens nothing but a server on loopback that dies with the test.
pub const ACCESS_KEY_ID: &str = "AKIATESTTESTTEST";
/// Its secret.
pub const SECRET_ACCESS_KEY: &str = "test-secret-of-lakefs";

/// How long it may take to start.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// A lakeFS server that runs until this process ends.
pub struct RealServer {
    /// `http://127.0.0.1:port`.
    pub endpoint: String,
    /// The folder that it may import from, with block store `local`.
    pub outside: PathBuf,
}

/// The program, where the environment names one.
pub fn program() -> Option<PathBuf> {
    let program = PathBuf::from(std::env::var_os(VARIABLE).filter(|value| !value.is_empty())?);
    assert!(
        program.is_file(),
        "{VARIABLE} names {}, which is no file",
        program.display()
    );
    Some(program)
}

/// The server with some block store; started by the first test that asks.
pub fn shared(block_store: BlockStoreKind, program: &Path) -> &'static RealServer {
    type Started = OnceLock<Result<RealServer, String>>;
    static SERVERS: Mutex<Option<HashMap<BlockStoreKind, &'static Started>>> = Mutex::new(None);
    let started: &'static Started = {
        let mut servers = SERVERS.lock().unwrap();
        // They live as long as the process, as what they run does.
        servers
            .get_or_insert_default()
            .entry(block_store)
            .or_insert_with(|| Box::leak(Box::default()))
    };
    // The failure is kept, so that each test says it and none waits for a second start.
    match started.get_or_init(|| start(block_store, program.to_owned())) {
        Ok(server) => server,
        Err(problem) => panic!("{problem}"),
    }
}

/// Starts it on a thread of its own, with which the kernel would kill it.
fn start(block_store: BlockStoreKind, program: PathBuf) -> Result<RealServer, String> {
    let (tell, hear) = mpsc::channel();
    std::thread::spawn(move || match launch(block_store, &program) {
        Ok((server, mut child)) => {
            tell.send(Ok(server)).expect("the starter waits for this");
            // Ends early only where the server dies under the tests, which then say so themselves.
            let _ended = child.wait();
        }
        Err(problem) => tell.send(Err(problem)).expect("the starter waits for this"),
    });
    hear.recv()
        .unwrap_or_else(|_| Err("the thread that starts lakeFS panicked".to_owned()))
}

fn launch(block_store: BlockStoreKind, program: &Path) -> Result<(RealServer, Child), String> {
    let problem = |error: std::io::Error| format!("{} cannot be started: {error}", program.display());
    let folder = shelf().join(format!("lakefs-{block_store:?}"));
    let outside = folder.join("outside");
    fs::create_dir_all(&outside).map_err(problem)?;
    let port = free_ports(1)[0];
    let log = folder.join("log");
    let output = File::create(&log).map_err(problem)?;
    let mut command = tied_to_this_thread(program);
    command
        .arg("run")
        .current_dir(&folder)
        // Whatever the caller has set for a lakeFS of their own stays with that.
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", &folder)
        .envs(environment(block_store, &folder, &outside, port))
        .stdin(Stdio::null())
        .stdout(output.try_clone().map_err(problem)?)
        .stderr(output);
    let mut child = command.spawn().map_err(problem)?;
    let server = RealServer {
        endpoint: format!("http://127.0.0.1:{port}"),
        outside,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(problem)?;
    match runtime.block_on(wait_till_ready(&server, &mut child)) {
        Ok(()) => Ok((server, child)),
        Err(what) => {
            // It may have ended already; either way it is gone after the wait.
            let _gone = child.kill();
            let _reaped = child.wait();
            Err(format!("{what}\n{}", tail(&log)))
        }
    }
}

async fn wait_till_ready(server: &RealServer, child: &mut Child) -> Result<(), String> {
    let until = Instant::now() + READY_WITHIN;
    let api = Api::new(&server.endpoint, ACCESS_KEY_ID, SECRET_ACCESS_KEY);
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return Err(format!("lakeFS ended by itself: {status}"));
        }
        // The port opens before the user is there.
        let reply = api.try_send("GET", "/api/v1/repositories", Sent::default()).await;
        match reply {
            Ok(reply) if reply.status == 200 => return Ok(()),
            other if Instant::now() > until => {
                return Err(format!("lakeFS is not ready after {READY_WITHIN:?}: {other:?}"));
            }
            _ => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

fn environment(block_store: BlockStoreKind, folder: &Path, outside: &Path, port: u16) -> Vec<(String, String)> {
    let text = |path: &Path| path.display().to_string();
    let mut variables = vec![
        ("LISTEN_ADDRESS", format!("127.0.0.1:{port}")),
        ("DATABASE_TYPE", "local".to_owned()),
        ("DATABASE_LOCAL_PATH", text(&folder.join("kv"))),
        ("COMMITTED_LOCAL_CACHE_DIR", text(&folder.join("cache"))),
        ("AUTH_ENCRYPT_SECRET_KEY", "test".to_owned()),
        ("INSTALLATION_USER_NAME", "admin".to_owned()),
        ("INSTALLATION_ACCESS_KEY_ID", ACCESS_KEY_ID.to_owned()),
        ("INSTALLATION_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY.to_owned()),
        // Nothing is told to anybody, and nobody asked for a newer version.
        ("STATS_ENABLED", "false".to_owned()),
        ("SECURITY_CHECK_LATEST_VERSION", "false".to_owned()),
        ("SECURITY_AUDIT_CHECK_URL", "http://127.0.0.1:9/".to_owned()),
        ("EMAIL_SUBSCRIPTION_ENABLED", "false".to_owned()),
    ];
    match block_store {
        BlockStoreKind::Local => variables.extend([
            ("BLOCKSTORE_TYPE", "local".to_owned()),
            ("BLOCKSTORE_LOCAL_PATH", text(&folder.join("block"))),
            ("BLOCKSTORE_LOCAL_IMPORT_ENABLED", "true".to_owned()),
            ("BLOCKSTORE_LOCAL_ALLOWED_EXTERNAL_PREFIXES", text(outside)),
        ]),
        BlockStoreKind::S3 => {
            let s3 = servers::seaweedfs();
            variables.extend([
                ("BLOCKSTORE_TYPE", "s3".to_owned()),
                ("BLOCKSTORE_S3_ENDPOINT", s3.endpoint.clone()),
                ("BLOCKSTORE_S3_FORCE_PATH_STYLE", "true".to_owned()),
                ("BLOCKSTORE_S3_REGION", s3.region.to_owned()),
                ("BLOCKSTORE_S3_DISCOVER_BUCKET_REGION", "false".to_owned()),
                ("BLOCKSTORE_S3_CREDENTIALS_ACCESS_KEY_ID", s3.access_key.to_owned()),
                ("BLOCKSTORE_S3_CREDENTIALS_SECRET_ACCESS_KEY", s3.secret_key.to_owned()),
            ]);
        }
    }
    let named = |(name, value)| (format!("LAKEFS_{name}"), value);
    variables.into_iter().map(named).collect()
}
