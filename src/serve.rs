//! Many continuous exports in one process: their registry, the keeper that runs them, and the HTTP face of both.
//!
//! ```text
//! registry (a folder of TOML files) ─▶ keeper ─▶ one `Continuous` for each enabled export
//!           ▲ written by people, too      │ ▲
//! API, page, clients of the command line ─┘ └─ webhooks: a hint, never a fact
//! ```
//!
//! How an export is put together from the words of its definition is known to the command line alone; it comes in
//! through [`Open`].

mod definition;
mod event;
mod http;
mod hub;
mod keeper;
mod live;
mod log;
mod metrics;
mod name;
mod open;
mod records;
mod registry;
mod secret;
mod view;

pub use definition::{Complaint, Definition, ONLY_FROM_FILES, OptionValue, Options};
pub use http::{Access, HttpConfig, ListenError, Server};
pub use hub::{Hub, HubKey, Membership};
pub use keeper::{KeepError, Keeper, KeeperConfig};
pub use log::{LogLevel, LogLine};
pub use name::{ExportName, ExportNameError};
pub use open::{Facts, Open, Opened, Parts};
pub use registry::{Registry, RegistryError, Stamp};
pub use secret::{SecretError, Secrets};
pub use view::{Difference, ExportRequest, ExportView, ProgressView, RunView, StateView};
