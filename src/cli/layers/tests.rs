use super::*;
use crate::cli::args::Cli;

fn world(file: Option<&str>, environment: &[(&str, &str)]) -> (tempfile::TempDir, World) {
    let folder = tempfile::tempdir().unwrap();
    if let Some(text) = file {
        std::fs::write(folder.path().join("lakesync.toml"), text).unwrap();
    }
    let world = World::sealed(folder.path(), environment);
    (folder, world)
}

fn read(file: Option<&str>, environment: &[(&str, &str)]) -> Result<Layers, String> {
    let (_folder, world) = world(file, environment);
    Layers::read(&Cli::plain_command(), None, &world).map_err(|error| error.to_string())
}

fn matches(layers: &Layers, line: &str) -> clap::ArgMatches {
    let words = line.split_whitespace();
    let matches = layers.apply(Cli::plain_command()).try_get_matches_from(words).unwrap();
    matches.subcommand().unwrap().1.clone()
}

#[test]
fn the_line_counts_more_than_the_environment_and_that_more_than_the_file() {
    let file = "part-size = \"16MiB\"\nconcurrency = 7\nbandwidth = \"1MiB\"\n";
    let variables = [("LAKESYNC_CONCURRENCY", "8"), ("LAKESYNC_BANDWIDTH", "2MiB")];
    let layers = read(Some(file), &variables).unwrap();
    let matches = matches(&layers, "lakesync export . --bandwidth 3MiB");
    assert_eq!(matches.get_one::<u64>("part_size"), Some(&(16 << 20)));
    assert_eq!(
        matches.get_one::<std::num::NonZeroUsize>("concurrency").unwrap().get(),
        8
    );
    assert_eq!(matches.get_one::<u64>("bandwidth"), Some(&(3 << 20)));
    assert_eq!(layers.origin("part_size").to_string(), "lakesync.toml:1");
    assert_eq!(layers.origin("concurrency").to_string(), "LAKESYNC_CONCURRENCY");
    assert_eq!(layers.origin("lease"), Origin::Default);
}

#[test]
fn lists_are_arrays_in_the_file_and_lines_in_a_variable_and_replace_each_other() {
    let file = "include = [\"a\", \"b\"]\nexclude = [\"c\"]\npreserve = [\"mode\", \"mtime\"]\n";
    let layers = read(Some(file), &[("LAKESYNC_EXCLUDE", "*.tmp\n\nd,e f\n")]).unwrap();
    let matches = matches(&layers, "lakesync export . --include x");
    let list = |id: &str| matches.get_many::<String>(id).unwrap().cloned().collect::<Vec<_>>();
    assert_eq!(list("include"), ["x"]);
    assert_eq!(list("exclude"), ["*.tmp", "d,e f"]);
    assert_eq!(
        matches
            .get_many::<crate::cli::flags::Preserve>("preserve")
            .unwrap()
            .count(),
        2
    );
}

#[test]
fn flags_without_a_value_are_true_or_false() {
    let layers = read(Some("adopt = true\noverwrite = true\n"), &[("LAKESYNC_OVERWRITE", "0")]).unwrap();
    let matches = matches(&layers, "lakesync export .");
    assert!(matches.get_flag("adopt") && !matches.get_flag("overwrite"));
    assert_eq!(
        read(Some("\nadopt = \"maybe\"\n"), &[]).unwrap_err(),
        "lakesync.toml:2: adopt: \"maybe\" is neither true nor false"
    );
}

#[test]
fn source_and_export_path_may_stand_in_the_file() {
    let layers = read(Some("source = \"data\"\nexport-path = \"s3://bucket/a\"\n"), &[]).unwrap();
    for line in ["lakesync export", "lakesync status", "lakesync doctor"] {
        let found = matches(&layers, line)
            .get_one::<crate::model::S3Url>("export_path")
            .unwrap()
            .to_string();
        assert_eq!(found, "s3://bucket/a/", "{line}");
    }
    let matches = matches(&layers, "lakesync export");
    assert_eq!(matches.get_one::<OsString>("source").unwrap(), "data");
}

#[test]
fn a_bad_value_is_named_with_its_place_and_what_would_do() {
    for (file, text) in [
        (
            "# sizes\npart-size = \"8M\"\n",
            "lakesync.toml:2: part-size: invalid value '8M' for '--part-size <SIZE>': \"M\" could mean 1000 or 1024; \
             write MiB or MB",
        ),
        (
            "lfs = \"fetch\"",
            "lakesync.toml:1: lfs: invalid value 'fetch' for '--lfs <POLICY>' [possible values: pointer, error]",
        ),
        (
            "part-size = [\"8MiB\"]\nregion = [\"a\", \"b\"]",
            "lakesync.toml:2: region: takes one value, not a list",
        ),
        (
            "[store]\nregion = \"a\"",
            "lakesync.toml:1: store: takes text, a number, true, false or a list of these, and this is of type table",
        ),
        ("verbose = 300", "lakesync.toml:1: verbose: \"300\" is not a count"),
        (
            "export-path = \"bucket\"",
            "lakesync.toml:1: export-path: invalid value 'bucket' for '--export-path <URL>': \
             \"bucket\" is not an S3 URL; write s3://BUCKET/PREFIX/",
        ),
    ] {
        assert_eq!(read(Some(file), &[]).unwrap_err(), text);
    }
    let error = read(None, &[("LAKESYNC_LOCK_WAIT", "soon")]).unwrap_err();
    assert!(
        error.starts_with("LAKESYNC_LOCK_WAIT: lock-wait: invalid value 'soon'"),
        "{error}"
    );
}

#[test]
fn an_unknown_key_or_variable_is_named_with_those_that_are_near() {
    for (file, text) in [
        (
            "part_size = \"8MiB\"",
            "lakesync.toml:1: unknown key \"part_size\"; did you mean part-size?",
        ),
        (
            "colour = 1",
            "lakesync.toml:1: unknown key \"colour\"; `lakesync config` shows all there are",
        ),
        (
            "once = true",
            "lakesync.toml:1: unknown key \"once\"; `lakesync config` shows all there are",
        ),
        (
            "config = \"x\"",
            "lakesync.toml:1: unknown key \"config\"; `lakesync config` shows all there are",
        ),
    ] {
        let error = read(Some(file), &[]).unwrap_err();
        assert!(error.starts_with(text), "{error}");
    }
    let error = read(None, &[("LAKESYNC_PARTSIZE", "8MiB")]).unwrap_err();
    assert_eq!(
        error,
        "unknown variable LAKESYNC_PARTSIZE; did you mean LAKESYNC_PART_SIZE?"
    );
    read(None, &[("lakesync_part_size", "x"), ("LAKESYNC_REGION", "")]).unwrap();
}

#[test]
fn a_file_that_is_no_toml_is_named_with_the_line() {
    let error = read(Some("region = \"a\"\nregion = \"b\"\n"), &[]).unwrap_err();
    assert!(error.starts_with("lakesync.toml:2: not TOML: "), "{error}");
}

#[test]
fn the_file_is_the_named_one_else_the_first_there_is() {
    let (folder, mut world) = world(None, &[]);
    let of_user = folder.path().join(".config/lakesync");
    std::fs::create_dir_all(&of_user).unwrap();
    std::fs::write(of_user.join("lakesync.toml"), "region = \"user\"").unwrap();
    std::fs::write(folder.path().join("other.toml"), "region = \"other\"").unwrap();
    let command = Cli::plain_command();
    let region = |config: Option<&str>, world: &World| {
        let layers = Layers::read(&command, config.map(Path::new), world).unwrap();
        layers.values["region"].values[0].clone()
    };
    assert_eq!(region(None, &world), "user");
    std::fs::write(folder.path().join("lakesync.toml"), "region = \"beside\"").unwrap();
    assert_eq!(region(None, &world), "beside");
    assert_eq!(region(Some("other.toml"), &world), "other");
    world.environment.insert("LAKESYNC_CONFIG".into(), "other.toml".into());
    assert_eq!(region(None, &world), "other");
    let error = Layers::read(&command, Some(Path::new("gone.toml")), &world).unwrap_err();
    assert_eq!(error.to_string(), "gone.toml: cannot be read");
}
