//! Makes a case of a seed, and a test of a case.

use super::ops::{At, CONTENTS, Case, Change, Edit, Fault, FileTrouble, Ids, Kind, Meddle, Op, PATHS, Trouble};

/// A small generator of numbers: its cases are the same everywhere and for ever.
pub struct Numbers(u64);

impl Numbers {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Splitmix64.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn byte(&mut self, end: u64) -> u8 {
        u8::try_from(self.below(end)).expect("small")
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn path(&mut self) -> u8 {
        // Some more often than others, so that what is written meets what stands there.
        if self.chance(60) {
            1 + self.byte(5)
        } else {
            self.byte(PATHS.len() as u64)
        }
    }

    fn edit(&mut self) -> Edit {
        match self.below(10) {
            0..4 => Edit::Put(self.path(), self.byte(u64::from(CONTENTS))),
            4..6 => Edit::Remove(self.path()),
            6 => Edit::Rename(self.path(), self.path()),
            7 => Edit::Swap(self.path(), self.path()),
            _ => Edit::Copy(self.path(), self.path()),
        }
    }

    fn edits(&mut self) -> [Edit; 3] {
        std::array::from_fn(|at| {
            if at == 0 || self.chance(60) {
                self.edit()
            } else {
                Edit::Nothing
            }
        })
    }

    fn at(&mut self) -> At {
        if self.chance(40) {
            return At::Call(self.byte(70));
        }
        let step = self.byte(12);
        // Most steps are a request or two; a transfer has many.
        let most = if step == 7 { 9 } else { 3 };
        At::Step(step, self.byte(most))
    }

    fn fault(&mut self, can_land_late: bool) -> Fault {
        match self.below(if can_land_late { 10 } else { 9 }) {
            0 => Fault::FailBefore,
            1 => Fault::FailAfter,
            2 | 3 => Fault::LostReply,
            4 => Fault::Cut,
            5 => Fault::Throttled,
            6 => Fault::Denied,
            7 => Fault::Slow([2, 25, 40, 100][self.below(4) as usize]),
            8 => Fault::SlowReply([2, 25, 40, 100][self.below(4) as usize]),
            _ => Fault::LandsLate([5, 40, 70, 600][self.below(4) as usize]),
        }
    }

    fn meddle(&mut self) -> Meddle {
        match self.below(8) {
            0..4 => Meddle::Put(self.path()),
            4 | 5 => Meddle::Delete(self.path()),
            6 => Meddle::Touch(self.path()),
            _ => Meddle::Move(self.edit()),
        }
    }

    fn trouble(&mut self, kind: Kind) -> Trouble {
        let guards_all = kind.guards_all();
        // What lands late is fenced by its condition, or not at all.
        let can_land_late = kind != Kind::Unguarded;
        let at = self.at();
        match self.below(20) {
            0..5 => Trouble::None,
            5..9 => Trouble::Crash {
                at,
                after: self.chance(50),
                here: self.chance(50),
            },
            9..12 if can_land_late => {
                let seconds = [10, 70, 400, 1_200][self.below(4) as usize];
                Trouble::CrashLate {
                    at,
                    seconds,
                    here: self.chance(50),
                }
            }
            12..15 => Trouble::Faults {
                at,
                times: [1, 1, 3, 8][self.below(4) as usize],
                fault: self.fault(can_land_late),
            },
            15..18 if guards_all => Trouble::Pause {
                at,
                seconds: [62, 90, 130][self.below(3) as usize],
                edit: self.edit(),
            },
            18.. if guards_all => Trouble::Meddled {
                at,
                meddle: self.meddle(),
            },
            _ => Trouble::Crash {
                at,
                after: self.chance(50),
                here: false,
            },
        }
    }

    fn change(&mut self) -> Change {
        match self.below(7) {
            0 => Change::CacheControl(self.byte(3)),
            1 => Change::Exclude(self.path()),
            2 => Change::Include,
            3 => Change::SmallParts(self.chance(60)),
            4 => Change::Markers(self.chance(60)),
            5 => Change::KeepStatus(1 + self.byte(3)),
            _ => Change::OneByOne(self.chance(50)),
        }
    }

    /// What dice alone would hardly bring together: something lands late when the branch has moved on.
    fn story(&mut self) -> Vec<Op> {
        let (here, late) = (self.chance(50), [70, 80, 400][self.below(3) as usize]);
        let dies_at = |at| {
            Op::Export(Trouble::CrashLate {
                at,
                seconds: late,
                here,
            })
        };
        match self.below(4) {
            // A write that is done and fails all the same, whoever asks.
            3 => vec![
                Op::Commit([Edit::Put(self.path(), 4), self.edit(), self.edit()]),
                Op::Export(Trouble::Faults {
                    at: At::Step(7, self.byte(4)),
                    times: 8,
                    fault: if self.chance(50) {
                        Fault::FailAfter
                    } else {
                        Fault::LostReply
                    },
                }),
                Op::SetHead(self.byte(8)),
            ],
            // An object that nobody wants any more.
            0 => vec![
                Op::Commit([Edit::Put(self.path(), 4), Edit::Put(self.path(), 3), self.edit()]),
                dies_at(At::Step(7, self.byte(4))),
                Op::SetHead(self.byte(8)),
                Op::Advance(61),
            ],
            // A root, in the middle of the next run.
            1 => vec![
                Op::Commit(self.edits()),
                dies_at(At::Step(if self.chance(70) { 5 } else { 9 }, 0)),
                Op::Advance(61),
                Op::Commit(self.edits()),
                Op::Export(Trouble::Faults {
                    at: At::Step(3 + self.byte(5), 0),
                    times: 1,
                    fault: Fault::SlowReply(25),
                }),
            ],
            // An object of theirs, where the next commit wants to go.
            _ => {
                let path = self.path();
                vec![
                    Op::Outside(Meddle::Put(path)),
                    Op::Commit([Edit::Put(path, self.byte(6)), self.edit(), Edit::Nothing]),
                    Op::Export(Trouble::None),
                ]
            }
        }
    }

    fn op(&mut self, kind: Kind) -> Op {
        let guards_all = kind.guards_all();
        match self.below(100) {
            0..26 => Op::Commit(self.edits()),
            26..30 => Op::SetHead(self.byte(8)),
            30..72 => Op::Export(self.trouble(kind)),
            72..76 if guards_all => Op::Race(u16::try_from(self.below(1 << 16)).expect("below")),
            76..83 => Op::Outside(self.meddle()),
            83..87 => {
                let trouble =
                    [FileTrouble::OtherBytes, FileTrouble::Changes, FileTrouble::Vanishes][self.below(3) as usize];
                Op::SourceFault(self.path(), trouble, [1, 2, 9][self.below(3) as usize])
            }
            87..93 => Op::Advance([1, 61, 120, 1_000, 1_900][self.below(5) as usize]),
            93.. => Op::Config(self.change()),
            _ => Op::Export(Trouble::None),
        }
    }
}

impl Case {
    /// The case of a seed.
    pub fn generate(seed: u64) -> Self {
        let mut numbers = Numbers::new(seed);
        let kind = match numbers.below(10) {
            0..4 => Kind::Full,
            4..6 => Kind::Flat,
            6 => Kind::NoBatches,
            7 => Kind::FolderCounts,
            8 => Kind::NoDeleteGuards,
            _ => Kind::Unguarded,
        };
        Self::generate_for(kind, &mut numbers)
    }

    /// A case for one kind of store.
    pub fn generate_for(kind: Kind, numbers: &mut Numbers) -> Self {
        let mut ops = vec![Op::Commit(numbers.edits())];
        if numbers.chance(80) {
            ops.extend([Op::Config(numbers.change()), Op::Export(Trouble::None)]);
        }
        let length = 4 + numbers.below(8);
        for _ in 0..length {
            if kind != Kind::Unguarded && numbers.chance(8) {
                ops.extend(numbers.story());
            } else {
                ops.push(numbers.op(kind));
            }
        }
        Self {
            kind,
            tells_changes: numbers.chance(70),
            ids: match numbers.below(100) {
                0..34 => Ids::Git,
                34..67 => Ids::Blake3,
                _ => Ids::Address,
            },
            is_big: numbers.chance(8),
            ops,
        }
    }

    /// The same case without one of its ops.
    pub fn without(&self, at: usize) -> Self {
        let mut shorter = self.clone();
        shorter.ops.remove(at);
        shorter
    }

    /// As a test that can be pasted.
    pub fn as_test(&self) -> String {
        let ops: Vec<String> = self.ops.iter().map(|op| format!("        {op:?},\n")).collect();
        format!(
            "#[test]\nfn regression_NAME() {{\n    check(&Case {{\n        kind: Kind::{:?},\n        \
             tells_changes: {},\n        ids: Ids::{:?},\n        is_big: {},\n        ops: vec![\n{}        ],\n    }});\n}}",
            self.kind,
            self.tells_changes,
            self.ids,
            self.is_big,
            ops.concat()
        )
    }
}
