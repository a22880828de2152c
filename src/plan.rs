//! What is to be done, as pure data: no request is sent from here.

mod content_type;
mod headers;

pub use headers::{HeaderError, HeaderRuleError, HeaderRules};
