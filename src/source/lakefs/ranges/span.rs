//! Which keys of a tree are asked for.

use super::metarange::RangeRef;

/// The keys that begin with `prefix` and are not less than `from`; all of them where both are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeySpan {
    /// What the keys begin with.
    pub prefix: Vec<u8>,
    /// The least key.
    pub from: Vec<u8>,
}

impl KeySpan {
    /// The keys that begin with `prefix`.
    pub fn of_prefix(prefix: impl Into<Vec<u8>>) -> Self {
        Self {
            prefix: prefix.into(),
            from: Vec::new(),
        }
    }

    /// Whether a key is asked for.
    #[inline]
    pub fn contains(&self, key: &[u8]) -> bool {
        key.starts_with(&self.prefix) && key >= self.from.as_slice()
    }

    /// Whether a key and all that follow it are behind what is asked for.
    #[inline]
    pub(super) fn ends_before(&self, key: &[u8]) -> bool {
        !key.starts_with(&self.prefix) && key > self.prefix.as_slice()
    }

    /// Whether a range may have a key that is asked for.
    pub(super) fn touches(&self, range: &RangeRef) -> bool {
        let max_key = range.max_key.as_slice();
        max_key >= self.from.as_slice() && max_key >= self.prefix.as_slice() && !self.ends_before(&range.min_key)
    }
}

#[cfg(test)]
mod tests {
    use super::super::id::RangeId;
    use super::*;

    #[test]
    fn only_ranges_that_may_hold_a_wanted_key_are_touched() {
        let range = |min: &str, max: &str| RangeRef {
            id: RangeId::from_hash([0; 32]),
            min_key: min.into(),
            max_key: max.into(),
            count: 1,
            estimated_size_bytes: 1,
        };
        for (prefix, from, min, max, touched) in [
            ("", "", "a", "b", true),
            ("b/", "", "a", "b", false),
            ("b/", "", "a", "b/", true),
            ("b/", "", "a", "z", true),
            ("b/", "", "b/x", "b/y", true),
            ("b/", "", "b0", "c", false),
            ("b/", "b/y", "b/a", "b/x", false),
            ("b/", "b/y", "b/a", "b/y", true),
            ("", "m", "a", "l", false),
            ("", "m", "n", "o", true),
        ] {
            let span = KeySpan {
                prefix: prefix.into(),
                from: from.into(),
            };
            assert_eq!(span.touches(&range(min, max)), touched, "{span:?} {min} {max}");
        }
    }
}
