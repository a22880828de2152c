//! The pages of a listing, one after the other.

use super::super::LakeFsRequest;
use super::super::client::{ObjectStats, PageParams};
use super::{Coming, InOrder, PagesOf, REPLACED, ahead, arrived};
use crate::source::SourceError;

/// The pages of a commit's objects; the next one is fetched while one is dealt with.
pub(super) struct ObjectPages {
    pages: PagesOf,
    commit: String,
    delimiter: &'static str,
    order: InOrder,
    coming: Option<Coming<ObjectStats>>,
}

impl ObjectPages {
    /// Begins behind the key `after`, which is empty for all of them.
    pub(super) fn begin(pages: PagesOf, commit: String, delimiter: &'static str, after: &str) -> Self {
        let mut begun = Self {
            pages,
            commit,
            delimiter,
            order: InOrder::after(after),
            coming: None,
        };
        begun.coming = Some(begun.fetch(after.to_owned()));
        begun
    }

    fn fetch(&self, after: String) -> Coming<ObjectStats> {
        let (pages, commit, delimiter) = (self.pages.clone(), self.commit.clone(), self.delimiter);
        ahead(async move {
            let page = PageParams {
                delimiter,
                ..pages.page(&after)
            };
            pages.client.objects(&pages.repository, &commit, page).await
        })
    }

    /// What is on the next page; `None` behind the last.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<ObjectStats>>, SourceError> {
        let Some(page) = self.coming.take() else {
            return Ok(None);
        };
        let page = arrived(page).await?;
        self.coming = page.next().map(|next| self.fetch(next.to_owned()));
        if self.coming.is_some() && page.results.is_empty() {
            return Err(self.bad("a page is empty and not the last"));
        }
        Ok(Some(page.results))
    }

    /// Holds the next key to its order.
    pub(super) fn step(&mut self, key: &str) -> Result<(), SourceError> {
        let stepped = self.order.step(key);
        stepped.map_err(|problem| self.bad(problem))
    }

    /// Makes sure that the key of an object stands for itself.
    pub(super) async fn exact(&self, listed: ObjectStats) -> Result<ObjectStats, SourceError> {
        if !listed.path.contains(REPLACED) {
            return Ok(listed);
        }
        let found = self.pages.exact(&self.commit, &listed.path).await?;
        if found.physical_address == listed.physical_address {
            return Ok(found);
        }
        Err(self.bad("a key is no UTF-8 and looks like another; use `--listing ranges`"))
    }

    /// Says what is wrong with a page.
    pub(super) fn bad(&self, problem: &'static str) -> SourceError {
        self.pages.bad_page(LakeFsRequest::ListObjects, &self.commit, problem)
    }
}
