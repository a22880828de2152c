//! The clock by which the life of a lease is counted.

use std::time::Duration;

#[cfg(any(test, feature = "testing"))]
pub use virtual_clock::VirtualClock;

/// Tells how much time has passed since some fixed moment; it never goes back.
pub trait Clock: Send + Sync {
    /// The time since that moment.
    fn now(&self) -> Duration;
}

/// The time since this machine was started, sleep included.
///
/// A laptop that slept for an hour has lost its lease, so a clock that stands still meanwhile
/// (`std::time::Instant` on Linux) would let it go on writing.
#[derive(Clone, Copy, Debug, Default)]
pub struct BootClock;

impl Clock for BootClock {
    fn now(&self) -> Duration {
        // Elsewhere than on Linux the monotonic clock is the one that runs while the machine sleeps.
        #[cfg(any(target_os = "linux", target_os = "android"))]
        const CLOCK: rustix::time::ClockId = rustix::time::ClockId::Boottime;
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        const CLOCK: rustix::time::ClockId = rustix::time::ClockId::Monotonic;
        let time = rustix::time::clock_gettime(CLOCK);
        let seconds = u64::try_from(time.tv_sec).expect("a clock that starts at boot is not negative");
        let nanos = u32::try_from(time.tv_nsec).expect("nanoseconds are below 1e9");
        Duration::new(seconds, nanos)
    }
}

#[cfg(any(test, feature = "testing"))]
mod virtual_clock {
    use std::sync::Mutex;
    use std::time::Duration;

    use tokio::time::Instant;

    use super::Clock;

    /// A clock for tests: it goes with tokio's, paused or not, and can be made to jump as after a sleep.
    #[derive(Debug)]
    pub struct VirtualClock {
        start: Instant,
        jumped: Mutex<Duration>,
    }

    impl VirtualClock {
        /// Starts at zero.
        pub fn new() -> Self {
            Self {
                start: Instant::now(),
                jumped: Mutex::default(),
            }
        }

        /// Lets the clock jump ahead, as it does when the machine or the process was asleep.
        pub fn jump(&self, ahead: Duration) {
            *self.jumped.lock().expect("nothing panics under this lock") += ahead;
        }
    }

    impl Default for VirtualClock {
        fn default() -> Self {
            Self::new()
        }
    }

    impl Clock for VirtualClock {
        fn now(&self) -> Duration {
            self.start.elapsed() + *self.jumped.lock().expect("nothing panics under this lock")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boot_clock_goes_on() {
        let first = BootClock.now();
        std::thread::sleep(Duration::from_millis(2));
        assert!(BootClock.now() > first);
    }

    #[tokio::test(start_paused = true)]
    async fn the_virtual_clock_goes_with_tokio_and_jumps() {
        let clock = VirtualClock::new();
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(clock.now(), Duration::from_secs(3));
        clock.jump(Duration::from_secs(60));
        assert_eq!(clock.now(), Duration::from_secs(63));
    }
}
