//! What the probe found, in words.

use super::{Finding, Verdict};
use crate::store::{Capabilities, Checksum};

/// Says of each guard whether it holds, and what lakesync does where it does not.
pub(super) fn guards(can: &Capabilities) -> Vec<Finding> {
    const NO_LEASE: &str = "two exporters are not kept apart, and what others write may be overwritten";
    const NO_LEASE_CURE: &str = "let one exporter at a time and nobody else write here, or use another store";
    const LOOK_FIRST: &str = "lakesync looks before it writes, which leaves a gap";
    let mut lines = Vec::new();
    let mut guard = |holds: bool, verdict: Verdict, what: &str, otherwise: &str| {
        lines.push(if holds {
            Finding::good("guards", format!("{what} is honoured"))
        } else {
            let line = Finding::new("guards", verdict, format!("{what} is not honoured: {otherwise}"));
            if verdict == Verdict::Bad {
                line.cure(NO_LEASE_CURE)
            } else {
                line
            }
        });
    };
    let (bad, limited) = (Verdict::Bad, Verdict::Limited);
    guard(can.put_absent, bad, "PutObject with If-None-Match", NO_LEASE);
    guard(can.put_matches, bad, "PutObject with If-Match", NO_LEASE);
    guard(
        can.complete_absent,
        limited,
        "CompleteMultipartUpload with If-None-Match",
        LOOK_FIRST,
    );
    guard(
        can.complete_matches,
        limited,
        "CompleteMultipartUpload with If-Match",
        LOOK_FIRST,
    );
    let copy = "renames go as guarded multipart copies, or are sent again";
    guard(can.copy_absent, limited, "CopyObject with If-None-Match", copy);
    guard(can.copy_matches, limited, "CopyObject with If-Match", copy);
    let again = "renames and duplicates are sent again";
    guard(
        can.copy_source_matches,
        limited,
        "CopyObject with x-amz-copy-source-if-match",
        again,
    );
    guard(
        can.part_copy,
        limited,
        "UploadPartCopy with x-amz-copy-source-if-match",
        again,
    );
    guard(
        can.delete_matches,
        limited,
        "DeleteObject with If-Match",
        "lakesync looks before it deletes, which leaves a gap",
    );
    let singly = "each object takes a DELETE of its own";
    guard(can.delete_many, limited, "DeleteObjects", singly);
    if can.delete_many {
        guard(
            can.delete_many_matches,
            limited,
            "DeleteObjects with an ETag for each key",
            singly,
        );
    }
    lines.push(if can.file_beside_folder {
        Finding::good("folders", "a and a/b can both be objects")
    } else {
        let text = "a and a/b cannot both be objects: trees that hold such names are refused by the store";
        Finding::new("folders", limited, text).cure("leave one of the two out with --exclude")
    });
    if !can.absent_over_folder {
        let text = "If-None-Match takes the folder a/ for an object a: a file that takes a folder's place is written without that guard";
        lines.push(Finding::new("folders", limited, text));
    }
    let name = match can.checksum {
        Checksum::Crc64Nvme => "CRC64NVME",
        Checksum::Crc32c => "CRC32C",
        Checksum::Crc32 => "CRC32",
        Checksum::Sha256 => "SHA-256",
        Checksum::Md5 => "Content-MD5",
        Checksum::None => "none",
    };
    lines.push(if can.checksum == Checksum::None {
        let text = "the store verifies no checksum: bytes damaged on the way are not noticed";
        Finding::new("checksums", limited, text).cure("reach the store by https, whose own checks cover the way")
    } else {
        Finding::good(
            "checksums",
            format!("{name} is verified on PutObject and on UploadPart"),
        )
    });
    lines
}
