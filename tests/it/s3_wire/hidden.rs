//! Secrets stay where they are.

use std::io;
use std::sync::{Arc, Mutex};

use lakesync::store::{Condition, Put, S3Store, Store as _};
use tracing_subscriber::fmt::MakeWriter;

use super::server::{Answer, Server};
use super::{SECRET, TOKEN, config, key};

/// Keeps all that is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// All that three requests log: one that succeeds, one that is refused with `words`, one that goes nowhere.
async fn logged(filter: &str, words: &str) -> String {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(log.clone())
        .with_ansi(false)
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let refused = format!("<Error><Code>AccessDenied</Code><Message>{words}</Message></Error>");
    let server = Server::start(move |at, _| match at {
        0 => Answer::written(),
        _ => Answer::new(403, "", &refused),
    })
    .await;
    let config = config(&server.url());
    assert!(!format!("{config:?}").contains("CANARY"));
    let store = S3Store::connect(config).await.unwrap();
    assert!(!format!("{store:?}").contains("CANARY"));
    store.put(&key("a"), Put::new("x", Condition::Always)).await.unwrap();
    let refused = store
        .put(&key("a"), Put::new("x", Condition::Always))
        .await
        .unwrap_err();
    drop(server);
    let nowhere = store
        .put(&key("a"), Put::new("x", Condition::Always))
        .await
        .unwrap_err();
    for error in [refused, nowhere] {
        let text = format!("{error} {error:?} {:?}", error.cause);
        assert!(!text.contains("CANARY"), "{text}");
        tracing::error!(%error, "failed");
    }
    let bytes = log.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

/// What was logged, with something of the SDK's `target` in it. Which places log at all is decided once for the
/// whole process, and a test beside this one may have decided just now.
async fn logged_with(target: &str, filter: &str, echo: &str) -> String {
    for _ in 0..20 {
        let text = logged(filter, echo).await;
        if text.contains(target) {
            return text;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("{target} logged nothing");
}

#[tokio::test]
async fn what_a_store_echoes_is_taken_out_of_errors_and_logs() {
    let echo = format!("the Credential={SECRET}/x is wrong, X-Amz-Security-Token={TOKEN}");
    let text = logged("off,lakesync=trace,it=trace", &echo).await;
    assert!(text.contains("failed"), "nothing was logged");
    assert!(!text.contains("CANARY"), "{text}");
    // At TRACE the SDK logs replies as they are: there is no filter for it but a cap.
    let text = logged_with("aws_smithy_runtime", "debug", &echo).await;
    assert!(!text.contains("CANARY"), "{text}");
}

#[tokio::test]
async fn nobody_logs_a_secret_of_ours_even_at_trace() {
    let text = logged_with("aws_sigv4", "trace", "no").await;
    assert!(!text.contains("CANARY"), "{text}");
}
