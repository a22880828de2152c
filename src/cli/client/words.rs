//! What was typed, as the options of an export elsewhere.

use std::collections::BTreeMap;
use std::path::Path;

use clap::ArgMatches;
use clap::parser::ValueSource;

use super::ClientError;
use crate::cli::args::{Cli, RepoExportArgs};
use crate::cli::error::CliError;
use crate::cli::layers::{Layers, Origin, definition_arguments, key_of_id};
use crate::cli::place::{Place, at_branch, find_repository};
use crate::cli::world::World;

/// Options whose values are paths, which the server would see from another folder.
const PATHS: [&str; 1] = ["cache"];

/// An export as it is to be asked for.
#[derive(Debug)]
pub struct Asked {
    pub name: String,
    pub options: BTreeMap<String, Vec<String>>,
}

/// Puts together name and options: those that were typed, and those that the environment and the file here say.
pub fn asked(args: &RepoExportArgs, matches: &ArgMatches, layers: &Layers, world: &World) -> Result<Asked, CliError> {
    if args.action.start && args.flags.dry_run {
        return Err(ClientError::DryStart.into());
    }
    let place = find_repository(args.repo.as_deref(), world)?.place;
    let branch = args.flags.select.branch.as_deref();
    // Says early what the server would say late.
    at_branch(place.clone(), branch)?;
    let (source, name) = match &place {
        Place::LakeFs(uri) => (uri.to_string(), lakefs_name(uri)),
        Place::Git(path) => (format!("git:{}", path.display()), git_name(path)),
        Place::Directory(_) => unreachable!("a repository is no plain directory"),
    };
    let mut options = BTreeMap::new();
    for id in definition_arguments(&Cli::plain_command()).into_keys() {
        // SOURCE is REPO here, and has another name.
        if id == "source" || !matches.try_contains_id(&id).unwrap_or(false) {
            continue;
        }
        let is_typed = matches.value_source(&id) == Some(ValueSource::CommandLine);
        if !is_typed && layers.origin(&id) == Origin::Default {
            continue;
        }
        let raw = matches.get_raw(&id).into_iter().flatten();
        let mut words: Vec<String> = raw.map(|word| word.to_string_lossy().into_owned()).collect();
        if words.is_empty() && is_typed {
            // A switch has no words of its own.
            words.push("true".to_owned());
        }
        if PATHS.contains(&id.as_str()) {
            words = words
                .iter()
                .map(|word| world.resolve(Path::new(word)).display().to_string())
                .collect();
        }
        options.insert(key_of_id(&id), words);
    }
    options.insert("source".to_owned(), vec![source]);
    let name = match &args.client.name {
        Some(name) => name.clone(),
        None => name_of(&name, branch)?,
    };
    Ok(Asked { name, options })
}

fn lakefs_name(uri: &crate::source::lakefs::LakeFsUri) -> String {
    let reference = uri.reference.as_ref().map(|reference| format!("-{reference}"));
    format!("{}{}", uri.repository, reference.unwrap_or_default())
}

/// The name of the folder, or of the one around a `.git`.
fn git_name(path: &Path) -> String {
    let named = match path.file_name() {
        Some(name) if name == ".git" => path.parent().and_then(Path::file_name),
        name => name,
    };
    let name = named
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    name.strip_suffix(".git").map(str::to_owned).unwrap_or(name)
}

/// What may stand in the name of an export; the server says the same, and this is only the proposal.
fn name_of(repository: &str, branch: Option<&str>) -> Result<String, ClientError> {
    let text = match branch {
        Some(branch) => format!("{repository}-{branch}"),
        None => repository.to_owned(),
    };
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
    let letters = text.chars().map(|letter| if allowed(letter) { letter } else { '-' });
    let name: String = letters.take(100).collect();
    let name = name.trim_start_matches(|first: char| !first.is_ascii_alphanumeric());
    if name.is_empty() {
        return Err(ClientError::NoName { what: text });
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches as _;

    use super::*;
    use crate::cli::args::{CommandArgs, RepoAction};

    fn read(line: &str, file: &str) -> Result<Asked, String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("data/.git")).unwrap();
        std::fs::write(folder.path().join("lakesync.toml"), file).unwrap();
        let world = World::sealed(folder.path(), &[]);
        let command = Cli::plain_command();
        let layers = Layers::read(&command, None, &world).unwrap();
        let matches = layers
            .apply(command)
            .try_get_matches_from(line.split_whitespace())
            .unwrap();
        let CommandArgs::Repo(args) = Cli::from_arg_matches(&matches).unwrap().command else {
            panic!("{line}");
        };
        let RepoAction::Export(args) = args.action;
        let own = matches.subcommand().unwrap().1.subcommand().unwrap().1;
        let mut asked = asked(&args, own, &layers, &world).map_err(|error| error.to_string())?;
        let home = folder.path().to_str().unwrap();
        for words in asked.options.values_mut() {
            words.iter_mut().for_each(|word| *word = word.replace(home, "HOME"));
        }
        Ok(asked)
    }

    #[test]
    fn what_was_typed_and_what_the_file_says_goes_along_and_nothing_else() {
        let line = "lakesync repo export ./data --branch feature/x --start --export-path s3://bucket/p --adopt \
                    --exclude *.a --exclude *.b --cache c --name mine --server http://h:1 --quiet";
        let asked = read(line, "region = \"eu\"\njson = false\n").unwrap();
        assert_eq!(asked.name, "mine");
        let shown: Vec<String> = asked
            .options
            .iter()
            .map(|(key, words)| format!("{key}={}", words.join(",")))
            .collect();
        assert_eq!(
            shown,
            [
                "adopt=true",
                "branch=feature/x",
                "cache=HOME/c",
                "exclude=*.a,*.b",
                "export-path=s3://bucket/p",
                "region=eu",
                "source=git:HOME/data",
            ]
        );
    }

    #[test]
    fn a_name_is_made_of_repository_and_branch() {
        for (line, expected) in [
            ("./data --branch feature/x", "data-feature-x"),
            ("./data", "data"),
            ("lakefs://repo --branch main", "repo-main"),
            ("lakefs://repo/main", "repo-main"),
            ("repo", "repo"),
        ] {
            let asked = read(&format!("lakesync repo export {line} --stop"), "").unwrap();
            assert_eq!(asked.name, expected, "{line}");
        }
        assert_eq!(git_name(Path::new("/srv/x/.git")), "x");
        assert_eq!(git_name(Path::new("/srv/x.git")), "x");
        assert!(name_of("/", Some("..")).is_err());
    }
}
