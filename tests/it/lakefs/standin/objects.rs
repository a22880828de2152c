//! Listing, stat, reading and differences.

use serde_json::{Value, json};

use super::answer::{Answer, Answered};
use super::ask::{Ask, Call};
use super::entry::{AddressType, Entry};
use super::server::Core;
use super::tree::{Differences, Tree};
use super::view::{Line, Page, upper_bound};

const PAGE_MAX: usize = 1000;

impl Core {
    /// A page of a listing.
    pub async fn list(&self, ask: &Ask) -> Answered {
        let page = ask.page()?;
        let (view, root) = self.repository(ask, |repository| {
            Ok((repository.view(&ask.path[3])?, self.root(&repository.storage_namespace)))
        })?;
        let (lines, has_more) = view.list(&page);
        let mut results = Vec::with_capacity(lines.len());
        for line in &lines {
            results.push(match line {
                Line::CommonPrefix(prefix) => json!({
                    "checksum": "", "mtime": 0, "path": text(prefix), "path_type": "common_prefix", "physical_address": "",
                }),
                Line::Object(key, entry) => {
                    let mut told = self.told(ask, key, entry, &root).await?;
                    if ask.says("user_metadata", true) && !entry.metadata.is_empty() {
                        told["metadata"] = json!(entry.told_metadata());
                    }
                    told
                }
            });
        }
        Ok(Answer::json(200, &paged(results, has_more)))
    }

    /// What is known of one object.
    pub async fn stat(&self, ask: &Ask) -> Answered {
        let (key, entry, root) = self.find(ask)?;
        let mut told = self.told(ask, &key, &entry, &root).await?;
        told["metadata"] = if ask.says("user_metadata", true) {
            json!(entry.told_metadata())
        } else {
            json!({})
        };
        Ok(Answer::json(200, &told))
    }

    /// The bytes of one object, or the headers alone.
    pub async fn read(&self, ask: &Ask) -> Answered {
        let found = self.find(ask);
        let (key, entry, root) = match found {
            Err(answer) if ask.call == Call::Head => return Err(Answer::empty(answer.status)),
            found => found?,
        };
        let address = entry.physical_address(&root);
        let etag = format!("\"{}\"", entry.checksum);
        if ask.call == Call::Read {
            if ask.header("if-none-match") == Some(&etag) {
                return Ok(Answer::empty(304));
            }
            if ask.says("presign", false) {
                let (url, _) = self.presign(&address, &text(&key)).await?;
                return Ok(Answer::redirect(url));
            }
        }
        let with_headers = |answer: Answer| {
            answer
                .with("etag", etag)
                .with("last-modified", http_date(entry.mtime.0))
                .with("cache-control", "no-store, must-revalidate")
                .with("content-disposition", "attachment")
        };
        let size = entry.size_bytes;
        let range = match ask.header("range") {
            None => None,
            Some(header) => match parse_range(header, size) {
                Ok(range) => Some(range),
                Err(BadRange) => {
                    let answer = Answer::error(416, "Requested Range Not Satisfiable");
                    return Err(with_headers(answer).with("content-range", format!("bytes */{size}")));
                }
            },
        };
        if ask.call == Call::Head {
            let length = range.as_ref().map_or(size, |range| range.end - range.start);
            let answer = Answer::empty(if range.is_some() { 206 } else { 200 });
            let answer = answer.with("content-type", entry.told_content_type());
            return Ok(with_headers(answer).with("content-length", length.to_string()));
        }
        let bytes = self.blocks.get(&address, range.clone()).await;
        let bytes = bytes.ok_or_else(|| Answer::error(410, "No data"))?;
        let status = if range.is_some() { 206 } else { 200 };
        let length = bytes.len().to_string();
        let answer = Answer::of_type(status, entry.told_content_type(), bytes);
        let mut answer = with_headers(answer).with("content-length", length);
        if let Some(range) = range {
            answer = answer.with(
                "content-range",
                format!("bytes {}-{}/{size}", range.start, range.end - 1),
            );
        }
        Ok(answer)
    }

    /// A page of what differs between two refs.
    pub fn diff(&self, ask: &Ask) -> Answered {
        let page = ask.page()?;
        let two_dot = ask.query("type") == Some(b"two_dot");
        let (left_ref, right_ref) = (&ask.path[3], &ask.path[5]);
        let (left, right, base) = self.repository(ask, |repository| {
            let left = repository.commit(left_ref)?;
            let right = repository.commit(right_ref)?;
            let base = repository
                .merge_base(&left.id, &right.id)
                .ok_or_else(|| Answer::error(500, "no merge base"))?;
            Ok((repository.tree(&left), repository.tree(&right), repository.tree(&base)))
        })?;
        let with_stats = ask.says("include_right_stats", false);
        let (results, has_more) = if two_dot {
            differences(&page, with_stats, &left, &right, None)
        } else {
            differences(&page, with_stats, &base, &right, Some(&left))
        };
        Ok(Answer::json(200, &paged(results, has_more)))
    }

    /// The entry that a request is about, its key and the root of relative addresses.
    fn find(&self, ask: &Ask) -> Result<(Vec<u8>, Entry, String), Answer> {
        let key = ask.required("path")?.to_vec();
        self.repository(ask, |repository| {
            let entry = repository.view(&ask.path[3])?.get(&key);
            let entry = entry.ok_or_else(|| Answer::error(404, "not found"))?;
            Ok((key.clone(), entry, self.root(&repository.storage_namespace)))
        })
    }

    /// With block store `local` a real server puts its own folder before the folder of an import.
    fn told_address(&self, entry: &Entry, address: &str) -> String {
        match address.strip_prefix("local://") {
            Some(path) if entry.address_type == AddressType::Full => {
                format!("local://{}{path}", self.settings.local_root)
            }
            _ => address.to_owned(),
        }
    }

    /// An object as the API tells it, without its metadata.
    pub async fn told(&self, ask: &Ask, key: &[u8], entry: &Entry, root: &str) -> Answered<Value> {
        let address = entry.physical_address(root);
        let mut told = json!({
            "checksum": entry.checksum,
            "content_type": entry.told_content_type(),
            "mtime": entry.mtime.0,
            "path": text(key),
            "path_type": "object",
            "size_bytes": entry.size_bytes,
        });
        if ask.says("presign", false) {
            let (url, ends) = self.presign(&address, &text(key)).await?;
            told["physical_address"] = json!(url);
            told["physical_address_expiry"] = json!(ends);
        } else {
            told["physical_address"] = json!(self.told_address(entry, &address));
        }
        Ok(told)
    }
}

/// A page as the API tells it.
pub fn paged(results: Vec<Value>, has_more: bool) -> Value {
    let last = results.last().filter(|_| has_more);
    let next = last.and_then(|line| line.get("path").or_else(|| line.get("id")));
    let mut told = json!({
        "pagination": {
            "has_more": has_more,
            "max_per_page": PAGE_MAX,
            "next_offset": next.cloned().unwrap_or_else(|| json!("")),
            "results": results.len(),
        },
    });
    told["results"] = Value::Array(results);
    told
}

/// One page of what `right` has changed since `base`; with `here`, what does not stand there already.
fn differences(page: &Page, with_stats: bool, base: &Tree, right: &Tree, here: Option<&Tree>) -> (Vec<Value>, bool) {
    let mut results = Vec::new();
    let mut found = Differences::from(base, right, &page.first_key());
    while let Some(difference) = found.next() {
        if !difference.key.starts_with(&page.prefix) {
            break;
        }
        let mut kind = match (difference.left, difference.right) {
            (None, _) => "added",
            (_, None) => "removed",
            _ => "changed",
        };
        if let Some(here) = here {
            let entry = here.at(here.place_of(difference.key));
            let identity = entry
                .filter(|record| record.key == difference.key)
                .map(|record| record.identity);
            if identity == difference.right.map(|record| record.identity) {
                continue;
            }
            if identity != difference.left.map(|record| record.identity) {
                kind = "conflict";
            }
        }
        let common = page.common_prefix(difference.key);
        let is_after = common.as_deref().unwrap_or(difference.key) == page.after;
        if !is_after && results.len() == page.amount {
            return (results, true);
        }
        if let Some(common) = common {
            if !is_after {
                let told = json!({ "path": text(&common), "path_type": "common_prefix", "type": "prefix_changed" });
                results.push(told);
            }
            let Some(next) = upper_bound(&common) else { break };
            found = Differences::from(base, right, &next);
            continue;
        }
        if is_after {
            continue;
        }
        let Some(record) = difference.right.or(difference.left) else {
            continue;
        };
        let entry = record.entry();
        let mut told = json!({
            "path": text(difference.key), "path_type": "object", "size_bytes": entry.size_bytes, "type": kind,
        });
        if with_stats {
            told["right"] = json!({
                "checksum": entry.checksum,
                "content_type": entry.told_content_type(),
                "metadata": entry.told_metadata(),
                "mtime": entry.mtime.0,
            });
        }
        results.push(told);
    }
    (results, false)
}

struct BadRange;

/// What part a `Range` header asks for.
fn parse_range(header: &str, size: u64) -> Result<std::ops::Range<u64>, BadRange> {
    let wanted = header.strip_prefix("bytes=").ok_or(BadRange)?;
    let (first, last) = wanted.split_once('-').ok_or(BadRange)?;
    let number = |text: &str| text.parse::<u64>().map_err(|_| BadRange);
    let range = match (first, last) {
        ("", last) => size.saturating_sub(number(last)?)..size,
        (first, "") => number(first)?..size,
        (first, last) => number(first)?..number(last)?.saturating_add(1).min(size),
    };
    if range.start < range.end {
        Ok(range)
    } else {
        Err(BadRange)
    }
}

/// A time as HTTP writes it.
fn http_date(seconds: i64) -> String {
    let time = jiff::Timestamp::from_second(seconds).expect("a time of our days");
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// A key as JSON can carry it.
pub fn text(key: &[u8]) -> String {
    String::from_utf8_lossy(key).into_owned()
}
