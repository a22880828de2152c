//! Starts a server on free ports, waits till it works, and sees to it that it dies with this process.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::AtomicU32;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::Server;
use super::recipe::{ACCESS_KEY, REGION, Recipe, SECRET_KEY, tied_to_this_thread};

/// How long a server may take; SeaweedFS needs 4 s on an idle machine.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// How often a start is tried again on other ports, since another program can take one meanwhile.
const STARTS: usize = 3;

/// Starts a server and returns once it has taken an object and given it back.
///
/// The kernel kills the server when the thread that started it ends, so that thread is one of our own that
/// lives as long as the process: no way of ending the process, SIGKILL included, leaves a server behind.
pub fn start(recipe: Recipe) -> Result<Server, String> {
    let (tell, hear) = mpsc::channel();
    std::thread::spawn(move || match start_here(recipe) {
        Ok((server, mut child)) => {
            tell.send(Ok(server)).expect("the starter waits for this");
            // Ends early only where the server dies under the tests, which then say so themselves.
            let _ended = child.wait();
        }
        Err(problem) => tell.send(Err(problem)).expect("the starter waits for this"),
    });
    let name = recipe.name();
    hear.recv()
        .unwrap_or_else(|_| Err(format!("{name}: the thread that starts it panicked")))
}

fn start_here(recipe: Recipe) -> Result<(Server, Child), String> {
    let program = recipe.program()?;
    sweep(&all_shelves());
    let mut problem = String::new();
    for attempt in 0..STARTS {
        let folder = shelf().join(format!("{}-{attempt}", recipe.name()));
        match launch(recipe, &program, &folder) {
            Ok(started) => return Ok(started),
            Err(Failure::Ended(what)) => problem = what,
            Err(Failure::Stuck(what)) => return Err(what),
        }
    }
    Err(problem)
}

fn all_shelves() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("servers")
}

/// The folder for all servers of this process; a later one sweeps it away.
pub fn shelf() -> PathBuf {
    all_shelves().join(std::process::id().to_string())
}

enum Failure {
    /// The server gave up by itself; another port may help.
    Ended(String),
    /// It runs and does not work, or could not be run at all.
    Stuck(String),
}

fn launch(recipe: Recipe, program: &Path, folder: &Path) -> Result<(Server, Child), Failure> {
    let name = recipe.name();
    let stuck = |error: std::io::Error| Failure::Stuck(format!("{name} cannot be started in {folder:?}: {error}"));
    fs::create_dir_all(folder).map_err(stuck)?;
    let ports = free_ports(recipe.port_count());
    fs::write(
        folder.join("ports"),
        ports.iter().map(|port| format!("{port}\n")).collect::<String>(),
    )
    .map_err(stuck)?;
    let log = folder.join("log");
    let output = File::create(&log).map_err(stuck)?;
    let mut command = tied_to_this_thread(program);
    command
        .args(recipe.arguments(folder, &ports).map_err(stuck)?)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(output.try_clone().map_err(stuck)?)
        .stderr(output);
    let mut child = command.spawn().map_err(stuck)?;
    let server = Server {
        name,
        endpoint: format!("http://127.0.0.1:{}", ports[0]),
        access_key: ACCESS_KEY,
        secret_key: SECRET_KEY,
        region: REGION,
        buckets: AtomicU32::new(0),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(stuck)?;
    match runtime.block_on(wait_till_ready(&server, &mut child)) {
        Ok(()) => Ok((server, child)),
        Err(failure) => {
            // It may have ended already; either way it is gone after the wait.
            let _gone = child.kill();
            let _reaped = child.wait();
            Err(match failure {
                Failure::Ended(what) => Failure::Ended(format!("{what}\n{}", tail(&log))),
                Failure::Stuck(what) => Failure::Stuck(format!("{what}\n{}", tail(&log))),
            })
        }
    }
}

/// Tries until an object can be written: SeaweedFS answers long before it has a place for bytes.
async fn wait_till_ready(server: &Server, child: &mut Child) -> Result<(), Failure> {
    const BUCKET: &str = "ready";
    let until = Instant::now() + READY_WITHIN;
    let client = server.client();
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return Err(Failure::Ended(format!("{} ended by itself: {status}", server.name)));
        }
        // It fails when it is there from the last round, which the write below shows.
        let _made = client.create_bucket().bucket(BUCKET).send().await;
        let problem = match client
            .put_object()
            .bucket(BUCKET)
            .key("ready")
            .body(b"ready".to_vec().into())
            .send()
            .await
        {
            Ok(_) => return Ok(()),
            Err(error) => format!("{error:?}"),
        };
        if Instant::now() > until {
            let name = server.name;
            return Err(Failure::Stuck(format!(
                "{name} took no object within {READY_WITHIN:?}: {problem}"
            )));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Finds ports that are free, and whose twins 10,000 above are, too.
///
/// All lie below 32,768, where Linux begins to take ports for outgoing connections. Where they start
/// depends on the process, so that two test binaries at once rarely try the same.
pub fn free_ports(count: usize) -> Vec<u16> {
    const FIRST: u16 = 10_000;
    const SPAN: u16 = 12_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let step = NEXT.fetch_add(97, std::sync::atomic::Ordering::Relaxed);
    let start = std::process::id().wrapping_mul(7_919).wrapping_add(step) % u32::from(SPAN);
    let start = u16::try_from(start).expect("it is less than the span");
    let free = |port: &u16| {
        [*port, *port + 10_000]
            .iter()
            .all(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
    };
    let ports: Vec<u16> = (0..SPAN)
        .map(|offset| FIRST + (start + offset) % SPAN)
        .filter(free)
        .take(count)
        .collect();
    assert_eq!(ports.len(), count, "no free ports between {FIRST} and {}", FIRST + SPAN);
    ports
}

/// Removes what servers of test processes that are gone have left; at their end nobody was there to do it.
fn sweep(shelf: &Path) {
    let Ok(folders) = fs::read_dir(shelf) else {
        return;
    };
    for folder in folders.flatten() {
        if Path::new("/proc").join(folder.file_name()).exists() {
            continue;
        }
        for ports in fs::read_dir(folder.path()).into_iter().flatten().flatten() {
            remove_sockets(&ports.path().join("ports"));
        }
        // Another test process may sweep at the same time; what one misses the other or the next one takes.
        let _swept = fs::remove_dir_all(folder.path());
    }
}

/// SeaweedFS puts sockets named after its ports into `/tmp`, whatever TMPDIR says.
fn remove_sockets(ports: &Path) {
    let ports = fs::read_to_string(ports).unwrap_or_default();
    for port in ports.lines().filter_map(|line| line.parse::<u16>().ok()) {
        for part in ["master", "volume", "filer", "s3"] {
            // Most of these names never existed.
            for name in [format!("{part}-{port}"), format!("{part}-grpc-{}", port + 10_000)] {
                let _removed = fs::remove_file(format!("/tmp/seaweedfs-{name}.sock"));
            }
        }
    }
}

/// The last lines of a server's log.
pub fn tail(log: &Path) -> String {
    let text = fs::read(log).map_or_else(
        |error| format!("no log: {error}"),
        |bytes| String::from_utf8_lossy(&bytes).into_owned(),
    );
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}

#[test]
fn a_server_is_gone_as_soon_as_the_thread_that_started_it() {
    let until = Instant::now() + Duration::from_secs(10);
    let child = std::thread::spawn(move || {
        let mut command = tied_to_this_thread(Path::new("/bin/sleep"));
        let child = command.arg("1000").stdin(Stdio::null()).spawn().unwrap();
        // The tie is made before the program itself begins.
        let name = format!("/proc/{}/comm", child.id());
        while fs::read_to_string(&name).unwrap() != "sleep\n" {
            assert!(Instant::now() < until, "setpriv did not start the program");
            std::thread::sleep(Duration::from_millis(1));
        }
        child
    });
    let mut child = child.join().unwrap();
    while child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < until, "the child outlived its thread");
        std::thread::sleep(Duration::from_millis(5));
    }
}
