//! What the S3 store says and understands on the wire, against servers that answer oddly on purpose.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod server;

use lakesync::store::HttpClient;

/// All that holds over either client, over the lean one, and what only that does.
#[path = "s3_wire"]
mod lean {
    mod bucket;
    mod expect;
    mod hidden;
    mod hot;
    mod oddities;
    mod probe;
    mod proxies;
    mod same;
    mod world;
    mod words;

    use super::server;
    pub use world::{SECRET, TOKEN, config, key, retrying, store};

    pub const CLIENT: super::HttpClient = super::HttpClient::Lean;
}

/// The same over the AWS SDK.
#[path = "s3_wire"]
#[allow(clippy::duplicate_mod, reason = "the same claims of another client")]
mod sdk {
    mod bucket;
    mod hidden;
    mod hot;
    mod oddities;
    mod probe;
    mod proxies;
    mod words;
    mod world;

    use super::server;
    pub use world::{SECRET, TOKEN, config, key, retrying, store};

    pub const CLIENT: super::HttpClient = super::HttpClient::Sdk;
}
