//! What the API says of itself: made from the routes, and from what the door in front of them answers.

use utoipa::OpenApi as _;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Content, OpenApi, Ref, RefOr, ResponseBuilder};

use super::guard::needs_token;

/// The name under which the description knows the token.
const TOKEN: &str = "token";

#[derive(utoipa::OpenApi)]
#[openapi(info(
    title = "lakesync serve",
    description = "Continuous exports: list, create, start, stop, watch. Errors are `{error: {message, cure}}`. Where \
                   the server was started with --token-file, `/api/` and `/metrics` need `Authorization: Bearer TOKEN`."
))]
struct Empty;

/// A description without a route.
pub fn empty() -> OpenApi {
    Empty::openapi()
}

/// Adds to the routes what the guard may answer instead of them. `is_closed`: a token is asked for.
pub fn with_guard(mut description: OpenApi, is_closed: bool) -> OpenApi {
    for (path, item) in &mut description.paths.paths {
        let PathItem {
            get,
            put,
            post,
            delete,
            patch,
            ..
        } = item;
        let reads = get.iter_mut().map(|operation| (operation, false));
        let changes = [put, post, delete, patch].into_iter().flatten();
        for (operation, is_change) in reads.chain(changes.map(|operation| (operation, true))) {
            add_answer(operation, "408", "The request took too long, its body included");
            if is_change {
                add_answer(operation, "403", "A page of another origin asked for this change");
            }
            if is_closed {
                let is_open = !needs_token(path);
                operation.security = Some(match is_open {
                    true => Vec::new(),
                    false => vec![SecurityRequirement::new(TOKEN, Vec::<String>::new())],
                });
                if !is_open {
                    add_answer(operation, "401", "No token, or another than the server's");
                }
            } else {
                add_answer(operation, "421", "The server is not called so; see --allow-host");
            }
        }
    }
    if is_closed {
        let scheme = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
        let components = description.components.get_or_insert_with(Default::default);
        components.add_security_scheme(TOKEN, scheme);
    }
    description
}

/// Adds an answer, unless the route itself answers so.
fn add_answer(operation: &mut Operation, status: &str, words: &str) {
    let content = Content::new(Some(Ref::from_schema_name("ErrorReply")));
    let answer = ResponseBuilder::new()
        .description(words)
        .content("application/json", content)
        .build();
    let answers = &mut operation.responses.responses;
    answers.entry(status.to_owned()).or_insert(RefOr::T(answer));
}
