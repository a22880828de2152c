//! Makes a plan of pairs: what the head wants under a path, and what stands there.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::ledger::Record;
use crate::model::{ContentId, ContentIds, ETag, Entry, Notice, NoticeKind, RelPath};
use crate::progress::Totals;
use crate::spool::{Spool, SpoolError};
use crate::store::Capabilities;

use super::headers::{HeaderError, HeaderRules};
use super::keys::{KeyProblem, KeyRules, OddKeys};
use super::order::{LastRules, Turn};
use super::step::{Origin, Replaces, Standing, Step, Work};

/// How many contents of writes are remembered to find equal ones: some 48 bytes each, so 200 MB at most.
/// Equal contents beyond are sent instead of copied, which is only slower.
const REMEMBERED_CONTENTS: usize = 4_000_000;

/// How many offending paths an error lists.
const LISTED_OFFENDERS: usize = 20;

/// What a plan is made by.
#[derive(Clone)]
pub struct PlanRules<'a> {
    /// Which paths can be keys.
    pub keys: KeyRules,
    /// What becomes of odd ones.
    pub odd_keys: OddKeys,
    /// Which headers an object gets.
    pub headers: &'a HeaderRules,
    /// What goes last.
    pub last: &'a LastRules,
    /// What the store can do.
    pub capabilities: Capabilities,
    /// `--overwrite`.
    pub overwrite: bool,
    /// Whether the store may copy from where the source's bytes lie.
    pub copies_outside: bool,
}

/// Why there can be no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// Paths that cannot be keys.
    #[error("{}", bad_keys_text(offenders, *total))]
    BadKeys {
        /// The first of them.
        offenders: Vec<(RelPath, KeyProblem)>,
        /// How many there are.
        total: u64,
    },
    /// Headers that no store takes.
    #[error(transparent)]
    Headers(#[from] HeaderError),
    /// No room to keep the plan.
    #[error("the plan cannot be kept")]
    Spool(#[from] SpoolError),
}

/// All that a run will do, sorted by path.
pub struct Plan {
    steps: Spool<Step>,
    turns: BTreeMap<Turn, u64>,
    shared: HashSet<u128>,
    /// Exact counts.
    pub totals: Totals,
    /// What the source left out or warned of, among what was looked at.
    pub notices: BTreeMap<NoticeKind, u64>,
    /// How many entries the tree has; in a plan made of changes, how many were put or kept of those seen.
    pub wanted: u64,
    /// How many objects of ours stand under the export path, as far as is known.
    pub ours: u64,
    /// How many steps fail whatever happens: conflicts and files that cannot be read.
    pub doomed: u64,
}

impl Plan {
    /// All steps, sorted by path.
    pub fn steps(&self) -> impl Iterator<Item = Result<Step, SpoolError>> + '_ {
        self.steps.iter()
    }

    /// The turns that have steps, in order, each with their number.
    pub fn turns(&self) -> impl Iterator<Item = (Turn, u64)> + '_ {
        self.turns.iter().map(|(turn, count)| (*turn, *count))
    }

    /// Whether nothing is to be written, deleted or reported.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Whether another step copies what this content's step writes.
    pub fn is_shared(&self, content: &ContentIds) -> bool {
        content
            .primary()
            .is_some_and(|id| self.shared.contains(&short_hash(id)))
    }
}

/// Collects pairs; the caller gives them in the order of their paths.
pub struct Planner<'a> {
    rules: PlanRules<'a>,
    steps: Spool<Step>,
    totals: Totals,
    notices: BTreeMap<NoticeKind, u64>,
    wanted: u64,
    offenders: Vec<(RelPath, KeyProblem)>,
    offender_count: u64,
    // Content of planned writes, to find twins; and which of them were seen twice.
    contents: HashMap<u128, Wanted>,
    replaced: HashSet<u128>,
    // Only on a store that cannot hold a file beside a folder; as many as the plan has deletes.
    deleted: BTreeSet<RelPath>,
}

/// What is known of a content that the plan writes.
struct Wanted {
    first: RelPath,
    writes: u32,
    existing: Option<(RelPath, ETag)>,
}

impl<'a> Planner<'a> {
    /// Begins an empty plan of a whole tree.
    pub fn new(rules: PlanRules<'a>) -> Self {
        let mut planner = Self::of_changes(rules);
        planner.totals.skipped = Some(0);
        planner
    }

    /// Begins an empty plan of changes alone: what else the tree leaves out is not known.
    pub fn of_changes(rules: PlanRules<'a>) -> Self {
        Self {
            rules,
            steps: Spool::new(None),
            totals: Totals::default(),
            notices: BTreeMap::new(),
            wanted: 0,
            offenders: Vec::new(),
            offender_count: 0,
            contents: HashMap::new(),
            replaced: HashSet::new(),
            deleted: BTreeSet::new(),
        }
    }

    /// Takes a path that the head wants, something stands under, or both.
    pub fn pair(&mut self, entry: Option<Entry>, standing: Option<Standing>) -> Result<(), PlanError> {
        match entry {
            Some(entry) => self.wanted(entry, standing),
            None => standing.map_or(Ok(()), |standing| self.unwanted(standing)),
        }
    }

    /// Takes a path of the head that the source cannot read.
    pub fn unreadable(&mut self, path: RelPath, error: String) -> Result<(), PlanError> {
        self.step(Turn::Noted, Work::Unreadable { path, error })
    }

    /// Takes an object that stays as it is without being compared.
    pub fn keep(&mut self, record: &Record) {
        self.totals.kept += 1;
        self.totals.kept_bytes += record.size;
    }

    /// Takes objects that stay as they are and that nobody looked at.
    pub fn keep_many(&mut self, objects: u64, bytes: u64) {
        self.totals.kept += objects;
        self.totals.kept_bytes += bytes;
    }

    /// Takes what a source left out or warns of.
    pub fn notice(&mut self, notice: &Notice) {
        *self.notices.entry(notice.kind).or_default() += 1;
        if notice.kind.is_skip() {
            self.totals.skipped = self.totals.skipped.map(|skipped| skipped + 1);
        }
    }

    fn wanted(&mut self, entry: Entry, standing: Option<Standing>) -> Result<(), PlanError> {
        if let Err(problem) = self.rules.keys.check(&entry.path, entry.size) {
            if problem == KeyProblem::Odd && self.rules.odd_keys == OddKeys::Skip {
                self.notice(&Notice {
                    kind: NoticeKind::OddKey,
                    path: entry.path,
                });
                return standing.map_or(Ok(()), |standing| self.unwanted(standing));
            }
            self.offender_count += 1;
            if self.offenders.len() < LISTED_OFFENDERS {
                self.offenders.push((entry.path, problem));
            }
            return Ok(());
        }
        self.wanted += 1;
        let headers = self.rules.headers.entry_digest(&entry);
        let replaces = match standing {
            Some(Standing::Ours(record)) if record.has_content_of(&entry) && record.headers == headers => {
                self.keep(&record);
                return Ok(());
            }
            Some(Standing::Ours(record)) => {
                self.replaced.insert(path_hash(&record.path));
                Replaces::Object(record.etag)
            }
            Some(Standing::Foreign { etag, .. }) if self.rules.overwrite => Replaces::Object(etag),
            Some(Standing::Foreign { path, .. }) => return self.step(Turn::Noted, Work::Conflict { path }),
            None => Replaces::Nothing,
        };
        let (sent, left_out) = self.rules.headers.headers_and_left_out(&entry);
        HeaderRules::check(&entry.path, &sent)?;
        for kind in left_out {
            self.notice(&Notice {
                kind,
                path: entry.path.clone(),
            });
        }
        self.remember(&entry);
        self.totals.put += 1;
        self.totals.put_bytes += entry.size;
        let turn = self.rules.last.turn_of_write(&entry.path);
        self.step(
            turn,
            Work::Write {
                entry: Box::new(entry),
                headers,
                replaces,
                origin: Origin::Stream,
            },
        )
    }

    fn unwanted(&mut self, standing: Standing) -> Result<(), PlanError> {
        match standing {
            Standing::Ours(record) => {
                self.totals.deleted += 1;
                if !self.rules.capabilities.file_beside_folder {
                    self.deleted.insert(record.path.clone());
                }
                let turn = self.rules.last.turn_of_delete(&record.path);
                self.step(
                    turn,
                    Work::Delete {
                        path: record.path,
                        etag: record.etag,
                    },
                )
            }
            // What never was ours and nobody wants is none of our business.
            Standing::Foreign { was_ours: false, .. } => Ok(()),
            Standing::Foreign { path, .. } => self.step(Turn::Noted, Work::LetGo { path }),
        }
    }

    fn remember(&mut self, entry: &Entry) {
        // An empty object costs as much to copy as to send.
        let Some(id) = entry.content.primary().filter(|_| entry.size > 0) else {
            return;
        };
        let full = self.contents.len() >= REMEMBERED_CONTENTS;
        match self.contents.entry(short_hash(id)) {
            std::collections::hash_map::Entry::Occupied(mut known) => known.get_mut().writes += 1,
            std::collections::hash_map::Entry::Vacant(_) if full => {}
            std::collections::hash_map::Entry::Vacant(free) => {
                free.insert(Wanted {
                    first: entry.path.clone(),
                    writes: 1,
                    existing: None,
                });
            }
        }
    }

    fn step(&mut self, turn: Turn, work: Work) -> Result<(), PlanError> {
        Ok(self.steps.push(&Step { turn, work })?)
    }

    /// Ends the pairs.
    pub fn finish(self) -> Result<Draft, PlanError> {
        if self.offender_count > 0 {
            return Err(PlanError::BadKeys {
                offenders: self.offenders,
                total: self.offender_count,
            });
        }
        Ok(Draft {
            steps: self.steps,
            contents: self.contents,
            replaced: self.replaced,
            deleted: self.deleted,
            copies_outside: self.rules.copies_outside,
            plan: (self.totals, self.notices, self.wanted),
        })
    }
}

/// A plan that does not know yet which of its writes the store can copy from objects that are there.
pub struct Draft {
    steps: Spool<Step>,
    contents: HashMap<u128, Wanted>,
    replaced: HashSet<u128>,
    deleted: BTreeSet<RelPath>,
    copies_outside: bool,
    plan: (Totals, BTreeMap<NoticeKind, u64>, u64),
}

impl Draft {
    /// Whether knowing the objects that are there could save sending anything.
    pub fn wants_offers(&self) -> bool {
        !self.contents.is_empty()
    }

    /// Offers an object of ours as the origin of writes with the same content. One that this run writes or
    /// has to remove before is passed over.
    pub fn offer(&mut self, record: &Record) {
        let ids = [
            record.content.git.map(ContentId::Git),
            record.content.blake3.map(ContentId::Blake3),
            record.content.address.map(ContentId::Address),
        ];
        for id in ids.into_iter().flatten() {
            if let Some(wanted) = self.contents.get_mut(&short_hash(id))
                && wanted.existing.is_none()
                && !self.replaced.contains(&path_hash(&record.path))
            {
                wanted.existing = Some((record.path.clone(), record.etag.clone()));
            }
        }
    }

    /// Makes the plan.
    pub fn finish(self) -> Result<Plan, PlanError> {
        let (mut totals, notices, wanted) = self.plan;
        let mut plan = Plan {
            steps: Spool::new(None),
            turns: BTreeMap::new(),
            shared: HashSet::new(),
            totals,
            notices,
            wanted,
            ours: totals.kept + totals.deleted + self.replaced.len() as u64,
            doomed: 0,
        };
        let blocked = Blocked::new(&self.deleted, &self.steps)?;
        for step in self.steps.iter() {
            let mut step = step?;
            match &mut step.work {
                Work::Write { entry, origin, .. } => {
                    if blocked.write_is_blocked(&entry.path) {
                        step.turn = Turn::Blocked;
                    }
                    *origin = find_origin(entry, &self.contents, &blocked, self.copies_outside, &mut plan.shared);
                    if matches!(origin, Origin::Twin { .. }) && step.turn == Turn::Data {
                        step.turn = Turn::Twins;
                    }
                    if *origin != Origin::Stream {
                        totals.put -= 1;
                        totals.put_bytes -= entry.size;
                        totals.copied += 1;
                        totals.copied_bytes += entry.size;
                    }
                }
                Work::Delete { path, .. } if blocked.blocking.contains(path) => step.turn = Turn::Clear,
                Work::Conflict { .. } | Work::Unreadable { .. } => plan.doomed += 1,
                Work::Delete { .. } | Work::LetGo { .. } => {}
            }
            *plan.turns.entry(step.turn).or_default() += 1;
            plan.steps.push(&step)?;
        }
        plan.totals = totals;
        Ok(plan)
    }
}

fn find_origin(
    entry: &Entry,
    contents: &HashMap<u128, Wanted>,
    blocked: &Blocked,
    copies_outside: bool,
    shared: &mut HashSet<u128>,
) -> Origin {
    let Some(id) = entry.content.primary().filter(|_| entry.size > 0) else {
        return Origin::Stream;
    };
    let otherwise = match entry.origin {
        Some(_) if copies_outside => Origin::Outside,
        Some(_) | None => Origin::Stream,
    };
    let hash = short_hash(id);
    match contents.get(&hash) {
        // What must be deleted before its copy could be made is no origin.
        Some(Wanted {
            existing: Some((path, etag)),
            ..
        }) if !blocked.blocking.contains(path) => Origin::Object {
            path: path.clone(),
            etag: etag.clone(),
        },
        Some(Wanted { first, writes: 2.., .. }) if *first != entry.path => {
            shared.insert(hash);
            Origin::Twin { path: first.clone() }
        }
        _ => otherwise,
    }
}

/// Which writes and deletes stand in each other's way on a store that cannot hold `a` beside `a/b`.
struct Blocked {
    writes: HashSet<u128>,
    blocking: BTreeSet<RelPath>,
}

impl Blocked {
    fn new(deleted: &BTreeSet<RelPath>, steps: &Spool<Step>) -> Result<Self, SpoolError> {
        let mut found = Self {
            writes: HashSet::new(),
            blocking: BTreeSet::new(),
        };
        if deleted.is_empty() {
            return Ok(found);
        }
        for step in steps.iter() {
            let Step {
                work: Work::Write { entry, .. },
                ..
            } = step?
            else {
                continue;
            };
            let mut ways: Vec<RelPath> = entry
                .path
                .folders()
                .filter_map(|folder| deleted.get(folder).cloned())
                .collect();
            let below = RelPath::new([entry.path.as_bytes(), b"/"].concat()).expect("it is not empty");
            let inside = deleted
                .range(below.clone()..)
                .take_while(|path| path.as_bytes().starts_with(below.as_bytes()));
            ways.extend(inside.cloned());
            if !ways.is_empty() {
                found.writes.insert(path_hash(&entry.path));
                found.blocking.extend(ways);
            }
        }
        Ok(found)
    }

    fn write_is_blocked(&self, path: &RelPath) -> bool {
        !self.writes.is_empty() && self.writes.contains(&path_hash(path))
    }
}

/// 128 bits of a hash are enough to tell contents of one plan apart; the etag guards the copy all the same.
fn short_hash(id: ContentId) -> u128 {
    let (kind, bytes) = match &id {
        ContentId::Git(id) => (1, id.as_bytes()),
        ContentId::Blake3(hash) => (2, &hash[..]),
        ContentId::Address(hash) => (3, &hash[..]),
    };
    let mut first = [0; 16];
    first.copy_from_slice(&bytes[..16]);
    u128::from_le_bytes(first) ^ kind
}

fn path_hash(path: &RelPath) -> u128 {
    let mut first = [0; 16];
    first.copy_from_slice(&blake3::hash(path.as_bytes()).as_bytes()[..16]);
    u128::from_le_bytes(first)
}

fn bad_keys_text(offenders: &[(RelPath, KeyProblem)], total: u64) -> String {
    let mut by_problem: BTreeMap<KeyProblem, Vec<String>> = BTreeMap::new();
    for (path, problem) in offenders {
        by_problem.entry(*problem).or_default().push(path.to_string());
    }
    let lists: Vec<String> = by_problem
        .into_iter()
        .map(|(problem, paths)| format!("{problem}: {}", paths.join(", ")))
        .collect();
    let more = total.saturating_sub(offenders.len() as u64);
    let more = if more == 0 {
        String::new()
    } else {
        format!("; and {more} more")
    };
    format!(
        "{total} paths cannot be keys under this export path: {}{more}",
        lists.join("; ")
    )
}

#[cfg(test)]
mod tests;
