//! Draws a meter: a bar where that can be, a line every so often elsewhere.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Meter, ProgressData, Reading};
use crate::cli::human::{show_count, show_duration, show_size};
use crate::cli::ui::Settings;
use crate::progress::Phase;

/// A run that is over before this needs no bar, and one that flashes by is worse than none.
const BEFORE_BAR: Duration = Duration::from_millis(250);
/// In a log, a line each 10 s shows life and does not fill it.
const BETWEEN_LINES: Duration = Duration::from_secs(10);
/// Programs that read events show them to people, who want to see movement.
const BETWEEN_EVENTS: Duration = Duration::from_secs(1);
/// The rate is that of the last seconds: long enough to be calm, short enough to tell when a network slows down.
const RATE_WINDOW: Duration = Duration::from_secs(5);
/// The bar knows thousandths; they are more than it has columns.
const BAR_STEPS: u64 = 1_000;

/// What is to be written now.
#[derive(Debug, Default, PartialEq)]
pub struct Drawn {
    /// A line for stderr.
    pub line: Option<String>,
    /// The data of an event for stdout.
    pub event: Option<ProgressData>,
}

/// Draws one run.
pub struct Drawer {
    meter: Arc<Meter>,
    settings: Settings,
    bar: Option<ProgressBar>,
    samples: VecDeque<(Instant, u64)>,
    next_line: Duration,
    next_event: Duration,
}

impl Drawer {
    /// Prepares to draw a run.
    pub fn new(meter: Arc<Meter>, settings: Settings) -> Self {
        Self {
            meter,
            settings,
            bar: None,
            samples: VecDeque::new(),
            next_line: BETWEEN_LINES,
            next_event: BETWEEN_EVENTS,
        }
    }

    /// Whether a bar stands on the terminal.
    pub fn has_bar(&self) -> bool {
        self.bar.is_some()
    }

    /// Writes something where the bar stands, and draws the bar below it.
    pub fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    /// Takes the bar away; the summary says all that it said.
    pub fn clear(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }

    /// Draws the meter as it is, and says what else is to be written.
    pub fn tick(&mut self, now: Instant) -> Drawn {
        let reading = self.meter.read(now);
        let rate = self.rate(now, reading.bytes);
        let mut drawn = Drawn::default();
        if self.settings.json && reading.elapsed >= self.next_event {
            self.next_event = reading.elapsed + BETWEEN_EVENTS;
            drawn.event = Some(ProgressData::from(&reading));
        }
        if self.settings.talk.quiet {
            return drawn;
        }
        if self.settings.stderr_moves {
            if reading.elapsed >= BEFORE_BAR {
                let bar = self.bar.get_or_insert_with(new_bar);
                bar.set_message(status_text(&reading, rate));
                // Rounding down: full only when it is.
                bar.set_position((reading.share() * BAR_STEPS as f64) as u64);
            }
        } else if reading.elapsed >= self.next_line {
            self.next_line = reading.elapsed + BETWEEN_LINES;
            drawn.line = Some(status_text(&reading, rate));
        }
        drawn
    }

    /// Bytes per second over the window.
    fn rate(&mut self, now: Instant, bytes: u64) -> u64 {
        let newest = self.samples.back().map(|(at, _)| *at);
        // Ten samples a second are enough; more would only be kept.
        if newest.is_none_or(|at| now.saturating_duration_since(at) >= Duration::from_millis(100)) {
            self.samples.push_back((now, bytes));
        }
        while self.samples.len() > 2 && now.saturating_duration_since(self.samples[1].0) >= RATE_WINDOW {
            self.samples.pop_front();
        }
        let Some((since, before)) = self.samples.front() else {
            return 0;
        };
        let seconds = now.saturating_duration_since(*since).as_secs_f64();
        if seconds < 0.1 {
            0
        } else {
            (bytes.saturating_sub(*before) as f64 / seconds) as u64
        }
    }
}

fn new_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("[{bar:24}] {percent:>3}% {msg}").expect("the template is a constant");
    let target = ProgressDrawTarget::stderr_with_hz(15);
    ProgressBar::with_draw_target(Some(BAR_STEPS), target).with_style(style.progress_chars("=> "))
}

/// What a run is doing, in one line.
fn status_text(reading: &Reading, rate: u64) -> String {
    let phase = match reading.phase {
        Phase::Look => "looking for something to do",
        Phase::Lock => "taking the lease",
        Phase::Settle => "settling what a dead run left",
        Phase::Plan => "comparing tree and ledger",
        Phase::Announce => "writing intents",
        Phase::Transfer => "transfer",
        Phase::Record => "writing the ledger",
        Phase::Finish => "writing the status",
    };
    let (Phase::Transfer, Some((objects, bytes))) = (reading.phase, reading.total()) else {
        return format!("{phase}, {}", show_duration(reading.elapsed));
    };
    let mut text = format!(
        "{phase}: {} of {}, {} of {}",
        reading.objects,
        show_count(objects, "object"),
        show_size(reading.bytes.min(bytes)),
        show_size(bytes)
    );
    if rate > 0 {
        let left = bytes.saturating_sub(reading.bytes);
        text.push_str(&format!(", {}/s", show_size(rate)));
        if left > 0 {
            text.push_str(&format!(
                ", {} left",
                show_duration(Duration::from_secs(left.div_ceil(rate)))
            ));
        }
    }
    if reading.failed > 0 {
        text.push_str(&format!(", {} failed", reading.failed));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::cli::ui::Talk;
    use crate::progress::Totals;

    fn drawer(json: bool, quiet: bool) -> (Arc<Meter>, Drawer, Instant) {
        let meter = Arc::new(Meter::new());
        let began = meter.began;
        let settings = Settings {
            json,
            talk: Talk { quiet, verbose: 0 },
            ..Settings::default()
        };
        (Arc::clone(&meter), Drawer::new(meter, settings), began)
    }

    #[test]
    fn off_a_terminal_there_is_a_line_each_ten_seconds_with_exact_totals_and_a_rate() {
        let (meter, mut drawer, began) = drawer(false, false);
        let at = |seconds: u64| began + Duration::from_secs(seconds);
        assert_eq!(drawer.tick(at(9)), Drawn::default());
        assert_eq!(drawer.tick(at(10)).line.unwrap(), "looking for something to do, 10s");
        meter.phase.store(5, Ordering::Relaxed);
        meter
            .totals
            .set(Totals {
                put: 1_000,
                put_bytes: 60 << 20,
                deleted: 1,
                ..Totals::default()
            })
            .unwrap();
        meter.objects.store(10, Ordering::Relaxed);
        meter.failed.store(1, Ordering::Relaxed);
        meter.bytes.store(30 << 20, Ordering::Relaxed);
        assert_eq!(drawer.tick(at(19)), Drawn::default());
        meter.bytes.store(40 << 20, Ordering::Relaxed);
        let line = drawer.tick(at(24)).line.unwrap();
        assert_eq!(
            line,
            "transfer: 10 of 1,001 objects, 40 MiB of 60 MiB, 2 MiB/s, 10s left, 1 failed"
        );
        assert_eq!(drawer.tick(at(25)), Drawn::default());
    }

    #[test]
    fn readers_of_events_get_one_a_second_and_quiet_drops_lines_alone() {
        let (_meter, mut drawer, began) = drawer(true, true);
        let drawn = drawer.tick(began + Duration::from_secs(10));
        assert!(drawn.line.is_none() && drawn.event.is_some());
        assert_eq!(drawer.tick(began + Duration::from_millis(10_900)).event, None);
        assert!(drawer.tick(began + Duration::from_millis(11_000)).event.is_some());
    }
}
