//! A metarange: which ranges make up a tree.

use super::id::RangeId;

/// What a metarange says of one range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeRef {
    /// Which range it is.
    pub id: RangeId,
    /// The first key in it.
    pub min_key: Vec<u8>,
    /// The last key in it.
    pub max_key: Vec<u8>,
    /// How many entries it has.
    pub count: u64,
    /// About how large its table is.
    pub estimated_size_bytes: u64,
}

/// The numbers of the fields.
mod field {
    pub(super) const MIN_KEY: u64 = 1;
    pub(super) const MAX_KEY: u64 = 2;
    pub(super) const ESTIMATED_SIZE: u64 = 3;
    pub(super) const COUNT: u64 = 4;
}

#[cfg(any(test, feature = "testing"))]
impl RangeRef {
    /// Gives the message of the range, as lakeFS writes it.
    pub fn encode(&self) -> Vec<u8> {
        use super::protobuf::write;

        let mut data = Vec::new();
        write::bytes(field::MIN_KEY, &self.min_key, &mut data);
        write::bytes(field::MAX_KEY, &self.max_key, &mut data);
        write::number(field::ESTIMATED_SIZE, self.estimated_size_bytes, &mut data);
        write::number(field::COUNT, self.count, &mut data);
        data
    }
}
