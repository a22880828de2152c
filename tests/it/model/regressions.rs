//! Cases that failed once.

use super::ops::At::{Call, Step};
use super::ops::Edit::{Copy, Nothing, Put, Remove, Rename, Swap};
use super::ops::Fault::{FailAfter, LostReply, Throttled};
use super::ops::Op::{Advance, Commit, Config, Export, SetHead};
use super::ops::Trouble::{Crash, CrashLate, Faults, None, Pause};
use super::ops::{Case, Change, Ids, Kind};
use super::try_case;

fn check(case: &Case) {
    if let Err(why) = try_case(case, true) {
        panic!("{why}");
    }
}

/// An upload of a probe that died was nobody's.
#[test]
fn regression_a_probe_that_dies_leaves_no_upload() {
    check(&Case {
        kind: Kind::Flat,
        tells_changes: false,
        ids: Ids::Git,
        is_big: false,
        ops: vec![Export(Crash {
            at: Call(27),
            after: true,
            here: false,
        })],
    });
}

/// The same where the reply to its beginning was lost, and the probe went on.
#[test]
fn regression_a_probe_whose_reply_was_lost_leaves_no_upload() {
    check(&Case {
        kind: Kind::Full,
        tells_changes: true,
        ids: Ids::Git,
        is_big: false,
        ops: vec![Export(Faults {
            at: Call(17),
            times: 8,
            fault: LostReply,
        })],
    });
}

/// The one that slept met the files of the other, and called that a damaged ledger or a full export path.
#[test]
fn regression_an_exporter_that_slept_says_that_it_lost() {
    let first = Commit([Put(1, 1), Put(11, 0), Rename(9, 10)]);
    let pause = Export(Pause {
        at: Step(3, 0),
        seconds: 90,
        edit: Put(1, 4),
    });
    for ops in [
        vec![first, pause],
        vec![first, Export(None), Commit([Remove(1), Nothing, Nothing]), pause],
    ] {
        check(&Case {
            kind: Kind::Full,
            tells_changes: true,
            ids: Ids::Git,
            is_big: false,
            ops,
        });
    }
}

/// Commit files of a table log went away first file first.
#[test]
fn regression_logs_are_deleted_last_file_first() {
    check(&Case {
        kind: Kind::Flat,
        tells_changes: true,
        ids: Ids::Git,
        is_big: false,
        ops: vec![Commit([Put(9, 5), Put(10, 4), Nothing]), Export(None), SetHead(0)],
    });
}

/// An object of ours whose write failed, although it was done, was taken for somebody else's for ever.
#[test]
fn regression_a_write_that_failed_and_was_done_is_known_again() {
    check(&Case {
        kind: Kind::NoBatches,
        tells_changes: true,
        ids: Ids::Blake3,
        is_big: false,
        ops: vec![
            Commit([Put(8, 4), Put(5, 1), Nothing]),
            Export(Faults {
                at: Step(7, 2),
                times: 8,
                fault: FailAfter,
            }),
        ],
    });
}

/// A root that lands late names its dead run only then, which takes another half hour to settle.
#[test]
fn regression_a_dirty_root_may_land_late() {
    check(&Case {
        kind: Kind::Full,
        tells_changes: false,
        ids: Ids::Git,
        is_big: false,
        ops: vec![
            Commit([Rename(9, 11), Nothing, Nothing]),
            Export(None),
            Commit([Copy(2, 9), Copy(7, 10), Rename(4, 10)]),
            Export(CrashLate {
                at: Step(5, 0),
                seconds: 400,
                here: false,
            }),
            SetHead(1),
            Advance(1),
        ],
    });
}

/// The same bytes have the same etag, so the headers of a dead run passed for those of the ledger.
#[test]
fn regression_headers_of_a_dead_run_are_seen() {
    for is_big in [false, true] {
        for number in 0..70 {
            check(&Case {
                kind: Kind::Flat,
                tells_changes: true,
                ids: Ids::Git,
                is_big,
                ops: vec![
                    Config(Change::CacheControl(1)),
                    Export(None),
                    Config(Change::CacheControl(2)),
                    Export(Crash {
                        at: Step(7, number),
                        after: true,
                        here: true,
                    }),
                    Config(Change::CacheControl(1)),
                ],
            });
        }
    }
}

/// An upload was nobody's when the replies to its beginning were lost and the run lived on.
#[test]
fn regression_a_failed_run_leaves_no_upload() {
    check(&Case {
        kind: Kind::Full,
        tells_changes: false,
        ids: Ids::Blake3,
        is_big: false,
        ops: vec![
            Config(Change::SmallParts(true)),
            Export(None),
            Commit([Put(1, 4), Put(4, 3), Put(5, 4)]),
            Export(Faults {
                at: Step(7, 0),
                times: 8,
                fault: LostReply,
            }),
        ],
    });
}

/// An upload was nobody's when it could not be given up.
#[test]
fn regression_an_upload_that_could_not_be_aborted_is_aborted_later() {
    check(&Case {
        kind: Kind::Unguarded,
        tells_changes: true,
        ids: Ids::Git,
        is_big: false,
        ops: vec![
            Config(Change::SmallParts(true)),
            Export(None),
            Commit([Remove(2), Put(7, 4), Nothing]),
            Export(Faults {
                at: Step(7, 1),
                times: 8,
                fault: Throttled,
            }),
        ],
    });
}

/// Two writes met the same object in their way; the second to delete it failed.
#[test]
fn regression_two_writes_may_clear_the_same_way() {
    check(&Case {
        kind: Kind::Flat,
        tells_changes: true,
        ids: Ids::Blake3,
        is_big: false,
        ops: vec![
            Commit([Copy(1, 3), Swap(1, 1), Nothing]),
            Commit([Put(3, 4), Remove(4), Rename(8, 2)]),
            SetHead(6),
            Export(Faults {
                at: Step(7, 1),
                times: 1,
                fault: Throttled,
            }),
            Commit([Put(2, 4), Put(1, 3), Put(4, 5)]),
            Export(CrashLate {
                at: Step(7, 1),
                seconds: 70,
                here: true,
            }),
            SetHead(1),
            Advance(61),
            Export(Pause {
                at: Call(54),
                seconds: 62,
                edit: Put(8, 1),
            }),
            SetHead(2),
            Commit([Put(2, 0), Nothing, Remove(11)]),
        ],
    });
}
