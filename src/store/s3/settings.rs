//! What the SDK is told, and what it finds by itself.

use aws_config::environment::region::EnvironmentVariableRegionProvider;
use aws_config::meta::region::ProvideRegion as _;
use aws_config::profile::{ProfileFileCredentialsProvider, ProfileFileRegionProvider};
use aws_config::provider_config::ProviderConfig;
use aws_config::{AppName, BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_s3::config::{RequestChecksumCalculation, ResponseChecksumValidation, StalledStreamProtectionConfig};
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::service_config::ServiceConfigKey;

use super::config::{Keys, S3Config};
use super::transport::Transport;

/// For whom nothing says a region: what AWS itself assumes, and what other stores do not look at.
const DEFAULT_REGION: &str = "us-east-1";

/// All of the SDK's settings but for the connections of requests.
pub(super) struct Settings {
    pub(super) of_client: aws_sdk_s3::config::Builder,
    /// Where the keys come from.
    pub(super) credentials: Option<SharedCredentialsProvider>,
}

impl Settings {
    /// Reads the environment and the files of the SDK; `connections` is for whom it asks for more.
    pub(super) async fn load(config: &S3Config, connections: &Transport) -> Self {
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .http_client(connections.clone())
            .app_name(AppName::new("lakesync").expect("letters are allowed in the name"));
        let region = known_region(config).await;
        if let Some(profile) = &config.profile {
            loader = loader.profile_name(profile);
            // The SDK would take keys of the environment first; whoever names a profile means that, as for aws.
            let mut sdk = ProviderConfig::without_region().with_http_client(connections.clone());
            if region.is_some() {
                sdk = sdk.with_region(region.clone());
            }
            let named = ProfileFileCredentialsProvider::builder()
                .configure(&sdk)
                .profile_name(profile);
            loader = loader.credentials_provider(named.build());
        }
        if let Some(keys) = &config.keys {
            let Keys {
                access_key_id,
                secret_access_key,
                session_token,
            } = keys.clone();
            let credentials = Credentials::new(access_key_id, secret_access_key, session_token, None, "caller");
            loader = loader.credentials_provider(credentials);
        }
        if let Some(region) = region {
            loader = loader.region(region);
        }
        let shared = loader.load().await;
        let own_endpoint = config.endpoint_url.is_some() || names_an_endpoint(&shared);
        let mut of_client = aws_sdk_s3::config::Builder::from(&shared)
            .retry_config(RetryConfig::disabled())
            // Deadlines are set around each call, and the connector has its own for connecting.
            .timeout_config(TimeoutConfig::disabled())
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            // For uploads it gives false alarms on slow links (aws-sdk-rust#1146, #1202); they have deadlines.
            .stalled_stream_protection(StalledStreamProtectionConfig::enabled().upload_enabled(false).build())
            // A wrong clock is reported at once, rather than worked around from the second request on.
            .disable_clock_skew_correction(true)
            .force_path_style(config.addressing.is_path(&config.bucket, own_endpoint));
        if shared.region().is_none() {
            of_client = of_client.region(Region::from_static(DEFAULT_REGION));
        }
        if let Some(url) = &config.endpoint_url {
            of_client = of_client.endpoint_url(url);
        }
        Self {
            of_client,
            credentials: shared.credentials_provider(),
        }
    }
}

/// The region where it is known without asking the network; with an endpoint of its own a store need not
/// wait for a machine's metadata service that is not there.
async fn known_region(config: &S3Config) -> Option<Region> {
    if let Some(region) = &config.region {
        return Some(Region::new(region.clone()));
    }
    // A role of a named profile is asked for in a region, too.
    if config.endpoint_url.is_none() && config.profile.is_none() {
        return None;
    }
    if let Some(region) = EnvironmentVariableRegionProvider::new().region().await {
        return Some(region);
    }
    let mut profile = ProfileFileRegionProvider::builder();
    if let Some(name) = &config.profile {
        profile = profile.profile_name(name);
    }
    let region = profile.build().region().await;
    region.or(config
        .endpoint_url
        .as_ref()
        .map(|_| Region::from_static(DEFAULT_REGION)))
}

/// Whether the environment or the profile names an endpoint, as the SDK will find it.
fn names_an_endpoint(shared: &SdkConfig) -> bool {
    let key = ServiceConfigKey::builder()
        .service_id("S3")
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build()
        .expect("all three are set");
    shared.endpoint_url().is_some()
        || shared
            .service_config()
            .and_then(|config| config.load_config(key))
            .is_some()
}
