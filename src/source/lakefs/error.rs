//! What can go wrong when a lakeFS server is asked.

use std::fmt;

use super::super::error::BoxError;
use super::client::LakeFsRequest;

/// So much of a server's own message is shown: the rest of it is a schema, or a page.
const SAID_LETTERS: usize = 200;

/// A request to a lakeFS server that failed: what was asked for, and why it could not be had.
#[derive(Debug)]
pub struct LakeFsError {
    /// What was asked.
    pub request: LakeFsRequest,
    /// What it was about: `lakefs://repo/ref/path`, or the server.
    pub place: String,
    /// The server's address.
    pub endpoint: String,
    /// What happened.
    pub kind: LakeFsErrorKind,
    /// What the server said, in one short line.
    pub said: Option<String>,
    /// What happened below.
    pub cause: Option<BoxError>,
}

/// What happened to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LakeFsErrorKind {
    /// The access key is not accepted.
    BadKeys,
    /// The access key's user may not do this.
    Denied,
    /// One of the two: lakeFS answers both alike.
    BadKeysOrDenied,
    /// The repository does not exist.
    NoSuchRepository,
    /// Nothing of that name is there.
    NotFound,
    /// The repository is being deleted.
    RepositoryDeleting,
    /// The data is gone although the commit names it.
    DataGone,
    /// The server takes the request for wrong.
    BadRequest,
    /// The server does not offer this.
    NotOffered,
    /// The server asks to go slower.
    Throttled,
    /// The server, or a proxy before it, is in trouble.
    Unavailable {
        /// The status of its answer.
        status: u16,
    },
    /// The answer is a page for people.
    WebPage,
    /// The answer leads elsewhere.
    Redirected {
        /// The server that it leads to, with its scheme.
        at: String,
    },
    /// A pre-signed URL leads to where we do not go.
    RefusedAddress {
        /// Why.
        why: &'static str,
    },
    /// The answer is not what lakeFS answers.
    BadAnswer {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A key that is not UTF-8, which the API cannot tell.
    KeyNotText,
    /// The bytes are others than those that were begun with.
    BytesChanged,
    /// What was imported is not what it was when it was imported.
    ImportChanged {
        /// Where it lies.
        at: String,
    },
    /// The server cannot be reached.
    Unreachable,
    /// The answer was cut off.
    CutOff,
    /// No answer came in time.
    TimedOut,
}

impl LakeFsErrorKind {
    /// Whether the same request may well succeed a little later. A 410 never does.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Throttled | Self::Unavailable { .. } | Self::Unreachable | Self::CutOff | Self::TimedOut => true,
            Self::BadKeys
            | Self::Denied
            | Self::BadKeysOrDenied
            | Self::NoSuchRepository
            | Self::NotFound
            | Self::RepositoryDeleting
            | Self::DataGone
            | Self::BadRequest
            | Self::NotOffered
            | Self::WebPage
            | Self::Redirected { .. }
            | Self::RefusedAddress { .. }
            | Self::BadAnswer { .. }
            | Self::KeyNotText
            | Self::BytesChanged
            | Self::ImportChanged { .. } => false,
        }
    }
}

impl LakeFsError {
    /// Whether it concerns one object, so that the others can go on.
    pub fn is_about_one_file(&self) -> bool {
        matches!(self.request, LakeFsRequest::GetObject | LakeFsRequest::ReadStore)
            && matches!(
                self.kind,
                LakeFsErrorKind::NotFound
                    | LakeFsErrorKind::DataGone
                    | LakeFsErrorKind::BytesChanged
                    | LakeFsErrorKind::ImportChanged { .. }
                    | LakeFsErrorKind::CutOff
            )
    }

    /// Whether what was named to be exported is not there (any more), rather than one object of it.
    pub fn is_about_the_branch(&self) -> bool {
        match self.kind {
            LakeFsErrorKind::NoSuchRepository | LakeFsErrorKind::RepositoryDeleting => true,
            LakeFsErrorKind::NotFound => !matches!(self.request, LakeFsRequest::GetObject | LakeFsRequest::ReadStore),
            LakeFsErrorKind::BadKeys
            | LakeFsErrorKind::Denied
            | LakeFsErrorKind::BadKeysOrDenied
            | LakeFsErrorKind::DataGone
            | LakeFsErrorKind::BadRequest
            | LakeFsErrorKind::NotOffered
            | LakeFsErrorKind::Throttled
            | LakeFsErrorKind::Unavailable { .. }
            | LakeFsErrorKind::WebPage
            | LakeFsErrorKind::Redirected { .. }
            | LakeFsErrorKind::RefusedAddress { .. }
            | LakeFsErrorKind::BadAnswer { .. }
            | LakeFsErrorKind::KeyNotText
            | LakeFsErrorKind::BytesChanged
            | LakeFsErrorKind::ImportChanged { .. }
            | LakeFsErrorKind::Unreachable
            | LakeFsErrorKind::CutOff
            | LakeFsErrorKind::TimedOut => false,
        }
    }

    /// Whether the server, or our rights, do not let this be asked at all.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(
            self.kind,
            LakeFsErrorKind::BadKeys
                | LakeFsErrorKind::Denied
                | LakeFsErrorKind::BadKeysOrDenied
                | LakeFsErrorKind::NotFound
                | LakeFsErrorKind::NotOffered
                | LakeFsErrorKind::BadRequest
                | LakeFsErrorKind::WebPage
        )
    }

    fn write_text(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        use LakeFsErrorKind as Kind;

        let (place, endpoint) = (&self.place, &self.endpoint);
        let right = self.request.right();
        match &self.kind {
            Kind::BadKeys => write!(
                out,
                "{endpoint}: lakeFS does not accept the access key; check LAKESYNC_LAKEFS_* or LAKECTL_CREDENTIALS_*, \
                 or credentials in ~/.lakectl.yaml"
            ),
            Kind::Denied => write!(out, "{place}: the access key may not read this; it needs {right} there"),
            Kind::BadKeysOrDenied => write!(
                out,
                "{place}: refused: either {endpoint} does not accept the access key, or its user lacks {right} there"
            ),
            Kind::NoSuchRepository => write!(out, "{place}: no such repository at {endpoint}; check its name"),
            Kind::NotFound => write!(out, "{place}: not found at {endpoint}"),
            Kind::RepositoryDeleting => write!(out, "{place}: the repository is being deleted"),
            Kind::DataGone => write!(
                out,
                "{place}: data is gone (garbage collected, or the source of an import deleted?); \
                 export a commit that still has it"
            ),
            Kind::BadRequest => write!(out, "{place}: lakeFS does not take the request"),
            Kind::NotOffered => write!(out, "{place}: this lakeFS does not offer that"),
            Kind::Throttled => write!(out, "{place}: {endpoint} asks to go slower, again and again; try later"),
            Kind::Unavailable { status } => {
                write!(
                    out,
                    "{place}: {endpoint} answers with status {status}; try later, or look at its log"
                )
            }
            Kind::WebPage => write!(
                out,
                "{endpoint}: that is the web page of lakeFS or of a proxy, not the API of lakeFS; give the server's \
                 address alone, https://HOST, or end it in /api/v1"
            ),
            Kind::Redirected { at } => write!(
                out,
                "{endpoint}: answers that it is at {at}; if that is right, give that address"
            ),
            Kind::RefusedAddress { why } => {
                write!(
                    out,
                    "{place}: lakeFS names a place to read from that is not read: {why}"
                )
            }
            Kind::BadAnswer { problem } => write!(out, "{place}: {endpoint} does not answer as lakeFS does: {problem}"),
            Kind::KeyNotText => write!(
                out,
                "{place}: the key is not UTF-8, which lakeFS's API cannot tell exactly; use `--listing ranges`"
            ),
            Kind::ImportChanged { at } => write!(
                out,
                "{place}: {at} has changed since it was imported; import it anew, and commit that"
            ),
            Kind::BytesChanged => write!(out, "{place}: changed while it was read"),
            Kind::Unreachable => write!(out, "{endpoint}: cannot be reached; check the address and the network"),
            Kind::CutOff => write!(out, "{place}: the answer was cut off"),
            Kind::TimedOut => write!(out, "{place}: {endpoint} did not answer in time; try later"),
        }
    }
}

impl fmt::Display for LakeFsError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_text(out)?;
        match &self.said {
            Some(said) => write!(out, " (it says: {said})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for LakeFsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause
            .as_deref()
            .map(|cause| cause as &(dyn std::error::Error + 'static))
    }
}

/// Makes one short line of what a server says, which could hold anything.
pub(super) fn one_line(text: &str) -> Option<String> {
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.extend(word.chars().flat_map(|letter| {
            let escaped = letter.is_control();
            let plain = (!escaped).then_some(letter);
            plain
                .into_iter()
                .chain(letter.escape_default().filter(move |_| escaped))
        }));
    }
    match line.char_indices().nth(SAID_LETTERS) {
        Some((at, _)) => {
            line.truncate(at);
            line.push('…');
        }
        None if line.is_empty() => return None,
        None => {}
    }
    Some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_is_one_short_line() {
        assert_eq!(one_line(" a\n\tb \x1b[2J").as_deref(), Some("a b \\u{1b}[2J"));
        assert_eq!(one_line(" \n"), None);
        assert_eq!(one_line(&"x".repeat(10_000)).unwrap().chars().count(), SAID_LETTERS + 1);
    }

    #[test]
    fn data_that_is_gone_is_not_asked_for_again() {
        assert!(!LakeFsErrorKind::DataGone.is_passing());
        assert!(LakeFsErrorKind::Unavailable { status: 503 }.is_passing());
    }
}
