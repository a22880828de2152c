//! One folder, page by page: the server steps over what lies in its sub-folders.

use super::super::LakeFsRequest;
use super::super::client::{Answer, ObjectStats, PageParams};
use super::{InOrder, PagesOf, REPLACED, ahead, arrived};
use crate::source::{Sink, SourceError};

/// What the API tells of a folder.
pub(in super::super) enum PageChild {
    /// An object.
    File(Box<ObjectStats>),
    /// What the keys of a sub-folder begin with, its slash included.
    Folder(String),
}

/// Sends what stands directly in the folder whose keys begin with the prefix of `pages`, in the order of the keys.
/// `make` turns it into what the caller wants of it, or into nothing.
pub(in super::super) async fn stream_folder<T: Send + 'static>(
    pages: PagesOf,
    commit: String,
    make: impl Fn(PageChild) -> Option<T>,
    sink: &mut Sink<T>,
) -> Result<(), SourceError> {
    let fetch = |after: String| {
        let (pages, commit) = (pages.clone(), commit.clone());
        ahead(async move {
            let page = PageParams {
                delimiter: "/",
                ..pages.page(&after)
            };
            pages.client.objects(&pages.repository, &commit, page).await
        })
    };
    let mut order = InOrder::default();
    let mut coming = Some(fetch(String::new()));
    while let Some(page) = coming.take() {
        let page = arrived(page).await?;
        coming = page.next().map(|next| fetch(next.to_owned()));
        let bad = |problem| pages.bad_page(LakeFsRequest::ListObjects, &commit, problem);
        if coming.is_some() && page.results.is_empty() {
            return Err(bad("a page is empty and not the last"));
        }
        for stats in page.results {
            order.step(&stats.path).map_err(bad)?;
            let is_text = !stats.path.contains(REPLACED);
            let child = match stats.path_type.as_str() {
                "object" if is_text => PageChild::File(Box::new(stats)),
                "object" => PageChild::File(Box::new(super::tree::exact(&pages, &commit, stats).await?)),
                "common_prefix" if is_text => PageChild::Folder(stats.path),
                "common_prefix" => return Err(bad("a folder may be no UTF-8; use `--listing ranges`")),
                _ => return Err(bad("it lists what is neither an object nor a folder")),
            };
            if let Some(item) = make(child)
                && sink.send(item).await.is_err()
            {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Whether any key begins with the prefix of `pages`.
pub(in super::super) async fn has_prefix(pages: &PagesOf, commit: &str) -> Answer<bool> {
    let page = PageParams {
        amount: 1,
        ..pages.page("")
    };
    let page = pages.client.objects(&pages.repository, commit, page).await?;
    Ok(!page.results.is_empty())
}
