//! The address, and the connections: how many, and for how long without a word.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::guard::Access;

/// So many connections at once, each of some 20 KiB: enough for any number of people, and a bound for memory.
const MOST_CONNECTIONS: usize = 512;

/// So long may a client take for the head of a request, the time between two requests included.
const LONGEST_HEAD: Duration = Duration::from_secs(10);

/// So long may a client take nothing of what it asked for.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Longer heads than any browser sends.
const MOST_HEAD_BYTES: usize = 32 << 10;

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Others can reach the address, and nobody would have to say who they are.
    #[error(
        "--listen {address}: other machines can reach it; pass --token-file FILE, or --insecure-no-auth where \
         something in front asks who they are"
    )]
    NoToken {
        /// The address.
        address: SocketAddr,
    },
    /// The system said no.
    #[error("--listen {address}: cannot be listened on; choose another address, or end who has it")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// An address that is listened on.
pub struct Listening {
    listener: TcpListener,
    address: SocketAddr,
}

impl Listening {
    /// Takes the address; one that others can reach only where they must show a token, or that was said to be fine.
    pub async fn on(address: SocketAddr, access: &Access, is_insecure: bool) -> Result<Self, ListenError> {
        if !address.ip().is_loopback() && matches!(access, Access::Everybody) && !is_insecure {
            return Err(ListenError::NoToken { address });
        }
        let fail = |source| ListenError::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(fail)?;
        let address = listener.local_addr().map_err(fail)?;
        Ok(Self { listener, address })
    }

    /// The address, with the port that the system chose where none was named.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop`.
    pub async fn serve(self, router: Router, stop: CancellationToken) {
        let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        let connections = TaskTracker::new();
        loop {
            let place = tokio::select! {
                () = stop.cancelled() => break,
                place = Arc::clone(&places).acquire_owned() => place.expect("the semaphore is never closed"),
            };
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = self.listener.accept() => accepted,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Too many open files: a moment later there may be fewer. A client that went away costs nothing.
                    tracing::warn!(%error, "a connection could not be taken");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            // Small events must not wait for more of them.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "a connection is gone already");
                continue;
            }
            let (service, stop) = (TowerToHyperService::new(router.clone()), stop.clone());
            connections.spawn(async move {
                let stream = TokioIo::new(Impatient::new(stream));
                let mut server = http1::Builder::new();
                server
                    .timer(TokioTimer::new())
                    .header_read_timeout(LONGEST_HEAD)
                    .max_buf_size(MOST_HEAD_BYTES);
                let connection = server.serve_connection(stream, service);
                let mut connection = std::pin::pin!(connection);
                let ended = tokio::select! {
                    ended = connection.as_mut() => ended,
                    () = stop.cancelled() => {
                        connection.as_mut().graceful_shutdown();
                        connection.await
                    }
                };
                // Of a connection that ends badly only the client could want to know, and it does.
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended");
                }
                drop(place);
            });
        }
        connections.close();
        // Whoever is in the middle of an answer gets it; a stop waits up to 10 s for runs anyway.
        let _late = tokio::time::timeout(Duration::from_secs(1), connections.wait()).await;
    }
}

/// A connection that fails when the other side takes nothing for too long: it would hold memory and a place for ever.
struct Impatient {
    stream: TcpStream,
    /// Runs while something waits to be taken.
    patience: Option<Pin<Box<Sleep>>>,
}

impl Impatient {
    fn new(stream: TcpStream) -> Self {
        Self { stream, patience: None }
    }

    fn judge<T>(&mut self, context: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.patience = None;
            return polled;
        }
        let patience = self
            .patience
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + LONGEST_PAUSE)));
        match patience.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Impatient {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for Impatient {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judge(context, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.judge(context, polled)
    }

    /// Else a list that many wait for would be copied for each.
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(context);
        self.judge(context, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_shutdown(context);
        self.judge(context, polled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_that_others_can_reach_needs_a_token_or_a_clear_word() {
        let address: SocketAddr = "0.0.0.0:0".parse().unwrap();
        let refused = Listening::on(address, &Access::Everybody, false).await;
        assert!(matches!(refused, Err(ListenError::NoToken { .. })));
        let loopback: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let taken = Listening::on(loopback, &Access::Everybody, false).await.unwrap();
        assert_ne!(taken.address().port(), 0);
        let second = Listening::on(taken.address(), &Access::Everybody, false).await;
        assert!(matches!(second, Err(ListenError::Bind { .. })));
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_let_go() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let mut server = Impatient::new(server);
        let filled = async {
            loop {
                let written = tokio::io::AsyncWriteExt::write_all(&mut server, &[0; 64 << 10]).await;
                if let Err(error) = written {
                    return error.kind();
                }
            }
        };
        assert_eq!(filled.await, io::ErrorKind::TimedOut);
        drop(client);
    }
}
