//! Faults that come by chance, as many as a mood says: 503, broken connections, delays, nothing at all for a while.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::wire::{Action, Wire};

/// How a store is just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// It works.
    Clear,
    /// It works, but for a request here and there.
    Changeable,
    /// It refuses three requests of ten, and is slow.
    Storm,
    /// It cannot be reached.
    Outage,
}

/// The longest that a request is held up: longer than most replies take, shorter than any patience.
const LATEST: Duration = Duration::from_millis(300);

/// The weather in front of a store; a clone is the same one.
#[derive(Clone)]
pub struct Weather(Arc<Mutex<State>>);

struct State {
    mood: Mood,
    random: fastrand::Rng,
    counts: BTreeMap<&'static str, u64>,
}

impl Weather {
    /// Makes the weather of a wire; clear at first.
    pub fn over(wire: &Wire, seed: u64) -> Self {
        let weather = Self(Arc::new(Mutex::new(State {
            mood: Mood::Clear,
            random: fastrand::Rng::with_seed(seed),
            counts: BTreeMap::new(),
        })));
        let inner = weather.clone();
        wire.weather(move |_| inner.0.lock().unwrap().decide());
        weather
    }

    /// Turns.
    pub fn turn(&self, mood: Mood) {
        self.0.lock().unwrap().mood = mood;
    }

    /// How many requests met which fault.
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.0.lock().unwrap().counts.clone()
    }

    /// How many requests met any fault.
    pub fn total(&self) -> u64 {
        self.counts().values().sum()
    }
}

impl State {
    fn decide(&mut self) -> Option<Action> {
        // Of a hundred requests: refused, cut before, cut after, held up.
        let [refused, before, after, held] = match self.mood {
            Mood::Clear => return None,
            Mood::Changeable => [3, 1, 1, 5],
            Mood::Storm => [30, 2, 2, 10],
            Mood::Outage => [0, 100, 0, 0],
        };
        let roll = self.random.u64(0..100);
        let (name, action) = if roll < refused {
            ("answered 503", Action::Refuse)
        } else if roll < refused + before {
            ("cut off before", Action::CloseBefore)
        } else if roll < refused + before + after {
            ("cut off after", Action::CloseAfter)
        } else if roll < refused + before + after + held {
            let millis = u64::try_from(LATEST.as_millis()).unwrap();
            (
                "held up",
                Action::Delay(Duration::from_millis(self.random.u64(0..millis))),
            )
        } else {
            return None;
        };
        let name = if self.mood == Mood::Outage {
            "in an outage"
        } else {
            name
        };
        *self.counts.entry(name).or_default() += 1;
        Some(action)
    }
}
