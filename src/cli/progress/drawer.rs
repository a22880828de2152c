//! Draws a meter: a bar where that can be, a line every so often elsewhere.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Meter, ProgressData, Reading};
use crate::cli::human::{show_count, show_duration, show_number, show_size};
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
/// How many columns a bar has, the best first. Few widths, so that it does not jump with each digit beside it.
const BAR_COLUMNS: [usize; 2] = [24, 12];
/// The columns of a terminal that does not tell.
const USUAL_COLUMNS: usize = 80;

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
                bar.set_message(bar_text(&reading, rate, columns()));
                bar.tick();
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
    // The whole line is ours: it must fit, since a terminal breaks a longer one in two, and only one of them goes away.
    let style = ProgressStyle::with_template("{msg}").expect("the template is a constant");
    let target = ProgressDrawTarget::stderr_with_hz(15);
    ProgressBar::with_draw_target(None, target).with_style(style)
}

/// How wide the terminal is now; asked anew each time, since people pull at windows.
fn columns() -> usize {
    match rustix::termios::tcgetwinsize(std::io::stderr()) {
        Ok(size) if size.ws_col > 0 => usize::from(size.ws_col),
        _ => USUAL_COLUMNS,
    }
}

/// What a run is doing, with a bar where there is room: the fullest line that fits on the terminal.
fn bar_text(reading: &Reading, rate: u64, columns: usize) -> String {
    let share = reading.share();
    // Rounding down: full only when it is.
    let percent = format!("{:>3}%", (share * 100.0) as u64);
    // In the last column some terminals go to the next line.
    let room = columns.saturating_sub(1);
    let long = [status_text(reading, rate), short_text(reading, rate)];
    let barred = long
        .iter()
        .flat_map(|text| BAR_COLUMNS.map(|bar| format!("{} {percent} {text}", bar_of(share, bar))));
    // Without room for a bar the figures say more than a short one would.
    let short = [counts_text(reading, rate), counts_text(reading, 0)];
    let bare = long.iter().chain(&short).map(|text| format!("{percent} {text}"));
    let mut lines = barred.chain(bare).chain([percent.clone()]);
    lines.find(|line| line.len() <= room).unwrap_or_default()
}

fn bar_of(share: f64, columns: usize) -> String {
    let done = (share * columns as f64) as usize;
    let head = if done < columns { ">" } else { "" };
    format!("[{:columns$}]", "=".repeat(done) + head)
}

/// The same as [`status_text`] in fewer words.
fn short_text(reading: &Reading, rate: u64) -> String {
    let (Phase::Transfer, Some((objects, bytes))) = (reading.phase, reading.total()) else {
        return show_duration(reading.elapsed);
    };
    let mut text = format!(
        "{}/{}, {}/{}",
        show_number(reading.objects),
        show_count(objects, "object"),
        show_size(reading.bytes.min(bytes)),
        show_size(bytes)
    );
    push_rate(&mut text, reading, bytes, rate);
    text
}

/// The same without bytes; with a rate of 0 it is what must be said on the narrowest terminal.
fn counts_text(reading: &Reading, rate: u64) -> String {
    let (Phase::Transfer, Some((objects, bytes))) = (reading.phase, reading.total()) else {
        return String::new();
    };
    let mut text = format!("{}/{}", show_number(reading.objects), show_number(objects));
    push_rate(&mut text, reading, bytes, rate);
    text
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
        show_number(reading.objects),
        show_count(objects, "object"),
        show_size(reading.bytes.min(bytes)),
        show_size(bytes)
    );
    push_rate(&mut text, reading, bytes, rate);
    text
}

/// How fast it goes, how long it takes and what failed.
fn push_rate(text: &mut String, reading: &Reading, bytes: u64, rate: u64) {
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
        text.push_str(&format!(", {} failed", show_number(reading.failed)));
    }
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
    fn a_bar_never_needs_a_second_line_and_says_as_much_as_fits() {
        let totals = Totals {
            put: 3_000,
            put_bytes: 12 << 20,
            ..Totals::default()
        };
        let reading = Reading {
            elapsed: Duration::from_secs(4),
            phase: Phase::Transfer,
            totals: Some(totals),
            objects: 1_033,
            bytes: 4 << 20,
            failed: 0,
        };
        let line = |columns| bar_text(&reading, 972 << 10, columns);
        let tail = "972 KiB/s, 9s left";
        assert_eq!(
            line(120),
            format!("[========>               ]  33% transfer: 1,033 of 3,000 objects, 4 MiB of 12 MiB, {tail}")
        );
        assert_eq!(
            line(80),
            format!("[====>       ]  33% 1,033/3,000 objects, 4 MiB/12 MiB, {tail}")
        );
        assert_eq!(line(40), format!(" 33% 1,033/3,000, {tail}"));
        assert_eq!(line(20), " 33% 1,033/3,000");
        assert_eq!(line(3), "");
        let failing = Reading { failed: 2, ..reading };
        assert_eq!(bar_text(&failing, 0, 40), " 33% 1,033/3,000, 2 failed");
        for phase in [Phase::Look, Phase::Plan, Phase::Transfer, Phase::Finish] {
            for columns in 1..200 {
                let reading = Reading { phase, ..failing };
                assert!(
                    bar_text(&reading, 1 << 20, columns).len() < columns,
                    "{phase:?} {columns}"
                );
            }
        }
        let whole = Reading {
            objects: 3_000,
            ..reading
        };
        assert!(bar_text(&whole, 0, 200).starts_with("[========================] 100% "));
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
