//! What the words mean: places that exist, folders, settings of the library. The step that can fail on sense
//! rather than on spelling, and the last one before anything is touched.

use std::path::PathBuf;
use std::sync::Arc;

use super::args::SourceArgs;
use super::error::CliError;
use super::flags::{
    CacheArgs, ChecksumChoice, ExportFlags, LakeFsArgs, LeaseChoice, ListingChoice, OddKeysChoice, Preserve,
    RecordsChoice, SelectArgs, SourceBytesArgs, StoreArgs, TargetArgs, TransferChoice,
};
use super::lakefs;
use super::place::{self, Found, Place};
use super::world::World;
use crate::disk_cache::DiskCacheConfig;
use crate::export::{ExportConfig, Guards, Hooks, LeasePolicy, StatusRecords};
use crate::model::S3Url;
use crate::network::Network;
use crate::plan::{HeaderRules, LastRules, OddKeys};
use crate::source::Filter;
use crate::source::lakefs::LakeFsConfig;
use crate::store::{Checksum, WriteClass};
use crate::transfer::OutsideCopies;

/// Words that are fine each, and together make no sense.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// Nowhere to export to, or nothing to look at.
    #[error(
        "no export path was given; write {how}, or set LAKESYNC_EXPORT_PATH or the key export-path of lakesync.toml"
    )]
    NoExportPath {
        /// What to write on the command line.
        how: &'static str,
    },
    /// `--continuous` of what does not move.
    #[error(
        "{name}: no branch, so there is nothing to follow (a tag, a commit or a detached HEAD); name one with --branch, or leave --continuous out"
    )]
    NotABranch {
        /// The source.
        name: String,
    },
    /// `--continuous` of what does nothing.
    #[error("--dry-run shows what one run would do; leave --continuous out")]
    DryContinuous,
    /// Status files among our own state.
    #[error("{flag} {url}: lies inside _lakesync/, where lakesync keeps its own state; choose another")]
    InsideState {
        /// The flag.
        flag: &'static str,
        /// The place.
        url: S3Url,
    },
    /// A key that is not used.
    #[error("--sse-kms-key-id needs --sse aws:kms or aws:kms:dsse, and not AES256")]
    KeyWithoutKms,
    /// Nothing was exported there.
    #[error("{export_path}: no ledger there, so nothing was exported to it; check the path")]
    NoLedger {
        /// The export path.
        export_path: S3Url,
    },
    /// The store copies only what it can read itself.
    #[error("{flag}: has lakesync read the bytes, and --transfer copy has the store copy them; leave one out")]
    CopyFromElsewhere {
        /// The flag.
        flag: &'static str,
    },
    /// Nowhere to remember what was written.
    #[error("no folder for what must be remembered: neither XDG_STATE_HOME nor HOME is set; set one of them")]
    NoStateFolder,
    /// A source that this build cannot read.
    #[error("this lakesync was built without Git; build it with the feature `git`, or write dir:PATH")]
    NoGit,
}

/// A branch to read. No `Debug`: it can hold an access key.
#[derive(Clone)]
pub struct SourceJob {
    /// Where it lives.
    pub place: Place,
    /// What to tell about how the place was read.
    pub remark: Option<String>,
    /// Which branch, and what of it.
    pub select: SelectArgs,
    /// The globs, read.
    pub filter: Filter,
    /// How lakeFS is reached, where the place is there.
    pub lakefs: Option<LakeFsConfig>,
    /// How the entries of a lakeFS commit are read.
    pub listing: ListingChoice,
    /// Where things that can be made again are kept.
    pub cache: Option<DiskCacheConfig>,
}

/// How the store behind lakeFS is read, where the flags say so.
#[derive(Clone, Debug)]
pub struct SourceBytesJob {
    /// Another S3 server than the export's, to read from.
    pub endpoint_url: Option<String>,
    /// Other credentials than the export's, to read with.
    pub profile: Option<String>,
}

/// How a store is reached.
#[derive(Clone)]
pub struct StoreJob {
    /// The flags.
    pub args: StoreArgs,
    /// The environment.
    pub network: Network,
    /// How many requests are under way at once.
    pub concurrency: usize,
}

/// An export path to look at.
#[derive(Clone)]
pub struct TargetJob {
    /// The export path.
    pub export_path: S3Url,
    status_path: Option<S3Url>,
    /// How it is reached.
    pub store: StoreJob,
}

/// One export.
#[derive(Clone)]
pub struct ExportJob {
    /// What is read.
    pub source: SourceJob,
    /// How bytes of lakeFS objects are had.
    pub source_bytes: SourceBytesJob,
    /// How the stores are reached.
    pub store: StoreJob,
    /// How it goes.
    pub config: ExportConfig,
    /// Bytes per second, at most.
    pub bandwidth: Option<u64>,
    /// Whether only the plan is shown.
    pub dry_run: bool,
}

impl SourceJob {
    /// Reads what `ls` was given.
    pub fn new(
        source: &SourceArgs,
        select: &SelectArgs,
        lakefs: &LakeFsArgs,
        cache: &CacheArgs,
        world: &World,
    ) -> Result<Self, CliError> {
        let found = place::find_source(source.source.as_deref(), world)?;
        Self::of(found, select, lakefs, cache, world)
    }

    fn of(
        found: Found,
        select: &SelectArgs,
        lakefs: &LakeFsArgs,
        cache: &CacheArgs,
        world: &World,
    ) -> Result<Self, CliError> {
        let place = place::at_branch(found.place, select.branch.as_deref())?;
        if matches!(place, Place::Git(_)) && !cfg!(feature = "git") {
            return Err(JobError::NoGit.into());
        }
        Ok(Self {
            remark: found.remark,
            select: select.clone(),
            filter: Filter::new(&select.include, &select.exclude)?,
            lakefs: match place {
                Place::LakeFs(_) => Some(lakefs::config(lakefs, world)?),
                Place::Git(_) | Place::Directory(_) => None,
            },
            listing: lakefs.listing,
            cache: cache_config(cache, world),
            place,
        })
    }
}

/// With an S3 server or credentials of their own, the export's store cannot copy them.
fn outside_copies(args: &SourceBytesArgs) -> OutsideCopies {
    let elsewhere = args.source_endpoint_url.is_some() || args.source_profile.is_some();
    match args.transfer {
        TransferChoice::Auto if elsewhere => OutsideCopies::Never,
        TransferChoice::Auto => OutsideCopies::Tried,
        TransferChoice::Copy => OutsideCopies::Only,
        TransferChoice::Stream => OutsideCopies::Never,
    }
}

impl SourceBytesJob {
    /// With an S3 server or credentials of their own, the export's store cannot copy them.
    fn new(args: &SourceBytesArgs) -> Result<Self, JobError> {
        for (flag, given) in [
            ("--source-endpoint-url", args.source_endpoint_url.is_some()),
            ("--source-profile", args.source_profile.is_some()),
        ] {
            if given && args.transfer == TransferChoice::Copy {
                return Err(JobError::CopyFromElsewhere { flag });
            }
        }
        Ok(Self {
            endpoint_url: args.source_endpoint_url.clone(),
            profile: args.source_profile.clone(),
        })
    }
}

impl StoreJob {
    /// Reads how a store is reached.
    pub fn new(args: &StoreArgs, concurrency: usize, world: &World) -> Result<Self, JobError> {
        if args.sse_kms_key_id.is_some() && args.sse.as_deref() == Some("AES256") {
            return Err(JobError::KeyWithoutKms);
        }
        let mut args = args.clone();
        // The SDK would read it itself; so an error can name it.
        let profile = || {
            world
                .variable("AWS_PROFILE")
                .map(|name| name.to_string_lossy().into_owned())
        };
        args.profile = args.profile.or_else(profile);
        if args.sse_kms_key_id.is_some() && args.sse.is_none() {
            args.sse = Some("aws:kms".to_owned());
        }
        Ok(Self {
            args,
            network: network_of(world),
            concurrency,
        })
    }
}

/// Reads what the environment says of the way to servers. The SDK of AWS reads `AWS_*` itself, but not these. Upper case
/// first, as curl and the AWS tools do; both spellings are in use.
pub fn network_of(world: &World) -> Network {
    let text = |names: [&str; 2]| {
        let value = names.iter().find_map(|name| world.variable(name));
        value.map(|value| value.to_string_lossy().into_owned())
    };
    Network {
        https_proxy: text(["HTTPS_PROXY", "https_proxy"]),
        http_proxy: text(["HTTP_PROXY", "http_proxy"]),
        no_proxy: text(["NO_PROXY", "no_proxy"]),
        ca_bundle: world.variable("AWS_CA_BUNDLE").map(PathBuf::from),
    }
}

impl TargetJob {
    /// Where status files are.
    pub fn status_path(&self) -> &S3Url {
        self.status_path.as_ref().unwrap_or(&self.export_path)
    }

    /// Reads what `status` and its like were given.
    pub fn new(target: &TargetArgs, store: StoreJob) -> Result<Self, JobError> {
        let how = "s3://BUCKET/PREFIX/ behind the command";
        let export_path = target.export_path.clone().ok_or(JobError::NoExportPath { how })?;
        Ok(Self {
            export_path,
            status_path: target.status.export_status_path.clone(),
            store,
        })
    }
}

impl ExportJob {
    /// Reads what `export` was given.
    pub fn of_source(source: &SourceArgs, flags: &ExportFlags, world: &World) -> Result<Self, CliError> {
        let found = place::find_source(source.source.as_deref(), world)?;
        Self::of(found, flags, world)
    }

    /// Reads what `repo export` was given.
    pub fn of_repository(repo: Option<&std::ffi::OsStr>, flags: &ExportFlags, world: &World) -> Result<Self, CliError> {
        Self::of(place::find_repository(repo, world)?, flags, world)
    }

    fn of(found: Found, flags: &ExportFlags, world: &World) -> Result<Self, CliError> {
        let how = "--export-path s3://BUCKET/PREFIX/";
        let export_path = flags.place.export_path.clone().ok_or(JobError::NoExportPath { how })?;
        let named_status = flags.place.status.export_status_path.clone();
        let status_path = named_status.unwrap_or_else(|| export_path.clone());
        for (flag, url) in [("--export-path", &export_path), ("--export-status-path", &status_path)] {
            if url.prefix.as_str().split('/').any(|segment| segment == "_lakesync") {
                return Err(JobError::InsideState { flag, url: url.clone() }.into());
            }
        }
        let source = SourceJob::of(found, &flags.select, &flags.lakefs, &flags.cache, world)?;
        let source_bytes = SourceBytesJob::new(&flags.source_bytes)?;
        let store = StoreJob::new(&flags.store, flags.transfer.rate.concurrency.get(), world)?;
        let config = config(flags, &source, export_path, status_path)?;
        Ok(Self {
            source,
            source_bytes,
            store,
            config,
            bandwidth: flags.transfer.rate.bandwidth,
            dry_run: flags.dry_run,
        })
    }
}

fn config(
    flags: &ExportFlags,
    source: &SourceJob,
    export_path: S3Url,
    status_path: S3Url,
) -> Result<ExportConfig, CliError> {
    let preserves = |what: &Preserve| flags.object.preserve.contains(what);
    let headers = HeaderRules::new(
        &flags.object.header,
        preserves(&Preserve::Mode),
        preserves(&Preserve::Mtime),
    )?;
    Ok(ExportConfig {
        export_path,
        status_path,
        last: Arc::new(LastRules::new(&flags.object.last)?),
        prefix_regex: flags.object.prefix_regex.clone(),
        headers: Arc::new(headers),
        class: Arc::new(WriteClass {
            storage_class: flags.object.storage_class.clone(),
            acl: flags.object.acl.clone(),
            tagging: flags.object.tagging.clone(),
        }),
        selection: selection(source),
        guards: Guards {
            allow_empty: flags.guard.allow_empty,
            max_delete: flags.guard.max_delete,
            adopt: flags.guard.adopt,
            overwrite: flags.guard.overwrite,
            move_status: flags.guard.move_status,
        },
        hooks: Hooks {
            before: flags.hook.before_export.clone(),
            after: flags.hook.after_export.clone(),
            timeout: flags.hook.hook_timeout,
        },
        odd_keys: match flags.guard.odd_keys {
            OddKeysChoice::Error => OddKeys::Error,
            OddKeysChoice::Skip => OddKeys::Skip,
            OddKeysChoice::Send => OddKeys::Send,
        },
        concurrency: flags.transfer.rate.concurrency,
        part_size_bytes: flags.transfer.part_size,
        outside_copies: outside_copies(&flags.source_bytes),
        checksum: checksum(flags.store.checksum),
        lease_ttl: flags.lease.lease_ttl,
        lock_wait: flags.lease.lock_wait,
        lease: match flags.guard.lease {
            LeaseChoice::Auto => LeasePolicy::Auto,
            LeaseChoice::Required => LeasePolicy::Required,
        },
        keep_status: flags.status_file.keep_status.get(),
        status_records: match flags.status_file.status_records {
            RecordsChoice::All => StatusRecords::All,
            RecordsChoice::Changed => StatusRecords::Changed,
        },
        cache: source.cache.clone(),
    })
}

/// Everything that says which files of a tree go out; when it changes, an unchanged head is looked at again.
fn selection(source: &SourceJob) -> Vec<String> {
    let policies = format!(
        "symlinks={:?} submodules={:?} special={:?} lfs={:?}",
        source.select.symlinks, source.select.submodules, source.select.special, source.select.lfs
    );
    source.filter.globs().iter().cloned().chain([policies]).collect()
}

fn checksum(choice: ChecksumChoice) -> Option<Checksum> {
    match choice {
        ChecksumChoice::Auto => None,
        ChecksumChoice::Crc64Nvme => Some(Checksum::Crc64Nvme),
        ChecksumChoice::Crc32c => Some(Checksum::Crc32c),
        ChecksumChoice::Crc32 => Some(Checksum::Crc32),
        ChecksumChoice::Sha256 => Some(Checksum::Sha256),
        ChecksumChoice::Md5 => Some(Checksum::Md5),
        ChecksumChoice::None => Some(Checksum::None),
    }
}

/// The cache that was named, else the user's; without a HOME, or where nothing may stay, there is none, which costs
/// time only.
pub fn cache_config(cache: &CacheArgs, world: &World) -> Option<DiskCacheConfig> {
    let named = cache.cache.as_ref().map(|path| world.resolve(path));
    let folder = named.or_else(|| world.cache_folder().map(|folder| folder.join("lakesync")))?;
    (cache.max_cache_size > 0).then_some(DiskCacheConfig {
        folder,
        limit_bytes: cache.max_cache_size,
    })
}

#[cfg(test)]
mod tests;
