//! Every guard and every order rule is needed: the model test fails with any one of them taken out.

use lakesync::switches::{Switch, TakenOut};

use super::ops::Case;
use super::try_case;

/// Takes a rule out and looks for a case that fails, among so many seeds.
///
/// The store does not object by itself to writes without a condition here: what they do must be noticed.
fn is_missed(switch: Switch, seeds: u64) {
    let fails = |seed: u64| {
        let case = Case::generate(seed);
        let taken_out = TakenOut::new(switch);
        let why = try_case(&case, false).err()?;
        drop(taken_out);
        // It must be the rule that is missed.
        try_case(&case, false).ok().map(|_| format!("seed {seed}: {why}"))
    };
    match (0..seeds).find_map(fails) {
        Some(why) => eprintln!("{switch:?}: {why}"),
        None => panic!("{switch:?} is out, and none of {seeds} cases failed"),
    }
}

macro_rules! missed {
    ($($name:ident: $switch:ident within $seeds:literal,)*) => {
        $(
            #[test]
            fn $name() {
                is_missed(Switch::$switch, $seeds);
            }
        )*
    };
}

missed! {
    a_put_without_if_none_match_is_noticed: PutAbsent within 2000,
    a_put_without_if_match_is_noticed: PutMatches within 2000,
    a_delete_without_if_match_is_noticed: DeleteMatches within 2000,
    a_copy_of_whatever_stands_there_is_noticed: CopySourceMatches within 2000,
    bytes_without_their_content_id_are_noticed: ContentChecked within 2000,
    a_run_that_takes_everything_for_its_own_is_noticed: OwnershipMark within 2000,
    deletes_before_puts_are_noticed: DeletesAfterPuts within 2000,
    deletes_after_a_failure_are_noticed: NoDeletesAfterFailure within 2000,
    pointers_before_data_are_noticed: LastRulesOrder within 2000,
    missing_intents_are_noticed: IntentsBeforeDirty within 2000,
    objects_before_a_dirty_root_are_noticed: DirtyBeforeObjects within 2000,
    objects_before_creating_are_noticed: CreatingBeforeObjects within 2000,
    success_before_the_swap_is_noticed: SuccessLast within 2000,
    a_clean_up_before_the_swap_is_noticed: CleanupAfterSwap within 2000,
    dead_runs_that_nobody_settles_are_noticed: SettleDeadRuns within 2000,
    uploads_that_nobody_aborts_are_noticed: AbortDeadUploads within 2000,
    forgotten_runs_are_noticed: UnsettledKept within 2000,
    a_failed_run_that_nobody_looks_after_is_noticed: DoubtfulRunNamed within 2000,
    overdue_runs_that_nobody_looks_for_are_noticed: OverdueIsWork within 2000,
    a_lease_taken_by_two_is_noticed: LeaseGuard within 2000,
    writes_without_a_lease_are_noticed: FenceByLease within 2000,
    a_root_swapped_by_two_is_noticed: RootGuard within 2000,
    a_run_id_used_twice_is_noticed: NewRunIdAfterLostSwap within 2000,
}
