//! Whether an answer is the recorded one.

use serde_json::Value;

use super::table;

use crate::lakefs::http::Reply;
use crate::lakefs::recorded::Exchange;

/// All that differs in a story.
#[derive(Default)]
pub struct Differences(Vec<String>);

impl Differences {
    /// Compares an answer with the recorded one.
    pub fn compare(&mut self, place: usize, exchange: &Exchange, reply: &Reply) {
        let line = place + 1;
        let mut differs = |what: String| self.0.push(format!("line {line}, {}: {what}", exchange.note));
        if exchange.status != reply.status {
            let body = String::from_utf8_lossy(&reply.body);
            differs(format!("status {} and not {}: {body}", reply.status, exchange.status));
            return;
        }
        for (name, recorded) in &exchange.headers {
            match (name.as_str(), reply.header(name)) {
                (_, None) => differs(format!("no header {name}")),
                // Go escapes some letters in JSON that others leave alone.
                ("Content-Length", Some(_)) if exchange.body.is_some() => {}
                (_, Some(ours)) if without_signature(recorded) == without_signature(ours) => {}
                (_, Some(ours)) => differs(format!("header {name} is {ours:?} and not {recorded:?}")),
            }
        }
        if !exchange.headers.contains_key("Content-Length") && reply.header("content-length").is_some() {
            differs("a header Content-Length".to_owned());
        }
        let Some(recorded) = &exchange.body else {
            let (recorded, ours) = (exchange.bytes(), reply.body.as_ref());
            // Of a table the data and the index are the same; some properties count what no id is made of.
            let compared = if exchange.is_table() {
                table::properties_at(&recorded)
            } else {
                recorded.len()
            };
            if recorded.len() != ours.len() || recorded[..compared] != ours[..compared] {
                differs(format!("{} other bytes", reply.body.len()));
            }
            return;
        };
        let mut recorded = recorded.clone();
        let Ok(mut ours) = serde_json::from_slice(&reply.body) else {
            differs(format!("no JSON: {}", String::from_utf8_lossy(&reply.body)));
            return;
        };
        for body in [&mut recorded, &mut ours] {
            mask(&exchange.note, body);
        }
        if let Err(what) = same(&recorded, &ours) {
            differs(what);
        }
    }

    /// Fails with all of them.
    pub fn assert_none(&self) {
        assert!(self.0.is_empty(), "{}", self.0.join("\n"));
    }
}

/// Takes out what no two servers have in common; the types stay.
fn mask(note: &str, body: &mut Value) {
    if note == "import" {
        let id = body["id"].as_str().expect("an import has an id");
        assert_eq!(id.len(), 20);
        body["id"] = "".into();
    }
    match body {
        Value::Object(fields) => {
            for (name, value) in fields.iter_mut() {
                match name.as_str() {
                    "physical_address_expiry" => {
                        assert!(value.is_u64());
                        *value = 0.into();
                    }
                    "update_time" => {
                        let _: jiff::Timestamp = value.as_str().expect("a time").parse().expect("a time");
                        *value = "".into();
                    }
                    _ => mask("", value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| mask("", item)),
        Value::String(text) => *text = without_signature(text),
        _ => {}
    }
}

/// A pre-signed URL without what comes of the hour and the secret; any other text as it is.
fn without_signature(text: &str) -> String {
    let Some((place, query)) = text
        .split_once('?')
        .filter(|(_, query)| query.contains("X-Amz-Signature="))
    else {
        return text.to_owned();
    };
    let masked = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name @ ("X-Amz-Date" | "X-Amz-Signature"), value)) => format!("{name}={}", value.len()),
        Some(("X-Amz-Credential", value)) => {
            let parts: Vec<&str> = value.split("%2F").collect();
            format!(
                "X-Amz-Credential={}/{}/{}",
                parts[0],
                parts[1].len(),
                parts[2..].join("/")
            )
        }
        _ => pair.to_owned(),
    });
    let mut pairs: Vec<String> = masked.collect();
    pairs.sort();
    format!("{place}?{}", pairs.join("&"))
}

/// Fails with the first place at which two values differ.
pub fn same(recorded: &Value, ours: &Value) -> Result<(), String> {
    match (recorded, ours) {
        (Value::Object(one), Value::Object(other)) => {
            let (one_keys, other_keys): (Vec<_>, Vec<_>) = (one.keys().collect(), other.keys().collect());
            if one_keys.len() != other_keys.len() || one_keys.iter().any(|key| !other.contains_key(*key)) {
                return Err(format!("fields {other_keys:?} and not {one_keys:?}"));
            }
            for (key, value) in one {
                same(value, &other[key]).map_err(|what| format!("{key}: {what}"))?;
            }
            Ok(())
        }
        (Value::Array(one), Value::Array(other)) => {
            if one.len() != other.len() {
                return Err(format!("{} items and not {}", other.len(), one.len()));
            }
            for (place, (one, other)) in one.iter().zip(other).enumerate() {
                same(one, other).map_err(|what| format!("{place}: {what}"))?;
            }
            Ok(())
        }
        (one, other) if one == other => Ok(()),
        (one, other) => Err(format!("{other} and not {one}")),
    }
}
