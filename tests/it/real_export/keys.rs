//! Keys that clients, servers and proxies between them like to mangle.

use std::collections::BTreeSet;

use lakesync::export::{ExportError, Outcome};
use lakesync::plan::{KeyProblem, OddKeys, PlanError};

use super::world::World;

/// All are names of files, so a segment has 255 bytes at most.
fn odd_but_right() -> Vec<String> {
    let mut paths: Vec<String> = [
        "Ünï/côde/ñandú",
        "日本語/ファイル.txt",
        "emoji/😀👩‍👩‍👧",
        "twins/caf\u{e9}",
        "twins/cafe\u{301}",
        " leading and trailing ",
        "two  spaces/a b",
        "plus+plus",
        "per%cent/%2F/%20/100%",
        "question?mark=1&b=2",
        "hash#tag",
        "and&semi;comma,colon:",
        "quote'\"s",
        "<xml>&amp;",
        "star*[set]{brace}",
        "~tilde!@$^(paren)=|",
        "-dash",
        ".hidden/.file",
        "dots...",
        "UPPER/lower",
        "upper/LOWER",
        "no-break\u{a0}space/zero\u{200b}width",
        "right-to-left/\u{5d0}\u{5d1}",
    ]
    .map(str::to_owned)
    .to_vec();
    paths.push("n".repeat(255));
    paths.push(format!("{}/{}", "ü".repeat(127), "x".repeat(254)));
    // With `out/`, 1,024 bytes.
    let long = ["a", "b", "c"].map(|letter| letter.repeat(255)).join("/");
    paths.push(format!("{long}/{}", "d".repeat(1020 - long.len() - 1)));
    paths
}

#[tokio::test]
async fn odd_names_round_trip_byte_for_byte() {
    for mut world in World::all().await {
        let paths = odd_but_right();
        assert_eq!(world.key(paths.last().unwrap()).len(), 1024);
        for path in &paths {
            world.write(path, path);
        }
        world.exported().await;
        let keys: BTreeSet<String> = world.bucket.keys().await.into_iter().collect();
        for path in &paths {
            assert!(keys.contains(&world.key(path)), "{}: {path:?}", world.name());
        }
        // Changed, renamed and deleted under such names, too.
        for (number, path) in paths.iter().enumerate() {
            // versitygw 1.8 overwrites no object whose last segment has more than some 230 bytes: 409.
            let may_change = !world.is_versitygw() || path.rsplit('/').next().unwrap().len() < 200;
            match number % 3 {
                0 if may_change => world.write(path, format!("changed {path}")),
                1 => world.remove(path),
                _ => {}
            }
        }
        world.rename("two  spaces/a b", "twins/moved %+?#");
        world.exported().await;
    }
}

/// P9: all at once, before the first write, with the cure.
#[tokio::test]
async fn names_that_no_key_can_have_are_refused_together_or_left_out() {
    for mut world in World::on_both().await {
        world.write("good", "1");
        let bad = [
            ("line\nfeed", KeyProblem::Odd),
            ("tab\tbed", KeyProblem::Odd),
            ("back\\slash", KeyProblem::Odd),
            ("_STATUS_x.json", KeyProblem::Reserved),
            ("_lakesync/root.json", KeyProblem::Reserved),
        ];
        for (path, _) in bad {
            world.write(path, "1");
        }
        let error = world.tried().await.unwrap_err();
        let ExportError::Plan(PlanError::BadKeys { offenders, total }) = &error else {
            panic!("{error:?}");
        };
        assert_eq!(*total, 5);
        for (path, problem) in bad {
            let named = offenders
                .iter()
                .any(|(one, why)| one.as_bytes() == path.as_bytes() && *why == problem);
            assert!(named, "{path:?}: {offenders:?}");
        }
        assert!(!error.to_string().contains('\n'), "{error}");
        let written: Vec<String> = world.bucket.keys().await;
        assert_eq!(written, ["out/_lakesync/lease.json"], "{}", world.name());

        world.remove("_STATUS_x.json");
        world.remove("_lakesync");
        world.config.odd_keys = OddKeys::Skip;
        let report = world.tried().await.unwrap();
        assert_eq!(
            (report.outcome, report.counts.put, report.counts.skipped),
            (Outcome::Exported, 1, Some(3))
        );
        let mut expected = world.expected();
        expected.files.retain(|path, _| path == "good");
        world.check_against(&expected).await;
    }
}
