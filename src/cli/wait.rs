//! `lakesync wait`

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::args::WaitArgs;
use super::error::CliError;
use super::exit::Exit;
use super::human::show_duration;
use super::job::{StoreJob, TargetJob};
use super::named::{self, Exported};
use super::signals::Signals;
use super::status;
use super::ui::Ui;
use super::wire::{self, Stores};
use super::world::World;
use crate::ledger::{LedgerFolder, StatusName, load_root};
use crate::model::CommitId;
use crate::status::{ExportState, Newest, list_names, read_head, read_newest};

/// How often the status is looked at: two small requests each time.
const PAUSE: Duration = Duration::from_secs(1);

/// The word for whatever the branch is at.
const HEAD: &str = "head";

/// Why there is nothing to wait for, or it did not come.
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    /// The time is over.
    #[error("{commit} was not out within {}: {found}", show_duration(*timeout))]
    TooLong {
        /// What was waited for.
        commit: String,
        /// For how long.
        timeout: Duration,
        /// What there is instead.
        found: String,
    },
    /// The head of the exported branch cannot be asked for from here.
    #[error("the head of {source_name} cannot be asked for {why}; name the commit with --commit")]
    NoHead {
        /// The source, as the ledger calls it.
        source_name: String,
        /// Why not.
        why: &'static str,
    },
}

/// Waits until a commit is out.
pub async fn cmd_wait(ui: &Ui, args: &WaitArgs, world: &World, signals: &Signals) -> Result<Exit, CliError> {
    let store = StoreJob::new(&args.store, wire::FEW_REQUESTS, world)?;
    let target = TargetJob::new(&args.target, store)?;
    let until = Instant::now() + args.timeout;
    let waiting = async {
        let mut watch = Watch {
            stores: wire::connect_both(&target).await?,
            target,
            args,
            world,
            wanted: (args.commit != HEAD).then(|| args.commit.clone()),
            exported: None,
            known: BTreeSet::new(),
            was_out: false,
            found: "nothing was exported yet".to_owned(),
        };
        match timeout_at(until, watch.wait()).await {
            Ok(outcome) => outcome,
            Err(_) => Err(WaitError::TooLong {
                commit: watch.wanted.unwrap_or_else(|| HEAD.to_owned()),
                timeout: args.timeout,
                found: watch.found,
            }
            .into()),
        }
    };
    let newest = signals.at_once(Box::pin(waiting)).await?;
    if ui.is_json() {
        status::show(ui, &newest)?;
    } else {
        ui.answer(&newest.head.commit)?;
    }
    Ok(Exit::Done)
}

struct Watch<'a> {
    stores: Stores,
    target: TargetJob,
    args: &'a WaitArgs,
    world: &'a World,
    /// The commit, once it is known.
    wanted: Option<String>,
    /// The source of the ledger, once there is one.
    exported: Option<Exported>,
    /// Status files that were read and do not change any more.
    known: BTreeSet<StatusName>,
    /// Whether a status file has called the commit whole at any time.
    was_out: bool,
    /// What there is, for the error.
    found: String,
}

impl Watch<'_> {
    async fn wait(&mut self) -> Result<Newest, CliError> {
        loop {
            if self.wanted.is_none() {
                self.wanted = self.head().await?;
            }
            if let Some(wanted) = self.wanted.clone()
                && let Some(newest) = self.look(&wanted).await?
            {
                return Ok(newest);
            }
            sleep(PAUSE).await;
        }
    }

    /// The newest status, where it says that the commit or one after it is out.
    async fn look(&mut self, wanted: &str) -> Result<Option<Newest>, CliError> {
        let prefix = &self.target.status_path().prefix;
        let Some(newest) = read_newest(&*self.stores.status, prefix).await? else {
            return Ok(None);
        };
        let head = &newest.head;
        self.found = format!("the newest status is {} for {}", head.status, head.commit);
        if !head.message.is_empty() && head.status == ExportState::Failure {
            self.found.push_str(&format!(" ({})", head.message));
        }
        if head.status != ExportState::Success {
            return Ok(None);
        }
        let is_out = is_named(&head.commit, wanted)
            || self.was_out(wanted).await?
            || self.is_after(wanted, &CommitId::new(head.commit.as_str())).await?;
        Ok(is_out.then_some(newest))
    }

    /// Whether an older status file has called it whole: then the newest is after it.
    async fn was_out(&mut self, wanted: &str) -> Result<bool, CliError> {
        let prefix = &self.target.status_path().prefix;
        for name in list_names(&*self.stores.status, prefix).await? {
            if self.was_out || !self.known.insert(name.clone()) {
                continue;
            }
            let found = read_head(&*self.stores.status, &prefix.join(&name.to_string())).await?;
            match found {
                Some((head, _)) if head.status == ExportState::Success => {
                    self.was_out |= is_named(&head.commit, wanted);
                }
                Some((head, _)) if head.status == ExportState::Failure => {}
                // It may still become a success.
                _ => {
                    self.known.remove(&name);
                }
            }
        }
        Ok(self.was_out)
    }

    /// Whether the source says that it comes before what is out: commits between two exports have no status.
    async fn is_after(&mut self, wanted: &str, newest: &CommitId) -> Result<bool, CliError> {
        match self.exported().await? {
            Some(exported) => Ok(exported.is_ancestor(&CommitId::new(wanted), newest).await),
            None => Ok(false),
        }
    }

    /// What the exported branch is at now; `None` where nothing is exported yet, so that nobody knows which it is.
    async fn head(&mut self) -> Result<Option<String>, CliError> {
        let Some(exported) = self.exported().await? else {
            return Ok(None);
        };
        match exported {
            Exported::Unknown { name, why } => Err(WaitError::NoHead {
                source_name: name.clone(),
                why,
            }
            .into()),
            Exported::Open { opened } => {
                let head = opened.clone().source().head().await?;
                Ok(Some(head.to_string()))
            }
        }
    }

    async fn exported(&mut self) -> Result<Option<&Exported>, CliError> {
        if self.exported.is_none() {
            let folder = LedgerFolder::of(&self.target.export_path.prefix);
            if let Some(loaded) = load_root(&*self.stores.data, &folder).await? {
                let exported = named::open(&loaded.root.source, &self.args.lakefs, self.world).await?;
                self.exported = Some(exported);
            }
        }
        Ok(self.exported.as_ref())
    }
}

/// Whether a word is a commit's id, or the beginning of it that is long enough to mean one alone.
fn is_named(commit: &str, word: &str) -> bool {
    commit == word || (word.len() >= 7 && commit.starts_with(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_may_be_named_by_its_beginning() {
        assert!(is_named("0123456789", "0123456789"));
        assert!(is_named("0123456789", "0123456"));
        assert!(!is_named("0123456789", "012345"), "too short to mean one commit alone");
        assert!(!is_named("0123456789", "0123457"));
        assert!(is_named("c1", "c1"));
    }
}
