//! One folder, page by page: the server steps over what lies in its sub-folders.

use super::super::client::{Answer, ObjectStats, PageParams};
use super::objects::ObjectPages;
use super::{PagesOf, REPLACED};
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
    let mut objects = ObjectPages::begin(pages, commit, "/", "");
    while let Some(page) = objects.next().await? {
        for stats in page {
            objects.step(&stats.path)?;
            let child = match stats.path_type.as_str() {
                "object" => PageChild::File(Box::new(objects.exact(stats).await?)),
                "common_prefix" if stats.path.contains(REPLACED) => {
                    return Err(objects.bad("a folder may be no UTF-8; use `--listing ranges`"));
                }
                "common_prefix" => PageChild::Folder(stats.path),
                _ => return Err(objects.bad("it lists what is neither an object nor a folder")),
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
