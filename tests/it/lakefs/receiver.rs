//! A server that takes webhooks.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, Uri};
use bytes::Bytes;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::recorded::Webhook;

/// Takes webhooks until it is dropped.
pub struct Receiver {
    /// `http://127.0.0.1:port`.
    pub url: String,
    taken: watch::Receiver<Vec<Webhook>>,
    serving: AbortHandle,
}

impl Receiver {
    /// Starts one in the runtime of the caller.
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (tell, taken) = watch::channel(Vec::new());
        let app = axum::Router::new().fallback(move |uri: Uri, headers: HeaderMap, body: Bytes| {
            let tell = tell.clone();
            async move {
                let text = |value: &axum::http::HeaderValue| value.to_str().unwrap().to_owned();
                let headers = headers.iter().map(|(name, value)| (name.to_string(), text(value)));
                let hook = Webhook {
                    path: uri.to_string(),
                    headers: headers.collect::<BTreeMap<_, _>>(),
                    body: serde_json::from_slice(&body).unwrap(),
                };
                tell.send_modify(|taken| taken.push(hook));
            }
        });
        let serving = tokio::spawn(async move { axum::serve(listener, app).await }).abort_handle();
        Self { url, taken, serving }
    }

    /// Waits until there are so many; more than that are a failure.
    pub async fn wait_for(&self, count: usize) -> Vec<Webhook> {
        let mut taken = self.taken.clone();
        let waiting = taken.wait_for(|taken| taken.len() >= count);
        let taken = tokio::time::timeout(std::time::Duration::from_secs(30), waiting).await;
        let taken = taken.expect("they come at once").unwrap().clone();
        assert_eq!(taken.len(), count, "{taken:?}");
        taken
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
