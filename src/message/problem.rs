use super::PartPath;

/// Something about a message that two readers could understand differently, or that breaks a rule or limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub part: PartPath,
    pub kind: ProblemKind,
}

impl Problem {
    #[must_use]
    pub fn makes_unreadable(&self) -> bool {
        self.kind.makes_unreadable()
    }

    #[must_use]
    pub fn refuses(&self) -> Option<&'static str> {
        self.kind.refuses()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum ProblemKind {
    /// More than one From, To, Cc, Subject or Sender field in the message's own header section (RFC 5322, section 3.6).
    SeveralFrom,
    SeveralTo,
    SeveralCc,
    SeveralSubject,
    SeveralSender,
    /// A line in the message's own header section is neither a field nor the continuation of one.
    LineIsNoField,
    /// A line of white space only before the end of the message's own header section: some readers end it there.
    FoldedEmptyLine,
    /// One of the two above in the header section of a part or nested message.
    PartHeaderBroken,
    /// More than one Content-Type, -Transfer-Encoding, -Disposition or MIME-Version field.
    DuplicateField,
    /// White space between the name of a MIME field and its colon: some readers do not see the field.
    FieldNameOdd,
    /// One parameter given twice, or in a form (RFC 2231, comments) that not every reader understands.
    ParameterConflict,
    /// Content-Type without a type and subtype, or with something behind them that is no parameter.
    ContentTypeMalformed,
    TransferEncodingUnknown,
    /// base64 or quoted-printable around a multipart or a nested message (RFC 2045, section 6.4 forbids it).
    CompositeEncoded,
    /// A fragment of a message (RFC 2046, section 5.2.2): the recipient's reader joins them, nobody here can.
    PartialMessage,
    BoundaryMissing,
    /// Empty, longer than 70 characters, or with characters and escapes on which readers disagree.
    BoundaryInvalid,
    /// Beginning of another boundary, or a line begins with the boundary and goes on.
    BoundaryAmbiguous,
    BoundaryOffLineStart,
    /// The declared boundary does not occur.
    BoundaryNeverUsed,
    /// A delimiter line after the closing one.
    DelimiterAfterClose,
    /// No closing delimiter. Readers agree on where the last part ends: at the end.
    BoundaryUnclosed,
    TooDeep,
    TooManyParts,
    TooManyFields,
    /// A header field in raw UTF-8: fine with SMTPUTF8 (RFC 6532), unreadable without.
    Utf8Header,
    /// A header field with bytes that are no UTF-8.
    EightBitHeader,
    /// An encoded word (RFC 2047) of unknown charset, or whose bytes contradict it.
    EncodedWordUnreadable,
    CharsetUnknown,
    CharsetContradicted,
    /// Declared US-ASCII with bytes above 127: every reader shows the ASCII characters alike.
    EightBitInAscii,
    Base64Broken,
}

impl ProblemKind {
    /// Whether a recipient's reader may show something the scanner did not see.
    #[must_use]
    pub fn makes_unreadable(self) -> bool {
        use ProblemKind as K;
        match self {
            K::ContentTypeMalformed | K::BoundaryUnclosed | K::Utf8Header | K::EightBitInAscii => false,
            K::SeveralFrom
            | K::SeveralTo
            | K::SeveralCc
            | K::SeveralSubject
            | K::SeveralSender
            | K::LineIsNoField
            | K::FoldedEmptyLine
            | K::PartHeaderBroken
            | K::DuplicateField
            | K::FieldNameOdd
            | K::ParameterConflict
            | K::TransferEncodingUnknown
            | K::CompositeEncoded
            | K::PartialMessage
            | K::BoundaryMissing
            | K::BoundaryInvalid
            | K::BoundaryAmbiguous
            | K::BoundaryOffLineStart
            | K::BoundaryNeverUsed
            | K::DelimiterAfterClose
            | K::TooDeep
            | K::TooManyParts
            | K::TooManyFields
            | K::EightBitHeader
            | K::EncodedWordUnreadable
            | K::CharsetUnknown
            | K::CharsetContradicted
            | K::Base64Broken => true,
        }
    }

    /// As [`Self::makes_unreadable`] for a message that came without SMTPUTF8 (RFC 6531).
    #[must_use]
    pub fn makes_unreadable_without_smtputf8(self) -> bool {
        self == ProblemKind::Utf8Header || self.makes_unreadable()
    }

    /// A limit was passed that ordinary mail does not come near.
    #[must_use]
    pub fn exceeds_limits(self) -> bool {
        matches!(self, ProblemKind::TooDeep | ProblemKind::TooManyParts | ProblemKind::TooManyFields)
    }

    /// Why the message is refused with 550 5.6.0, in words for the peer.
    #[must_use]
    pub fn refuses(self) -> Option<&'static str> {
        use ProblemKind as K;
        match self {
            K::SeveralFrom => Some("more than one From field"),
            K::SeveralTo => Some("more than one To field"),
            K::SeveralCc => Some("more than one Cc field"),
            K::SeveralSubject => Some("more than one Subject field"),
            K::SeveralSender => Some("more than one Sender field"),
            K::LineIsNoField => Some("a line in the header section is no field"),
            K::FoldedEmptyLine => Some("an empty folded line in the header section"),
            K::TooManyFields => Some("too many header fields"),
            K::PartHeaderBroken
            | K::DuplicateField
            | K::FieldNameOdd
            | K::ParameterConflict
            | K::ContentTypeMalformed
            | K::TransferEncodingUnknown
            | K::CompositeEncoded
            | K::PartialMessage
            | K::BoundaryMissing
            | K::BoundaryInvalid
            | K::BoundaryAmbiguous
            | K::BoundaryOffLineStart
            | K::BoundaryNeverUsed
            | K::DelimiterAfterClose
            | K::BoundaryUnclosed
            | K::TooDeep
            | K::TooManyParts
            | K::Utf8Header
            | K::EightBitHeader
            | K::EncodedWordUnreadable
            | K::CharsetUnknown
            | K::CharsetContradicted
            | K::EightBitInAscii
            | K::Base64Broken => None,
        }
    }
}
