//! What the probe finds on real servers. Guards are chosen by it, so a new version of a server that answers
//! otherwise should be seen here first.

use lakesync::store::probe::probe;
use lakesync::store::{Capabilities, Checksum};

use crate::servers::{self, Server};
use crate::wire::Wire;

/// Requests that a first export has for the probe: 60 beside its objects, less what it needs itself.
const BUDGET: usize = 34;

async fn found_on(server: &'static Server) -> Capabilities {
    let bucket = server.new_bucket().await;
    bucket.write("exp/other", "somebody else's").await;
    let wire = Wire::open(server).await;
    let store = bucket.store_at(&wire.endpoint).await;
    let found = probe(&store, "exp/_lakesync/probe/run/").await.unwrap();
    assert_eq!(found.leftovers, []);
    assert_eq!(bucket.keys().await, ["exp/other"], "{} is left clean", server.name);
    assert!(bucket.uploads().await.is_empty(), "{} is left clean", server.name);
    assert!(wire.len() <= BUDGET, "{} requests:\n{}", wire.len(), wire.table());
    found.capabilities
}

#[tokio::test]
async fn seaweedfs_honours_every_condition_but_mistakes_folders_and_odd_keys() {
    let expected = Capabilities {
        absent_over_folder: false,
        odd_keys: false,
        ..Capabilities::ALL
    };
    assert_eq!(found_on(servers::seaweedfs()).await, expected);
}

#[tokio::test]
async fn versitygw_ignores_conditions_on_copies_and_in_batches() {
    let expected = Capabilities {
        copy_absent: false,
        copy_matches: false,
        delete_many_matches: false,
        file_beside_folder: false,
        odd_keys: false,
        checksum: Checksum::Crc64Nvme,
        ..Capabilities::ALL
    };
    assert_eq!(found_on(servers::versitygw()).await, expected);
}
