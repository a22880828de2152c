//! For how long, and how fast things happen.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

/// In the environment, how many minutes a soak lasts.
const MINUTES: &str = "LAKESYNC_SOAK_MINUTES";
/// In the environment, what its chance begins with.
const SEED: &str = "LAKESYNC_SOAK_SEED";

/// The least that `--lease-ttl` takes.
pub const LEASE: &str = "10s";

/// When it is enough.
#[derive(Clone, Copy, Debug)]
pub enum Lasts {
    /// When each kind of trouble has come.
    OneRound,
    /// After this long.
    For(Duration),
}

impl fmt::Display for Lasts {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OneRound => out.write_str("one round of troubles"),
            Self::For(time) => write!(out, "{:.1} minutes", time.as_secs_f64() / 60.0),
        }
    }
}

/// For how long, and how fast things happen.
#[derive(Clone, Debug)]
pub struct Pace {
    pub seed: u64,
    pub lasts: Lasts,
    /// Files of the repository at the start.
    pub files: usize,
    /// Milliseconds between two changes.
    pub change_after: Range<u64>,
    /// Milliseconds between two troubles.
    pub trouble_after: Range<u64>,
    /// How long the store is out of reach.
    pub outage: Duration,
    /// How long it refuses much.
    pub storm: Duration,
    /// How long a process is stopped, which is longer than its lease lasts; `None`: it never is.
    pub stop: Option<Duration>,
}

impl Pace {
    /// What the environment asks for; where it asks for nothing, one round of all troubles but the stop, which alone
    /// would take longer than all the rest.
    pub fn from_environment() -> Self {
        let asked = |name| std::env::var(name).ok().filter(|text| !text.is_empty());
        let seed = asked(SEED).map(|text| {
            text.parse()
                .unwrap_or_else(|_| panic!("{SEED}: {text:?} is no whole number"))
        });
        let Some(minutes) = asked(MINUTES) else {
            return Self {
                seed: seed.unwrap_or(5),
                lasts: Lasts::OneRound,
                files: 120,
                change_after: 20..400,
                trouble_after: 200..1_000,
                outage: Duration::from_millis(800),
                storm: Duration::from_millis(800),
                stop: None,
            };
        };
        let minutes: f64 = match minutes.parse() {
            Ok(number) if number > 0.0 && number < 1e6 => number,
            _ => panic!("{MINUTES}: {minutes:?} is no number of minutes"),
        };
        Self {
            seed: seed.unwrap_or_else(|| fastrand::u64(..)),
            lasts: Lasts::For(Duration::from_secs_f64(minutes * 60.0)),
            files: 400,
            change_after: 50..2_000,
            trouble_after: 1_000..15_000,
            outage: Duration::from_secs(60),
            storm: Duration::from_secs(20),
            stop: Some(Duration::from_secs(13)),
        }
    }
}

/// A time out of a range of milliseconds.
pub fn some(range: &Range<u64>, random: &mut fastrand::Rng) -> Duration {
    Duration::from_millis(random.u64(range.clone()))
}
