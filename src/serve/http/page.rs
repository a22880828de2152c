//! The page: one file, with nothing from elsewhere.

use std::sync::LazyLock;

use axum::body::Body;
use axum::http::{HeaderValue, Response, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

const SHELL: &str = include_str!("../page/index.html");
const STYLE: &str = include_str!("../page/page.css");
const SCRIPT: &str = concat!(
    include_str!("../page/words.js"),
    include_str!("../page/card.js"),
    include_str!("../page/detail.js"),
    include_str!("../page/page.js"),
);

/// The page, and the rule that the browser holds it to: this script and this style by their hashes, nothing else.
static PAGE: LazyLock<(String, HeaderValue)> = LazyLock::new(|| {
    let page = SHELL.replace("/*STYLE*/", STYLE).replace("/*SCRIPT*/", SCRIPT);
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text));
    let rule = format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; img-src data:; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
        hash(SCRIPT),
        hash(STYLE)
    );
    let rule = HeaderValue::from_str(&rule).expect("a rule is plain text");
    (page, rule)
});

/// Show all exports, for people
#[utoipa::path(get, path = "/", tag = "server",
    responses((status = 200, description = "The page", content_type = "text/html", body = String)))]
pub async fn page() -> Response<Body> {
    let (page, rule) = &*PAGE;
    let mut response = Response::new(Body::from(page.as_str()));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    headers.insert(header::CONTENT_SECURITY_POLICY, rule.clone());
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the browser hashes is what stands between the tags, to the letter.
    #[test]
    fn the_script_and_the_style_stand_in_the_page_as_they_were_hashed() {
        let (page, rule) = &*PAGE;
        for (tag, text) in [("script", SCRIPT), ("style", STYLE)] {
            let inside = page.split_once(&format!("<{tag}>")).unwrap().1;
            let inside = inside.split_once(&format!("</{tag}>")).unwrap().0;
            assert!(inside == text, "{tag} is not alone in its element");
            let hash = STANDARD.encode(Sha256::digest(inside));
            assert!(rule.to_str().unwrap().contains(&hash));
        }
    }

    #[test]
    fn the_page_takes_nothing_from_elsewhere_and_no_text_as_markup() {
        let (page, _) = &*PAGE;
        for sign in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            "DOMParser",
        ] {
            assert!(!page.contains(sign), "{sign} makes markup of text");
        }
        for sign in [" src=", "@import", "url(", " onclick=", " onload=", " style="] {
            assert!(!page.contains(sign), "{sign}");
        }
        let links = page.matches("http://").count() + page.matches("https://").count();
        assert_eq!(
            links,
            page.matches("http://www.w3.org/2000/svg").count(),
            "nothing is fetched from elsewhere"
        );
    }
}
