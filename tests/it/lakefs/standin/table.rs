//! Entries, ranges and metaranges in the format of lakeFS.

use std::sync::Arc;

use bytes::Bytes;

use super::entry::Entry;
use super::leaf::{Leaf, Records};

pub fn encode(_entry: &Entry) -> Vec<u8> {
    unimplemented!()
}
pub fn range(_records: Records) -> Leaf {
    unimplemented!()
}
pub fn metarange(_leaves: &[Arc<Leaf>]) -> (String, Bytes) {
    unimplemented!()
}
pub fn read_range(_table: &[u8]) -> Vec<(Vec<u8>, Entry)> {
    unimplemented!()
}
