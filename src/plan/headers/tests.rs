use std::collections::BTreeSet;

use super::*;
use crate::model::{Attributes, ContentIds};

fn entry(path: &str) -> Entry {
    Entry {
        path: RelPath::new(path).unwrap(),
        size: 1,
        content: ContentIds::default(),
        origin: None,
        attributes: Attributes::default(),
    }
}

fn with_metadata(path: &str, pairs: &[(&str, &str)]) -> Entry {
    let mut entry = entry(path);
    let own = pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    entry.attributes.metadata = own.collect();
    entry
}

fn read(rules: &[&str]) -> Result<HeaderRules, HeaderRuleError> {
    let rules: Vec<String> = rules.iter().map(ToString::to_string).collect();
    HeaderRules::new(&rules, false, false)
}

fn refusal(rule: &str) -> String {
    read(&[rule]).unwrap_err().to_string()
}

#[test]
fn rules_set_each_header_and_the_last_match_wins_for_each_name() {
    let rules = read(&[
        "*: Cache-Control=max-age=60",
        "*.html: cache-control = no-cache ",
        "/data/: Content-Type=application/x-data",
        "*.gz:Content-Encoding=gzip",
        "*: Content-Language=de",
        "*: Content-Disposition=attachment; filename=\"a: b=c\"",
        "*: X-Amz-Meta-Team=Lake",
        "index.html: x-amz-meta-team=",
    ])
    .unwrap();
    let page = rules.headers(&entry("web/index.html"));
    assert_eq!(page.cache_control.as_deref(), Some("no-cache"));
    assert_eq!(page.content_type.as_deref(), Some("text/html; charset=utf-8"));
    assert_eq!(page.content_language.as_deref(), Some("de"));
    assert_eq!(page.content_encoding, None);
    assert_eq!(
        page.content_disposition.as_deref(),
        Some("attachment; filename=\"a: b=c\"")
    );
    assert!(page.metadata.is_empty());
    let data = rules.headers(&entry("data/x/y.gz"));
    assert_eq!(data.content_type.as_deref(), Some("application/x-data"));
    assert_eq!(data.content_encoding.as_deref(), Some("gzip"));
    assert_eq!(data.cache_control.as_deref(), Some("max-age=60"));
    assert_eq!(data.metadata["team"], "Lake");
}

#[test]
fn an_empty_value_takes_a_header_away_even_the_tables() {
    let rules = read(&["*: Cache-Control=x", "*.json: Cache-Control=", "*.json: Content-Type="]).unwrap();
    let headers = rules.headers(&entry("a.json"));
    assert_eq!((headers.cache_control, headers.content_type), (None, None));
    assert!(rules.headers(&entry("a.csv")).cache_control.is_some());
}

#[test]
fn a_colon_in_the_glob_or_in_the_value_is_no_cut() {
    let rules = read(&["t=12:30/*: Cache-Control=a:b"]).unwrap();
    let headers = rules.headers(&entry("t=12:30/x"));
    assert_eq!(headers.cache_control.as_deref(), Some("a:b"));
    let rules = read(&["k:v=1/*: Cache-Control=x"]).unwrap();
    assert!(rules.headers(&entry("k:v=1/x")).cache_control.is_some());
}

#[test]
fn a_bad_rule_is_named_with_its_cure() {
    for bad in [
        "",
        "*.html",
        "*.html: Cache-Control",
        "Cache-Control=x",
        "*: =x",
        "*: a b=x",
    ] {
        assert!(refusal(bad).ends_with("write it as 'GLOB: Name=value'"), "{bad}");
    }
    assert_eq!(
        refusal("*: Expires=x"),
        "--header \"*: Expires=x\": \"Expires\" cannot be set; use Content-Type, Cache-Control, \
         Content-Disposition, Content-Encoding, Content-Language or x-amz-meta-NAME"
    );
    assert!(refusal("*: x-amz-meta-=x").contains("\"x-amz-meta-\" cannot be set"));
    assert!(refusal("*: x-amz-acl=public-read").contains("cannot be set"));
    assert!(refusal("*: X-Amz-Meta-LakeSync=x").contains("choose another name"));
    for bad in [
        "*: Cache-Control=a\nb",
        "*: x-amz-meta-a=\u{e4}",
        "*: Content-Type=\u{7f}",
    ] {
        assert!(refusal(bad).contains("printable ASCII only"), "{bad:?}");
    }
    assert!(refusal("a{: Cache-Control=x").contains("unclosed alternate group"));
    for bad in [": Cache-Control=x", "!*.html: Cache-Control=x", "#a: Cache-Control=x"] {
        assert!(refusal(bad).contains("can neither be empty"), "{bad}");
    }
}

#[test]
fn the_source_goes_before_the_table_and_rules_go_before_the_source() {
    let mut known = with_metadata("a.csv", &[("Owner", "x"), ("lakesync", "an old mark")]);
    known.attributes.content_type = Some("text/x-mine".into());
    let headers = HeaderRules::default().headers(&known);
    assert_eq!(headers.content_type.as_deref(), Some("text/x-mine"));
    assert_eq!(
        headers.metadata.into_iter().collect::<Vec<_>>(),
        [("owner".into(), "x".into())]
    );
    let rules = read(&["*: Content-Type=text/ours", "*: x-amz-meta-OWNER=y"]).unwrap();
    let headers = rules.headers(&known);
    assert_eq!(headers.content_type.as_deref(), Some("text/ours"));
    assert_eq!(headers.metadata["owner"], "y");
}

#[test]
fn mode_and_mtime_go_along_only_when_asked_for() {
    let mut script = entry("run.sh");
    script.attributes.mode = Some(0o755);
    script.attributes.mtime_unix = Some(-5);
    assert!(HeaderRules::default().headers(&script).metadata.is_empty());
    let both = HeaderRules::new(&[], true, true).unwrap();
    let headers = both.headers(&script);
    assert_eq!(
        (headers.metadata["mode"].as_str(), headers.metadata["mtime"].as_str()),
        ("100755", "-5")
    );
    assert!(both.headers(&entry("plain")).metadata.is_empty());
    script.attributes.mode = Some(0o100_644);
    let only = HeaderRules::new(&[], true, false).unwrap().headers(&script);
    assert_eq!(
        only.metadata.into_iter().collect::<Vec<_>>(),
        [("mode".into(), "100644".into())]
    );
}

#[test]
fn the_digest_of_an_entry_is_that_of_its_headers_on_every_way() {
    let mut rich = with_metadata("rich.csv", &[("a", "b")]);
    rich.attributes.mode = Some(0o644);
    rich.attributes.mtime_unix = Some(7);
    let mut typed = entry("typed.csv");
    typed.attributes.content_type = Some("x/y".into());
    let mut dated = entry("dated.csv");
    dated.attributes.mtime_unix = Some(7);
    for rules in [
        HeaderRules::default(),
        HeaderRules::new(&["/p*: Cache-Control=x".to_owned()], true, true).unwrap(),
        read(&["*: Content-Type="]).unwrap(),
    ] {
        for entry in [&rich, &typed, &dated, &entry("plain.csv"), &entry("README")] {
            assert_eq!(
                rules.entry_digest(entry),
                HeaderRules::digest(&rules.headers(entry)),
                "{entry:?}"
            );
        }
    }
}

#[test]
fn digests_differ_where_headers_do_and_stay_as_they_are_for_ever() {
    let with = |change: fn(&mut ObjectHeaders)| {
        let mut headers = ObjectHeaders::default();
        change(&mut headers);
        HeaderRules::digest(&headers).0
    };
    let all = [
        with(|_| {}),
        with(|headers| headers.content_type = Some(String::new())),
        with(|headers| headers.content_type = Some("x".into())),
        with(|headers| headers.cache_control = Some("x".into())),
        with(|headers| headers.content_disposition = Some("x".into())),
        with(|headers| headers.content_encoding = Some("x".into())),
        with(|headers| headers.content_language = Some("x".into())),
        with(|headers| drop(headers.metadata.insert("a".into(), "bc".into()))),
        with(|headers| drop(headers.metadata.insert("ab".into(), "c".into()))),
    ];
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
    assert!(!all.contains(&0));
    // Ledgers hold these; another number would re-write every object once.
    assert_eq!(
        HeaderRules::default().entry_digest(&entry("a.csv")),
        HeadersDigest(16_768_356_742_401_038_909)
    );
}

#[test]
fn the_fingerprint_changes_with_every_rule_and_flag() {
    let fingerprint = |rules: &[&str], mode, mtime| {
        let rules: Vec<String> = rules.iter().map(ToString::to_string).collect();
        HeaderRules::new(&rules, mode, mtime).unwrap().fingerprint()
    };
    let (one, other) = ("*: Cache-Control=x", "*: Content-Type=x");
    let all = [
        fingerprint(&[], false, false),
        fingerprint(&[], true, false),
        fingerprint(&[], false, true),
        fingerprint(&[one], false, false),
        fingerprint(&[one, other], false, false),
        fingerprint(&[other, one], false, false),
        fingerprint(&["a: Cache-Control=x"], false, false),
        fingerprint(&["*: Cache-Control="], false, false),
    ];
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
    assert_eq!(all[3], fingerprint(&["*:cache-control= x "], false, false));
}

#[test]
fn metadata_is_counted_together_with_the_longest_mark() {
    let path = RelPath::new("a/b").unwrap();
    let run = crate::model::RunId::from_parts(u64::MAX >> 16, 1);
    let content = crate::model::ContentId::Address([0xff; 32]);
    let mark = Mark { run, content }.to_string();
    assert_eq!(MARK_BYTES, Mark::METADATA_KEY.len() + mark.len());
    let carried = |length: usize| {
        let entry = with_metadata("a/b", &[("n", &"v".repeat(length))]);
        let (headers, left_out) = HeaderRules::default().headers_and_left_out(&entry);
        HeaderRules::check(&path, &headers).unwrap();
        (headers.metadata.len(), Vec::from_iter(left_out))
    };
    let most = METADATA_LIMIT_BYTES - MARK_BYTES - 1;
    assert_eq!(carried(most), (1, vec![]));
    assert_eq!(carried(most + 1), (0, vec![NoticeKind::MetadataLength]));
    let rules = HeaderRules::new(&["*: x-amz-meta-more=1".to_owned()], false, false).unwrap();
    let full = with_metadata("a/b", &[("n", &"v".repeat(most))]);
    assert_eq!(
        HeaderRules::check(&path, &rules.headers(&full))
            .unwrap_err()
            .to_string(),
        "a/b: 2053 bytes of metadata, and S3 takes 2048; remove some with --header"
    );
}

#[test]
fn what_a_source_knows_and_no_request_can_carry_is_left_out_and_told() {
    let metadata = [
        ("good", "v"),
        ("n m", "v"),
        ("::lakefs::mtime", "1"),
        ("umlaut", "\u{e4}"),
        ("GOOD2", "w"),
    ];
    let mut entry = with_metadata("a.csv", &metadata);
    entry.attributes.content_type = Some("text/plain\r\nX: y".into());
    let (headers, left_out) = HeaderRules::default().headers_and_left_out(&entry);
    let kept: Vec<&str> = headers.metadata.keys().map(String::as_str).collect();
    assert_eq!(kept, ["good", "good2"]);
    assert_eq!(headers.content_type.as_deref(), Some("text/csv; charset=utf-8"));
    let told = [
        NoticeKind::ContentType,
        NoticeKind::MetadataName,
        NoticeKind::MetadataValue,
    ];
    assert_eq!(Vec::from_iter(left_out), told);
}
