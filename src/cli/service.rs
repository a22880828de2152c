//! systemd is told that we are ready, what we do, and that we live.

use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::continuous::RunsReporter;
use super::world::World;
use crate::export::continuous::{ContinuousState, Phase};
use crate::progress;

/// So long may a run that sends, copies or deletes be without a sign of life: longer than all tries of one request
/// together, each with its time limit.
const STALLED: Duration = Duration::from_secs(10 * 60);

/// A service manager that wants to be told.
#[derive(Clone)]
pub struct Service {
    socket: Arc<UnixDatagram>,
    address: SocketAddr,
    /// So often at least it wants to hear that we live.
    watchdog: Option<Duration>,
}

impl Service {
    /// Finds out who wants to be told; nobody, unless systemd started us so.
    pub fn of(world: &World) -> Option<Self> {
        let path = world.variable("NOTIFY_SOCKET")?;
        let opened = address(path.as_encoded_bytes()).and_then(|address| {
            let socket = UnixDatagram::unbound()?;
            // A manager that does not listen must not hold us up.
            socket.set_nonblocking(true)?;
            Ok((socket, address))
        });
        let (socket, address) = opened
            .inspect_err(
                |error| tracing::warn!(%error, "NOTIFY_SOCKET cannot be used; the service manager is told nothing"),
            )
            .ok()?;
        Some(Self {
            socket: Arc::new(socket),
            address,
            watchdog: watchdog(world),
        })
    }

    /// Says that everything is open and watched.
    pub fn ready(&self) {
        self.send("READY=1");
    }

    /// Says that the configuration is being read again.
    pub fn reloading(&self) {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let now_us = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000;
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={now_us}"));
    }

    /// Says that the end has begun.
    pub fn stopping(&self) {
        self.send("STOPPING=1");
    }

    /// Says what goes on, and that it goes on, until it is dropped.
    pub async fn follow(
        self,
        mut state: watch::Receiver<ContinuousState>,
        reporter: Arc<RunsReporter>,
        hook: Duration,
    ) {
        self.ready();
        // Twice as often as asked, as systemd's manual says; without a watchdog only changes count.
        let pause = self
            .watchdog
            .map_or(Duration::from_secs(3_600), |watchdog| watchdog / 2);
        let mut said = String::new();
        loop {
            let text = status(&state.borrow_and_update());
            if text != said {
                self.send(&format!("STATUS={text}"));
                said = text;
            }
            let phase = state.borrow().phase;
            let beat = reporter.beat();
            if self.watchdog.is_some() && lives(phase, beat.phase, beat.at, hook) {
                self.send("WATCHDOG=1");
            }
            if let Ok(Err(_)) = tokio::time::timeout(pause, state.changed()).await {
                return;
            }
        }
    }

    /// Says what goes on, and that it goes on as long as `is_alive` says so, until it is dropped.
    #[cfg(feature = "serve")]
    pub async fn keep(self, status: impl Fn() -> String, is_alive: impl Fn() -> bool) {
        let pause = self.watchdog.map_or(Duration::from_secs(10), |watchdog| watchdog / 2);
        let mut said = String::new();
        loop {
            let text = status();
            if text != said {
                self.send(&format!("STATUS={text}"));
                said = text;
            }
            if self.watchdog.is_some() && is_alive() {
                self.send("WATCHDOG=1");
            }
            tokio::time::sleep(pause).await;
        }
    }

    fn send(&self, text: &str) {
        if let Err(error) = self.socket.send_to_addr(text.as_bytes(), &self.address) {
            tracing::debug!(%error, text, "the service manager was not told");
        }
    }
}

/// A path, or a name in the abstract namespace.
fn address(path: &[u8]) -> std::io::Result<SocketAddr> {
    use std::os::unix::ffi::OsStrExt as _;
    match path.strip_prefix(b"@") {
        #[cfg(target_os = "linux")]
        Some(name) => {
            use std::os::linux::net::SocketAddrExt as _;
            SocketAddr::from_abstract_name(name)
        }
        _ => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(path)),
    }
}

fn watchdog(world: &World) -> Option<Duration> {
    let number = |name| world.variable(name)?.to_str()?.parse::<u64>().ok();
    let is_ours = number("WATCHDOG_PID").is_none_or(|id| id == u64::from(std::process::id()));
    let time = Duration::from_micros(number("WATCHDOG_USEC")?);
    (is_ours && !time.is_zero()).then_some(time)
}

/// Whether it should go on. That this is asked at all says that the runtime lives; a run must also get on. Reading a
/// source tells nothing on the way and may take hours, so there is no limit to that.
fn lives(phase: Phase, run: progress::Phase, beat: Instant, hook: Duration) -> bool {
    if phase != Phase::Running {
        return true;
    }
    match run {
        progress::Phase::Look | progress::Phase::Plan => true,
        progress::Phase::Lock
        | progress::Phase::Settle
        | progress::Phase::Announce
        | progress::Phase::Transfer
        | progress::Phase::Record
        | progress::Phase::Finish => beat.elapsed() < STALLED + hook,
    }
}

fn status(state: &ContinuousState) -> String {
    let commit = match state.phase {
        Phase::Running => state.head.as_ref(),
        _ => state.exported.as_ref(),
    };
    let mut text = state.phase.to_string();
    if let Some(commit) = commit {
        text.push_str(&format!(" at {}", commit.short()));
    }
    if let Some(error) = &state.error {
        text.push_str(&format!(
            ": {}",
            super::ui::mask(&super::error::one_line(&error.message))
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manager_hears_through_a_path_or_an_abstract_name() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("notify");
        let name = format!("lakesync-test-{}", std::process::id());
        let abstract_address = address(format!("@{name}").as_bytes()).unwrap();
        let listeners = [
            (UnixDatagram::bind(&path).unwrap(), path.to_str().unwrap().to_owned()),
            (UnixDatagram::bind_addr(&abstract_address).unwrap(), format!("@{name}")),
        ];
        for (listener, socket) in listeners {
            let world = World::sealed(room.path(), &[("NOTIFY_SOCKET", &socket), ("WATCHDOG_USEC", "3000000")]);
            let service = Service::of(&world).unwrap();
            assert_eq!(service.watchdog, Some(Duration::from_secs(3)));
            service.ready();
            let mut buffer = [0; 100];
            let length = listener.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], b"READY=1");
        }
    }

    #[test]
    fn nobody_is_told_where_nobody_listens() {
        let folder = std::path::Path::new("/");
        assert!(Service::of(&World::sealed(folder, &[])).is_none());
        let other = [("WATCHDOG_USEC", "3000000"), ("WATCHDOG_PID", "1")];
        assert_eq!(watchdog(&World::sealed(folder, &other)), None);
        // A socket that nobody has bound.
        let world = World::sealed(folder, &[("NOTIFY_SOCKET", "/nowhere/notify")]);
        Service::of(&world).unwrap().ready();
    }

    #[test]
    fn a_run_that_does_not_get_on_is_dead_and_a_long_scan_is_not() {
        let hook = Duration::ZERO;
        let Some(long_ago) = Instant::now().checked_sub(STALLED + Duration::from_secs(1)) else {
            return; // a machine that was started a few minutes ago
        };
        assert!(!lives(Phase::Running, progress::Phase::Transfer, long_ago, hook));
        assert!(lives(Phase::Running, progress::Phase::Transfer, Instant::now(), hook));
        assert!(lives(Phase::Running, progress::Phase::Plan, long_ago, hook));
        assert!(lives(Phase::Idle, progress::Phase::Finish, long_ago, hook));
        assert!(lives(
            Phase::Running,
            progress::Phase::Finish,
            long_ago,
            Duration::from_secs(60)
        ));
    }
}
