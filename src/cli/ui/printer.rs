//! The thread that writes.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::Talk;
use super::event::Context;
use crate::cli::progress::{Drawer, Meter};

/// 15 drawings a second look smooth and cost nothing.
const TICK: Duration = Duration::from_millis(66);

/// How answers and talk look.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings {
    /// Answers are JSON Lines.
    pub json: bool,
    /// How much is said.
    pub talk: Talk,
    /// Whether stderr is a terminal on which bars can be drawn.
    pub stderr_moves: bool,
    /// Whether stderr may have colours.
    pub stderr_colours: bool,
    /// Whether stdout may have colours.
    pub stdout_colours: bool,
}

/// What the thread is told.
pub enum Line {
    /// Text for stdout, with its line end.
    Answer(String),
    /// A line for stderr, without its end.
    Talk(String),
    /// The run to draw from now on, or none.
    Meter(Option<Arc<Meter>>),
    /// Write all and end.
    End,
}

/// The state of the thread.
pub struct Printer {
    settings: Settings,
    closed: Arc<AtomicBool>,
    context: Arc<Mutex<Context>>,
    stdout: std::io::BufWriter<std::io::Stdout>,
    drawer: Option<Drawer>,
}

impl Printer {
    /// Prepares to write to the process's own streams.
    pub fn new(settings: Settings, closed: Arc<AtomicBool>, context: Arc<Mutex<Context>>) -> Self {
        Self {
            settings,
            closed,
            context,
            stdout: std::io::BufWriter::with_capacity(64 * 1024, std::io::stdout()),
            drawer: None,
        }
    }

    /// Writes until told to end, or until nobody is left who could tell.
    pub fn run(mut self, waiting: &Receiver<Line>) {
        loop {
            let line = match waiting.try_recv() {
                Ok(line) => line,
                Err(TryRecvError::Disconnected) => break,
                Err(TryRecvError::Empty) => {
                    self.flush();
                    // Without a run to draw there is nothing to wake up for.
                    let patience = if self.drawer.is_some() {
                        TICK
                    } else {
                        Duration::from_secs(3_600)
                    };
                    match waiting.recv_timeout(patience) {
                        Ok(line) => line,
                        Err(RecvTimeoutError::Disconnected) => break,
                        Err(RecvTimeoutError::Timeout) => {
                            self.draw();
                            continue;
                        }
                    }
                }
            };
            match line {
                Line::Answer(text) => self.answer(&text),
                Line::Talk(text) => self.talk(&text),
                Line::Meter(meter) => {
                    if let Some(drawer) = self.drawer.take() {
                        drawer.clear();
                    }
                    self.drawer = meter.map(|meter| Drawer::new(meter, self.settings));
                }
                Line::End => break,
            }
            self.draw();
        }
        if let Some(drawer) = self.drawer.take() {
            drawer.clear();
        }
        self.flush();
    }

    fn draw(&mut self) {
        let Some(drawer) = &mut self.drawer else {
            return;
        };
        let drawn = drawer.tick(std::time::Instant::now());
        if let Some(progress) = drawn.event {
            let context = self.context.lock().expect("nothing panics while it is held").clone();
            let mut line = super::event::line(super::EventKind::Progress, &context, &progress);
            line.push('\n');
            self.answer(&line);
        }
        if let Some(text) = drawn.line {
            self.talk(&text);
        }
    }

    fn answer(&mut self, text: &str) {
        if self.closed.load(Ordering::Relaxed) {
            return;
        }
        let stdout = &mut self.stdout;
        let written = match &self.drawer {
            // Stdout may be the same terminal; what is left in the buffer would tear the bar later.
            Some(drawer) if drawer.has_bar() => drawer.aside(|| {
                stdout.write_all(text.as_bytes())?;
                stdout.flush()
            }),
            _ => stdout.write_all(text.as_bytes()),
        };
        self.note(&written);
    }

    fn talk(&mut self, text: &str) {
        self.flush();
        let write = || {
            let mut stderr = std::io::stderr().lock();
            // Where stderr is closed there is no place left to say so.
            let _ = writeln!(stderr, "{text}");
        };
        match &self.drawer {
            Some(drawer) => drawer.aside(write),
            None => write(),
        }
    }

    fn flush(&mut self) {
        let written = self.stdout.flush();
        self.note(&written);
    }

    /// Whatever is wrong with stdout, nothing more can be written there.
    fn note(&self, written: &std::io::Result<()>) {
        if written.is_err() {
            self.closed.store(true, Ordering::Relaxed);
        }
    }
}
