//! Web addresses.
use super::*;

pub(in crate::scan) const IDENTIFIER: Identifier = Identifier {
    pattern: r#"(?i)\b(?:https?://|www\.)[^\s<>"')\]]{3,300}"#,
    worth: |_| true,
    check: |_| Some((Kind::Url, 90)),
    hits: &[("see https://portal.example/p/1", Kind::Url), ("www.example.com/a", Kind::Url)],
    misses: &[("the www is wide", Kind::Url), ("ftp://x", Kind::Url)],
};
