//! Carries a case out, op after op, and has the judge look after each.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use lakesync::causes::with_causes;
use lakesync::clock::VirtualClock;
use lakesync::export::{ExportConfig, ExportError, Exporter, Outcome, Refusal, Report, testing};
use lakesync::ledger::Holder;
use lakesync::model::RelPath;
use lakesync::store::faulty::FaultyStore;
use lakesync::store::{Limiter, RetryConfig, Store};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::env::{Env, Selected, Shared, path};
use super::judge::Judge;
use super::ops::{Case, Change, Edit, FileTrouble, Ids, Op, Trouble};
use super::wire::{STEPS, Script, Wire};

/// How long a lease lasts.
const TTL: Duration = Duration::from_secs(60);

/// What the user asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    pub cache_control: u8,
    pub exclude: Option<RelPath>,
    pub small_parts: bool,
    pub markers: bool,
    pub keep_status: usize,
    pub one_by_one: bool,
}

/// What was done in a case, for the summary.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub runs: u64,
    pub exported: u64,
    pub unchanged: u64,
    pub failed: u64,
    pub lost: u64,
    pub crashes: [u64; STEPS],
    pub pauses: [u64; STEPS],
    pub faults: [u64; STEPS],
}

/// How an exporter ended; `None`: it was killed in the middle.
pub type End = Option<Result<Report, ExportError>>;

/// One exporter at work.
struct Running {
    by: u32,
    wire: Arc<Wire>,
    clock: Arc<VirtualClock>,
    task: JoinHandle<Result<Report, ExportError>>,
}

pub struct World {
    pub env: Shared,
    pub asked: Asked,
    pub tally: Tally,
    ids: Ids,
    judge: Judge,
    exporters: u32,
    skew: Duration,
    lease_free_at: Instant,
    me: Holder,
}

type Verdict<T = ()> = Result<T, String>;

impl World {
    pub fn new(case: &Case, strict: bool) -> Self {
        let env: Shared = Arc::new(Env::new(case));
        env.store.set_min_part_bytes(16);
        env.commit(&[]);
        let allows_all = !strict || !case.kind.guards_all();
        // Status files are pruned without a condition: their names never come back. Where the store ignores
        // conditions, lakesync looks first and sends none.
        env.store.allow_unconditional(move |key| {
            let name = key.as_str().strip_prefix("out/").unwrap_or_default();
            allows_all || name.starts_with("_lakesync/") || name.starts_with("_STATUS_")
        });
        Self {
            ids: case.ids,
            judge: Judge::new(env.clone(), case),
            env,
            asked: Asked {
                keep_status: 3,
                ..Asked::default()
            },
            tally: Tally::default(),
            exporters: 0,
            skew: Duration::ZERO,
            lease_free_at: Instant::now(),
            me: Holder::this_process(),
        }
    }

    /// Carries out all ops, then sees to it that one clean run converges.
    pub async fn run(&mut self, case: &Case) -> Verdict {
        for (at, op) in case.ops.iter().enumerate() {
            self.op(*op).await.map_err(|why| format!("op {at}, {op:?}: {why}"))?;
        }
        self.converge().await.map_err(|why| format!("at the end: {why}"))
    }

    async fn op(&mut self, op: Op) -> Verdict {
        match op {
            Op::Commit(edits) => self.env.commit(&edits),
            Op::SetHead(number) => self.env.set_head(number),
            Op::Export(trouble) => return self.export(trouble).await,
            Op::Race(seed) => return self.race(u64::from(seed)).await,
            Op::Outside(meddle) => self.env.meddle(meddle),
            Op::SourceFault(at, trouble, times) => self.trouble(&path(at), trouble, u32::from(times)),
            Op::Advance(seconds) => sleep(Duration::from_secs(seconds.into())).await,
            Op::Config(change) => self.change(change),
        }
        self.judge.look().await
    }

    fn trouble(&self, path: &RelPath, trouble: FileTrouble, times: u32) {
        let source = &self.env.source;
        match trouble {
            // An address names bytes that are written once.
            FileTrouble::OtherBytes if self.ids == Ids::Address => return,
            FileTrouble::OtherBytes => source.alter(path, times),
            FileTrouble::Changes => source.change_while_read(path, times),
            FileTrouble::Vanishes => source.vanish(path, times),
        }
        self.env.state().troubled.insert(path.clone());
    }

    fn change(&mut self, change: Change) {
        let asked = &mut self.asked;
        match change {
            Change::CacheControl(value) => asked.cache_control = value,
            // One file always stays, since an empty tree is refused.
            Change::Exclude(number) => asked.exclude = Some(path(number)).filter(|left_out| *left_out != path(0)),
            Change::Include => asked.exclude = None,
            Change::SmallParts(small) => asked.small_parts = small,
            Change::Markers(on) => asked.markers = on,
            Change::KeepStatus(count) => asked.keep_status = count.into(),
            Change::OneByOne(on) => asked.one_by_one = on,
        }
    }

    fn start(&mut self, trouble: Trouble, jitter: Option<u64>) -> Running {
        self.exporters += 1;
        self.tally.runs += 1;
        let by = self.exporters;
        let wire = Wire::new(self.env.clone(), trouble, jitter);
        let clock = Arc::new(VirtualClock::new());
        let store: Arc<dyn Store> = Arc::new(FaultyStore::new(
            Arc::new(self.env.store.seen_as(by)),
            Script(wire.clone()),
        ));
        let is_here = matches!(
            trouble,
            Trouble::Crash { here: true, .. } | Trouble::CrashLate { here: true, .. }
        );
        // Where a process is known to be dead, its lease is taken at once; where not, it must expire.
        let holder = if is_here || (trouble == Trouble::None && jitter.is_none()) {
            Holder {
                pid_start: self.me.pid_start + u64::from(is_here),
                ..self.me.clone()
            }
        } else {
            Holder {
                host: format!("host-{by}"),
                boot_id: format!("boot-{by}"),
                pid: by,
                ..self.me.clone()
            }
        };
        let exporter = self.exporter(store, holder, clock.clone());
        let task = tokio::spawn(async move { exporter.run(&CancellationToken::new()).await });
        Running { by, wire, clock, task }
    }

    fn fingerprint(&self) -> String {
        self.exporter(Arc::new(self.env.store.clone()), self.me.clone(), Arc::default())
            .fingerprint()
    }

    fn exporter(&self, store: Arc<dyn Store>, holder: Holder, clock: Arc<VirtualClock>) -> Exporter {
        let asked = &self.asked;
        let headers = match asked.cache_control {
            0 => testing::headers(&[]),
            seconds => testing::headers(&[&format!("*: Cache-Control=max-age={seconds}")]),
        };
        let config = ExportConfig {
            prefix_regex: asked.markers.then(|| regex::bytes::Regex::new("^(t|d/e)$").unwrap()),
            headers,
            selection: asked.exclude.iter().map(|left_out| format!("!{left_out}")).collect(),
            concurrency: NonZeroUsize::new(if asked.one_by_one { 1 } else { 4 }).unwrap(),
            part_size_bytes: if asked.small_parts { 64 } else { 1 << 20 },
            lease_ttl: TTL,
            keep_status: asked.keep_status,
            ..testing::config(&"s3://bucket/out/".parse().unwrap())
        };
        let source = Selected {
            inner: self.env.source.clone(),
            exclude: asked.exclude.clone(),
        };
        Exporter {
            retry: RetryConfig {
                attempts: 3,
                ..RetryConfig::default()
            },
            limiter: Arc::new(Limiter::new(16)),
            holder,
            clock,
            ..testing::exporter(source, store, config)
        }
    }

    /// Waits for an exporter's end, or until its trouble kills or stops it.
    async fn drive(&mut self, running: &mut Running) -> Verdict<Option<Result<Report, ExportError>>> {
        tokio::select! {
            biased;
            over = &mut running.task => {
                let over = over.map_err(|error| format!("exporter {} panicked: {error}", running.by))?;
                Ok(Some(over))
            }
            () = running.wire.stopped.notified() => {
                // The clock goes on only when nobody has anything left to do.
                sleep(Duration::from_millis(1)).await;
                Ok(None)
            }
        }
    }

    async fn export(&mut self, trouble: Trouble) -> Verdict {
        self.env.offer_head();
        let fingerprint = self.fingerprint();
        self.judge.before_run(fingerprint, &self.asked).await?;
        let mut running = self.start(trouble, None);
        let mut end = self.drive(&mut running).await?;
        let hit = running.wire.hit();
        let late = std::mem::take(&mut *running.wire.late.lock().unwrap());
        let landed = late.iter().map(|(_, after)| *after).max().unwrap_or_default();
        self.judge.note_late(late);
        let mut takers = Vec::new();
        match trouble {
            Trouble::Crash { .. } | Trouble::CrashLate { .. } if end.is_none() => {
                running.task.abort();
                self.tally.crashes[hit.unwrap()] += 1;
            }
            Trouble::Pause { seconds, edit, .. } if end.is_none() => {
                self.tally.pauses[hit.unwrap()] += 1;
                takers.push(self.take_over(&running, seconds, edit).await?);
                running.wire.wake();
                end = Some(self.drive(&mut running).await?.expect("it stops once"));
            }
            Trouble::Faults { .. } | Trouble::Meddled { .. } => {
                if let Some(step) = hit {
                    self.tally.faults[step] += 1;
                }
            }
            _ => {}
        }
        // A probe is not repeated request by request: the whole of it is.
        let is_calm = hit.is_none() || (trouble.is_mild() && hit != Some(1));
        self.count(&end);
        self.expect_end(&end, trouble, is_calm)?;
        if !is_calm {
            // Nobody gave the lease back, perhaps.
            let free_at = Instant::now() + landed + TTL + Duration::from_secs(2);
            self.lease_free_at = self.lease_free_at.max(free_at);
        }
        let by: Vec<u32> = std::iter::once(running.by).chain(takers).collect();
        self.judge.after_run(&by, &end, is_calm, &self.asked).await
    }

    /// While an exporter stands still, time goes on, the branch moves, and another exporter runs to its end.
    async fn take_over(&mut self, paused: &Running, seconds: u8, edit: Edit) -> Verdict<u32> {
        self.skew += Duration::from_secs(seconds.into());
        self.env
            .store
            .set_clock_skew(SignedDuration::try_from(self.skew).unwrap());
        paused.clock.jump(Duration::from_secs(seconds.into()));
        self.env.commit(&[edit]);
        self.env.offer_head();
        let mut other = self.start(Trouble::None, None);
        let over = self.drive(&mut other).await?.expect("nothing stops it");
        self.count(&Some(over));
        Ok(other.by)
    }

    async fn race(&mut self, seed: u64) -> Verdict {
        self.env.offer_head();
        let fingerprint = self.fingerprint();
        self.judge.before_run(fingerprint, &self.asked).await?;
        let mut one = self.start(Trouble::None, Some(seed));
        let mut two = self.start(Trouble::None, Some(seed.wrapping_mul(31).wrapping_add(7)));
        let first = self.drive(&mut one).await?.expect("nothing stops it");
        let second = self.drive(&mut two).await?.expect("nothing stops it");
        for over in [&first, &second] {
            if let Err(error) = over {
                self.expect_error(error, true)?;
            }
        }
        if first.is_err() && second.is_err() && Instant::now() >= self.lease_free_at {
            let refused = |over: &Result<Report, ExportError>| matches!(over, Err(ExportError::Refused(_)));
            if !refused(&first) && !refused(&second) {
                return Err("both exporters of a race lost".to_owned());
            }
        }
        let (one, two) = (one.by, two.by);
        let end = Some(if first.is_ok() { first } else { second });
        self.count(&end);
        self.judge.after_run(&[one, two], &end, false, &self.asked).await
    }

    fn count(&mut self, end: &End) {
        match end {
            Some(Ok(report)) => match report.outcome {
                Outcome::Unchanged => self.tally.unchanged += 1,
                Outcome::Exported => self.tally.exported += 1,
                Outcome::Failed => self.tally.failed += 1,
            },
            Some(Err(ExportError::Held { .. } | ExportError::LeaseLost { .. })) => self.tally.lost += 1,
            Some(Err(_)) | None => {}
        }
    }

    fn expect_end(&self, end: &End, trouble: Trouble, is_calm: bool) -> Verdict {
        match (end, trouble) {
            (None, _) => Ok(()),
            (Some(Ok(report)), _) if is_calm && report.outcome == Outcome::Failed => {
                self.judge.expect_failures(report, &self.asked)
            }
            (Some(Ok(_)), _) => Ok(()),
            (Some(Err(error)), _) if is_calm => self.expect_error(error, false),
            (Some(Err(error)), Trouble::Pause { .. } | Trouble::Meddled { .. }) => self.expect_error(error, true),
            (Some(Err(ExportError::Ledger(lakesync::ledger::LedgerError::Store(_)))), _) => Ok(()),
            (Some(Err(error @ (ExportError::Ledger(_) | ExportError::Plan(_) | ExportError::Spool(_)))), _) => {
                Err(format!("a fault led to {}", with_causes(error)))
            }
            (Some(Err(_)), _) => Ok(()),
        }
    }

    /// Says whether an error may be where no request failed.
    fn expect_error(&self, error: &ExportError, has_rival: bool) -> Verdict {
        let allowed = match error {
            ExportError::Held { .. } => has_rival || Instant::now() < self.lease_free_at,
            ExportError::LeaseLost { .. } => has_rival,
            ExportError::Refused(Refusal::NotEmpty { .. }) => !self.env.state().foreign.is_empty(),
            _ => false,
        };
        if allowed {
            Ok(())
        } else {
            Err(format!("unexpected: {}", with_causes(error)))
        }
    }

    /// After whatever happened: one clean run ends at the head, and half an hour later one more mends the rest.
    async fn converge(&mut self) -> Verdict {
        let troubled = std::mem::take(&mut self.env.state().troubled);
        for path in troubled {
            self.env.source.vanish(&path, 0);
        }
        self.judge.clear_the_way(&self.asked).await?;
        sleep(TTL + Duration::from_secs(2)).await;
        tokio::time::sleep_until(self.lease_free_at).await;
        self.must_succeed("the first clean run").await?;
        sleep(Duration::from_secs(31 * 60)).await;
        self.judge.clear_the_way(&self.asked).await?;
        self.must_succeed("the run half an hour later").await?;
        if !self.judge.is_settled().await? {
            // A root that landed late named its run only now.
            sleep(Duration::from_secs(31 * 60)).await;
            self.must_succeed("the run one hour later").await?;
        }
        self.judge.expect_settled().await?;
        self.must_succeed("the run after that").await?;
        self.judge.expect_nothing_done(self.exporters)?;
        // Only a run that writes cleans up.
        let number = u8::try_from(self.exporters % 5).unwrap() + 1;
        self.env.commit(&[Edit::Put(8, number), Edit::Put(11, number + 1)]);
        self.judge.clear_the_way(&self.asked).await?;
        self.must_succeed("the last run").await?;
        self.judge.expect_clean_folder().await
    }

    async fn must_succeed(&mut self, which: &str) -> Verdict {
        let failed = self.tally.failed;
        let (exported, unchanged) = (self.tally.exported, self.tally.unchanged);
        self.export(Trouble::None)
            .await
            .map_err(|why| format!("{which}: {why}"))?;
        if self.tally.failed > failed || (exported, unchanged) == (self.tally.exported, self.tally.unchanged) {
            return Err(format!("{which} did not bring the export path to the head"));
        }
        Ok(())
    }
}

impl Tally {
    /// Adds what was done in another case.
    pub fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        self.exported += other.exported;
        self.unchanged += other.unchanged;
        self.failed += other.failed;
        self.lost += other.lost;
        for step in 0..STEPS {
            self.crashes[step] += other.crashes[step];
            self.pauses[step] += other.pauses[step];
            self.faults[step] += other.faults[step];
        }
    }
}
