use clap::FromArgMatches as _;

use super::*;
use crate::cli::args::{Cli, CommandArgs, RepoAction};
use crate::model::RelPath;
use crate::plan::Turn;

struct Room {
    _folder: tempfile::TempDir,
    world: World,
}

fn room() -> Room {
    let folder = tempfile::tempdir().unwrap();
    for path in ["plain", "work/.git"] {
        std::fs::create_dir_all(folder.path().join(path)).unwrap();
    }
    let world = World::sealed(
        folder.path(),
        &[("HTTPS_PROXY", "http://proxy:1"), ("no_proxy", "localhost")],
    );
    Room { _folder: folder, world }
}

impl Room {
    fn job(&self, line: &str) -> Result<ExportJob, String> {
        let matches = Cli::plain_command()
            .try_get_matches_from(line.split_whitespace())
            .unwrap();
        let job = match Cli::from_arg_matches(&matches).unwrap().command {
            CommandArgs::Export(args) => ExportJob::of_source(&args.source, &args.flags, &self.world),
            CommandArgs::Repo(args) => {
                let RepoAction::Export(args) = args.action;
                ExportJob::of_repository(args.repo.as_deref(), &args.flags, &self.world)
            }
            other => panic!("{other:?}"),
        };
        job.map_err(|error| error.to_string())
    }
}

#[test]
fn the_defaults_are_those_of_the_manual() {
    let room = room();
    let job = room.job("lakesync export plain --export-path s3://bucket/a").unwrap();
    let config = &job.config;
    assert_eq!(job.source.place, Place::Directory(room.world.folder.join("plain")));
    assert_eq!(config.status_path.to_string(), "s3://bucket/a/");
    assert_eq!((config.part_size_bytes, config.concurrency.get()), (8 << 20, 64));
    assert_eq!((config.lease_ttl.as_secs(), config.lock_wait.as_secs()), (60, 0));
    assert_eq!((config.keep_status, config.status_records), (20, StatusRecords::All));
    assert_eq!(
        (config.odd_keys, config.lease, config.checksum),
        (OddKeys::Error, LeasePolicy::Auto, None)
    );
    let Guards {
        allow_empty,
        max_delete,
        adopt,
        overwrite,
        move_status,
    } = config.guards;
    assert!(!allow_empty && max_delete.is_none() && !adopt && !overwrite && !move_status && !job.dry_run);
    let cache = config.cache.as_ref().unwrap();
    assert_eq!(cache.folder, room.world.folder.join(".cache/lakesync"));
    assert_eq!(cache.limit_bytes, 1 << 30);
    assert_eq!(job.store.network.https_proxy.as_deref(), Some("http://proxy:1"));
    assert_eq!(job.store.network.no_proxy.as_deref(), Some("localhost"));
}

#[test]
fn flags_reach_the_settings_of_the_run() {
    let line = "lakesync export git:work --branch main --export-path s3://bucket/a --export-status-path s3://other/s \
                --exclude *.tmp --last *.html --max-delete 5% --adopt --odd-keys skip --checksum md5 \
                --sse-kms-key-id key --preserve mtime,mode --status-records changed --lease required --cache c \
                --max-cache-size 64MiB";
    let job = room().job(line).unwrap();
    assert_eq!(job.source.select.branch.as_deref(), Some("main"));
    assert_eq!(job.config.status_path.to_string(), "s3://other/s/");
    assert_eq!(job.config.selection[0], "-*.tmp");
    let html = RelPath::new("a.html").unwrap();
    assert!(matches!(job.config.last.turn_of_write(&html), Turn::Last(_)));
    assert_eq!(LastRules::default().turn_of_write(&html), Turn::Data);
    let headers = HeaderRules::new(&[], true, true).unwrap();
    assert_eq!(job.config.headers.fingerprint(), headers.fingerprint());
    assert_eq!(
        job.config.guards.max_delete,
        Some(crate::export::MaxDelete::Percent(5.0))
    );
    assert!(job.config.guards.adopt);
    assert_eq!(job.config.checksum, Some(Checksum::Md5));
    assert_eq!(job.store.args.sse.as_deref(), Some("aws:kms"));
    let cache = job.config.cache.unwrap();
    assert!(cache.folder.ends_with("c"));
    assert_eq!(cache.limit_bytes, 64 << 20);
}

#[test]
fn words_that_make_no_sense_together_are_refused_with_the_cure() {
    for (line, text) in [
        (
            "lakesync export plain",
            "no export path was given; write --export-path s3://BUCKET/PREFIX/",
        ),
        ("lakesync export --export-path s3://bucket", "no SOURCE was given"),
        (
            "lakesync export plain --branch main --export-path s3://bucket",
            "--branch main: the directory",
        ),
        (
            "lakesync export plain --export-path s3://bucket/_lakesync/x",
            "--export-path s3://bucket/_lakesync/x/: lies inside _lakesync/",
        ),
        (
            "lakesync export plain --export-path s3://bucket --export-status-path s3://bucket/_lakesync",
            "--export-status-path s3://bucket/_lakesync/: lies inside",
        ),
        (
            "lakesync export plain --export-path s3://bucket --sse AES256 --sse-kms-key-id x",
            "--sse-kms-key-id needs --sse aws:kms",
        ),
        (
            "lakesync export plain --export-path s3://bucket --include a{",
            "--include \"a{\": not a glob",
        ),
        ("lakesync repo export ./plain --once --export-path s3://bucket", ""),
    ] {
        let error = room().job(line).map(|job| job.source.place).unwrap_err();
        assert!(error.starts_with(text), "{line}: {error}");
    }
}

#[test]
fn an_export_without_an_action_word_goes_once() {
    let job = room()
        .job("lakesync repo export ./work --branch main --export-path s3://bucket")
        .unwrap();
    assert!(matches!(job.source.place, Place::Git(_)));
}

#[test]
fn the_owner_of_the_exports_bucket_is_not_expected_of_the_buckets_behind_lakefs() {
    use crate::cli::origins::OriginBuckets;

    let room = room();
    for flag in ["--source-profile reader", "--source-endpoint-url http://h:1"] {
        let line =
            format!("lakesync export plain --export-path s3://bucket/a --expected-bucket-owner 111122223333 {flag}");
        let job = room.job(&line).unwrap();
        assert!(job.store.args.expected_bucket_owner.is_some());
        let store = OriginBuckets::store_of(&job.source_bytes, &job.store).unwrap();
        assert_eq!(store.args.expected_bucket_owner, None, "{flag}");
    }
}
