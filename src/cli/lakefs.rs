//! Where lakeFS is, who we are there, and a source of it.

use std::sync::Arc;
use std::time::Duration;

use super::error::CliError;
use super::flags::{LakeFsArgs, ListingChoice};
use super::human;
use super::job::{SourceJob, network_of};
use super::lakectl::{self, Lakectl, LakectlError, Told};
use super::layers::Origin;
use super::world::World;
use crate::disk_cache::DiskCacheConfig;
use crate::source::lakefs::{
    self, EndpointError, LakeFsClient, LakeFsConfig, LakeFsKeys, LakeFsRetryConfig, LakeFsSource, LakeFsSourceConfig,
    LakeFsUri, OriginRead,
};

/// The variable of an access key's id. Its secret has the next.
pub const ACCESS_KEY_ID: &str = "LAKESYNC_LAKEFS_ACCESS_KEY_ID";
pub const SECRET_ACCESS_KEY: &str = "LAKESYNC_LAKEFS_SECRET_ACCESS_KEY";

/// The only kind of login that a lakeFS server has without further programs, as lakectl calls it.
const STATIC_PROVIDERS: [&str; 2] = ["", "static"];

/// Why lakeFS cannot be reached with what was said.
#[derive(Debug, thiserror::Error)]
pub enum LakeFsSettingsError {
    /// lakectl's file.
    #[error(transparent)]
    Lakectl(#[from] LakectlError),
    /// Nobody said where it is.
    #[error(
        "no lakeFS server was named; write --lakefs-endpoint-url https://HOST, or set LAKESYNC_LAKEFS_ENDPOINT_URL or \
         LAKECTL_SERVER_ENDPOINT_URL, or server.endpoint_url in ~/.lakectl.yaml"
    )]
    NoEndpoint,
    /// Nobody said who we are.
    #[error(
        "no access key of lakeFS was given; set LAKESYNC_LAKEFS_ACCESS_KEY_ID and LAKESYNC_LAKEFS_SECRET_ACCESS_KEY, \
         or LAKECTL_CREDENTIALS_ACCESS_KEY_ID and LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY, or credentials in \
         ~/.lakectl.yaml"
    )]
    NoKeys,
    /// One half of a key.
    #[error("{origin} gives one half of an access key of lakeFS; {missing} is missing")]
    HalfAKey {
        /// Where the half comes from.
        origin: Origin,
        /// What the other half is called.
        missing: &'static str,
    },
    /// Another kind of login.
    #[error("{origin}: credentials.provider.type is {kind:?}; lakesync logs in with an access key alone: give one")]
    Provider {
        /// Where it comes from.
        origin: Origin,
        /// The kind.
        kind: String,
    },
    /// The address is none.
    #[error("{origin}: {problem}")]
    Endpoint {
        /// Where it comes from.
        origin: Origin,
        /// What is wrong with it.
        problem: EndpointError,
    },
    /// A setting of lakectl's that it would not take either.
    #[error("{origin}: {key}: {value:?} is not {wanted}")]
    Value {
        /// Where it comes from.
        origin: Origin,
        /// The key.
        key: &'static str,
        /// The value.
        value: String,
        /// What it should be.
        wanted: &'static str,
    },
}

/// Puts together how lakeFS is reached.
pub fn config(args: &LakeFsArgs, world: &World) -> Result<LakeFsConfig, LakeFsSettingsError> {
    let lakectl = Lakectl::read(world)?;
    let endpoint = match &args.lakefs_endpoint_url {
        Some(endpoint) => endpoint.clone(),
        None => {
            let told = lakectl
                .get(lakectl::ENDPOINT_URL)
                .ok_or(LakeFsSettingsError::NoEndpoint)?;
            told.value.parse().map_err(|problem| LakeFsSettingsError::Endpoint {
                origin: told.origin.clone(),
                problem,
            })?
        }
    };
    let keys = Keys::find(&lakectl, world)?;
    Ok(LakeFsConfig {
        retry: retry(&lakectl)?,
        network: network_of(world),
        ..LakeFsConfig::new(
            endpoint,
            LakeFsKeys {
                access_key_id: keys.id.value,
                secret_access_key: keys.secret.value,
            },
        )
    })
}

/// The two halves of a key, which must come from one place: halves of two keys open nothing.
struct Keys {
    id: Told,
    secret: Told,
}

impl Keys {
    fn find(lakectl: &Lakectl, world: &World) -> Result<Self, LakeFsSettingsError> {
        let own = [ACCESS_KEY_ID, SECRET_ACCESS_KEY].map(|name| own_variable(name, world));
        let theirs = [lakectl::ACCESS_KEY_ID, lakectl::SECRET_ACCESS_KEY];
        let found = match own {
            [None, None] => theirs.map(|key| lakectl.get(key).cloned()),
            own => return Self::whole(own, [ACCESS_KEY_ID, SECRET_ACCESS_KEY]),
        };
        if let ([None, None], Some(provider)) = (&found, lakectl.get(lakectl::PROVIDER))
            && !STATIC_PROVIDERS.contains(&provider.value.as_str())
        {
            return Err(LakeFsSettingsError::Provider {
                origin: provider.origin.clone(),
                kind: provider.value.clone(),
            });
        }
        Self::whole(found, theirs)
    }

    fn whole(halves: [Option<Told>; 2], names: [&'static str; 2]) -> Result<Self, LakeFsSettingsError> {
        let half = |told: Told, missing| LakeFsSettingsError::HalfAKey {
            origin: told.origin,
            missing,
        };
        match halves {
            [Some(id), Some(secret)] => Ok(Self { id, secret }),
            [Some(id), None] => Err(half(id, names[1])),
            [None, Some(secret)] => Err(half(secret, names[0])),
            [None, None] => Err(LakeFsSettingsError::NoKeys),
        }
    }
}

fn own_variable(name: &str, world: &World) -> Option<Told> {
    let value = world.variable(name)?.to_string_lossy().into_owned();
    let origin = Origin::Variable { name: name.to_owned() };
    Some(Told { value, origin })
}

fn retry(lakectl: &Lakectl) -> Result<LakeFsRetryConfig, LakeFsSettingsError> {
    let usual = LakeFsRetryConfig::default();
    let time = |text: &str| human::parse_duration(text).ok();
    let whether = |text: &str| text.to_ascii_lowercase().parse().ok();
    let attempts = |text: &str| text.parse().ok().filter(|attempts| *attempts > 0);
    let enabled: bool = read(lakectl, lakectl::RETRIES_ENABLED, "true or false", whether)?.unwrap_or(true);
    let max_attempts = read(lakectl, lakectl::MAX_ATTEMPTS, "a count", attempts)?;
    let min: Option<Duration> = read(lakectl, lakectl::MIN_WAIT, "a time, such as 200ms", time)?;
    let max: Option<Duration> = read(lakectl, lakectl::MAX_WAIT, "a time, such as 30s", time)?;
    Ok(LakeFsRetryConfig {
        max_attempts: if enabled {
            max_attempts.unwrap_or(usual.max_attempts)
        } else {
            1
        },
        min_wait_interval: min.unwrap_or(usual.min_wait_interval),
        max_wait_interval: max.unwrap_or(usual.max_wait_interval),
    })
}

fn read<T>(
    lakectl: &Lakectl,
    key: &'static str,
    wanted: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, LakeFsSettingsError> {
    let Some(told) = lakectl.get(key) else { return Ok(None) };
    match parse(&told.value) {
        Some(value) => Ok(Some(value)),
        None => Err(LakeFsSettingsError::Value {
            origin: told.origin.clone(),
            key,
            value: told.value.clone(),
            wanted,
        }),
    }
}

/// What a setting is called, its value, and where that comes from.
pub type Shown = (&'static str, Option<String>, Origin);

/// What `lakesync config` shows of lakeFS beside the flags: what it is called, its value with secrets masked, and where
/// it comes from. The endpoint is shown where no flag says it.
pub fn shown(world: &World) -> Result<Vec<Shown>, LakectlError> {
    let lakectl = Lakectl::read(world)?;
    let mut rows = Vec::new();
    let mut row = |name, told: Option<Told>| match told {
        Some(told) => rows.push((name, Some(told.value), told.origin)),
        None => rows.push((name, None, Origin::Default)),
    };
    row("lakefs-endpoint-url", lakectl.get(lakectl::ENDPOINT_URL).cloned());
    let own = [ACCESS_KEY_ID, SECRET_ACCESS_KEY].map(|name| own_variable(name, world));
    let [id, secret] = match own {
        [None, None] => [lakectl::ACCESS_KEY_ID, lakectl::SECRET_ACCESS_KEY].map(|key| lakectl.get(key).cloned()),
        own => own,
    };
    row("lakefs-access-key-id", id);
    let masked = secret.map(|told| Told {
        value: "***".to_owned(),
        ..told
    });
    row("lakefs-secret-access-key", masked);
    for (name, key) in [
        ("lakefs-retries-enabled", lakectl::RETRIES_ENABLED),
        ("lakefs-retries-max-attempts", lakectl::MAX_ATTEMPTS),
        ("lakefs-retries-min-wait-interval", lakectl::MIN_WAIT),
        ("lakefs-retries-max-wait-interval", lakectl::MAX_WAIT),
    ] {
        if let Some(told) = lakectl.get(key) {
            row(name, Some(told.clone()));
        }
    }
    Ok(rows)
}

/// Opens a branch of a repository.
pub async fn open(
    place: LakeFsUri,
    job: SourceJob,
    direct: Option<Arc<dyn OriginRead>>,
) -> Result<LakeFsSource, CliError> {
    let config = job
        .lakefs
        .expect("a job whose place is in lakeFS knows how it is reached");
    let client = LakeFsClient::new(config)?;
    let config = LakeFsSourceConfig {
        reference: place.reference,
        prefix: place.prefix,
        filter: job.filter,
        cache: job.cache.map(|cache| DiskCacheConfig {
            folder: cache.folder.join("lakefs"),
            ..cache
        }),
        direct,
        listing: match job.listing {
            ListingChoice::Auto => lakefs::ListingChoice::Auto,
            ListingChoice::Ranges => lakefs::ListingChoice::Ranges,
            ListingChoice::Pages => lakefs::ListingChoice::Pages,
        },
        ..LakeFsSourceConfig::new(place.repository)
    };
    Ok(LakeFsSource::open(client, config).await?)
}

#[cfg(test)]
mod tests;
