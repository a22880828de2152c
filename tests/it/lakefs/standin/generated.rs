//! Trees of any size, made without a request for each file.

use std::sync::Arc;

use super::StandIn;
use super::answer::Answer;
use super::changes::NewCommit;
use super::entry::{AddressType, Entry};
use super::tree::{Changes, TreeWriter};

impl StandIn {
    /// Commits a tree of `entries` files to a branch in place of what it had, and gives the id of the commit.
    ///
    /// The keys are those of [`generated_key`]; there are no bytes behind them, so a read says 410. A million takes
    /// about 300 MB: the tables, and the records close together.
    pub async fn commit_generated(&self, repository: &str, branch: &str, entries: u64) -> String {
        let mut writer = TreeWriter::new(self.core.settings.raggedness);
        for number in 0..entries {
            writer.push_entry(generated_key(number).as_bytes(), &generated_entry(number, 0));
        }
        self.commit_tree(repository, branch, writer).await
    }

    /// Commits other content for some of the files that [`commit_generated`](Self::commit_generated) made.
    pub async fn change_generated(&self, repository: &str, branch: &str, numbers: &[u64], version: u64) -> String {
        let changes: Changes = numbers
            .iter()
            .map(|number| {
                let key = generated_key(*number).into_bytes();
                (key, Some(generated_entry(*number, version)))
            })
            .collect();
        let tree = {
            let mut repositories = self.core.repositories.lock().unwrap();
            let repository = repositories.get_mut(repository).expect("it is there");
            let head = repository.head(branch).expect("the branch is there");
            repository.tree(&head)
        };
        let next = tree.with(&changes, self.core.settings.raggedness);
        self.publish(repository, branch, Arc::new(next)).await
    }

    async fn commit_tree(&self, repository: &str, branch: &str, writer: TreeWriter) -> String {
        self.publish(repository, branch, Arc::new(writer.finish())).await
    }

    async fn publish(&self, repository: &str, branch: &str, tree: Arc<super::tree::Tree>) -> String {
        let told = |answer: Answer| panic!("{}", String::from_utf8_lossy(&answer.body));
        let _moving = self.core.moving.lock().await;
        let head = self
            .core
            .repository_named(repository, |repository| repository.head(branch));
        let commit = NewCommit {
            tree,
            message: "generated".to_owned(),
            metadata: Default::default(),
            parents: vec![head.unwrap_or_else(told)],
            creation_date: None,
            staged: Arc::default(),
            event: None,
        };
        self.core
            .publish(repository, branch, commit)
            .await
            .unwrap_or_else(told)
            .id
    }
}

/// The path of a generated file; in the order of the numbers.
pub fn generated_key(number: u64) -> String {
    format!("table/day={:05}/part-{number:09}.parquet", number / 1000)
}

/// The entry of a generated file; another version is another content.
pub fn generated_entry(number: u64, version: u64) -> Entry {
    let mixed =
        (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29) ^ version.wrapping_mul(0xd6e8_feb8_6659_fd93);
    let again = mixed.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    Entry {
        address: format!("data/g00000000000000000000/{:020x}", again ^ number),
        address_type: AddressType::Relative,
        mtime: (1_790_000_000 + i64::try_from(number % 86_400).expect("below a day"), 0),
        size_bytes: 100 + mixed % 1_000_000,
        checksum: format!("{mixed:016x}{again:016x}"),
        metadata: Default::default(),
        content_type: "application/octet-stream".to_owned(),
    }
}
