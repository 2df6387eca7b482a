//! Mail addresses, as people write them in text.
use super::*;

pub(in crate::scan) const IDENTIFIER: Identifier = Identifier {
    pattern: r"\b[A-Za-z0-9][A-Za-z0-9._%+'-]{0,63}@[A-Za-z0-9](?:[A-Za-z0-9-]{0,62}\.)+[A-Za-z]{2,24}\b",
    worth: |_| true,
    check: |_| Some((Kind::Email, 95)),
    hits: &[("write to jo.doe+x@mail.example now", Kind::Email), ("<a@b.example>", Kind::Email)],
    misses: &[("a@b", Kind::Email), ("call me @home.", Kind::Email)],
};
