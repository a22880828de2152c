//! Log lines, on stderr, for whoever asks for them.

use std::io;

use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

use super::ui::Ui;
use super::world::World;

/// The filter is none.
#[derive(Debug, thiserror::Error)]
#[error("--log {filter:?}: not a filter; write a level (debug) or `lakesync=debug,hyper=info`")]
pub struct FilterTextError {
    filter: String,
}

/// Starts to log what the filter lets through: that of `--log`, else of RUST_LOG, else what `-v` says.
pub fn start(log: Option<&str>, ui: &Ui, world: &World) -> Result<(), FilterTextError> {
    let talk = ui.talk_level();
    let variable = world
        .variable("RUST_LOG")
        .map(|text| text.to_string_lossy().into_owned());
    let chosen = log.map(str::to_owned).or(variable);
    // Who asked for no log gets words; times and modules are for those who look for trouble.
    let plain = chosen.is_none() && talk.verbose < 2;
    let text = chosen.unwrap_or_else(|| {
        let ours = match talk.verbose {
            _ if talk.quiet => "error",
            0 | 1 => "warn",
            2 => "debug",
            _ => "trace",
        };
        // What else goes on in the process is worth a line only when somebody looks for trouble.
        let theirs = if talk.verbose > 2 { "info" } else { "error" };
        format!("{theirs},lakesync={ours}")
    });
    let filter = EnvFilter::try_new(&text).map_err(|_| FilterTextError { filter: text })?;
    let may = filter_fn(|metadata| may_log(metadata.target(), *metadata.level()));
    let writer = ToUi { ui: ui.clone(), plain };
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(false);
    let lines = if plain {
        let bare = lines.without_time().with_target(false).with_level(false);
        bare.with_filter(may).boxed()
    } else {
        lines.with_filter(may).boxed()
    };
    // A second start, as in tests that share a process, keeps the first.
    drop(tracing_subscriber::registry().with(filter).with(lines).try_init());
    Ok(())
}

/// Whether a line may be logged at all. Other people's libraries print headers, signatures and tokens below `info`,
/// and no filter may let them through (promise P10).
fn may_log(target: &str, level: tracing::Level) -> bool {
    let ours = target == "lakesync" || target.starts_with("lakesync::");
    ours || LevelFilter::INFO >= level
}

/// Writes lines where bars and other talk go, so that they never tear each other.
struct ToUi {
    ui: Ui,
    plain: bool,
}

struct LogLine {
    ui: Ui,
    plain: bool,
    text: Vec<u8>,
}

impl<'a> MakeWriter<'a> for ToUi {
    type Writer = LogLine;

    fn make_writer(&'a self) -> LogLine {
        LogLine {
            ui: self.ui.clone(),
            plain: self.plain,
            text: Vec::new(),
        }
    }
}

impl io::Write for LogLine {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for LogLine {
    fn drop(&mut self) {
        let text = String::from_utf8_lossy(&self.text);
        if text.is_empty() {
            return;
        }
        if self.plain {
            self.ui.warn(text.trim());
        } else {
            self.ui.log(&super::error::one_line(text.trim_end()));
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn no_filter_lets_other_libraries_print_their_requests() {
        for target in [
            concat!("aws", "_smithy_runtime::client"),
            "hyper::proto",
            "rustls",
            "lakesync_other",
        ] {
            assert!(
                !may_log(target, Level::DEBUG) && !may_log(target, Level::TRACE),
                "{target}"
            );
            assert!(
                may_log(target, Level::INFO) && may_log(target, Level::ERROR),
                "{target}"
            );
        }
        assert!(may_log("lakesync::store::s3", Level::TRACE) && may_log("lakesync", Level::TRACE));
    }
}
