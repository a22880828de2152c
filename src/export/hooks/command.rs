//! Runs a command with a limit of time, keeps the end of what it says, and leaves no process behind.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::{Hook, HookEnd, HookReport};

/// So much of what a command says is kept, its end: a page or two.
const OUTPUT_BYTES: usize = 16 * 1024;

/// Between being asked to end and being killed.
const ENDING: Duration = Duration::from_secs(2);

/// How long after its end its output is waited for: something it left in the background may hold the pipe for ever.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// The end of what a command says, both ways out in the order in which it came.
#[derive(Clone, Default)]
struct Tail(Arc<Mutex<Vec<u8>>>);

impl Tail {
    fn add(&self, bytes: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(bytes);
        let over = kept.len().saturating_sub(OUTPUT_BYTES);
        kept.drain(..over);
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

/// Kills the whole group of a command that is dropped while it runs; the group is its own, so that what the shell has
/// started goes, too, and a Ctrl-C on the terminal reaches us alone.
struct GroupGuard(Option<Pid>);

impl GroupGuard {
    fn send(&self, signal: Signal) {
        if let Some(group) = self.0
            && let Err(error) = kill_process_group(group, signal)
        {
            tracing::debug!(%error, "the hook's processes are gone already");
        }
    }
}

impl Drop for GroupGuard {
    fn drop(&mut self) {
        self.send(Signal::KILL);
    }
}

pub(super) async fn run(
    hook: Hook,
    command: &str,
    facts: &[(&'static str, String)],
    limit: Duration,
    cancel: &CancellationToken,
) -> HookReport {
    let began = Instant::now();
    tracing::info!(%hook, "hook begins");
    let tail = Tail::default();
    let end = match spawn(command, facts) {
        Ok((child, said)) => follow(child, said, &tail, limit, cancel).await,
        Err(error) => HookEnd::NotRun(error.to_string()),
    };
    let report = HookReport {
        hook,
        end,
        output: tail.text(),
        elapsed: began.elapsed(),
    };
    for line in report.output.lines() {
        tracing::info!(%hook, line, "said");
    }
    tracing::info!(%hook, end = %report.end, elapsed = ?report.elapsed, "hook ended");
    report
}

/// Starts the command; both ways out are one pipe, so that what it says comes in the order in which it is said.
fn spawn(command: &str, facts: &[(&'static str, String)]) -> std::io::Result<(Child, Receiver)> {
    let (said, says) = std::io::pipe()?;
    let said = Receiver::from_owned_fd(said.into())?;
    // No variable can hold a zero byte, and no name of a branch or commit should keep a hook from running.
    let facts = facts.iter().map(|(name, value)| (name, value.replace('\0', "")));
    let child = Command::new("sh")
        .arg("-c")
        .arg(command)
        .envs(facts)
        .stdin(Stdio::null())
        .stdout(says.try_clone()?)
        .stderr(says)
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    Ok((child, said))
}

async fn follow(mut child: Child, said: Receiver, tail: &Tail, limit: Duration, cancel: &CancellationToken) -> HookEnd {
    let id = child.id().and_then(|id| i32::try_from(id).ok());
    let mut group = GroupGuard(id.and_then(Pid::from_raw));
    let reader = AbortOnDropHandle::new(tokio::spawn(read(said, tail.clone())));
    let ended = tokio::select! {
        ended = child.wait() => Some(end_of(ended)),
        () = sleep(limit) => None,
        () = cancel.cancelled() => None,
    };
    let end = match ended {
        Some(end) => end,
        None => {
            group.send(Signal::TERM);
            // Its own end does not matter any more: it was not in time.
            if timeout(ENDING, child.wait()).await.is_err() {
                group.send(Signal::KILL);
                drop(child.wait().await);
            }
            if cancel.is_cancelled() {
                HookEnd::Stopped
            } else {
                HookEnd::TimedOut
            }
        }
    };
    if matches!(end, HookEnd::TimedOut | HookEnd::Stopped) {
        // What the shell has started may have outlived it.
        group.send(Signal::KILL);
    }
    // The number may be another's from here on; what was left in the background is meant to stay.
    group.0 = None;
    drop(timeout(LAST_WORDS, reader).await);
    end
}

async fn read(mut from: Receiver, tail: Tail) {
    let mut buffer = vec![0; 4096];
    // A pipe that breaks has nothing more to say.
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        tail.add(&buffer[..length]);
    }
}

fn end_of(ended: std::io::Result<ExitStatus>) -> HookEnd {
    match ended {
        Ok(status) => match (status.code(), status.signal()) {
            (Some(0), _) => HookEnd::Success,
            (Some(code), _) => HookEnd::Code(code),
            (None, Some(signal)) => HookEnd::Signal(signal),
            (None, None) => HookEnd::NotRun("its end is not known".to_owned()),
        },
        Err(error) => HookEnd::NotRun(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    async fn ran(command: &str, limit: Duration) -> HookReport {
        let facts = [("LAKESYNC_COMMIT", "c\0 1".to_owned())];
        run(Hook::BeforeExport, command, &facts, limit, &CancellationToken::new()).await
    }

    #[tokio::test]
    async fn a_command_has_its_facts_and_its_end_is_told() {
        let report = ran("echo \"$LAKESYNC_COMMIT\"; echo err >&2; exit 3", LONG).await;
        assert_eq!(report.end, HookEnd::Code(3));
        let mut lines: Vec<&str> = report.output.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["c 1", "err"]);
        assert_eq!(ran("exit 0", LONG).await.end, HookEnd::Success);
        assert_eq!(ran("kill -9 $$", LONG).await.end, HookEnd::Signal(9));
    }

    #[tokio::test]
    async fn the_end_of_much_output_is_kept() {
        let report = ran("i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done", LONG).await;
        assert_eq!(report.end, HookEnd::Success);
        assert!(report.output.len() <= OUTPUT_BYTES, "{}", report.output.len());
        assert!(report.output.ends_with("line 19999\n"), "{}", report.last_line());
    }

    #[tokio::test]
    async fn what_takes_too_long_is_ended_with_all_that_it_started() {
        let room = tempfile::tempdir().unwrap();
        let file = room.path().join("pid");
        // It does not end when it is asked, and the shell waits for a child.
        let command = format!(
            "trap '' TERM; sleep 1000 & echo $! > {}; wait; sleep 1000",
            file.display()
        );
        let report = ran(&command, Duration::from_millis(300)).await;
        assert_eq!(report.end, HookEnd::TimedOut);
        let child: i32 = std::fs::read_to_string(file).unwrap().trim().parse().unwrap();
        let state = || std::fs::read_to_string(format!("/proc/{child}/stat"));
        // Killed, and perhaps not yet reaped by whoever inherited it.
        while state().is_ok_and(|stat| !stat.contains(") Z ")) {
            sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn what_is_left_in_the_background_is_not_waited_for() {
        let report = ran("sleep 5 & echo done", LONG).await;
        assert_eq!((report.end, report.output.as_str()), (HookEnd::Success, "done\n"));
        assert!(report.elapsed < Duration::from_secs(4), "{:?}", report.elapsed);
    }

    #[tokio::test]
    async fn a_stop_ends_a_command() {
        let cancel = CancellationToken::new();
        cancel.cancel();
        let report = run(Hook::AfterExport, "sleep 1000", &[], LONG, &cancel).await;
        assert_eq!(report.end, HookEnd::Stopped);
    }
}
