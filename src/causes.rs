//! Errors and what caused them, from the top down.

use std::error::Error;

/// Walks from an error down to its last cause; the error itself comes first.
pub fn links<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// The texts of an error's causes, without those that the cause above ends with: some libraries repeat their cause in
/// their own text. `text_of` says how each is shown.
pub fn causes(error: &(dyn Error + 'static), text_of: impl Fn(&(dyn Error + 'static)) -> String) -> Vec<String> {
    let mut causes: Vec<String> = Vec::new();
    for cause in links(error).skip(1) {
        let text = text_of(cause);
        if causes.last().is_none_or(|last| !last.ends_with(&text)) {
            causes.push(text);
        }
    }
    causes
}

/// An error with all its causes, in one text.
pub fn with_causes(error: &(dyn Error + 'static)) -> String {
    let texts: Vec<String> = links(error).map(ToString::to_string).collect();
    texts.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Told {
        text: &'static str,
        source: Option<Box<Told>>,
    }

    fn told(texts: &[&'static str]) -> Told {
        let (text, below) = texts.split_first().unwrap();
        let source = (!below.is_empty()).then(|| Box::new(told(below)));
        Told { text, source }
    }

    #[test]
    fn causes_come_from_the_top_down_and_one_that_was_said_is_not_said_again() {
        let error = told(&["top", "sent: broken", "broken", "pipe"]);
        assert_eq!(with_causes(&error), "top: sent: broken: broken: pipe");
        assert_eq!(causes(&error, ToString::to_string), ["sent: broken", "pipe"]);
        assert_eq!(causes(&told(&["alone"]), ToString::to_string), [""; 0]);
    }
}
