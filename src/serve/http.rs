//! The HTTP face: API, events, webhooks, metrics and the page.

mod api;
mod description;
mod error;
mod events;
mod guard;
mod hooks;
mod listen;
mod page;
mod plain;

pub use guard::Access;
pub use listen::ListenError;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::error::ApiError;
use self::events::Listeners;
use self::guard::Guard;
use self::listen::Listening;
use super::keeper::Keeper;
use super::secret::Secrets;

/// The longest body of a request that is no webhook: a definition is a few lines.
const LONGEST_BODY_BYTES: usize = 64 << 10;

/// The longest body of a webhook: a push that names thousands of files.
const LONGEST_HOOK_BYTES: usize = 1 << 20;

/// Where to listen, and whom to let in.
pub struct HttpConfig {
    /// The address.
    pub listen: SocketAddr,
    /// Who may use the API.
    pub access: Access,
    /// Whether everybody may who can reach an address that is not loopback.
    pub is_insecure: bool,
    /// Names besides addresses and `localhost` by which the server is called.
    pub hosts: Vec<String>,
    /// What webhooks must know; without it none is let in.
    pub hook_secrets: Option<Secrets>,
}

/// A server that has its address.
pub struct Server {
    listening: Listening,
    guard: Guard,
    hook_secrets: Option<Secrets>,
}

/// What all handlers share.
#[derive(Clone)]
struct App {
    keeper: Keeper,
    listeners: Arc<Listeners>,
    hook_secrets: Option<Arc<Secrets>>,
    /// The API's description, made from the routes themselves.
    description: Arc<str>,
    stop: CancellationToken,
}

/// Every route there is; the description is made of the same table.
fn routes() -> OpenApiRouter<App> {
    let bounded = OpenApiRouter::with_openapi(description::empty())
        .routes(routes!(api::list_exports, api::create_export))
        .routes(routes!(api::get_export, api::delete_export))
        .routes(routes!(api::start_export))
        .routes(routes!(api::stop_export))
        .routes(routes!(api::run_export))
        .routes(routes!(api::list_runs))
        .routes(routes!(api::show_log))
        .routes(routes!(api::list_records))
        .routes(routes!(events::events))
        .routes(routes!(plain::describe))
        .routes(routes!(plain::healthz))
        .routes(routes!(plain::readyz))
        .routes(routes!(plain::metrics))
        .routes(routes!(page::page))
        .layer(DefaultBodyLimit::max(LONGEST_BODY_BYTES));
    let hooks = OpenApiRouter::new()
        .routes(routes!(hooks::lakefs))
        .routes(routes!(hooks::github))
        .layer(DefaultBodyLimit::max(LONGEST_HOOK_BYTES));
    bounded.merge(hooks)
}

impl Server {
    /// Takes the address.
    ///
    /// # Errors
    /// Fails where others could reach it without a token, or the system does not give it.
    pub async fn bind(config: HttpConfig) -> Result<Self, ListenError> {
        let listening = Listening::on(config.listen, &config.access, config.is_insecure).await?;
        Ok(Self {
            listening,
            guard: Guard::new(config.access, config.hosts),
            hook_secrets: config.hook_secrets,
        })
    }

    /// The address that it has.
    pub fn address(&self) -> SocketAddr {
        self.listening.address()
    }

    /// Answers until `stop`.
    pub async fn run(self, keeper: Keeper, stop: CancellationToken) {
        let router = router(keeper, self.guard, self.hook_secrets, stop.clone());
        self.listening.serve(router, stop).await;
    }
}

fn router(keeper: Keeper, guard: Guard, hook_secrets: Option<Secrets>, stop: CancellationToken) -> Router {
    let (router, description) = routes().split_for_parts();
    let description = description::with_guard(description, guard.is_closed());
    let description = description.to_json().expect("a description is plain data");
    let app = App {
        keeper,
        listeners: Arc::default(),
        hook_secrets: hook_secrets.map(Arc::new),
        description: description.into(),
        stop,
    };
    router
        .fallback(async || {
            ApiError::new(
                StatusCode::NOT_FOUND,
                "nothing is called so here",
                "GET /api/v1/openapi.json lists what there is",
            )
        })
        .method_not_allowed_fallback(async || {
            ApiError::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "this cannot be done with it",
                "GET /api/v1/openapi.json lists what can",
            )
        })
        .layer(from_fn_with_state(Arc::new(guard), guard::guard))
        .with_state(app)
}
