//! The few documents that go with the six requests.

use std::collections::HashMap;

use aws_sdk_s3::types::Delete;
use aws_smithy_xml::decode::{Document, ScopedDecoder, StartEl, XmlDecodeError, try_data};
use aws_smithy_xml::encode::XmlWriter;
use http::response::Parts;

use super::super::error::{Failure, Refusal};
use super::reply::{BatchError, Copied, header};
use crate::store::RequestKind;

/// The body of DeleteObjects.
pub(super) fn batch(batch: &Delete) -> String {
    let mut text = String::with_capacity(batch.objects().len() * 128);
    {
        let mut writer = XmlWriter::new(&mut text);
        let root = writer.start_el("Delete");
        let mut root = root.write_ns("http://s3.amazonaws.com/doc/2006-03-01/", None).finish();
        for object in batch.objects() {
            let mut scope = root.start_el("Object").finish();
            let mut element = |name: &str, data: &str| {
                let mut scope = scope.start_el(name).finish();
                scope.data(data);
                scope.finish();
            };
            element("Key", object.key());
            if let Some(etag) = object.e_tag() {
                element("ETag", etag);
            }
            scope.finish();
        }
        if let Some(quiet) = batch.quiet() {
            let mut scope = root.start_el("Quiet").finish();
            scope.data(if quiet { "true" } else { "false" });
            scope.finish();
        }
        root.finish();
    }
    text
}

/// What a store says in place of what was asked.
pub(super) fn refusal(request: RequestKind, head: &Parts, body: &[u8]) -> Failure {
    // What is not XML has no code; then the status says what there is to say.
    let words = if body.is_empty() { None } else { children(body).ok() };
    let word = |name: &str| {
        words
            .as_ref()
            .and_then(|(_, words)| words.get(name).map(String::as_str))
    };
    // The reply to a request without a body to its own has none either.
    let not_found = (body.is_empty() && head.status.as_u16() == 404).then_some("NotFound");
    let id = header(head, "x-amzn-requestid").or_else(|| header(head, "x-amz-request-id"));
    Refusal {
        status: head.status.as_u16(),
        region: header(head, "x-amz-bucket-region"),
        request_id: id,
        body,
        code: word("Code").or(not_found),
        message: word("Message"),
    }
    .failure(request)
}

/// Reads what a copy tells; S3 begins its reply before it knows whether it can copy, so a 200 may hold an error.
pub(super) fn copied(request: RequestKind, head: &Parts, body: &[u8]) -> Result<Copied, Failure> {
    let (root, texts) = children(body).map_err(|error| Failure::of_silence(&error))?;
    match root.as_str() {
        "CopyObjectResult" | "CopyPartResult" => Ok(Copied { texts }),
        "Error" => Err(refusal(request, head, body)),
        _ => Err(Failure::of_silence(&unexpected(&root))),
    }
}

/// Reads which keys of a batch were not deleted.
pub(super) fn batch_errors(request: RequestKind, head: &Parts, body: &[u8]) -> Result<Vec<BatchError>, Failure> {
    let read = || {
        let mut document = Document::try_from(body)?;
        let mut root = document.root_element()?;
        let name = whole(body, root.start_el())?;
        let mut errors = Vec::new();
        if name == "DeleteResult" {
            while let Some(mut element) = root.next_tag() {
                if element.start_el().matches("Error") {
                    errors.push(batch_error(&mut element)?);
                }
            }
        }
        Ok((name, errors))
    };
    let (root, errors) = read().map_err(|error: XmlDecodeError| Failure::of_silence(&error))?;
    match root.as_str() {
        "DeleteResult" => Ok(errors),
        "Error" => Err(refusal(request, head, body)),
        _ => Err(Failure::of_silence(&unexpected(&root))),
    }
}

fn batch_error(element: &mut ScopedDecoder<'_, '_>) -> Result<BatchError, XmlDecodeError> {
    let mut error = BatchError::default();
    while let Some(mut child) = element.next_tag() {
        let place = match child.start_el().local() {
            "Key" => &mut error.key,
            "Code" => &mut error.code,
            "Message" => &mut error.message,
            _ => continue,
        };
        *place = Some(try_data(&mut child)?.into_owned());
    }
    Ok(error)
}

/// The name of the root, and the texts of its children by their names.
fn children(body: &[u8]) -> Result<(String, HashMap<String, String>), XmlDecodeError> {
    let mut document = Document::try_from(body)?;
    let mut root = document.root_element()?;
    let name = whole(body, root.start_el())?;
    let mut texts = HashMap::new();
    while let Some(mut child) = root.next_tag() {
        let name = child.start_el().local().to_owned();
        // An element with children of its own has no text; none that is read here has any.
        if let Ok(text) = try_data(&mut child) {
            texts.insert(name, text.into_owned());
        }
    }
    Ok((name, texts))
}

/// The name of a root whose end is there, too. The parser takes a document that was cut off for one that ends, and a batch
/// whose errors were cut off would pass for one without any.
fn whole(body: &[u8], root: &StartEl<'_>) -> Result<String, XmlDecodeError> {
    let name = root.local();
    let last = body
        .trim_ascii_end()
        .rsplit(|byte| *byte == b'<')
        .next()
        .unwrap_or_default();
    let is_end = last.ends_with(b">") && last.windows(name.len()).any(|part| part == name.as_bytes());
    if is_end {
        Ok(name.to_owned())
    } else {
        Err(XmlDecodeError::custom(format!("<{name}> has no end")))
    }
}

fn unexpected(root: &str) -> XmlDecodeError {
    XmlDecodeError::custom(format!("unexpected <{root}>"))
}

#[cfg(test)]
mod tests;
