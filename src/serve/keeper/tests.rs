use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering as Atomic};

use async_trait::async_trait;

use super::*;
use crate::serve::definition::OptionValue;
use crate::serve::open::{Opened, Parts};
use crate::serve::view::StateView;

/// Opens nothing, and counts how often it was asked to.
#[derive(Default)]
struct NothingOpens {
    tries: AtomicUsize,
}

#[async_trait]
impl Open for NothingOpens {
    fn read(&self, path: &Path, text: &str) -> Result<(Definition, Facts), Complaint> {
        let table: toml::Table = text
            .parse()
            .map_err(|_| Complaint::new(format!("{}:1: not TOML", path.display())))?;
        let mut options = Options::default();
        for (key, value) in table.iter().filter(|(key, _)| *key != "enabled") {
            options.set(key.clone(), vec![value.as_str().unwrap_or_default().to_owned()]);
        }
        let enabled = table
            .get("enabled")
            .is_none_or(|enabled| enabled.as_bool() == Some(true));
        let (options, facts) = self.check(&options)?;
        Ok((Definition { enabled, options }, facts))
    }

    fn check(&self, options: &Options) -> Result<(Options, Facts), Complaint> {
        let facts = Facts {
            source: options.word("source").unwrap_or_default().to_owned(),
            branch: options.word("branch").map(str::to_owned),
            export_path: options.word("export-path").unwrap_or_default().to_owned(),
            lakefs_repository: options.word("source").map(str::to_owned),
            ..Facts::default()
        };
        Ok((options.clone(), facts))
    }

    async fn open(&self, _: &Options, _: Parts) -> Result<Opened, Complaint> {
        self.tries.fetch_add(1, Atomic::Relaxed);
        Err(Complaint {
            message: "the source is not there".to_owned(),
            cure: Some("mount it".to_owned()),
        })
    }
}

struct Bench {
    folder: tempfile::TempDir,
    keeper: Keeper,
    open: Arc<NothingOpens>,
    _keeping: tokio_util::task::AbortOnDropHandle<()>,
}

fn bench() -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let open = Arc::<NothingOpens>::default();
    let keeper = Keeper::new(KeeperConfig {
        registry: Registry::open(folder.path()).unwrap(),
        open: open.clone(),
        concurrency: 4,
        bandwidth: None,
        scan_every: Duration::from_millis(10),
    });
    let kept = keeper.clone();
    let keeping = tokio::spawn(async move { kept.run(&CancellationToken::new()).await });
    Bench {
        folder,
        keeper,
        open,
        _keeping: tokio_util::task::AbortOnDropHandle::new(keeping),
    }
}

fn name(text: &str) -> ExportName {
    text.parse().unwrap()
}

fn request(text: &str, options: &[(&str, &str)]) -> ExportRequest {
    ExportRequest {
        name: name(text),
        enabled: true,
        options: options
            .iter()
            .map(|(key, word)| ((*key).to_owned(), OptionValue::Text((*word).to_owned())))
            .collect(),
    }
}

impl Bench {
    async fn until(&self, text: &str, is_so: impl Fn(&ExportView) -> bool) -> ExportView {
        let waited = tokio::time::timeout(Duration::from_secs(10), async {
            loop {
                if let Ok(view) = self.keeper.get(&name(text))
                    && is_so(&view)
                {
                    return view;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        waited.await.unwrap_or_else(|_| panic!("{:?}", self.keeper.list()))
    }
}

#[tokio::test]
async fn what_cannot_be_opened_is_tried_again_and_at_once_when_told_to() {
    let bench = bench();
    let (is_new, _) = bench
        .keeper
        .create(request("a", &[("export-path", "s3://b/a/")]))
        .await
        .unwrap();
    assert!(is_new);
    let view = bench.until("a", |view| view.state == StateView::Retrying).await;
    let trouble = view.error.unwrap();
    assert_eq!(
        (trouble.message.as_str(), trouble.cure.as_deref()),
        ("the source is not there", Some("mount it"))
    );
    assert!(view.next_try.is_some());
    let before = bench.open.tries.load(Atomic::Relaxed);
    bench.keeper.run_now(&name("a")).unwrap();
    bench
        .until("a", |view| view.error.as_ref().is_some_and(|trouble| trouble.times > 1))
        .await;
    assert_eq!(bench.open.tries.load(Atomic::Relaxed), before + 1);
    let stopped = bench.keeper.stop(&name("a")).await.unwrap();
    assert_eq!((stopped.state, stopped.enabled), (StateView::Stopped, false));
    assert!(matches!(
        bench.keeper.run_now(&name("a")),
        Err(KeepError::NotRunning { .. })
    ));
}

#[tokio::test]
async fn equal_options_are_fine_and_others_are_told_apart() {
    let bench = bench();
    let first = request("a", &[("export-path", "s3://b/a/"), ("branch", "main")]);
    bench.keeper.create(first.clone()).await.unwrap();
    bench.keeper.stop(&name("a")).await.unwrap();
    let (is_new, view) = bench.keeper.create(first).await.unwrap();
    assert!(!is_new && view.enabled, "switched on again");
    let other = request("a", &[("export-path", "s3://b/a/"), ("branch", "dev")]);
    let error = bench.keeper.create(other).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "a: there is an export of that name with other options: branch is main, and dev was asked for"
    );
    let hook = request("b", &[("export-path", "s3://b/b/"), ("before-export", "rm -rf /")]);
    assert!(matches!(
        bench.keeper.create(hook).await,
        Err(KeepError::OnlyFromFiles { .. })
    ));
    let same_path = request("b", &[("export-path", "s3://b/a/")]);
    assert!(matches!(
        bench.keeper.create(same_path).await,
        Err(KeepError::Options(_))
    ));
}

#[tokio::test]
async fn a_registry_that_cannot_be_written_is_told_and_nothing_is_lost() {
    let bench = bench();
    bench
        .keeper
        .create(request("a", &[("export-path", "s3://b/a/")]))
        .await
        .unwrap();
    // A folder where the new file should go.
    std::fs::create_dir(bench.folder.path().join("b.toml")).unwrap();
    let error = bench
        .keeper
        .create(request("b", &[("export-path", "s3://b/b/")]))
        .await
        .unwrap_err();
    assert!(
        matches!(error, KeepError::Registry(_)) && error.to_string().contains("b.toml"),
        "{error}"
    );
    assert_eq!(bench.keeper.list().len(), 1);
    // A folder that is gone says nothing of its exports: they go on.
    let moved = bench.folder.path().with_extension("moved");
    std::fs::rename(bench.folder.path(), &moved).unwrap();
    let told = async {
        while bench.keeper.trouble().is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), told).await.unwrap();
    assert_eq!(bench.keeper.list().len(), 1);
    std::fs::rename(&moved, bench.folder.path()).unwrap();
}

#[tokio::test]
async fn a_hint_reaches_those_of_its_repository_and_branch() {
    let bench = bench();
    for (export, branch) in [("a", "main"), ("b", "dev"), ("c", "main~2")] {
        let path = format!("s3://b/{export}/");
        let options = [("export-path", path.as_str()), ("source", "repo"), ("branch", branch)];
        bench.keeper.create(request(export, &options)).await.unwrap();
    }
    let of = |repository: &'static str| move |facts: &Facts| facts.lakefs_repository.as_deref() == Some(repository);
    assert_eq!(
        bench.keeper.hint(of("repo"), Some("main")),
        3,
        "all are of the repository"
    );
    assert_eq!(bench.keeper.hint(of("other"), None), 0);
    let facts = |branch: Option<&str>| Facts {
        branch: branch.map(str::to_owned),
        ..Facts::default()
    };
    for (own, hint, expected) in [
        (Some("main"), "main", true),
        (Some("main~2"), "main", true),
        (Some("main2"), "main", false),
        (Some("dev"), "main", false),
        (None, "main", true),
    ] {
        assert_eq!(facts(own).is_of_branch(hint), expected, "{own:?}");
    }
}

#[tokio::test]
async fn the_log_of_an_export_says_what_it_met_since_it_was_switched_on() {
    let bench = bench();
    let options = [("export-path", "s3://b/a/")];
    bench.keeper.create(request("a", &options)).await.unwrap();
    bench.until("a", |view| view.state == StateView::Retrying).await;
    bench.keeper.run_now(&name("a")).unwrap();
    bench.keeper.stop(&name("a")).await.unwrap();
    let lines = bench.keeper.log(&name("a"), 100).unwrap();
    let texts: Vec<&str> = lines.iter().map(|line| &*line.text).collect();
    let expected = [
        "switched on",
        "cannot be opened, and is tried again: the source is not there",
        "told to look now",
        "ended",
    ];
    assert_eq!(texts, expected);
    assert_eq!(bench.keeper.log(&name("a"), 1).unwrap()[0].text, "ended");
    assert!(matches!(
        bench.keeper.log(&name("b"), 1),
        Err(KeepError::Unknown { .. })
    ));
}
