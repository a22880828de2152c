//! `lakesync repo export REPO --start`, `--stop`, `--status` and `--run-now`: asks a server.

mod ask;
mod words;

pub use ask::{ClientError, parse_server};

use serde::Serialize;
use serde_json::Value;

use self::ask::Client;
use self::words::{Asked, asked};
use super::args::RepoExportArgs;
use super::error::{CliError, one_line};
use super::exit::Exit;
use super::human::show_duration;
use super::layers::Layers;
use super::signals::Signals;
use super::ui::{EventKind, Ui};
use super::world::World;

/// Asks the server for what was typed, and prints its answer.
pub async fn cmd_client(
    ui: &Ui,
    args: &RepoExportArgs,
    matches: &clap::ArgMatches,
    layers: &Layers,
    world: &World,
    signals: &Signals,
) -> Result<Exit, CliError> {
    let asked = asked(args, matches, layers, world)?;
    let token = args.client.token.token_file.as_ref().map(|path| world.resolve(path));
    let client = Client::new(&args.client.server, token.as_deref())?;
    let answer = signals.at_once(Box::pin(async { Ok(ask(&client, args, &asked).await?) }));
    let (done, export) = answer.await?;
    show(ui, &client, done, &export)?;
    Ok(Exit::Done)
}

#[derive(Serialize)]
struct NewExport<'a> {
    name: &'a str,
    enabled: bool,
    options: &'a std::collections::BTreeMap<String, Vec<String>>,
}

/// Asks, and says in a word what was done.
async fn ask(client: &Client, args: &RepoExportArgs, asked: &Asked) -> Result<(&'static str, Value), ClientError> {
    let place = format!("exports/{}", asked.name);
    let action = &args.action;
    if action.start {
        let new = NewExport {
            name: &asked.name,
            enabled: true,
            options: &asked.options,
        };
        let body = serde_json::to_vec(&new).expect("options are text");
        return Ok(("Started", client.post("exports", Some(body)).await?));
    }
    if action.stop {
        let export = client.post(&format!("{place}/stop"), None).await?;
        let done = if export["state"] == "stopping" {
            "Stopping"
        } else {
            "Stopped"
        };
        return Ok((done, export));
    }
    if action.run_now {
        return Ok(("Running", client.post(&format!("{place}/run"), None).await?));
    }
    Ok(("", client.get(&place).await?))
}

fn show(ui: &Ui, client: &Client, done: &str, export: &Value) -> Result<(), CliError> {
    if ui.is_json() {
        ui.event(EventKind::Export, export)?;
        return Ok(());
    }
    let text = |key: &str| export[key].as_str().map(one_line).unwrap_or_default();
    if !done.is_empty() {
        let name = text("name");
        ui.answer(format!("{done} {name}: {} to {}", text("source"), text("export_path")))?;
        ui.talk(&format!("See {}/#{name}", client.server()));
        return Ok(());
    }
    for line in lines(export) {
        ui.answer(line)?;
    }
    Ok(())
}

fn lines(export: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().map(one_line).unwrap_or_default();
    let mut lines = vec![format!("{}, {}", text(&export["name"]), text(&export["state"]))];
    let mut line = |name: &str, value: String| {
        if !value.is_empty() {
            lines.push(format!("{name:8} {value}"));
        }
    };
    line("source", text(&export["source"]));
    line("branch", text(&export["branch"]));
    line("export", text(&export["export_path"]));
    line("head", text(&export["head"]));
    line("exported", text(&export["exported"]));
    let lag = export["lag_seconds"].as_f64().filter(|lag| *lag > 0.0);
    let lag = lag.and_then(|lag| std::time::Duration::try_from_secs_f64(lag.ceil()).ok());
    line("behind", lag.map(show_duration).unwrap_or_default());
    let progress = &export["progress"];
    if let (Some(done), Some(all)) = (progress["objects"].as_u64(), progress["objects_total"].as_u64()) {
        line("progress", format!("{done} of {all} objects"));
    }
    line("error", text(&export["error"]["message"]));
    line("cure", text(&export["error"]["cure"]));
    for cause in export["error"]["causes"].as_array().into_iter().flatten() {
        line("because", text(cause));
    }
    line("next try", text(&export["next_try"]));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_what_is_known_in_one_line_each() {
        let export = serde_json::json!({
            "name": "data-main", "state": "retrying", "source": "git:/x", "branch": null, "export_path": "s3://b/p/",
            "head": "c2", "exported": "c1", "lag_seconds": 61.2, "progress": null, "next_try": null,
            "error": {"message": "no\nroom\u{1b}[2J", "cure": null, "causes": ["full"]},
        });
        assert_eq!(
            lines(&export),
            [
                "data-main, retrying",
                "source   git:/x",
                "export   s3://b/p/",
                "head     c2",
                "exported c1",
                "behind   1m02s",
                "error    no; room\\u{1b}[2J",
                "because  full",
            ]
        );
    }
}
