//! stdout is the answer, stderr is talk.
//!
//! One thread writes both and draws the bars: a terminal that was stopped, or a pipe that nobody empties, must not
//! hold up the tasks that renew the lease, and lines never tear a bar.

mod event;
mod mask;
mod printer;

#[cfg(test)]
pub use event::line as event_line;
pub use event::{Context, ErrorData, EventKind, WarningData};
pub use mask::mask;
pub use printer::Settings;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde::Serialize;

use super::error::{CliError, causes, one_line};
use super::exit::Exit;
use super::progress::Meter;
use printer::{Line, Printer};

use crate::model::{CommitId, RunId};

/// How many lines may wait: some seconds of the fastest run, in a few megabytes.
const LINES_WAITING: usize = 16 * 1024;

/// How much is said on stderr.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Talk {
    /// Only errors.
    pub quiet: bool,
    /// How many times `-v` was given.
    pub verbose: u8,
}

/// The way out of the program for all text. Cheap to clone.
#[derive(Clone)]
pub struct Ui {
    shared: Arc<Shared>,
}

struct Shared {
    settings: Settings,
    lines: SyncSender<Line>,
    closed: Arc<AtomicBool>,
    context: Arc<Mutex<Context>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Nobody reads stdout any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

impl From<Closed> for CliError {
    fn from(_: Closed) -> Self {
        Self::Closed
    }
}

impl Ui {
    /// Starts the thread that writes to the process's stdout and stderr.
    ///
    /// # Errors
    /// Fails where the system gives no thread.
    pub fn start(settings: Settings) -> std::io::Result<Self> {
        let (lines, waiting) = sync_channel(LINES_WAITING);
        let closed = Arc::new(AtomicBool::new(false));
        let context = Arc::new(Mutex::new(Context::default()));
        let printer = Printer::new(settings, Arc::clone(&closed), Arc::clone(&context));
        let thread = std::thread::Builder::new()
            .name("lakesync-ui".to_owned())
            .spawn(move || printer.run(&waiting))?;
        Ok(Self {
            shared: Arc::new(Shared {
                settings,
                lines,
                closed,
                context,
                thread: Mutex::new(Some(thread)),
            }),
        })
    }

    /// Writes what is still waiting and ends the thread; later lines go nowhere.
    pub fn finish(&self) {
        self.send(Line::End);
        let thread = self
            .shared
            .thread
            .lock()
            .expect("nothing panics while it is held")
            .take();
        if let Some(thread) = thread {
            // A panic there was printed by the panic hook; the exit code is the command's.
            drop(thread.join());
        }
    }

    /// Whether answers are JSON Lines.
    pub fn is_json(&self) -> bool {
        self.shared.settings.json
    }

    /// How much is said.
    pub fn talk_level(&self) -> Talk {
        self.shared.settings.talk
    }

    /// Writes a line of the answer.
    ///
    /// # Errors
    /// Fails where nobody reads stdout any more, so that a command that only answers can stop.
    pub fn answer(&self, line: impl Into<String>) -> Result<(), Closed> {
        let mut line = line.into();
        line.push('\n');
        self.answer_text(line)
    }

    /// Writes an answer that has its own line ends.
    ///
    /// # Errors
    /// As for [`Ui::answer`].
    pub fn answer_text(&self, text: String) -> Result<(), Closed> {
        self.send(Line::Answer(text));
        if self.shared.closed.load(Ordering::Relaxed) {
            Err(Closed)
        } else {
            Ok(())
        }
    }

    /// Writes an event to stdout, where `--json` asks for events.
    ///
    /// # Errors
    /// As for [`Ui::answer`]; a run that goes on without readers ignores it.
    pub fn event(&self, kind: EventKind, data: &impl Serialize) -> Result<(), Closed> {
        if !self.is_json() {
            return Ok(());
        }
        let line = event::line(kind, &self.context(), data);
        self.answer(line)
    }

    /// Names the run and the commit in all later events.
    pub fn in_run(&self, run: Option<RunId>, commit: Option<&CommitId>) {
        *self.shared.context.lock().expect("nothing panics while it is held") = Context {
            run,
            commit: commit.cloned(),
        };
    }

    /// Says something that may help; `--quiet` drops it.
    pub fn talk(&self, text: &str) {
        if !self.shared.settings.talk.quiet {
            self.send(Line::Talk(mask(text).into_owned()));
        }
    }

    /// Says something that the user should know and that stops nothing; `--quiet` drops it from stderr.
    pub fn warn(&self, text: &str) {
        let text = mask(&one_line(text)).into_owned();
        // A run goes on when nobody reads its events.
        let _ = self.event(EventKind::Warning, &WarningData { message: &text });
        if !self.shared.settings.talk.quiet {
            self.send(Line::Talk(format!("{} {text}", self.painted("Warning:", "33"))));
        }
    }

    /// Says what is wrong with one thing, while the others go on.
    pub fn problem(&self, text: &str) {
        self.send(Line::Talk(format!("lakesync: {}", mask(&one_line(text)))));
    }

    /// Prints a log line.
    pub fn log(&self, text: &str) {
        self.send(Line::Talk(mask(text).into_owned()));
    }

    /// Shows the progress of a run until `None` takes its place.
    pub fn show(&self, meter: Option<Arc<Meter>>) {
        self.send(Line::Meter(meter));
    }

    /// Says why the command ends, and gives the exit code for it.
    pub fn fatal(&self, error: &CliError) -> Exit {
        let exit = Exit::from(error);
        match error {
            CliError::Closed => return exit,
            CliError::Words(words) => return self.words(words, exit),
            _ => {}
        }
        let text = mask(&one_line(&error.to_string())).into_owned();
        let causes: Vec<String> = causes(error).iter().map(|cause| mask(cause).into_owned()).collect();
        let hint = error.hint();
        let data = ErrorData {
            message: &text,
            path: None,
            causes: &causes,
            hint,
            exit_code: Some(exit.code()),
        };
        // There is no better place to complain of a closed stdout than stderr, which comes next.
        let _ = self.event(EventKind::Error, &data);
        let mut lines = format!("{} {text}", self.painted("Error:", "1;31"));
        if !causes.is_empty() {
            lines.push_str("\nCaused by:");
            for (at, cause) in causes.iter().enumerate() {
                lines.push_str(&format!("\n{}: {cause}", at + 1));
            }
        }
        if let Some(hint) = hint {
            lines.push_str(&format!("\n{} {hint}", self.painted("Hint:", "36")));
        }
        self.send(Line::Talk(lines));
        exit
    }

    /// Prints what clap says: help and version are answers, the rest is an error.
    fn words(&self, error: &clap::Error, exit: Exit) -> Exit {
        let styled = error.render();
        if error.use_stderr() {
            let text = if self.shared.settings.stderr_colours {
                styled.ansi().to_string()
            } else {
                styled.to_string()
            };
            self.send(Line::Talk(mask(text.trim_end()).into_owned()));
            return exit;
        }
        let text = if self.shared.settings.stdout_colours {
            styled.ansi().to_string()
        } else {
            styled.to_string()
        };
        self.send(Line::Answer(text));
        Exit::Done
    }

    /// Says what is wrong with one object of a run, up to a number of them, and tells all to whoever reads events.
    pub fn object_failed(&self, path: &str, error: &str, shown: bool) {
        let text = mask(&one_line(error)).into_owned();
        let data = ErrorData {
            message: &text,
            path: Some(path),
            causes: &[],
            hint: None,
            exit_code: None,
        };
        // A run goes on when nobody reads its events.
        let _ = self.event(EventKind::Error, &data);
        if shown {
            self.problem(&format!("{path}: {text}"));
        }
    }

    fn context(&self) -> Context {
        self.shared
            .context
            .lock()
            .expect("nothing panics while it is held")
            .clone()
    }

    fn painted(&self, word: &str, colour: &str) -> String {
        if self.shared.settings.stderr_colours {
            format!("\x1b[{colour}m{word}\x1b[0m")
        } else {
            word.to_owned()
        }
    }

    /// Hands a line to the thread. Where too many wait, only this task waits, never the whole runtime: nothing is
    /// lost, and a slow reader slows the work down.
    fn send(&self, line: Line) {
        let Err(TrySendError::Full(line)) = self.shared.lines.try_send(line) else {
            return;
        };
        // The thread is gone only after `finish`; what comes later has no place to go.
        let wait = || drop(self.shared.lines.send(line));
        let flavor = tokio::runtime::Handle::try_current().map(|handle| handle.runtime_flavor());
        match flavor {
            Ok(tokio::runtime::RuntimeFlavor::MultiThread) => tokio::task::block_in_place(wait),
            _ => wait(),
        }
    }
}
