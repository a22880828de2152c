//! How a lakeFS server is reached, and how its repositories are read.

use clap::Args;

use super::store::parse_endpoint;
use super::{ListingChoice, TransferChoice};
use crate::source::lakefs::Endpoint;

/// How a lakeFS server is reached. Its access key comes from the environment or lakectl's file, never from flags.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "lakeFS")]
pub struct LakeFsArgs {
    /// Talk to the lakeFS server at URL [default: LAKECTL_SERVER_ENDPOINT_URL, or what ~/.lakectl.yaml says]
    ///
    /// The access key is read from LAKESYNC_LAKEFS_ACCESS_KEY_ID and LAKESYNC_LAKEFS_SECRET_ACCESS_KEY, else from
    /// LAKECTL_CREDENTIALS_ACCESS_KEY_ID and LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY, else from ~/.lakectl.yaml or the
    /// file that LAKECTL_CONFIG_FILE names; never from a flag or from lakesync.toml.
    #[arg(long, value_name = "URL", value_parser = parse_lakefs_endpoint)]
    pub lakefs_endpoint_url: Option<Endpoint>,
    /// Say how the entries of a lakeFS commit are read
    #[arg(long, value_enum, value_name = "WAY", default_value_t)]
    pub listing: ListingChoice,
}

/// How bytes get from a lakeFS repository to the store.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "lakeFS")]
pub struct SourceBytesArgs {
    /// Say how the bytes of lakeFS objects get to the store
    #[arg(long, value_enum, value_name = "WAY", default_value_t)]
    pub transfer: TransferChoice,
    /// Read the bytes of lakeFS objects straight from the S3 server at URL, where they lie; the store copies none
    #[arg(long, value_name = "URL", value_parser = parse_endpoint)]
    pub source_endpoint_url: Option<String>,
    /// Read them with the credentials of the AWS profile NAME; the store copies none
    #[arg(long, value_name = "NAME")]
    pub source_profile: Option<String>,
}

fn parse_lakefs_endpoint(text: &str) -> Result<Endpoint, crate::source::lakefs::EndpointError> {
    text.parse()
}
