//! A door in front of a server that counts the requests which go through it, and can jam.
//!
//! Bytes are passed on unchanged, the `Host` header included, so signatures made for the door's address hold
//! behind it. What is counted is what truly went over the wire: a client's own retries, too.

mod http;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lakesync::store::RequestKind;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use crate::servers::Server;
use http::{Connection, Head};

/// What happens to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It goes through; whoever waits for it is told.
    Pass,
    /// The connection is closed before the server sees the request.
    CloseBefore,
    /// The server carries the request out, and the connection is closed instead of the reply.
    CloseAfter,
    /// From here on nothing gets through: this request and all later ones wait for ever.
    FreezeBefore,
    /// The server carries the request out; neither this reply nor any later request gets through.
    FreezeAfter,
    /// The door itself answers 503, and the server sees nothing.
    Refuse,
    /// It goes through after this long, unless its client is gone by then.
    Delay(Duration),
}

/// One request that went through, or would have.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The method.
    pub method: String,
    /// What S3 calls it; `None` for what lakesync never sends.
    pub kind: Option<RequestKind>,
    /// The key, decoded; empty for requests to the bucket itself.
    pub key: String,
    /// The length of the body as it was sent.
    pub body_bytes: u64,
    /// The status of the reply; `None` until there is one.
    pub status: Option<u16>,
}

/// The door. It closes when this is dropped.
pub struct Wire {
    /// `http://127.0.0.1:port`.
    pub endpoint: String,
    state: Arc<State>,
    accepting: AbortHandle,
}

/// Says of the log, whose last line has just arrived, whether that is the request.
type Trigger = Box<dyn FnMut(&[Seen]) -> bool + Send>;

/// Says of a request for which nothing else was said what happens to it.
type Weather = Box<dyn FnMut(&Seen) -> Option<Action> + Send>;

struct State {
    log: Mutex<Vec<Seen>>,
    actions: Mutex<BTreeMap<usize, Action>>,
    weather: Mutex<Option<Weather>>,
    trigger: Mutex<Option<(Trigger, Action)>>,
    /// Which request the trigger was for, once it has had its action.
    triggered: watch::Sender<Option<usize>>,
    /// How many requests have arrived, and whether all is frozen.
    reached: watch::Sender<usize>,
    /// How many requests the server has that it has not answered.
    pending: watch::Sender<usize>,
    frozen: watch::Sender<bool>,
}

impl Wire {
    /// Opens a door in front of a server, in the runtime of the caller.
    pub async fn open(server: &Server) -> Self {
        let upstream = server.endpoint.strip_prefix("http://").unwrap().to_owned();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(State {
            log: Mutex::default(),
            actions: Mutex::default(),
            weather: Mutex::default(),
            trigger: Mutex::default(),
            triggered: watch::Sender::new(None),
            reached: watch::Sender::new(0),
            pending: watch::Sender::new(0),
            frozen: watch::Sender::new(false),
        });
        let accepting = tokio::spawn(accept(listener, upstream, state.clone())).abort_handle();
        Self {
            endpoint,
            state,
            accepting,
        }
    }

    /// Says what happens to the `number`-th request from the opening on, the first being 1.
    pub fn on_request(&self, number: usize, action: Action) {
        assert!(number > self.len(), "request {number} has gone through already");
        self.state.actions.lock().unwrap().insert(number, action);
    }

    /// Waits until the `number`-th request has had its action, or arrived where it has none.
    pub async fn reached(&self, number: usize) {
        let mut reached = self.state.reached.subscribe();
        reached.wait_for(|seen| *seen >= number).await.unwrap();
    }

    /// Says what happens to the first request of which `is_it` says so: it sees the log up to that request. Once
    /// only; a later call takes its place.
    pub fn when(&self, is_it: impl FnMut(&[Seen]) -> bool + Send + 'static, action: Action) {
        self.state.triggered.send_replace(None);
        *self.state.trigger.lock().unwrap() = Some((Box::new(is_it), action));
    }

    /// Says what happens to each request for which neither of these says anything.
    pub fn weather(&self, decide: impl FnMut(&Seen) -> Option<Action> + Send + 'static) {
        *self.state.weather.lock().unwrap() = Some(Box::new(decide));
    }

    /// Waits until the request of [`when`](Self::when) has had its action; gives its number, the first being 1.
    pub async fn triggered(&self) -> usize {
        let mut triggered = self.state.triggered.subscribe();
        let number = triggered.wait_for(Option::is_some).await.unwrap();
        number.expect("waited for")
    }

    /// Waits until the server has answered all that reached it whole. A request that was cut off in its body gets no
    /// answer from some servers, and does nothing.
    pub async fn quiet(&self) {
        let mut pending = self.state.pending.subscribe();
        let answered = pending.wait_for(|count| *count == 0);
        if tokio::time::timeout(Duration::from_secs(2), answered).await.is_err() {
            println!("a request that was cut off has no answer");
        }
    }

    /// Lets frozen requests go on.
    pub fn thaw(&self) {
        self.state.frozen.send_replace(false);
    }

    /// Forgets what was seen; numbers start at 1 again and no action is left.
    pub fn reset(&self) {
        self.state.log.lock().unwrap().clear();
        self.state.actions.lock().unwrap().clear();
        *self.state.trigger.lock().unwrap() = None;
        self.state.reached.send_replace(0);
        self.thaw();
    }

    /// How many requests arrived.
    pub fn len(&self) -> usize {
        self.state.log.lock().unwrap().len()
    }

    /// All of them, in the order in which they arrived.
    pub fn log(&self) -> Vec<Seen> {
        self.state.log.lock().unwrap().clone()
    }

    /// How many there were of one kind.
    pub fn count(&self, kind: RequestKind) -> usize {
        self.log().iter().filter(|seen| seen.kind == Some(kind)).count()
    }

    /// The counts by method and kind, one a line, for messages.
    pub fn table(&self) -> String {
        let mut counts = BTreeMap::new();
        for seen in self.log() {
            let kind = seen.kind.map_or("other", RequestKind::s3_name);
            *counts.entry((seen.method, kind)).or_insert(0) += 1;
        }
        let row = |((method, kind), count): (&(String, &str), &usize)| format!("{count:6} {method:6} {kind}\n");
        counts.iter().map(row).collect()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, upstream: String, state: Arc<State>) {
    // Dropped with this task, and all connections with it.
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let (upstream, state) = (upstream.clone(), state.clone());
        connections.spawn(async move {
            // A broken connection is the client's to notice; here it only ends.
            let _broken = serve(client, &upstream, &state).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

/// Passes the requests of one connection on, one after the other.
async fn serve(client: TcpStream, upstream: &str, state: &State) -> std::io::Result<()> {
    let mut client = Connection::new(client);
    let mut server = None;
    while let Some(request) = client.read_head().await? {
        let (place, is_it, action) = state.arrived(&request);
        match action {
            Some(Action::CloseBefore) => {
                state.reached.send_replace(place + 1);
                state.tell(place, is_it);
                return Ok(());
            }
            Some(Action::FreezeBefore) => {
                state.freeze();
                state.tell(place, is_it);
            }
            Some(Action::Pass) => state.tell(place, is_it),
            Some(Action::Delay(time)) => {
                let is_gone = tokio::time::timeout(time, client.gone()).await.is_ok();
                state.tell(place, is_it);
                if is_gone {
                    return Ok(());
                }
            }
            Some(Action::Refuse) => {
                state.reached.send_replace(place + 1);
                state.answered(place, 503);
                state.tell(place, is_it);
                if client.refuse(&request).await? {
                    continue;
                }
                return Ok(());
            }
            _ => {}
        }
        if action != Some(Action::CloseAfter) && action != Some(Action::FreezeAfter) {
            state
                .reached
                .send_if_modified(|seen| (*seen < place + 1).then(|| *seen = place + 1).is_some());
        }
        state.wait_while_frozen().await;
        let server = match &mut server {
            Some(server) => server,
            none => none.insert(Connection::new(TcpStream::connect(upstream).await?)),
        };
        state.pending.send_modify(|count| *count += 1);
        let reply = client.pass_request(&request, server).await;
        state.pending.send_modify(|count| *count -= 1);
        let reply = reply?;
        if let Some(status) = reply.status() {
            state.answered(place, status);
        }
        match action {
            Some(Action::CloseAfter) => {
                state.reached.send_replace(place + 1);
                state.tell(place, is_it);
                return Ok(());
            }
            Some(Action::FreezeAfter) => {
                state.freeze();
                state.reached.send_replace(place + 1);
                state.tell(place, is_it);
            }
            _ => {}
        }
        state.wait_while_frozen().await;
        let open = server.pass_reply(&request, &reply, &mut client).await?;
        if !open {
            return Ok(());
        }
    }
    Ok(())
}

impl State {
    /// Notes a request; says where in the log it stands, whether the trigger was for it, and what happens to it.
    fn arrived(&self, request: &Head) -> (usize, bool, Option<Action>) {
        let mut log = self.log.lock().unwrap();
        log.push(request.seen());
        let place = log.len() - 1;
        let mut trigger = self.trigger.lock().unwrap();
        if let Some((_, action)) = trigger.take_if(|(is_it, _)| is_it(&log)) {
            return (place, true, Some(action));
        }
        let action = self.actions.lock().unwrap().remove(&(place + 1)).or_else(|| {
            let mut weather = self.weather.lock().unwrap();
            weather.as_mut().and_then(|decide| decide(&log[place]))
        });
        (place, false, action)
    }

    fn answered(&self, place: usize, status: u16) {
        // It is not there any more after a reset.
        if let Some(seen) = self.log.lock().unwrap().get_mut(place) {
            seen.status = Some(status);
        }
    }

    fn tell(&self, place: usize, is_it: bool) {
        if is_it {
            self.triggered.send_replace(Some(place + 1));
        }
    }

    fn freeze(&self) {
        self.frozen.send_replace(true);
    }

    async fn wait_while_frozen(&self) {
        let mut frozen = self.frozen.subscribe();
        frozen
            .wait_for(|frozen| !frozen)
            .await
            .expect("the sender lives as long as the state");
    }
}
