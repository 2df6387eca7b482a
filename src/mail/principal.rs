use super::{Domain, Mailbox};

/// Whom a submission counts as: an authenticated user or a listed network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// User name, or the name of the network in the configuration.
    pub name: String,
    pub kind: PrincipalKind,
    /// Addresses this principal may send as, in envelope and header.
    pub may_send_as: Vec<AddressPattern>,
    /// Where slips and reports for this principal may go: its bound address in an own domain.
    pub bound_address: Option<Mailbox>,
    /// What each message must show beside its sender; all of it. Empty: nothing.
    pub tenancy: Vec<Tenancy>,
}

/// How one customer of a shared mail service is told from all others, who send from the same addresses. The service
/// writes the field itself and takes away what a sender put there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tenancy {
    /// `X-MS-Exchange-CrossTenant-Id` is one of these ids, in lower case.
    MicrosoftTenant(Vec<String>),
    /// `X-OriginatorOrg` is one of these domains, in lower case.
    OriginatorOrg(Vec<String>),
    /// `X-Wardpost-Token` has the value that the practice made its service write; kept as SHA-256.
    Token([u8; 32]),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrincipalKind {
    User,
    Network,
}

/// One mailbox, or every mailbox of a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressPattern {
    Mailbox(Mailbox),
    Domain(Domain),
}

impl AddressPattern {
    /// Parses `user@domain` or `@domain`.
    ///
    /// # Errors
    /// As [`Mailbox::parse`] and [`Domain::parse`].
    pub fn parse(text: &str) -> Result<AddressPattern, super::AddressError> {
        match text.strip_prefix('@') {
            Some(domain) => Domain::parse(domain).map(AddressPattern::Domain),
            None => Mailbox::parse(text).map(AddressPattern::Mailbox),
        }
    }

    #[must_use]
    pub fn matches(&self, mailbox: &Mailbox) -> bool {
        match self {
            AddressPattern::Mailbox(own) => own.folded() == mailbox.folded(),
            AddressPattern::Domain(domain) => domain == mailbox.domain(),
        }
    }
}

impl Principal {
    #[must_use]
    pub fn may_send_as(&self, mailbox: &Mailbox) -> bool {
        self.may_send_as.iter().any(|pattern| pattern.matches(mailbox))
    }
}
