//! Ctrl-C and SIGTERM: the first asks the work to end, the second ends the process.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::error::CliError;
use super::exit::{Exit, Signal};
use super::ui::Ui;
use crate::export::ExportError;

/// So long may work that was asked to end take; service managers kill a little later.
const GRACE: Duration = Duration::from_secs(10);

/// What came, if anything did.
#[derive(Clone, Default)]
pub struct Signals {
    stop: CancellationToken,
    first: Arc<Mutex<Option<Signal>>>,
}

impl Signals {
    /// Begins to listen, inside of a runtime.
    ///
    /// # Errors
    /// Fails where the system allows no handlers.
    pub fn listen(ui: &Ui) -> std::io::Result<Self> {
        let signals = Self::default();
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let (ui, heard) = (ui.clone(), signals.clone());
        tokio::spawn(async move {
            loop {
                let came = tokio::select! {
                    _ = interrupt.recv() => Signal::Interrupt,
                    _ = terminate.recv() => Signal::Terminate,
                };
                if heard.note(came) {
                    ui.talk("Interrupted: ending in good order; once more ends at once");
                } else {
                    end_now(Exit::Interrupted(came));
                }
            }
        });
        Ok(signals)
    }

    /// Tells work to end.
    pub fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Which signal came first.
    pub fn came(&self) -> Option<Signal> {
        *self.first.lock().expect("nothing panics while it is held")
    }

    /// Does the work; after a signal it has 10 s to end by itself, then it is dropped where it stands, which is
    /// as safe as a crash and no safer.
    ///
    /// # Errors
    /// Gives the work's own error, or that it was interrupted.
    pub async fn during<T>(&self, work: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
        let too_late = async {
            self.stop.cancelled().await;
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            done = work => done,
            () = too_late => Err(CliError::Interrupted(self.came().unwrap_or(Signal::Interrupt))),
        }
    }

    /// Does work that only reads, and so can be left at any point.
    ///
    /// # Errors
    /// Gives the work's own error, or that it was interrupted.
    pub async fn at_once<T>(&self, work: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
        tokio::select! {
            done = work => done,
            () = self.stop.cancelled() => Err(CliError::Interrupted(self.came().unwrap_or(Signal::Interrupt))),
        }
    }

    /// Says that it was the signal where work says that somebody asked it to stop.
    pub fn blame(&self, error: CliError) -> CliError {
        let is_stop = matches!(&error, CliError::Export(inner) if matches!(**inner, ExportError::Interrupted));
        match self.came() {
            Some(signal) if is_stop => CliError::Interrupted(signal),
            _ => error,
        }
    }

    fn note(&self, came: Signal) -> bool {
        let mut first = self.first.lock().expect("nothing panics while it is held");
        let is_first = first.is_none();
        first.get_or_insert(came);
        self.stop.cancel();
        is_first
    }
}

#[expect(
    clippy::exit,
    reason = "the user asked twice; whatever hangs must not hold the process"
)]
fn end_now(exit: Exit) -> ! {
    std::process::exit(exit.code().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn work_that_does_not_end_is_left_after_its_grace() {
        let signals = Signals::default();
        assert!(signals.note(Signal::Terminate));
        assert!(!signals.note(Signal::Interrupt));
        let began = tokio::time::Instant::now();
        let ended = signals.during(std::future::pending::<Result<(), CliError>>()).await;
        assert!(matches!(ended, Err(CliError::Interrupted(Signal::Terminate))));
        assert_eq!(began.elapsed().as_secs(), 10);
    }

    #[tokio::test]
    async fn work_that_ends_by_itself_keeps_its_own_result() {
        let signals = Signals::default();
        signals.note(Signal::Interrupt);
        let stop = signals.stop().clone();
        let work = async move {
            stop.cancelled().await;
            Ok(7)
        };
        assert_eq!(signals.during(work).await.unwrap(), 7);
    }
}
