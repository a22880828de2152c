//! Who holds a lease, and whether that process is known to be dead.

use std::io;

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use serde::{Deserialize, Serialize};

/// One process, told apart from every other that ever was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The name of the machine, for people.
    pub host: String,
    /// The id that the kernel took when it started; empty where it tells none.
    pub boot_id: String,
    /// In which world of process ids `pid` counts; empty where the kernel tells none.
    pub pid_namespace: String,
    /// The process.
    pub pid: u32,
    /// When it started, in the kernel's ticks since boot, since process ids are used again.
    pub pid_start: u64,
}

impl Holder {
    /// This process. What the kernel does not tell stays empty, and nobody then takes us for dead.
    pub fn this_process() -> Self {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let pid = std::process::id();
        let namespace = std::fs::read_link("/proc/self/ns/pid");
        Self {
            host,
            boot_id: or_empty(std::fs::read_to_string("/proc/sys/kernel/random/boot_id"))
                .trim()
                .to_owned(),
            pid_namespace: or_empty(namespace.map(|target| target.to_string_lossy().into_owned())),
            pid,
            pid_start: look(pid).map_or(0, |process| process.start),
        }
    }

    /// Whether the holder is certainly dead, as far as `self` can look: only a process of the same boot and the
    /// same world of process ids can. When in doubt it lives, and its lease expires in time.
    pub(super) fn knows_dead(&self, other: &Self) -> bool {
        let same_world = !self.boot_id.is_empty()
            && !self.pid_namespace.is_empty()
            && self.boot_id == other.boot_id
            && self.pid_namespace == other.pid_namespace;
        if !same_world {
            return false;
        }
        let Some(pid) = i32::try_from(other.pid).ok().and_then(Pid::from_raw) else {
            return false;
        };
        // A signal and not a look into /proc, which may be mounted so that it hides other users' processes.
        match test_kill_process(pid) {
            Err(Errno::SRCH) => true,
            _ => look(other.pid)
                .is_some_and(|process| process.is_gone || (other.pid_start != 0 && process.start != other.pid_start)),
        }
    }
}

impl std::fmt::Display for Holder {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "process {} on {}", self.pid, self.host)
    }
}

fn or_empty(text: io::Result<String>) -> String {
    match text {
        Ok(text) => text,
        Err(error) => {
            tracing::debug!(%error, "the kernel does not tell who we are");
            String::new()
        }
    }
}

/// What /proc tells of a process.
struct Process {
    start: u64,
    /// It has ended and only waits to be fetched by its parent.
    is_gone: bool,
}

fn look(pid: u32) -> Option<Process> {
    parse_stat(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_stat(stat: &str) -> Option<Process> {
    // The second field is the program's name in parentheses, and may itself hold any of these letters.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?;
    // `state` is the third field of the line and the start the 22nd.
    let start = fields.nth(18)?.parse().ok()?;
    Some(Process {
        start,
        is_gone: matches!(state, "Z" | "X"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_living_process_is_not_called_dead_and_a_dead_one_is() {
        let me = Holder::this_process();
        assert!(me.pid_start > 0 && !me.boot_id.is_empty() && !me.host.is_empty());
        assert!(!me.knows_dead(&me));
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let of_child = Holder {
            pid: child.id(),
            pid_start: look(child.id()).unwrap().start,
            ..me.clone()
        };
        assert!(!me.knows_dead(&of_child));
        child.kill().unwrap();
        while look(child.id()).is_some_and(|process| !process.is_gone) {
            std::thread::yield_now();
        }
        assert!(me.knows_dead(&of_child), "killed, and not yet fetched by its parent");
        child.wait().unwrap();
        assert!(me.knows_dead(&of_child));
    }

    #[test]
    fn a_process_id_used_again_is_another_process() {
        let me = Holder::this_process();
        let earlier = Holder {
            pid_start: me.pid_start - 1,
            ..me.clone()
        };
        assert!(me.knows_dead(&earlier));
    }

    #[test]
    fn nothing_is_known_of_another_boot_or_another_world() {
        let me = Holder::this_process();
        let dead = Holder {
            pid_start: me.pid_start + 1,
            ..me.clone()
        };
        assert!(me.knows_dead(&dead));
        for (boot_id, pid_namespace) in [("other", me.pid_namespace.as_str()), (&me.boot_id, "pid:[1]"), ("", "")] {
            let elsewhere = Holder {
                boot_id: boot_id.to_owned(),
                pid_namespace: pid_namespace.to_owned(),
                ..dead.clone()
            };
            assert!(!me.knows_dead(&elsewhere));
        }
        let unknown = Holder {
            boot_id: String::new(),
            ..dead
        };
        assert!(!unknown.knows_dead(&unknown), "two unknown boots are not the same");
    }

    #[test]
    fn a_program_may_have_any_name() {
        let stat = format!("7 (a) R (b) Z{} 4242 1", " 0".repeat(18));
        let process = parse_stat(&stat).unwrap();
        assert!(process.is_gone);
        assert_eq!(process.start, 4242);
        assert!(parse_stat("7 (cut").is_none());
    }
}
