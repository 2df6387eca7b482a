use std::ops::Range;

use super::header::{self, Flaws, Of};
use super::{Header, Part, PartPath, Problem, ProblemKind, TransferEncoding, fields, words};
use crate::secret::Plaintext;

/// Levels of multiparts and nested messages. Mail forwarded ten times has about twenty.
pub const DEPTH_MAX: usize = 30;
/// Parts in one message.
pub const PARTS_MAX: usize = 1_000;
/// Header fields in one message, those of its parts and nested messages included.
pub const FIELDS_MAX: usize = 10_000;
/// Longest boundary (RFC 2046, section 5.1.1).
const BOUNDARY_MAX: usize = 70;

/// A message read: its bytes, and what they say.
pub struct Message {
    content: Plaintext,
    root: Part,
    problems: Vec<Problem>,
    gaps: Vec<Range<usize>>,
    structure: Vec<Range<usize>>,
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Message({} bytes, {:?}, {:?})", self.content.len(), self.root, self.problems)
    }
}

impl Message {
    #[must_use]
    pub fn raw(&self) -> &[u8] {
        self.content.expose()
    }

    #[must_use]
    pub fn header(&self) -> &Header {
        &self.root.header
    }

    /// Everything after the empty line that ends the header section, byte for byte.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.raw().get(self.root.header.range().end..).unwrap_or_default()
    }

    #[must_use]
    pub fn root(&self) -> &Part {
        &self.root
    }

    /// Parts without children, depth first; those of nested messages too.
    #[must_use]
    pub fn leaves(&self) -> Vec<&Part> {
        self.parts().into_iter().filter(|part| part.children.is_empty()).collect()
    }

    /// All parts, depth first, each before its children.
    #[must_use]
    pub fn parts(&self) -> Vec<&Part> {
        let mut out = Vec::new();
        let mut open = vec![&self.root];
        while let Some(part) = open.pop() {
            out.push(part);
            open.extend(part.children.iter().rev());
        }
        out
    }

    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Spans that belong to no header section and no leaf: preambles, epilogues, what lies beyond a limit.
    #[must_use]
    pub fn gaps(&self) -> Vec<Range<usize>> {
        self.gaps.clone()
    }

    /// Delimiter lines of multiparts. Header sections, leaves, gaps and these are every byte of the message, once.
    #[must_use]
    pub fn structure(&self) -> &[Range<usize>] {
        &self.structure
    }
}

/// Reads a message. Never fails: what is wrong with it stands in [`Message::problems`].
#[must_use]
pub fn parse(content: Plaintext) -> Message {
    let raw = content.expose();
    let mut reader = Reader {
        raw,
        problems: Vec::new(),
        gaps: Vec::new(),
        structure: Vec::new(),
        parts_left: PARTS_MAX,
        fields_left: FIELDS_MAX,
        boundaries: Vec::new(),
    };
    let root = reader.entity(0..raw.len(), PartPath::root(), Of::Message, "text/plain");
    let Reader { mut problems, gaps, structure, .. } = reader;
    several(&root.header, &mut problems);
    Message { content, root, problems, gaps, structure }
}

/// What a part is called, each name once; the first is the one that readers who know RFC 2231 show.
fn names(disposition: Option<&fields::Parameterised>, kind: &fields::Parameterised) -> Vec<String> {
    let all = [(disposition, "filename*"), (disposition, "filename"), (Some(kind), "name*"), (Some(kind), "name")];
    let mut out: Vec<String> = Vec::new();
    for name in all.into_iter().filter_map(|(field, name)| field?.param(name)) {
        let name = fields::file_name(name);
        if !name.is_empty() && !out.contains(&name) {
            out.push(name);
        }
    }
    out
}

/// Fields that must not occur twice in the message's own header section: each reader picks its own.
fn several(header: &Header, problems: &mut Vec<Problem>) {
    for (name, kind) in [
        ("From", ProblemKind::SeveralFrom),
        ("To", ProblemKind::SeveralTo),
        ("Cc", ProblemKind::SeveralCc),
        ("Subject", ProblemKind::SeveralSubject),
        ("Sender", ProblemKind::SeveralSender),
    ] {
        if header.all(name).count() > 1 {
            problems.push(Problem { part: PartPath::root(), kind });
        }
    }
}

struct Reader<'a> {
    raw: &'a [u8],
    problems: Vec<Problem>,
    gaps: Vec<Range<usize>>,
    structure: Vec<Range<usize>>,
    parts_left: usize,
    fields_left: usize,
    /// Boundaries of the multiparts around the one at hand.
    boundaries: Vec<String>,
}

impl Reader<'_> {
    fn problem(&mut self, part: &PartPath, kind: ProblemKind) {
        // One of a kind for each part is enough, and keeps the list short for hostile input.
        let is_known = self.problems.iter().rev().take_while(|p| p.part == *part).any(|p| p.kind == kind);
        if !is_known {
            self.problems.push(Problem { part: part.clone(), kind });
        }
    }

    fn gap(&mut self, range: Range<usize>) {
        if !range.is_empty() {
            self.gaps.push(range);
        }
    }

    fn entity(&mut self, range: Range<usize>, path: PartPath, of: Of, default_type: &str) -> Part {
        self.parts_left = self.parts_left.saturating_sub(1);
        let (header, flaws) = header::split(self.raw, range.clone(), of, &mut self.fields_left);
        self.flaws(&path, of, flaws);
        self.field_problems(&path, &header);
        let mut part = self.described(path, header, default_type);
        part.raw = part.header.range().end..range.end;
        part.nested = of == Of::Nested;
        self.open(&mut part);
        part
    }

    fn flaws(&mut self, path: &PartPath, of: Of, flaws: Flaws) {
        for (is_there, at_root) in
            [(flaws.no_field, ProblemKind::LineIsNoField), (flaws.folded_empty_line, ProblemKind::FoldedEmptyLine)]
        {
            if is_there {
                self.problem(path, if of == Of::Message { at_root } else { ProblemKind::PartHeaderBroken });
            }
        }
        if flaws.too_many {
            self.problem(path, ProblemKind::TooManyFields);
        }
    }

    fn field_problems(&mut self, path: &PartPath, header: &Header) {
        for name in ["Content-Type", "Content-Transfer-Encoding", "Content-Disposition", "MIME-Version"] {
            let mut fields = header.all(name);
            if fields.next().is_some_and(|field| field.has_odd_name) {
                self.problem(path, ProblemKind::FieldNameOdd);
            }
            // A gateway adds a second `MIME-Version: 1.0` now and then; equal ones cannot be read in two ways.
            let first = if name == "MIME-Version" { header.first(name) } else { None };
            if fields.any(|field| first.is_none_or(|first| first.value() != field.value())) {
                self.problem(path, ProblemKind::DuplicateField);
            }
        }
        for field in header.fields() {
            if !field.raw.is_ascii() {
                let is_utf8 = std::str::from_utf8(&field.raw).is_ok();
                self.problem(path, if is_utf8 { ProblemKind::Utf8Header } else { ProblemKind::EightBitHeader });
            }
            if memchr::memmem::find(&field.raw, b"=?").is_some() && words::decode(&field.unfolded()).has_unreadable {
                self.problem(path, ProblemKind::EncodedWordUnreadable);
            }
        }
    }

    /// The part as its header section describes it; no body yet.
    fn described(&mut self, path: PartPath, header: Header, default_type: &str) -> Part {
        let content_type = header.first("Content-Type").map(|field| fields::parse(&field.unfolded()));
        let mut kind =
            content_type.unwrap_or_else(|| fields::Parameterised { main: default_type.to_owned(), ..Default::default() });
        if kind.has_conflict {
            self.problem(&path, ProblemKind::ParameterConflict);
        }
        let is_type = kind.main.split_once('/').is_some_and(|(main, sub)| !main.is_empty() && !sub.is_empty());
        if kind.is_malformed || !is_type {
            self.problem(&path, ProblemKind::ContentTypeMalformed);
        }
        if !is_type {
            // RFC 2045, section 5.2.
            kind.main = "text/plain".to_owned();
        }
        if kind.has_escaped_boundary {
            self.problem(&path, ProblemKind::BoundaryInvalid);
        }
        let disposition = header.first("Content-Disposition").map(|field| fields::parse(&field.unfolded()));
        if disposition.as_ref().is_some_and(|d| d.has_conflict) {
            self.problem(&path, ProblemKind::ParameterConflict);
        }
        let mut names = names(disposition.as_ref(), &kind).into_iter();
        let file_name = names.next();
        let further_names = names.collect();
        let encoding = self.encoding(&path, &header);
        let charset = kind.param("charset").or_else(|| kind.param("charset*")).map(|c| c.trim().to_ascii_lowercase());
        let content_id = header.first("Content-ID").map(|f| f.unfolded().trim_matches(['<', '>', ' ']).to_owned());
        Part {
            path,
            media_type: kind.main,
            params: kind.params,
            charset: charset.filter(|c| !c.is_empty()),
            disposition: disposition.map(|d| d.main).filter(|d| !d.is_empty()),
            file_name,
            further_names,
            content_id,
            encoding,
            header,
            raw: 0..0,
            children: Vec::new(),
            nested: false,
        }
    }

    fn encoding(&mut self, path: &PartPath, header: &Header) -> TransferEncoding {
        let Some(field) = header.first("Content-Transfer-Encoding") else { return TransferEncoding::Identity };
        match field.unfolded().to_ascii_lowercase().as_str() {
            "7bit" | "8bit" | "binary" | "" => TransferEncoding::Identity,
            "quoted-printable" => TransferEncoding::QuotedPrintable,
            "base64" => TransferEncoding::Base64,
            _ => {
                self.problem(path, ProblemKind::TransferEncodingUnknown);
                TransferEncoding::Unknown
            }
        }
    }

    /// Reads what is inside a multipart or nested message; notes what is odd about a leaf.
    fn open(&mut self, part: &mut Part) {
        let is_message = matches!(part.media_type.as_str(), "message/rfc822" | "message/global" | "message/news");
        if part.media_type == "message/partial" {
            self.problem(&part.path, ProblemKind::PartialMessage);
        }
        if !is_message && !part.is_multipart() {
            return self.leaf(part);
        }
        if part.encoding != TransferEncoding::Identity {
            self.problem(&part.path, ProblemKind::CompositeEncoded);
        }
        if matches!(part.encoding, TransferEncoding::Base64 | TransferEncoding::Unknown)
            || (is_message && part.encoding != TransferEncoding::Identity)
        {
            return;
        }
        if part.path.depth() > DEPTH_MAX {
            return self.problem(&part.path, ProblemKind::TooDeep);
        }
        if is_message {
            if self.parts_left == 0 {
                return self.problem(&part.path, ProblemKind::TooManyParts);
            }
            // Boundaries of the multiparts around a nested message still end it, so they stay in force.
            part.children.push(self.entity(part.raw.clone(), part.path.child(1), Of::Nested, "text/plain"));
        } else if let Some(boundary) = self.boundary(part) {
            self.boundaries.push(boundary.clone());
            self.multipart(part, &boundary);
            self.boundaries.pop();
        }
    }

    fn leaf(&mut self, part: &Part) {
        if !part.media_type.starts_with("text/") {
            return;
        }
        match part.charset.as_deref() {
            Some("us-ascii" | "ascii")
                if part.encoding == TransferEncoding::Identity
                    && !self.raw.get(part.raw.clone()).unwrap_or_default().is_ascii() =>
            {
                self.problem(&part.path, ProblemKind::EightBitInAscii);
            }
            _ => {}
        }
    }

    /// The boundary of a multipart, unless there is none to split by.
    fn boundary(&mut self, part: &Part) -> Option<String> {
        let Some(boundary) = part.param("boundary").or_else(|| part.param("boundary*")) else {
            self.problem(&part.path, ProblemKind::BoundaryMissing);
            return None;
        };
        let boundary = boundary.to_owned();
        let is_valid = !boundary.is_empty()
            && boundary.len() <= BOUNDARY_MAX
            && !boundary.ends_with(' ')
            && boundary.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b'"' && b != b'\\');
        if !is_valid {
            self.problem(&part.path, ProblemKind::BoundaryInvalid);
            return None;
        }
        if self.boundaries.iter().any(|outer| outer.starts_with(&boundary) || boundary.starts_with(outer.as_str())) {
            self.problem(&part.path, ProblemKind::BoundaryAmbiguous);
        }
        Some(boundary)
    }

    fn multipart(&mut self, part: &mut Part, boundary: &str) {
        let body = part.raw.clone();
        let delimiters = self.delimiters(&part.path, body.clone(), boundary);
        // A multipart without a part stays a leaf, so that its bytes are read as such.
        let Some(first) = delimiters.first().filter(|first| !first.is_close) else {
            if !self.raw.get(body).unwrap_or_default().trim_ascii().is_empty() {
                self.problem(&part.path, ProblemKind::BoundaryNeverUsed);
            }
            return;
        };
        if self.parts_left == 0 {
            return self.problem(&part.path, ProblemKind::TooManyParts);
        }
        self.gap(body.start..first.line.start);
        let default_type = if part.media_type == "multipart/digest" { "message/rfc822" } else { "text/plain" };
        let mut is_closed = false;
        for (position, delimiter) in delimiters.iter().enumerate() {
            self.structure.push(delimiter.line.clone());
            let end = delimiters.get(position + 1).map_or(body.end, |next| next.line.start);
            let content = delimiter.line.end..end.max(delimiter.line.end);
            if is_closed {
                self.problem(&part.path, ProblemKind::DelimiterAfterClose);
                self.gap(content);
            } else if delimiter.is_close {
                is_closed = true;
                self.gap(content);
            } else if self.parts_left == 0 {
                self.problem(&part.path, ProblemKind::TooManyParts);
                self.gap(content);
            } else {
                let number = u16::try_from(part.children.len() + 1).unwrap_or(u16::MAX);
                part.children.push(self.entity(content, part.path.child(number), Of::Part, default_type));
            }
        }
        if !is_closed {
            self.problem(&part.path, ProblemKind::BoundaryUnclosed);
        }
    }

    /// Delimiter lines in `range`, in order. Everything else that looks like one to some reader is a problem.
    fn delimiters(&mut self, path: &PartPath, range: Range<usize>, boundary: &str) -> Vec<Delimiter> {
        let needle = format!("--{boundary}");
        let finder = memchr::memmem::Finder::new(needle.as_bytes());
        let mut out: Vec<Delimiter> = Vec::new();
        let mut at = range.start;
        while let Some(found) = self.raw.get(at..range.end).and_then(|rest| finder.find(rest)) {
            let start = at + found;
            let after = start + needle.len();
            at = after;
            let is_line_start = start == range.start || self.raw.get(start - 1) == Some(&b'\n');
            if !is_line_start {
                self.problem(path, ProblemKind::BoundaryOffLineStart);
                continue;
            }
            let rest = self.raw.get(after..range.end).unwrap_or_default();
            let length = memchr::memchr(b'\n', rest).map_or(rest.len(), |n| n + 1);
            let line = rest.get(..length).unwrap_or_default().trim_ascii_end();
            let is_close = line == b"--";
            if !line.is_empty() && !is_close {
                self.problem(path, ProblemKind::BoundaryAmbiguous);
                continue;
            }
            // The line end before a delimiter belongs to it (RFC 2046, section 5.1.1).
            let floor = out.last().map_or(range.start, |previous| previous.line.end);
            let before = self.raw.get(floor..start).unwrap_or_default();
            let lead = if before.ends_with(b"\r\n") { 2 } else { usize::from(before.ends_with(b"\n")) };
            at = after + length;
            out.push(Delimiter { line: start - lead..at, is_close });
            if out.len() > DELIMITERS_MAX {
                break;
            }
        }
        out
    }
}

/// Beyond the parts a message may have nothing is split any more: what follows is one gap.
const DELIMITERS_MAX: usize = PARTS_MAX + 1;

struct Delimiter {
    /// With the line end before it.
    line: Range<usize>,
    is_close: bool,
}
