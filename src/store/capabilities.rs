//! What a store can do, as the probe found it and the root keeps it.

use serde::{Deserialize, Serialize};

use super::Checksum;

/// What a store honours. A header that is ignored counts as not honoured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// `PutObject` with `If-None-Match: *`.
    pub put_absent: bool,
    /// `PutObject` with `If-Match`.
    pub put_matches: bool,
    /// `CompleteMultipartUpload` with `If-None-Match: *`.
    pub complete_absent: bool,
    /// `CompleteMultipartUpload` with `If-Match`.
    pub complete_matches: bool,
    /// `CopyObject` with `If-None-Match: *` on the destination.
    pub copy_absent: bool,
    /// `CopyObject` with `If-Match` on the destination.
    pub copy_matches: bool,
    /// `CopyObject` with `x-amz-copy-source-if-match`.
    pub copy_source_matches: bool,
    /// `UploadPartCopy` at all, with `x-amz-copy-source-if-match`.
    pub part_copy: bool,
    /// `DeleteObject` with `If-Match`.
    pub delete_matches: bool,
    /// `DeleteObjects` at all.
    pub delete_many: bool,
    /// `DeleteObjects` with an etag for each key.
    pub delete_many_matches: bool,
    /// `a` and `a/b` can both be objects.
    pub file_beside_folder: bool,
    /// `PutObject` of `a` with `If-None-Match: *` is done where there is `a/b` and no `a`. SeaweedFS answers 412,
    /// and goes on for a while after `a/b` is deleted; without the condition it writes.
    pub absent_over_folder: bool,
    /// Keys with empty, `.` and `..` segments and control characters are listed back as they were written.
    pub odd_keys: bool,
    /// The best checksum that the store verifies on `PutObject` and on `UploadPart`.
    pub checksum: Checksum,
}

impl Capabilities {
    /// What S3 itself can do; the doubles can, too.
    pub const ALL: Self = Self {
        put_absent: true,
        put_matches: true,
        complete_absent: true,
        complete_matches: true,
        copy_absent: true,
        copy_matches: true,
        copy_source_matches: true,
        part_copy: true,
        delete_matches: true,
        delete_many: true,
        delete_many_matches: true,
        file_beside_folder: true,
        absent_over_folder: true,
        odd_keys: true,
        checksum: Checksum::Crc64Nvme,
    };

    /// Whether the lease and the guards of single objects hold at all.
    pub fn guards_writes(&self) -> bool {
        self.put_absent && self.put_matches
    }
}
