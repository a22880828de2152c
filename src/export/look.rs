//! Step 0: look before you lock. Three requests tell that there is nothing to do.

use crate::ledger::{Loaded, State, StatusName, load_root};
use crate::model::CommitId;
use crate::status::{ExportState, StatusHead, read_head};
use crate::store::Store;
use crate::switches::{Switch, is_out};

use super::{ExportError, Exporter};

/// What one look at root, newest status file and head says.
pub(super) struct Looked {
    pub(super) head: CommitId,
    pub(super) loaded: Option<Loaded>,
    pub(super) status: Option<StatusHead>,
}

impl Exporter {
    pub(super) async fn look(&self, store: &dyn Store, status_store: &dyn Store) -> Result<Looked, ExportError> {
        let loaded = load_root(store, &self.folder()).await?;
        let newest = loaded.as_ref().and_then(|loaded| loaded.root.status.names.last());
        let status = match newest {
            Some(newest) if self.is_status_path_of(&loaded) => self.status_of(status_store, newest).await?,
            _ => None,
        };
        let head = self.source.head().await?;
        Ok(Looked { head, loaded, status })
    }

    async fn status_of(&self, status_store: &dyn Store, name: &StatusName) -> Result<Option<StatusHead>, ExportError> {
        let key = self.config.status_path.prefix.join(&name.to_string());
        Ok(read_head(status_store, &key).await?.map(|(head, _)| head))
    }

    fn is_status_path_of(&self, loaded: &Option<Loaded>) -> bool {
        loaded
            .as_ref()
            .is_some_and(|loaded| loaded.root.status.path == self.config.status_path)
    }

    /// Whether the export path is at the head and says so.
    pub(super) fn is_settled(&self, looked: &Looked) -> bool {
        let Some(loaded) = &looked.loaded else { return false };
        self.is_at(loaded, &looked.head)
            && (!has_overdue(loaded) || is_out(Switch::OverdueIsWork))
            && looked
                .status
                .as_ref()
                .is_some_and(|status| status.status == ExportState::Success && status.commit == looked.head.as_str())
    }

    /// Whether the root holds this commit wholly, made by the same rules.
    pub(super) fn is_at(&self, loaded: &Loaded, head: &CommitId) -> bool {
        let root = &loaded.root;
        root.state == State::Clean
            && root.commit.as_ref() == Some(head)
            && root.source == self.source.name()
            && root.fingerprint == self.fingerprint()
            && root.status.path == self.config.status_path
            && root.export_path == self.config.export_path
    }
}

/// Whether a run's last requests cannot land any more, and nobody has looked since what they did.
pub(super) fn has_overdue(loaded: &Loaded) -> bool {
    loaded
        .root
        .unsettled
        .iter()
        .any(|unsettled| loaded.date.is_none_or(|now| now >= unsettled.until))
}
