//! Who may ask for what: the host name, the origin of a page, the token, and how much in which time.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tokio::time::Instant;

use super::error::ApiError;
use crate::serve::secret::Secrets;

/// So long may a request take, its body included; a stop waits up to 10 s for a run to end.
pub const LONGEST_REQUEST: Duration = Duration::from_secs(30);

/// Changes and hints in a row that are answered at once, and how many come to it each second: far more than people and
/// servers send, far less than would cost anything.
const BURST: f64 = 200.0;
const EACH_SECOND: f64 = 50.0;

/// Who is let in.
#[derive(Clone)]
pub enum Access {
    /// Everybody who can reach the address.
    Everybody,
    /// Who shows one of these.
    Token(Secrets),
}

/// What every request has to pass.
pub struct Guard {
    access: Access,
    /// Names besides addresses and `localhost` by which this server is called.
    hosts: Vec<String>,
    rate: RateLimiter,
}

impl Guard {
    pub fn new(access: Access, hosts: Vec<String>) -> Self {
        Self {
            access,
            hosts,
            rate: RateLimiter::default(),
        }
    }

    /// Whether a token is asked for.
    pub fn is_closed(&self) -> bool {
        matches!(self.access, Access::Token(_))
    }

    fn check(&self, request: &Request) -> Result<(), ApiError> {
        let path = request.uri().path();
        let is_hook = path.starts_with("/hooks/");
        let is_change = !matches!(*request.method(), Method::GET | Method::HEAD);
        self.check_host(request)?;
        if is_change && !is_hook {
            self.check_origin(request.headers())?;
        }
        if needs_token(path) {
            self.check_token(request.headers())?;
        }
        if is_change && !self.rate.take() {
            return Err(ApiError::later(
                StatusCode::TOO_MANY_REQUESTS,
                "too many requests",
                "wait a second and try again",
            ));
        }
        Ok(())
    }

    /// A page of somebody else can give its own name the address of this machine, and would then be of our origin.
    /// Who has to show a token is safe from that.
    fn check_host(&self, request: &Request) -> Result<(), ApiError> {
        if self.is_closed() {
            return Ok(());
        }
        let named = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
        let named = named.or_else(|| request.uri().authority().map(|authority| authority.as_str()));
        if named.is_some_and(|host| self.knows(name_of(host))) {
            return Ok(());
        }
        Err(ApiError::new(
            StatusCode::MISDIRECTED_REQUEST,
            "this server is not called so",
            "use its address or localhost, or start it with --allow-host NAME",
        ))
    }

    fn knows(&self, name: &str) -> bool {
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        name.eq_ignore_ascii_case("localhost")
            || bare.parse::<IpAddr>().is_ok()
            || self.hosts.iter().any(|host| host.eq_ignore_ascii_case(name))
    }

    /// A browser says where a change comes from; what is no browser says nothing, and no page can make it do so.
    fn check_origin(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("unreadable"));
        let foreign = || {
            ApiError::new(
                StatusCode::FORBIDDEN,
                "a page of another origin asked for this change",
                "use the page that this server serves",
            )
        };
        if let Some(site) = text(HeaderName::from_static("sec-fetch-site"))
            && !matches!(site, "same-origin" | "none")
        {
            return Err(foreign());
        }
        if let Some(origin) = text(header::ORIGIN) {
            let authority = origin.split_once("://").map(|(_, authority)| authority);
            let host = text(header::HOST);
            let is_own = authority.is_some() && authority == host;
            let is_known = authority.is_some_and(|authority| {
                let name = name_of(authority);
                self.hosts.iter().any(|host| host.eq_ignore_ascii_case(name))
            });
            if !is_own && !is_known {
                return Err(foreign());
            }
        }
        Ok(())
    }

    fn check_token(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        let Access::Token(secrets) = &self.access else {
            return Ok(());
        };
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = given.and_then(|given| {
            let (scheme, token) = given.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        match token {
            Some(token) if secrets.holds(token) => Ok(()),
            Some(_) => Err(unauthorized("the token is not the server's")),
            None => Err(unauthorized("this server asks for a token")),
        }
    }
}

/// Whether whoever asks for a path must show the token, where there is one.
pub fn needs_token(path: &str) -> bool {
    path.starts_with("/api/") || path == "/metrics"
}

fn unauthorized(message: &str) -> ApiError {
    let cure = "the command line takes --token-file FILE; other clients send the token as a bearer token";
    ApiError::new(StatusCode::UNAUTHORIZED, message, cure)
}

/// The name of `name:port`, in brackets where it is an address with colons.
fn name_of(host: &str) -> &str {
    match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => &host[..address.len() + 2],
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    }
}

/// Lets a request in or not, and closes it when its time is over.
pub async fn guard(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let mut response = match guard.check(&request) {
        Err(error) => error.into_response(),
        Ok(()) => match tokio::time::timeout(LONGEST_REQUEST, next.run(request)).await {
            Ok(response) => response,
            Err(_) => ApiError::later(
                StatusCode::REQUEST_TIMEOUT,
                "the request took longer than 30 s",
                "send it again; its body must arrive in that time",
            )
            .into_response(),
        },
    };
    harden(&mut response);
    response
}

/// Headers that every reply has: nothing here is to be framed, guessed at, or kept.
fn harden(response: &mut Response<Body>) {
    const ALWAYS: [(&str, &str); 5] = [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-resource-policy", "same-origin"),
        ("cache-control", "no-store"),
    ];
    for (name, value) in ALWAYS {
        let headers = response.headers_mut();
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
}

/// Counts requests against a bucket that fills up again with time.
struct RateLimiter(Mutex<Bucket>);

struct Bucket {
    left: f64,
    filled: Instant,
}

impl Default for RateLimiter {
    fn default() -> Self {
        Self(Mutex::new(Bucket {
            left: BURST,
            filled: Instant::now(),
        }))
    }
}

impl RateLimiter {
    fn take(&self) -> bool {
        let mut bucket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let since = now.duration_since(bucket.filled).as_secs_f64();
        bucket.left = (bucket.left + since * EACH_SECOND).min(BURST);
        bucket.filled = now;
        let may = bucket.left >= 1.0;
        if may {
            bucket.left -= 1.0;
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> Request {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Body::empty()).unwrap()
    }

    fn status(guard: &Guard, method: &str, path: &str, headers: &[(&str, &str)]) -> u16 {
        match guard.check(&request(method, path, headers)) {
            Ok(()) => 200,
            Err(error) => error.into_response().status().as_u16(),
        }
    }

    fn token() -> Access {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "a-token-of-some-length\n").unwrap();
        Access::Token(Secrets::read("--token-file", file.path()).unwrap())
    }

    #[test]
    fn a_name_that_is_not_ours_is_refused_without_a_token() {
        let guard = Guard::new(Access::Everybody, vec!["lake.example".to_owned()]);
        for (host, expected) in [
            ("127.0.0.1:8571", 200),
            ("localhost", 200),
            ("LOCALHOST:1", 200),
            ("[::1]:8571", 200),
            ("10.0.0.7:8571", 200),
            ("lake.example:8571", 200),
            ("evil.example:8571", 421),
            ("127.0.0.1.evil.example", 421),
            ("localhost.evil.example:8571", 421),
            ("", 421),
        ] {
            assert_eq!(status(&guard, "GET", "/", &[("host", host)]), expected, "{host}");
        }
        assert_eq!(status(&guard, "GET", "/", &[]), 421);
    }

    #[test]
    fn a_change_that_another_page_asks_for_is_refused() {
        let guard = Guard::new(Access::Everybody, vec!["lake.example".to_owned()]);
        let host = ("host", "localhost:8571");
        for (headers, expected) in [
            (vec![host], 200),
            (vec![host, ("origin", "http://localhost:8571")], 200),
            (vec![host, ("origin", "https://lake.example")], 200),
            (vec![host, ("origin", "http://localhost:9999")], 403),
            (vec![host, ("origin", "http://evil.example")], 403),
            (vec![host, ("origin", "null")], 403),
            (vec![host, ("sec-fetch-site", "same-origin")], 200),
            (vec![host, ("sec-fetch-site", "none")], 200),
            (vec![host, ("sec-fetch-site", "same-site")], 403),
            (
                vec![
                    host,
                    ("sec-fetch-site", "cross-site"),
                    ("origin", "http://localhost:8571"),
                ],
                403,
            ),
        ] {
            assert_eq!(
                status(&guard, "POST", "/api/v1/exports", &headers),
                expected,
                "{headers:?}"
            );
        }
        let reads = [host, ("sec-fetch-site", "cross-site")];
        assert_eq!(
            status(&guard, "GET", "/api/v1/exports", &reads),
            200,
            "what is read is not shared by any header"
        );
    }

    #[test]
    fn the_api_and_the_metrics_need_the_token_and_the_page_does_not() {
        let guard = Guard::new(token(), Vec::new());
        for path in ["/api/v1/exports", "/api/v1/events", "/api/v1/openapi.json", "/metrics"] {
            assert_eq!(status(&guard, "GET", path, &[]), 401, "{path}");
            let wrong = [("authorization", "Bearer a-token-of-some-lengtH")];
            assert_eq!(status(&guard, "GET", path, &wrong), 401, "{path}");
            let basic = [("authorization", "Basic a-token-of-some-length")];
            assert_eq!(status(&guard, "GET", path, &basic), 401, "{path}");
            let right = [("authorization", "bearer a-token-of-some-length")];
            assert_eq!(status(&guard, "GET", path, &right), 200, "{path}");
        }
        for path in ["/", "/healthz", "/readyz"] {
            assert_eq!(status(&guard, "GET", path, &[]), 200, "{path}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_changes_is_slowed_down_and_reads_are_not() {
        let guard = Guard::new(Access::Everybody, Vec::new());
        let host = [("host", "localhost")];
        let let_in = (0..1_000)
            .filter(|_| status(&guard, "POST", "/hooks/lakefs", &host) == 200)
            .count();
        assert_eq!(let_in, BURST as usize);
        assert_eq!(status(&guard, "GET", "/", &host), 200);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(status(&guard, "POST", "/hooks/lakefs", &host), 200);
    }
}
