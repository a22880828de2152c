//! How the definition of an export becomes one that runs.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use clap::FromArgMatches as _;

use crate::cli::args::{Cli, CommandArgs, ExportArgs};
use crate::cli::continuous::{check_branch, follow, reopen};
use crate::cli::error::{CliError, line_of};
use crate::cli::job::{ExportJob, StoreJob};
use crate::cli::layers::Layers;
use crate::cli::opened;
use crate::cli::origins::OriginBuckets;
use crate::cli::place::{Place, PlaceError};
use crate::cli::ui::{Ui, mask};
use crate::cli::wire::{self, Stores};
use crate::cli::world::World;
use crate::export::continuous::Continuous;
use crate::limits::Bandwidth;
use crate::model::{Bucket, S3Url};
use crate::serve::{Complaint, Definition, Facts, Open, Opened, Options, Parts};
use crate::store::Store;

/// Options that name places in a store.
const PLACES: [&str; 2] = ["export-path", "export-status-path"];

/// Knows the words of definitions, and what they mean here.
pub struct Opener {
    ui: Ui,
    world: World,
    /// What the server's environment and file say for all exports.
    base: Layers,
    command: clap::Command,
    /// Stores that are open, so that a thousand exports to one bucket share connections and credentials.
    stores: Mutex<HashMap<String, Weak<dyn Store>>>,
}

impl Opener {
    pub fn new(ui: &Ui, base: Layers, world: &World) -> Self {
        Self {
            ui: ui.clone(),
            world: world.clone(),
            base,
            command: Cli::plain_command(),
            stores: Mutex::default(),
        }
    }

    /// What somebody would have typed.
    fn args(&self, own: &Layers) -> Result<ExportArgs, CliError> {
        let layers = own.over(&self.base);
        let matches = layers
            .apply(self.command.clone())
            .try_get_matches_from(["lakesync", "export"])?;
        match Cli::from_arg_matches(&matches)?.command {
            CommandArgs::Export(args) => Ok(*args),
            _ => unreachable!("the words are those of an export"),
        }
    }

    fn of_options(&self, options: &Options) -> Result<Layers, CliError> {
        let words = options
            .iter()
            .map(|(key, words)| (key, words.iter().map(Into::into).collect()));
        Ok(Layers::of_request(&self.command, words)?)
    }

    fn options(&self, own: &Layers) -> Options {
        let mut options = Options::default();
        for (key, mut words) in own.words(&self.command) {
            if PLACES.contains(&key.as_str()) {
                // `s3://b/p` and `s3://b/p/` are one place.
                let place = |word: String| word.parse::<S3Url>().map_or(word, |url| url.to_string());
                words = words.into_iter().map(place).collect();
            }
            options.set(key, words);
        }
        options
    }

    /// What an export is; `is_strict` where its source must be there now.
    fn facts(&self, args: &ExportArgs, is_strict: bool) -> Result<Facts, CliError> {
        let place = &args.flags.place;
        let source = args.source.source.as_deref();
        let mut facts = Facts {
            source: source
                .map(|source| mask(&source.to_string_lossy()).into_owned())
                .unwrap_or_default(),
            branch: args.flags.select.branch.clone(),
            export_path: place.export_path.as_ref().map(ToString::to_string).unwrap_or_default(),
            status_path: place.status.export_status_path.as_ref().map(ToString::to_string),
            ..Facts::default()
        };
        let found = match ExportJob::of_source(&args.source, &args.flags, &self.world) {
            Ok(job) => job.source.place,
            // A folder that is not mounted is waited for: what else is wrong would be told first.
            Err(CliError::Source(_) | CliError::Place(PlaceError::Source(_))) if !is_strict => return Ok(facts),
            Err(error) => return Err(error),
        };
        match found {
            Place::LakeFs(uri) => {
                facts.branch = facts.branch.or_else(|| uri.reference.as_ref().map(ToString::to_string));
                facts.lakefs_repository = Some(uri.repository.to_string());
            }
            #[cfg(feature = "git")]
            Place::Git(path) => facts.git_remotes = crate::source::git::remotes(&path),
            #[cfg(not(feature = "git"))]
            Place::Git(_) => {}
            Place::Directory(_) => {}
        }
        Ok(facts)
    }

    async fn store(&self, job: &StoreJob, bucket: &Bucket) -> Result<Arc<dyn Store>, CliError> {
        // The world is one for all, so that the flags say all that can differ.
        let key = format!("{bucket} {} {:?}", job.concurrency, job.args);
        let known = self
            .stores
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&key)
            .and_then(Weak::upgrade);
        if let Some(store) = known {
            return Ok(store);
        }
        let store = wire::connect(job, bucket).await?;
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        stores.retain(|_, store| store.strong_count() > 0);
        stores.insert(key, Arc::downgrade(&store));
        Ok(store)
    }

    async fn opened(&self, options: &Options, parts: Parts) -> Result<Opened, CliError> {
        let args = self.args(&self.of_options(options)?)?;
        let mut job = ExportJob::of_source(&args.source, &args.flags, &self.world)?;
        // The loop waits for a lease by itself, and looks meanwhile whether the other one has done the work.
        job.config.lock_wait = Duration::ZERO;
        let direct = OriginBuckets::of(&job.source_bytes, &job.store);
        let source = opened::open_quietly(job.source.clone(), direct).await?;
        check_branch(&source).await?;
        let ui = self.ui.clone();
        let warn = Arc::new(move |text: &str| ui.warn(text));
        let watch = parts.hub.join(watch_key(&source, &job, &args), &parts.wake, |wakes| {
            follow(&source, &job.source, &args.continuous.interval, wakes, warn)
        })?;
        let reopen = reopen(&job);
        let data = self.store(&job.store, &job.config.export_path.bucket).await?;
        let status = self.store(&job.store, &job.config.status_path.bucket).await?;
        let own_rate = job.bandwidth.and_then(std::num::NonZeroU64::new);
        let mut exporter = wire::exporter_on(
            Stores { data, status },
            source.source(),
            job,
            parts.progress,
            parts.counts,
        );
        exporter.limiter = parts.limiter;
        exporter.bandwidth = match (own_rate, parts.bandwidth) {
            (Some(rate), Some(all)) => Some(Arc::new(Bandwidth::within(rate, all))),
            (None, all) => all,
            (Some(_), None) => exporter.bandwidth,
        };
        let mut continuous = Continuous::new(exporter, parts.wake);
        continuous.reopen = Some(reopen);
        Ok(Opened {
            continuous,
            watch: Box::new(watch),
        })
    }
}

/// What a watch depends on: equal for all that one watch can serve.
fn watch_key(source: &opened::Opened, job: &ExportJob, args: &ExportArgs) -> String {
    let interval = args.continuous.interval.poll_interval;
    match source {
        #[cfg(feature = "git")]
        opened::Opened::Git(source) => format!("git {:?} {interval:?}", source.folders()),
        opened::Opened::Directory(_) => format!(
            "dir {:?} {:?} {:?} {interval:?} {:?}",
            job.source.place,
            job.source.filter.globs(),
            job.source.cache.as_ref().map(|cache| &cache.folder),
            args.continuous.interval.rescan_interval
        ),
        opened::Opened::LakeFs(_) => {
            let endpoint = job.source.lakefs.as_ref().map(|lakefs| lakefs.endpoint.to_string());
            let Place::LakeFs(uri) = &job.source.place else {
                unreachable!("lakeFS was opened")
            };
            format!(
                "lakefs {endpoint:?} {} {:?} {interval:?}",
                uri.repository, uri.reference
            )
        }
    }
}

/// One line for the error, its causes included, and its cure.
fn complaint(error: &CliError) -> Complaint {
    Complaint {
        message: mask(&line_of(error)).into_owned(),
        cure: error.hint().map(str::to_owned),
    }
}

#[async_trait]
impl Open for Opener {
    fn read(&self, path: &Path, text: &str) -> Result<(Definition, Facts), Complaint> {
        let read = Layers::of_definition(&self.command, path, text);
        let (enabled, own) = read.map_err(|error| complaint(&error.into()))?;
        let facts = self.args(&own).and_then(|args| self.facts(&args, false));
        let facts = facts.map_err(|error| {
            let complaint = complaint(&error);
            Complaint {
                message: format!("{}: {}", path.display(), complaint.message),
                ..complaint
            }
        })?;
        let options = self.options(&own);
        Ok((Definition { enabled, options }, facts))
    }

    fn check(&self, options: &Options) -> Result<(Options, Facts), Complaint> {
        let checked = || {
            let own = self.of_options(options)?;
            let facts = self.facts(&self.args(&own)?, true)?;
            Ok((self.options(&own), facts))
        };
        checked().map_err(|error| complaint(&error))
    }

    async fn open(&self, options: &Options, parts: Parts) -> Result<Opened, Complaint> {
        Box::pin(self.opened(options, parts))
            .await
            .map_err(|error| complaint(&error))
    }
}
