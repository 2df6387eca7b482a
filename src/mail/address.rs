use std::fmt;

/// Longest local part in octets (RFC 5321, section 4.5.3.1.1).
pub const LOCAL_PART_OCTETS_MAX: usize = 64;
/// Longest domain in octets (RFC 5321, section 4.5.3.1.2).
pub const DOMAIN_OCTETS_MAX: usize = 255;

/// Why a text is no domain or mailbox. Names the problem, never repeats the text: it may be somebody's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("there is no @ between local part and domain")]
    NoAt,
    #[error("the local part is empty or longer than 64 octets")]
    LocalPartLength,
    #[error("the local part has a character that needs quotes, or its quotes are broken")]
    LocalPartSyntax,
    #[error("the domain is empty or longer than 255 octets")]
    DomainLength,
    #[error("the domain is not a host name")]
    DomainSyntax,
    #[error("an address literal in brackets is not accepted; use a domain name")]
    AddressLiteral,
    #[error("a dot ends the domain; in a mail address there is none (RFC 5321, section 4.1.2)")]
    TrailingDot,
    #[error("the address is longer than 254 octets (RFC 5321, section 4.5.3.1.3)")]
    Length,
    #[error("source routes are not accepted (RFC 5321, appendix C)")]
    SourceRoute,
}

/// A mail domain. Compared and looked up as lower-case A-labels (RFC 5890), printed as it was written.
#[derive(Clone)]
pub struct Domain {
    ascii: String,
    written: String,
}

impl Domain {
    /// Parses a domain name of at least one label; U-labels become A-labels.
    ///
    /// # Errors
    /// [`AddressError`] for literals, empty or over-long names and characters no host name has.
    pub fn parse(text: &str) -> Result<Domain, AddressError> {
        if text.starts_with('[') {
            return Err(AddressError::AddressLiteral);
        }
        let written = text.strip_suffix('.').unwrap_or(text);
        if written.is_empty() || written.len() > DOMAIN_OCTETS_MAX {
            return Err(AddressError::DomainLength);
        }
        let ascii = if written.is_ascii() {
            written.to_ascii_lowercase()
        } else {
            idna::domain_to_ascii_cow(written.as_bytes(), idna::AsciiDenyList::STD3)
                .map_err(|_| AddressError::DomainSyntax)?
                .into_owned()
        };
        if ascii.len() > DOMAIN_OCTETS_MAX {
            return Err(AddressError::DomainLength);
        }
        if !ascii.split('.').all(is_label) {
            return Err(AddressError::DomainSyntax);
        }
        Ok(Domain { ascii, written: written.to_owned() })
    }

    /// Lower-case ASCII form without a trailing dot: the form for DNS, comparison and logs.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.ascii
    }

    /// The form in which it was written.
    #[must_use]
    pub fn written(&self) -> &str {
        &self.written
    }

    /// Whether `self` is `other` or lies below it.
    #[must_use]
    pub fn is_within(&self, other: &Domain) -> bool {
        self.ascii == other.ascii || self.ascii.strip_suffix(other.ascii.as_str()).is_some_and(|front| front.ends_with('.'))
    }
}

/// Letters, digits, hyphen; underscore too, for hosts that exist with it (RFC 2181, section 11).
fn is_label(label: &str) -> bool {
    !label.is_empty()
        && label.len() <= 63
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

impl PartialEq for Domain {
    fn eq(&self, other: &Domain) -> bool {
        self.ascii == other.ascii
    }
}
impl Eq for Domain {}
impl std::hash::Hash for Domain {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.ascii.hash(state);
    }
}
impl PartialOrd for Domain {
    fn partial_cmp(&self, other: &Domain) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Domain {
    fn cmp(&self, other: &Domain) -> std::cmp::Ordering {
        self.ascii.cmp(&other.ascii)
    }
}
impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.ascii)
    }
}
impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Domain({})", self.ascii)
    }
}

/// The part before the @, byte for byte as the client wrote it, quotes included (RFC 5321, section 4.1.2).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LocalPart(String);

impl LocalPart {
    /// Parses a dot-string or quoted string; characters beyond ASCII as RFC 6531 allows.
    ///
    /// # Errors
    /// [`AddressError::LocalPartLength`] or [`AddressError::LocalPartSyntax`].
    pub fn parse(text: &str) -> Result<LocalPart, AddressError> {
        if text.is_empty() || text.len() > LOCAL_PART_OCTETS_MAX {
            return Err(AddressError::LocalPartLength);
        }
        let is_valid = match text.strip_prefix('"') {
            Some(rest) => is_quoted_rest(rest),
            None => text.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext)),
        };
        if is_valid { Ok(LocalPart(text.to_owned())) } else { Err(AddressError::LocalPartSyntax) }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What follows an opening quote: printable text with escapes, then the closing quote and nothing more.
fn is_quoted_rest(rest: &str) -> bool {
    let mut chars = rest.chars();
    loop {
        match chars.next() {
            Some('\\') => match chars.next() {
                Some(' '..='~') => {}
                _ => return false,
            },
            Some('"') => return chars.next().is_none(),
            Some(c) if c == ' ' || ('!'..='~').contains(&c) || (!c.is_ascii() && !c.is_control()) => {}
            _ => return false,
        }
    }
}

/// RFC 5322 `atext`, and what RFC 6531 adds.
fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || (!c.is_ascii() && !c.is_control() && !c.is_whitespace())
}

/// `local-part@domain` (RFC 5321, section 4.1.2). By its type it can hold neither a line break nor `<` or `>`
/// outside quotes, so it can be written into a command as it is.
///
/// Printing gives the address as written; [`fmt::Debug`] does not show the local part.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mailbox {
    local: LocalPart,
    domain: Domain,
}

impl Mailbox {
    #[must_use]
    pub fn of(local: LocalPart, domain: Domain) -> Mailbox {
        Mailbox { local, domain }
    }

    /// Parses a bare address without angle brackets or display name.
    ///
    /// # Errors
    /// [`AddressError`], which never repeats the address.
    pub fn parse(text: &str) -> Result<Mailbox, AddressError> {
        if text.starts_with('@') {
            return Err(AddressError::SourceRoute);
        }
        let at = text.rfind('@').ok_or(AddressError::NoAt)?;
        Ok(Mailbox { local: LocalPart::parse(&text[..at])?, domain: Domain::parse(&text[at + 1..])? })
    }

    #[must_use]
    pub fn local(&self) -> &LocalPart {
        &self.local
    }

    #[must_use]
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Whether it needs SMTPUTF8 on the way (RFC 6531): a local part beyond ASCII. A domain can be sent as A-labels.
    #[must_use]
    pub fn needs_smtputf8(&self) -> bool {
        !self.local.0.is_ascii()
    }

    /// The form for comparing two spellings of one mailbox: lower case, A-labels.
    /// Servers may tell cases apart (RFC 5321, section 2.4); none in practice gives them to two people.
    #[must_use]
    pub fn folded(&self) -> String {
        format!("{}@{}", self.local.0.to_lowercase(), self.domain.ascii)
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // An ASCII local part goes with A-labels, so that the whole stays ASCII.
        let domain = if self.local.0.is_ascii() { &self.domain.ascii } else { &self.domain.written };
        write!(f, "{}@{}", self.local.0, if self.domain.written.is_ascii() { &self.domain.written } else { domain })
    }
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mailbox(..@{})", self.domain.ascii)
    }
}

/// Where reports go: a mailbox, or nowhere (`<>`, RFC 5321, section 4.5.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReversePath {
    Null,
    Mailbox(Mailbox),
}

impl ReversePath {
    #[must_use]
    pub fn mailbox(&self) -> Option<&Mailbox> {
        match self {
            ReversePath::Null => None,
            ReversePath::Mailbox(mailbox) => Some(mailbox),
        }
    }
}

impl fmt::Display for ReversePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReversePath::Null => Ok(()),
            ReversePath::Mailbox(mailbox) => mailbox.fmt(f),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_exist_are_kept_byte_for_byte() {
        for text in [
            "a@b.example",
            "\"quo ted\"@b.example",
            "o'hara+tag@b.example",
            "ann@bücher.example",
            "用户@例子.example",
            "\"a\\\"b\"@x.example",
            "postmaster@localhost",
        ] {
            let mailbox = Mailbox::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
            let expected = if text == "ann@bücher.example" { "ann@xn--bcher-kva.example" } else { text };
            assert_eq!(mailbox.to_string(), expected);
        }
    }

    #[test]
    fn texts_that_could_break_a_command_are_no_addresses() {
        for text in [
            "b@x>\r\nRSET",
            "a\rb@c.example",
            "a b@c.example",
            "<a@b.example>",
            "a@b..example",
            "@a.example:b@c.example",
            "a@[127.0.0.1]",
            "a@",
            "@b.example",
            "a..b@c.example",
            "\"a@c.example",
            "a@-b.example",
            "a@b_c\0.example",
            "a@b.example>",
        ] {
            assert!(Mailbox::parse(text).is_err(), "{text:?}");
        }
        assert!(Mailbox::parse(&format!("{}@b.example", "a".repeat(65))).is_err());
        assert!(Mailbox::parse(&format!("a@{}.example", "b".repeat(64))).is_err());
    }

    #[test]
    fn domains_compare_without_case_dot_or_label_form() {
        assert_eq!(Domain::parse("BÜCHER.example.").unwrap(), Domain::parse("xn--bcher-kva.EXAMPLE").unwrap());
        assert!(Domain::parse("a.b.example").unwrap().is_within(&Domain::parse("b.example").unwrap()));
        assert!(!Domain::parse("ab.example").unwrap().is_within(&Domain::parse("b.example").unwrap()));
    }
}
