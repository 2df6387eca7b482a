//! # extract: a message's bytes as texts, with fuel
//!
//! [`read`] gives every text a recipient can see or find in a message: headers, bodies, file names, attachments,
//! and the bytes between the parts. What cannot be read is said so, with a reason, and is never "clean".
//!
//! Work is bounded by [`Fuel`] (bytes, parts, depth), not by time, so the result is the same on every machine.
//! Document formats are read through [`ReadAttachment`]: by a sandboxed child (`sandbox`), or in this process for
//! tests and the command line.
//!
//! Must not be here: findings (`scan`), processes, files, the decision what to do with an unreadable part.
//!
//! Reading order: `read` → `format` → `html` with `entity`, `delimited`, `structured` with `x12`, `xml`, `held`, `uuencode`, `cms` → `office` with `office_data`, `pdf` with `pdf_pages`, `rtf` →
//! `archive`, `gzip`, `tar` → `tnef` with `mapi` and `lzfu` → `compound`, `ole`, `word`, `slides` → `worker`.

mod archive;
mod cms;
mod compound;
mod delimited;
mod entity;
mod format;
mod gzip;
mod held;
mod html;
mod image;
mod little;
mod lzfu;
mod mapi;
mod office;
mod office_data;
mod ole;
mod pdf;
mod pdf_pages;
mod read;
mod rtf;
mod slides;
mod structured;
mod tar;
mod tnef;
mod uuencode;
mod word;
pub mod worker;
mod x12;
mod xml;

pub use format::Format;
pub use read::{InProcess, read};

use crate::message::PartPath;

/// Everything [`read`] found in a message.
#[derive(Default)]
pub struct Extracted {
    pub texts: Vec<Text>,
    pub unreadable: Vec<Unreadable>,
    pub images: Vec<Image>,
    /// A limit was passed that ordinary mail does not come near.
    pub limits_exceeded: bool,
    /// Pictures on which text was looked for.
    recognised: u32,
}

/// Numbers only: the texts are the message.
impl std::fmt::Debug for Extracted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Extracted({} texts, {:?}, {} images)", self.texts.len(), self.unreadable, self.images.len())
    }
}

/// One text, and where it stands.
pub struct Text {
    pub place: Place,
    pub content: String,
}

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Text({:?}, {} bytes)", self.place, self.content.len())
    }
}

/// Where a text stands in the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    Header(PartPath, HeaderField),
    /// A part that readers show as the letter.
    Body(PartPath),
    /// The name of an attachment, or of a file inside an archive.
    FileName(PartPath),
    Attachment(PartPath),
    /// Bytes between the parts.
    Gap,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderField {
    Subject,
    From,
    To,
    Cc,
    Other,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    pub part: PartPath,
    pub why: UnreadableWhy,
}

/// Why a part could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum UnreadableWhy {
    Encrypted,
    Damaged,
    UnknownFormat,
    TooDeep,
    TooLarge,
    /// The reader took longer than its deadline.
    Timeout,
    /// The reader crashed.
    Crashed,
    /// Readers of mail would not agree on what the part says.
    MimeProblem,
}

impl UnreadableWhy {
    pub const ALL: [UnreadableWhy; 8] = [
        UnreadableWhy::Encrypted,
        UnreadableWhy::Damaged,
        UnreadableWhy::UnknownFormat,
        UnreadableWhy::TooDeep,
        UnreadableWhy::TooLarge,
        UnreadableWhy::Timeout,
        UnreadableWhy::Crashed,
        UnreadableWhy::MimeProblem,
    ];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            UnreadableWhy::Encrypted => "encrypted",
            UnreadableWhy::Damaged => "damaged",
            UnreadableWhy::UnknownFormat => "unknown-format",
            UnreadableWhy::TooDeep => "too-deep",
            UnreadableWhy::TooLarge => "too-large",
            UnreadableWhy::Timeout => "timeout",
            UnreadableWhy::Crashed => "crashed",
            UnreadableWhy::MimeProblem => "mime-problem",
        }
    }

    /// Reasons that speak for a bomb rather than for an ordinary file.
    #[must_use]
    pub fn exceeds_limits(self) -> bool {
        matches!(self, UnreadableWhy::TooDeep | UnreadableWhy::TooLarge)
    }
}

/// A picture, or pages that hold nothing but pictures: neither unreadable nor clean, the policy says what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    pub part: PartPath,
    /// Shown inside the letter by `cid:`, as logos are.
    pub inline: bool,
    pub size_bytes: usize,
    /// Width times height where the format tells it cheaply.
    pub pixels: Option<u64>,
    pub sha256: [u8; 32],
    /// A document without any text: scanned pages.
    pub is_document: bool,
}

/// From this many pixels on a picture may be a scanned page.
pub const PAGE_PIXELS: u64 = 500_000;

impl Image {
    /// Whether it may hold a page of text: a document, or half a megapixel and more (or of unknown size above 100 KiB).
    #[must_use]
    pub fn may_be_page(&self) -> bool {
        self.is_document || self.pixels.map_or(self.size_bytes > 100 << 10, |pixels| pixels >= PAGE_PIXELS)
    }
}

/// How much reading may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fuel {
    /// Bytes of text and of unpacked files together.
    pub bytes: u64,
    /// Files inside files.
    pub parts: u32,
    /// Archives inside archives.
    pub depth: u8,
}

impl Default for Fuel {
    /// Twice the largest message most servers accept; real archives nest twice.
    fn default() -> Fuel {
        Fuel { bytes: 64 << 20, parts: 2_000, depth: 5 }
    }
}

impl Fuel {
    /// Takes `bytes` off; `false` when there was not enough, and then nothing is left.
    fn burn(&mut self, bytes: usize) -> bool {
        match self.bytes.checked_sub(bytes as u64) {
            Some(left) => {
                self.bytes = left;
                true
            }
            None => {
                self.bytes = 0;
                false
            }
        }
    }
}

/// What reading one attachment gave. Images carry the place of the attachment once `read` has put it in.
#[derive(Default, PartialEq, Eq)]
pub struct AttachmentText {
    pub texts: Vec<(TextKind, String)>,
    pub unreadable: Vec<UnreadableWhy>,
    pub images: Vec<Picture>,
    pub fuel_left: Option<Fuel>,
}

impl std::fmt::Debug for AttachmentText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AttachmentText({} texts, {:?}, {} pictures)", self.texts.len(), self.unreadable, self.images.len())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextKind {
    Content,
    /// The name of a file inside.
    Name,
}

/// A picture inside an attachment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    pub size_bytes: usize,
    pub pixels: Option<u64>,
    pub sha256: [u8; 32],
    pub is_document: bool,
}

impl AttachmentText {
    #[must_use]
    pub fn unreadable(why: UnreadableWhy) -> AttachmentText {
        AttachmentText { unreadable: vec![why], ..AttachmentText::default() }
    }
}

/// Reads the document formats: in a sandboxed child, or in this process.
pub trait ReadAttachment: Send + Sync {
    fn read(&self, format: Format, bytes: &[u8], fuel: Fuel) -> AttachmentText;

    /// The text on a picture, where a program for that is at hand. The picture stays one whatever comes of it.
    fn recognise(&self, _picture: &[u8]) -> Option<String> {
        None
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod old_office_tests;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
