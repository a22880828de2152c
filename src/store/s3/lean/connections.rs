//! Connections that wait for their next request.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::time::Instant;

use super::super::transport::POOL_IDLE;
use super::connection::Connection;

/// The idle connections to one endpoint. The one that was used last is taken first, so that those which are too many
/// grow old.
pub(super) struct Connections {
    most: usize,
    idle: Mutex<Idle>,
}

#[derive(Default)]
struct Idle {
    /// The longest idle come first.
    waiting: Vec<(Instant, Box<Connection>)>,
    is_swept: bool,
}

impl Connections {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            idle: Mutex::default(),
        }
    }

    /// Takes one that is still open.
    pub(super) fn take(&self) -> Option<Box<Connection>> {
        loop {
            // The lock is not held while it is looked at.
            let (since, mut connection) = self.idle.lock().unwrap_or_else(PoisonError::into_inner).waiting.pop()?;
            if since.elapsed() < POOL_IDLE && connection.is_idle() {
                return Some(connection);
            }
        }
    }

    /// Keeps one for later, where it can be used again and there are not too many.
    pub(super) fn give_back(self: &Arc<Self>, mut connection: Box<Connection>) {
        if !connection.is_idle() {
            return;
        }
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.waiting.len() >= self.most {
            return;
        }
        idle.waiting.push((Instant::now(), connection));
        if !idle.is_swept {
            idle.is_swept = true;
            tokio::spawn(sweep(Arc::downgrade(self)));
        }
    }

    /// Closes those that have waited too long; whether any is left.
    fn close_old(&self) -> bool {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let young = idle.waiting.iter().position(|(since, _)| since.elapsed() < POOL_IDLE);
        let old = young.unwrap_or(idle.waiting.len());
        idle.waiting.drain(..old);
        idle.is_swept = !idle.waiting.is_empty();
        idle.is_swept
    }
}

/// Closes old connections until none is left: nobody else does once the last request is over.
async fn sweep(connections: Weak<Connections>) {
    loop {
        tokio::time::sleep(POOL_IDLE).await;
        match connections.upgrade() {
            Some(connections) if connections.close_old() => {}
            _ => return,
        }
    }
}
