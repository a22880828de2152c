//! The built-in table of content types: the same on every host, so that no machine's `/etc/mime.types`
//! makes objects change.

use crate::model::RelPath;

/// Changes with each change of the table, so that exports look at all their objects again; a test finds
/// out when it must.
pub(super) const TABLE_VERSION: u32 = 1;

/// What is said of a file about which nothing is known.
const UNKNOWN: &str = "application/octet-stream";

/// No extension with a type is longer than this.
const LONGEST: usize = 24;

/// Says what a file is by the last extension of its name, in whatever case.
pub(super) fn content_type(path: &RelPath) -> &'static str {
    let name = path.file_name();
    // A name that begins with its only dot is a hidden file without an extension.
    let dot = name.iter().rposition(|byte| *byte == b'.').filter(|dot| *dot > 0);
    let Some(extension) = dot.map(|dot| &name[dot + 1..]) else {
        return UNKNOWN;
    };
    let mut buffer = [0; LONGEST];
    let Some(lower) = buffer.get_mut(..extension.len()) else {
        return UNKNOWN;
    };
    lower.copy_from_slice(extension);
    lower.make_ascii_lowercase();
    match std::str::from_utf8(lower) {
        Ok(extension) => by_extension(extension),
        Err(_) => UNKNOWN,
    }
}

fn by_extension(extension: &str) -> &'static str {
    own(extension).unwrap_or_else(|| {
        mime_guess::from_ext(extension)
            .first_raw()
            .map_or(UNKNOWN, with_charset)
    })
}

/// What the common table lacks, or says as it was said before there was a standard.
fn own(extension: &str) -> Option<&'static str> {
    Some(match extension {
        "arrow" | "feather" => "application/vnd.apache.arrow.file",
        "arrows" => "application/vnd.apache.arrow.stream",
        "avro" => "application/avro",
        "orc" => "application/orc",
        "jsonl" | "ndjson" => "application/x-ndjson",
        "ipynb" => "application/x-ipynb+json",
        "yaml" | "yml" => "application/yaml",
        "toml" => "application/toml",
        "sql" => "application/sql",
        "sqlite" | "sqlite3" => "application/vnd.sqlite3",
        "h5" | "hdf5" => "application/x-hdf5",
        "pmtiles" => "application/vnd.pmtiles",
        "map" => "application/json",
        "gz" | "tgz" => "application/gzip",
        "zst" | "tzst" => "application/zstd",
        "lz4" => "application/x-lz4",
        "js" | "mjs" | "cjs" => "text/javascript; charset=utf-8",
        // In the table it is a video's, which browsers then save instead of show. Branches hold source
        // code far more often than transport streams, whose players go by the bytes anyway; where they do
        // not, `--header '*.ts: Content-Type=video/mp2t'` says so.
        "ts" | "tsx" | "cts" => "text/typescript; charset=utf-8",
        "woff" => "font/woff",
        "otf" => "font/otf",
        "jxl" => "image/jxl",
        "m3u8" => "application/vnd.apple.mpegurl",
        _ => return None,
    })
}

/// Without it, browsers read text as windows-1252. XML is left alone: it says its encoding itself, and
/// the header would overrule it.
fn with_charset(bare: &'static str) -> &'static str {
    match bare {
        "text/css" => "text/css; charset=utf-8",
        "text/csv" => "text/csv; charset=utf-8",
        "text/html" => "text/html; charset=utf-8",
        "text/javascript" | "application/javascript" => "text/javascript; charset=utf-8",
        "text/markdown" => "text/markdown; charset=utf-8",
        "text/plain" => "text/plain; charset=utf-8",
        "text/tab-separated-values" => "text/tab-separated-values; charset=utf-8",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn type_of(name: &str) -> &'static str {
        content_type(&RelPath::new(name).unwrap())
    }

    #[test]
    fn the_types_that_users_miss_elsewhere_are_right() {
        for (name, expected) in [
            ("a.parquet", "application/vnd.apache.parquet"),
            ("a.orc", "application/orc"),
            ("a.avro", "application/avro"),
            ("a.arrow", "application/vnd.apache.arrow.file"),
            ("a.json", "application/json"),
            ("a.jsonl", "application/x-ndjson"),
            ("a.ndjson", "application/x-ndjson"),
            ("a.geojson", "application/geo+json"),
            ("a.yaml", "application/yaml"),
            ("a.yml", "application/yaml"),
            ("a.gz", "application/gzip"),
            ("a.json.gz", "application/gzip"),
            ("a.zst", "application/zstd"),
            ("a.woff", "font/woff"),
            ("a.woff2", "font/woff2"),
            ("a.webp", "image/webp"),
            ("a.avif", "image/avif"),
            ("a.svg", "image/svg+xml"),
            ("a.wasm", "application/wasm"),
            ("a.webmanifest", "application/manifest+json"),
            ("a.js.map", "application/json"),
            ("a.pdf", "application/pdf"),
            ("a.xml", "text/xml"),
            ("a.ts", "text/typescript; charset=utf-8"),
            ("a.js", "text/javascript; charset=utf-8"),
            ("a.mjs", "text/javascript; charset=utf-8"),
            ("a.html", "text/html; charset=utf-8"),
            ("a.css", "text/css; charset=utf-8"),
            ("a.csv", "text/csv; charset=utf-8"),
            ("a.tsv", "text/tab-separated-values; charset=utf-8"),
            ("a.md", "text/markdown; charset=utf-8"),
            ("a.txt", "text/plain; charset=utf-8"),
            ("a.log", "text/plain; charset=utf-8"),
        ] {
            assert_eq!(type_of(name), expected, "{name}");
        }
    }

    #[test]
    fn case_does_not_matter_and_only_the_last_extension_of_the_name_counts() {
        assert_eq!(type_of("a/B.CSV"), "text/csv; charset=utf-8");
        for unknown in [
            "README",
            "a.json/b",
            ".json",
            "a/.csv",
            "a.",
            "a.nothing",
            "part-0000",
            "_SUCCESS",
            "a.\u{e4}",
        ] {
            assert_eq!(type_of(unknown), UNKNOWN, "{unknown}");
        }
        assert_eq!(type_of(&format!("a.{}", "csv".repeat(100))), UNKNOWN);
        assert_eq!(content_type(&RelPath::new(b"a.\xff".to_vec()).unwrap()), UNKNOWN);
    }

    #[test]
    fn a_changed_table_needs_a_new_version() {
        let letters = || b"abcdefghijklmnopqrstuvwxyz0123456789".iter().copied();
        let mut extensions: Vec<Vec<u8>> = letters().map(|letter| vec![letter]).collect();
        for length in 1..3 {
            let longer: Vec<Vec<u8>> = extensions
                .iter()
                .filter(|extension| extension.len() == length)
                .flat_map(|start| letters().map(move |letter| [start.as_slice(), &[letter]].concat()))
                .collect();
            extensions.extend(longer);
        }
        let long = "parquet feather arrow arrows avro json jsonl ndjson geojson ipynb yaml toml sqlite hdf5 html \
                    woff2 webp avif wasm jpeg tiff webm m3u8 webmanifest jsonld docx xlsx pptx mpeg text xhtml";
        extensions.extend(long.split_whitespace().map(|extension| extension.as_bytes().to_vec()));
        let mut hasher = blake3::Hasher::new();
        for extension in extensions {
            let found = by_extension(std::str::from_utf8(&extension).unwrap());
            hasher
                .update(&extension)
                .update(b" ")
                .update(found.as_bytes())
                .update(b"\n");
        }
        let seen = &hasher.finalize().to_hex()[..16];
        let pinned = (1, "400672846fa8937b");
        assert_eq!(
            (TABLE_VERSION, seen),
            pinned,
            "raise TABLE_VERSION and pin the new hash"
        );
    }
}
