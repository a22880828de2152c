//! `lakesync serve`

mod opener;

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use self::opener::Opener;
use super::args::ServeArgs;
use super::error::CliError;
use super::exit::Exit;
use super::layers::Layers;
use super::service::Service;
use super::signals::Signals;
use super::ui::Ui;
use super::world::World;
use crate::limits::Bandwidth;
use crate::serve::Server;
use crate::serve::{
    Access, HttpConfig, Keeper, KeeperConfig, ListenError, Registry, RegistryError, SecretError, Secrets,
};

/// How often the registry's folder is looked at: soon enough for a person, and a thousand files cost a millisecond.
const SCAN_EVERY: Duration = Duration::from_secs(1);

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// No folder to keep anything in.
    #[error("no folder for the registry: neither XDG_STATE_HOME nor HOME is set; name one with --registry DIR")]
    NoFolder,
    /// The registry.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The address.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A file with secrets.
    #[error(transparent)]
    Secret(#[from] SecretError),
}

/// Holds the exports of a registry until a signal comes.
pub async fn cmd_serve(
    ui: &Ui,
    args: &ServeArgs,
    layers: Layers,
    world: &World,
    signals: &Signals,
) -> Result<Exit, CliError> {
    let folder = match &args.registry {
        Some(folder) => world.resolve(folder),
        None => world
            .state_folder()
            .ok_or(ServeError::NoFolder)?
            .join("lakesync/exports"),
    };
    let secrets = |flag, path: &Option<std::path::PathBuf>| {
        let path = path.as_ref().map(|path| world.resolve(path));
        path.map(|path| Secrets::read(flag, &path))
            .transpose()
            .map_err(ServeError::from)
    };
    let token = secrets("--token-file", &args.token.token_file)?;
    let hook_secrets = secrets("--webhook-secret-file", &args.webhook_secret_file)?;
    let registry = Registry::open(&folder).map_err(ServeError::from)?;
    let server = Server::bind(HttpConfig {
        listen: args.listen,
        access: token.map_or(Access::Everybody, Access::Token),
        is_insecure: args.insecure_no_auth,
        hosts: args.allow_host.clone(),
        hook_secrets,
    });
    let server = server.await.map_err(ServeError::from)?;
    let rate = args.rate.bandwidth.and_then(NonZeroU64::new);
    let keeper = Keeper::new(KeeperConfig {
        registry,
        open: Arc::new(Opener::new(ui, layers, world)),
        concurrency: args.rate.concurrency.get(),
        bandwidth: rate.map(|rate| Arc::new(Bandwidth::new(rate))),
        scan_every: SCAN_EVERY,
    });
    ui.talk(&format!(
        "Serving http://{}/ with the exports of {}",
        server.address(),
        folder.display()
    ));
    let _hang_ups = AbortOnDropHandle::new(tokio::spawn(hear_hang_ups(ui.clone())?));
    let service = Service::of(world);
    let _kept = service.clone().map(|service| {
        service.ready();
        let (told, asked) = (keeper.clone(), keeper.clone());
        let kept = service.keep(move || told.summary(), move || asked.is_alive());
        AbortOnDropHandle::new(tokio::spawn(kept))
    });
    let closed = CancellationToken::new();
    let answering = tokio::spawn(server.run(keeper.clone(), closed.clone()));
    // Whoever asks while runs are being ended still gets an answer.
    Box::pin(keeper.run(signals.stop())).await;
    if let Some(service) = &service {
        service.stopping();
    }
    closed.cancel();
    answering
        .await
        .map_err(|error| CliError::Runtime(std::io::Error::other(error)))?;
    ui.talk("Stopped; the exports that are enabled go on where they were when this is started again");
    Ok(signals.came().map_or(Exit::Done, Exit::Interrupted))
}

/// A hang-up would end the process, and elsewhere means "read the configuration again", which happens anyway.
fn hear_hang_ups(ui: Ui) -> Result<impl Future<Output = ()> + Send + 'static, CliError> {
    let mut hang_ups = signal(SignalKind::hangup()).map_err(CliError::Runtime)?;
    Ok(async move {
        while hang_ups.recv().await.is_some() {
            ui.talk("The registry is looked at every second; there is nothing else to read again");
        }
    })
}
