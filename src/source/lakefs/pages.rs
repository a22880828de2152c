//! Trees and changes by pages of the API: what every lakeFS answers.

mod changes;
mod folder;
mod objects;
mod tree;

pub(super) use changes::begin_changes;
pub(super) use folder::{PageChild, has_prefix, stream_folder};
pub(super) use tree::stream_tree;

use tokio_util::task::AbortOnDropHandle;

use super::client::{Answer, LakeFsClient, ObjectStats, PAGE, Page, PageParams};
use super::error::{LakeFsError, LakeFsErrorKind as Kind};
use crate::source::SourceError;

/// What the API puts in the place of bytes that are no UTF-8.
const REPLACED: char = '\u{fffd}';

/// What pages are asked of.
#[derive(Clone)]
pub(super) struct PagesOf {
    pub(super) client: LakeFsClient,
    pub(super) repository: String,
    pub(super) prefix: String,
}

impl PagesOf {
    fn page<'a>(&'a self, after: &'a str) -> PageParams<'a> {
        PageParams {
            prefix: &self.prefix,
            after,
            delimiter: "",
            amount: PAGE,
        }
    }

    /// Gets what there is of one object. Where its key may stand for other bytes, this makes sure that it stands for
    /// itself: the API finds an object only by its true name. Of several that look alike the order of the pages tells.
    async fn exact(&self, commit: &str, key: &str) -> Result<ObjectStats, Box<LakeFsError>> {
        let stats = self.client.stat(&self.repository, commit, key).await;
        stats.map_err(|mut error| {
            if error.kind == Kind::NotFound && key.contains(REPLACED) {
                error.kind = Kind::KeyNotText;
                error.said = None;
            }
            error
        })
    }

    fn bad_page(&self, request: super::LakeFsRequest, commit: &str, problem: &'static str) -> SourceError {
        Box::new(LakeFsError {
            request,
            place: format!("lakefs://{}/{commit}/{}", self.repository, self.prefix),
            endpoint: self.client.endpoint().to_string(),
            kind: Kind::BadAnswer { problem },
            said: None,
            cause: None,
        })
        .into()
    }
}

/// A page that is fetched while the one before it is dealt with.
type Coming<T> = AbortOnDropHandle<Answer<Page<T>>>;

fn ahead<T: Send + 'static>(page: impl Future<Output = Answer<Page<T>>> + Send + 'static) -> Coming<T> {
    AbortOnDropHandle::new(tokio::spawn(page))
}

async fn arrived<T>(page: Coming<T>) -> Result<Page<T>, SourceError> {
    Ok(page.await.map_err(|_| SourceError::Interrupted)??)
}

/// Holds the keys of pages to their order: a server that repeats itself must not be followed for ever, and two keys
/// that look alike were not both text.
#[derive(Default)]
struct InOrder {
    last: String,
    begun: bool,
}

impl InOrder {
    /// Starts behind a key.
    fn after(key: &str) -> Self {
        Self {
            last: key.to_owned(),
            begun: !key.is_empty(),
        }
    }

    fn step(&mut self, key: &str) -> Result<(), &'static str> {
        if self.begun && key <= self.last.as_str() {
            return Err(if key == self.last && key.contains(REPLACED) {
                "two keys are no UTF-8 and look alike; use `--listing ranges`"
            } else {
                "its pages are not in the order of their keys"
            });
        }
        self.begun = true;
        self.last.clear();
        self.last.push_str(key);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_come_again_or_too_late_are_no_listing() {
        let mut order = InOrder::default();
        order.step("").unwrap();
        order.step("a").unwrap();
        order.step("a/b").unwrap();
        assert!(order.step("a/b").unwrap_err().contains("order"));
        assert!(order.step("a").is_err());
        order.step("b\u{fffd}").unwrap();
        assert!(order.step("b\u{fffd}").unwrap_err().contains("--listing ranges"));
        assert!(InOrder::after("m").step("m").is_err());
    }
}
