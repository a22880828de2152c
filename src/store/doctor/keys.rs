//! Which keys a store keeps as they are, and how it lists them.

use bytes::Bytes;
use futures::StreamExt as _;

use super::bodies::same_bytes;
use super::{Bench, Finding, Verdict};
use crate::model::ObjectKey;
use crate::store::{StoreError, StoreErrorKind};

/// How many kinds of keys are tried at once.
const AT_ONCE: usize = 8;

/// The longest key that S3 takes, the prefix included.
const LONGEST_KEY_BYTES: usize = 1_024;

/// Names that belong together, and what they have in common.
struct Kind {
    label: &'static str,
    names: Vec<String>,
    /// Whether `--odd-keys` decides about them.
    odd: bool,
}

/// What became of the names of a kind.
enum Outcome {
    AsTheyWere,
    Otherwise(String),
    Unknown(StoreError),
}

fn kinds(room_bytes: usize) -> Vec<Kind> {
    let plain = |label, names: &[&str]| Kind {
        label,
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        odd: false,
    };
    let odd = |label, name| Kind {
        odd: true,
        ..plain(label, &[name])
    };
    let mut kinds = vec![
        plain("a space", &["a b"]),
        plain("+", &["a+b"]),
        plain("%", &["100%25%2F"]),
        plain("?", &["a?b=c"]),
        plain("#", &["a#b"]),
        plain("&", &["a&b;c"]),
        plain("quotes and brackets", &["'a' \"b\" <c> [d]"]),
        plain("a backslash", &["a\\b"]),
        plain("Unicode", &["ü/日本語/😀"]),
        plain("names that differ in NFC and NFD alone", &["\u{e9}", "e\u{301}"]),
        plain("names that differ in case alone", &["case", "CASE"]),
        plain("a name of 255 bytes", &["n".repeat(255).as_str()]),
        odd("an empty segment", "a//b"),
        odd("a leading slash", "/a"),
        odd("a trailing slash", "a/"),
        odd("a . segment", "./a"),
        odd("a .. segment", "../a"),
        odd("a control character", "a\u{1}b"),
        odd("a line end", "a\nb"),
        odd("U+FFFE", "a\u{fffe}b"),
    ];
    if room_bytes > 0 {
        // Segments of 100 bytes: what is limited here is the key.
        let long: String = (1..=room_bytes)
            .map(|at| if at % 100 == 0 && at < room_bytes { '/' } else { 'k' })
            .collect();
        kinds.push(plain("a key of 1,024 bytes", &[long.as_str()]));
    }
    kinds
}

/// Tries each kind of key by itself: written, listed and read back byte for byte.
pub(super) async fn keys(bench: &Bench<'_>) -> Vec<Finding> {
    const TOPIC: &str = "keys";
    let room_bytes = LONGEST_KEY_BYTES.saturating_sub(bench.prefix.len() + folder(0).len());
    let tries = kinds(room_bytes)
        .into_iter()
        .enumerate()
        .map(|(number, kind)| async move {
            let kept = round_trip(bench, number, &kind.names).await;
            (kind, kept)
        });
    let tried: Vec<_> = futures::stream::iter(tries).buffered(AT_ONCE).collect().await;
    let mut good = Vec::new();
    let mut lines = Vec::new();
    for (kind, kept) in tried {
        let label = kind.label;
        match kept {
            Outcome::AsTheyWere => good.push(label),
            Outcome::Unknown(error) => {
                lines.push(Finding::new(TOPIC, Verdict::Unknown, format!("{label}: {error}")));
            }
            Outcome::Otherwise(how) if kind.odd => {
                let line = Finding::new(TOPIC, Verdict::Limited, format!("{label}: {how}"));
                lines.push(line.cure("--odd-keys error (the default) or skip"));
            }
            Outcome::Otherwise(how) => {
                let line = Finding::new(TOPIC, Verdict::Limited, format!("{label}: {how}"));
                lines.push(line.cure("rename such files, or leave them out with --exclude"));
            }
        }
    }
    if !good.is_empty() {
        let text = format!("kept byte for byte: {}", good.join(", "));
        lines.insert(0, Finding::good(TOPIC, text));
    }
    lines
}

/// The folder of a kind; the inner one gives `..` a place to go.
fn folder(number: usize) -> String {
    format!("keys/{number:02}/in/")
}

async fn round_trip(bench: &Bench<'_>, number: usize, names: &[String]) -> Outcome {
    match try_round_trip(bench, number, names).await {
        Ok(None) => Outcome::AsTheyWere,
        Ok(Some(how)) => Outcome::Otherwise(how),
        Err(error) => Outcome::Unknown(error),
    }
}

/// Says how keys are not kept; `None` where they are.
async fn try_round_trip(bench: &Bench<'_>, number: usize, names: &[String]) -> Result<Option<String>, StoreError> {
    let mut wanted = Vec::new();
    for name in names {
        let key = bench.key(&format!("{}{name}", folder(number)));
        if let Err(error) = bench.put(&key, name.clone().into_bytes()).await {
            return refused("written", error);
        }
        wanted.push(key);
    }
    let listed = match bench
        .store
        .list(bench.key(&format!("keys/{number:02}/")).as_str(), None, 100)
        .await
    {
        Ok(page) => page.objects,
        Err(error) => return refused("listed", error),
    };
    let mut listed: Vec<_> = listed.into_iter().map(|row| row.key).collect();
    listed.sort();
    for (key, name) in wanted.iter().zip(names) {
        let same = same_bytes(bench.store, key, &[Bytes::from(name.clone())]).await;
        match same {
            Ok(true) => {}
            Ok(false) => return Ok(Some("read back with other bytes".to_owned())),
            Err(error) => return refused("read", error),
        }
    }
    wanted.sort();
    if listed == wanted {
        return Ok(None);
    }
    let start = bench.key(&folder(number));
    let short = |key: &ObjectKey| {
        key.as_str()
            .strip_prefix(start.as_str())
            .unwrap_or(key.as_str())
            .escape_debug()
            .to_string()
    };
    let shown: Vec<_> = listed.iter().map(short).collect();
    Ok(Some(format!("listed as {:?}", shown.join(" and "))))
}

/// An error about a key counts against the key, unless it would have met any other as well.
fn refused(what: &str, error: StoreError) -> Result<Option<String>, StoreError> {
    // A store that reads a key in another way than it is signed says that the signature is wrong.
    let about_key = matches!(
        error.kind,
        StoreErrorKind::BadCredentials | StoreErrorKind::WrongRegion { .. }
    ) || !(error.kind.is_fatal() || error.kind.is_transient());
    if about_key {
        let why = error.detail.clone().unwrap_or_else(|| format!("{:?}", error.kind));
        Ok(Some(format!("cannot be {what}: {why}")))
    } else {
        Err(error)
    }
}

/// Looks at the order of a listing and at its pages.
pub(super) async fn listing(bench: &Bench<'_>) -> Vec<Finding> {
    const TOPIC: &str = "listing";
    match try_listing(bench).await {
        Ok(lines) => lines,
        Err(error) => vec![Finding::failed(TOPIC, &error)],
    }
}

async fn try_listing(bench: &Bench<'_>) -> Result<Vec<Finding>, StoreError> {
    const TOPIC: &str = "listing";
    // In the order of their bytes. Folders, capitals and letters beyond 16 bits are what stores sort otherwise.
    let names = ["B", "a-1", "a.1", "a/1", "a0", "b", "\u{e9}", "\u{fb00}", "\u{1d11e}"];
    let mut wanted = Vec::new();
    for name in names {
        let key = bench.key(&format!("order/{name}"));
        bench.put(&key, b"o".to_vec()).await?;
        wanted.push(key);
    }
    let mut listed = Vec::new();
    let mut token = None;
    loop {
        let page = bench
            .store
            .list(bench.key("order/").as_str(), token.as_deref(), 4)
            .await?;
        listed.extend(page.objects.into_iter().map(|row| row.key));
        token = page.next;
        // A store that gives the same page again and again is not to be asked for ever.
        if token.is_none() || listed.len() > 2 * wanted.len() {
            break;
        }
    }
    let mut sorted = listed.clone();
    sorted.sort();
    if sorted != wanted {
        let text = format!("{} keys are listed as {} in pages of 4", wanted.len(), sorted.len());
        return Ok(vec![
            Finding::new(TOPIC, Verdict::Bad, text)
                .cure("report it to the maker of the store: listings are incomplete"),
        ]);
    }
    let order = if listed == wanted {
        Finding::good(TOPIC, "complete, and in the order of the keys' bytes")
    } else {
        let text = "complete, but not in the order of the keys' bytes; lakesync sorts it where that matters";
        Finding::new(TOPIC, Verdict::Limited, text)
    };
    Ok(vec![order])
}
