//! The words of the design as types; each is checked once, where it comes in.

mod content;
mod entry;
mod path;
mod run;
mod tag;
mod url;

pub use content::{ContentHasher, ContentId, ContentIdError, ContentIds, GitId};
pub use entry::{Attributes, Change, Entry, Notice, NoticeKind, OriginObject};
pub use path::{PathError, RelPath};
pub use run::{Mark, RunId};
pub use tag::{CommitId, ETag};
pub use url::{Bucket, ObjectKey, Prefix, S3Url, UrlError};
