//! The file by which lakectl knows a folder that it, or we, filled from lakeFS: `.lakefs_ref.yaml`.

use std::io;

use saphyr::{LoadableYamlNode as _, Yaml};

/// Its name.
pub(super) const NAME: &str = ".lakefs_ref.yaml";

/// What lakectl calls that which a checkout does.
const CHECKOUT: &str = "checkout";

/// What it says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Index {
    /// The branch, and the part of the tree, as a URI.
    pub(super) src: String,
    /// The commit that the folder holds.
    pub(super) at_head: String,
    /// What was begun and did not come to its end; empty where nothing was.
    pub(super) active_operation: String,
}

impl Index {
    /// The index of a folder that holds a commit, or that is about to.
    pub(super) fn new(src: &str, commit: &str, is_done: bool) -> Self {
        Self {
            src: src.to_owned(),
            at_head: commit.to_owned(),
            active_operation: if is_done { String::new() } else { CHECKOUT.to_owned() },
        }
    }

    /// Reads one; what is no index at all is an error.
    pub(super) fn read(text: &str) -> io::Result<Self> {
        let documents = Yaml::load_from_str(text).map_err(io::Error::other)?;
        let field = |name: &str| {
            let value = documents.first().and_then(|document| document.as_mapping_get(name));
            value.and_then(Yaml::as_str).map(str::to_owned)
        };
        let Some(src) = field("src") else {
            return Err(io::Error::other("it does not say `src`"));
        };
        Ok(Self {
            src,
            at_head: field("at_head").unwrap_or_default(),
            active_operation: field("active_operation").unwrap_or_default(),
        })
    }

    /// As YAML; a JSON text is one, too.
    pub(super) fn text(&self) -> String {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        format!(
            "src: {}\nat_head: {}\nactive_operation: {}\n",
            quoted(&self.src),
            quoted(&self.at_head),
            quoted(&self.active_operation)
        )
    }

    /// Whether it is of the same part of the same branch; a slash at the end says nothing.
    pub(super) fn is_of(&self, src: &str) -> bool {
        self.src.trim_end_matches('/') == src.trim_end_matches('/')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back_and_what_lakectl_writes_too() {
        let index = Index::new("lakefs://repo/main/a \"b\" #c/", "c0ffee", false);
        assert_eq!(Index::read(&index.text()).unwrap(), index);
        let theirs = "src: lakefs://repo/main/\nat_head: c0ffee\nactive_operation: \"\"\n";
        let read = Index::read(theirs).unwrap();
        assert!(read.is_of("lakefs://repo/main") && read.active_operation.is_empty());
        assert_eq!(read.at_head, "c0ffee");
        for bad in ["", "[", "at_head: x\n", "just text"] {
            assert!(Index::read(bad).is_err(), "{bad:?}");
        }
    }
}
