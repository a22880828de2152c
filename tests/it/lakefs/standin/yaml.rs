//! The part of YAML that action files are written in: block mappings and lists, short lists in brackets, plain and
//! quoted texts on one line, comments.

use serde_json::{Map, Value};

/// Reads a file; an error names the line that is beyond this reader.
pub fn parse(text: &str) -> Result<Value, String> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    for line in text.lines() {
        let line = without_comment(line).trim_end();
        let rest = line.trim_start();
        if !rest.is_empty() && rest != "---" {
            lines.push((line.len() - rest.len(), rest.to_owned()));
        }
    }
    lines.reverse();
    let indent = lines.last().map_or(0, |(indent, _)| *indent);
    let value = block(&mut lines, indent)?;
    match lines.last() {
        None => Ok(value),
        Some((_, line)) => Err(format!("what is {line:?} doing there?")),
    }
}

/// The lines that are indented by `indent`, the next one last.
fn block(lines: &mut Vec<(usize, String)>, indent: usize) -> Result<Value, String> {
    if lines.last().is_some_and(|(_, line)| is_item(line)) {
        let mut items = Vec::new();
        while let Some((_, line)) = lines.pop_if(|(own, line)| *own == indent && is_item(line)) {
            let rest = line[1..].trim_start();
            if rest.is_empty() {
                items.push(nested(lines, indent)?);
            } else if entry(rest).is_some() {
                // A mapping that begins on the line of the dash.
                let inner = indent + line.len() - rest.len();
                lines.push((inner, rest.to_owned()));
                items.push(block(lines, inner)?);
            } else {
                items.push(scalar(rest)?);
            }
        }
        return Ok(Value::Array(items));
    }
    let mut map = Map::new();
    while let Some((_, line)) = lines.pop_if(|(own, line)| *own == indent && !is_item(line)) {
        let (name, rest) = entry(&line).ok_or_else(|| format!("{line:?} is neither a name nor a list"))?;
        let value = match rest {
            "" => nested(lines, indent)?,
            rest => scalar(rest)?,
        };
        map.insert(unquote(name).to_owned(), value);
    }
    Ok(Value::Object(map))
}

/// What stands below a name or a dash; a list may be as far left as its name.
fn nested(lines: &mut Vec<(usize, String)>, indent: usize) -> Result<Value, String> {
    match lines.last() {
        Some((own, _)) if *own > indent => {
            let own = *own;
            block(lines, own)
        }
        Some((own, line)) if *own == indent && is_item(line) => block(lines, indent),
        _ => Ok(Value::Null),
    }
}

fn is_item(line: &str) -> bool {
    line == "-" || line.starts_with("- ")
}

/// A name and what stands behind its colon.
fn entry(line: &str) -> Option<(&str, &str)> {
    if line.starts_with(['"', '\'', '[', '{']) {
        return None;
    }
    match line.strip_suffix(':') {
        Some(name) if !name.contains(": ") => Some((name, "")),
        _ => line.split_once(": ").map(|(name, rest)| (name, rest.trim())),
    }
}

fn scalar(text: &str) -> Result<Value, String> {
    if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let items = inner.split(',').map(str::trim).filter(|item| !item.is_empty());
        return items.map(scalar).collect::<Result<_, _>>().map(Value::Array);
    }
    if text == "{}" {
        return Ok(Value::Object(Map::new()));
    }
    if text.starts_with(['{', '[', '|', '>', '&', '*']) {
        return Err(format!("{text:?} is beyond the stand-in"));
    }
    Ok(Value::String(unquote(text).to_owned()))
}

fn unquote(text: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some(inner) = text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)) {
            return inner;
        }
    }
    text
}

fn without_comment(line: &str) -> &str {
    if line.trim_start().starts_with('#') {
        return "";
    }
    line.find(" #").map_or(line, |place| &line[..place])
}

#[test]
fn an_action_file_is_read() {
    let text = "name: pub # a comment\ndescription: \"two words\"\non:\n  post-commit:\n    branches: [\"*\", main]\n  \
                post-merge:\n    branches:\n      - dev-*\n  post-create-tag:\nhooks:\n  - id: wake\n    type: webhook\n    \
                properties:\n      url: http://127.0.0.1:1/wake?x=1\n      headers:\n        Authorization: secret-text\n\
                \x20 - id: other\n    type: lua\n";
    let expected = serde_json::json!({
        "name": "pub",
        "description": "two words",
        "on": {
            "post-commit": { "branches": ["*", "main"] },
            "post-merge": { "branches": ["dev-*"] },
            "post-create-tag": null,
        },
        "hooks": [
            {
                "id": "wake",
                "type": "webhook",
                "properties": {
                    "url": "http://127.0.0.1:1/wake?x=1",
                    "headers": { "Authorization": "secret-text" },
                },
            },
            { "id": "other", "type": "lua" },
        ],
    });
    assert_eq!(parse(text), Ok(expected));
    assert!(parse("hooks: |\n  x\n").is_err());
    assert!(parse("just words\n").is_err());
}
