//! One HTTP/1.1 connection, driven by whoever uses it.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use super::body::SentBody;

/// Plain or encrypted.
pub(super) type Wire = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// A connection with nobody behind it: a task of its own would cost two switches of tasks, often of threads, for each
/// request. Nothing happens on it but while it is used.
pub(super) struct Connection {
    sender: SendRequest<SentBody>,
    /// `None` once it has ended.
    driver: Option<http1::Connection<TokioIo<Wire>, SentBody>>,
}

/// A connection that was of no use.
pub(super) struct Broken {
    /// Why.
    pub(super) error: hyper::Error,
    /// The request, where nothing of it can have been sent.
    pub(super) unsent: Option<Box<Request<SentBody>>>,
}

impl Connection {
    pub(super) async fn open(wire: Wire) -> Result<Self, hyper::Error> {
        let (sender, driver) = http1::handshake(TokioIo::new(wire)).await?;
        Ok(Self {
            sender,
            driver: Some(driver),
        })
    }

    /// Sends a request and waits for the head of its reply.
    pub(super) async fn exchange(&mut self, request: Request<SentBody>) -> Result<Response<Incoming>, Broken> {
        let mut reply = pin!(self.sender.try_send_request(request));
        let reply = poll_fn(|context| {
            if let Poll::Ready(reply) = reply.as_mut().poll(context) {
                return Poll::Ready(reply);
            }
            self.drive(context);
            reply.as_mut().poll(context)
        });
        reply.await.map_err(|mut broken| Broken {
            unsent: broken.take_message().map(Box::new),
            error: broken.into_error(),
        })
    }

    /// Lets the connection read and write.
    pub(super) fn drive(&mut self, context: &mut Context<'_>) {
        if let Some(driver) = &mut self.driver
            && Pin::new(driver).poll(context).is_ready()
        {
            // How it ended was told to whoever waits on it.
            self.driver = None;
        }
    }

    /// Whether another request can go out: the last one is over to its last byte, and the other side has not closed.
    pub(super) fn is_idle(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        self.driver.is_some() && self.sender.is_ready()
    }
}
