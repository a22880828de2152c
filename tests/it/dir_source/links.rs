//! Links, pipes and sockets.

use super::*;

#[tokio::test]
async fn links_are_skipped_and_counted_or_refused_with_a_list() {
    let mut tree = Tree::with(&["a"]);
    for index in 0..25 {
        symlink("nowhere", tree.at(format!("link{index:02}"))).unwrap();
    }
    let items = tree.items().await;
    let links = |item: &&Item<Entry>| matches!(item, Item::Notice(notice) if notice.kind == NoticeKind::Symlink);
    assert_eq!((items.len(), items.iter().filter(links).count()), (26, 25));
    tree.config.symlinks = SymlinkPolicy::Error;
    let Err(SourceError::Refused { what, paths, total, .. }) = tree.head().await else {
        panic!("it must be refused");
    };
    assert_eq!((what, paths.len(), total), ("symlinks", 20, 25));
}

#[tokio::test]
async fn links_inside_are_followed_and_sort_as_what_they_lead_to() {
    let mut tree = Tree::with(&["real/sub/x", "real/y", "z"]);
    tree.config.symlinks = SymlinkPolicy::FollowInside;
    symlink("real", tree.at("link")).unwrap();
    tree.write("link-after", "");
    symlink("../z", tree.at("real/up")).unwrap();
    symlink(tree.at("real/./sub"), tree.at("absolute")).unwrap();
    symlink("link/sub/x", tree.at("twice")).unwrap();
    symlink("nothing/here", tree.at("broken")).unwrap();
    symlink("x", tree.at("real/sub/beside")).unwrap();
    let expected = [
        "absolute/beside",
        "absolute/x",
        "broken Symlink",
        "link-after",
        "link/sub/beside",
        "link/sub/x",
        "link/up",
        "link/y",
        "real/sub/beside",
        "real/sub/x",
        "real/up",
        "real/y",
        "twice",
        "z",
    ];
    assert_eq!(tree.listing().await, expected);
    for (path, content) in [
        ("link/up", "z"),
        ("twice", "real/sub/x"),
        ("absolute/beside", "real/sub/x"),
    ] {
        let source = tree.source();
        let (head, entry) = entry(&source, path).await;
        let body = source.open(&head, &entry).await.unwrap();
        assert_eq!(bytes(body).await.unwrap(), content.as_bytes());
    }
}

#[tokio::test]
async fn a_link_that_leads_out_or_in_a_circle_stops_the_run() {
    for (link, target, problem) in [
        ("d/l", "../..", "leads out of the tree"),
        ("d/l", "../../tree/a", "leads out of the tree"),
        ("l", "/etc/passwd", "leads out of the tree"),
        ("d/l", "..", "leads in a circle"),
        ("d/l", ".", "leads in a circle"),
        ("l", "l", "leads in a circle"),
        ("d/e/l", "../../f", "leads in a circle"),
    ] {
        let mut tree = Tree::with(&["a", "d/e/b", "f/b"]);
        symlink("../d/e", tree.at("f/back")).unwrap();
        if link != "d/e/l" {
            fs::remove_file(tree.at("f/back")).unwrap();
        }
        symlink(target, tree.at(link)).unwrap();
        tree.config.symlinks = SymlinkPolicy::FollowInside;
        let error = tree.head().await.unwrap_err();
        assert!(
            matches!(&error, SourceError::Link { problem: found, .. } if *found == problem),
            "{link}: {error}"
        );
    }
}

#[tokio::test]
async fn a_link_put_in_the_place_of_a_folder_after_the_scan_is_not_followed() {
    let tree = Tree::with(&["d/a"]);
    let source = tree.source();
    let (head, entry) = entry(&source, "d/a").await;
    fs::rename(tree.at("d"), tree.temp.path().join("outside")).unwrap();
    symlink(tree.temp.path().join("outside"), tree.at("d")).unwrap();
    let changed = source.open(&head, &entry).await.err().unwrap();
    assert!(matches!(changed, SourceError::Changed { .. }), "{changed}");
}

#[tokio::test]
async fn pipes_and_sockets_are_counted_or_refused_and_hang_nobody() {
    let mut tree = Tree::with(&["a", "later"]);
    rustix::fs::mknodat(CWD, tree.at("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(tree.at("socket")).unwrap();
    assert_eq!(tree.listing().await, ["a", "later", "pipe Special", "socket Special"]);
    let source = tree.source();
    let (head, entry) = entry(&source, "later").await;
    fs::remove_file(tree.at("later")).unwrap();
    rustix::fs::mknodat(CWD, tree.at("later"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    let changed = source.open(&head, &entry).await.err().unwrap();
    assert!(matches!(changed, SourceError::Changed { .. }), "{changed}");
    tree.config.special = SkipOrError::Error;
    let refused = tree.head().await.unwrap_err();
    assert!(matches!(refused, SourceError::Refused { total: 3, .. }), "{refused}");
}
