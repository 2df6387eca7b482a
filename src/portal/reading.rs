//! An opened message as a reader sees it. The same tree that the scanner read.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::download::{raster_type, safe_name};
use super::html::{self, Clean};
use crate::escrow::{ParcelFacts, open_body, open_facts, open_header};
use crate::mail::ParcelId;
use crate::message::{Message, Part, parse};
use crate::secret::{Key, OpenError, Plaintext, Sealed};

/// Longest plain text shown on the page; the rest is in the `.eml`.
const TEXT_CHARS_MAX: usize = 300_000;
/// One picture inside the text, and all of them: they are carried in the page itself, because a sandboxed frame
/// sends no cookie for them.
const PICTURE_BYTES_MAX: usize = 4 * 1024 * 1024;
const PICTURES_BYTES_MAX: usize = 12 * 1024 * 1024;

/// An opened parcel.
pub struct Opened {
    pub facts: ParcelFacts,
    pub message: Message,
}

/// Opens facts, header section and body of a parcel and reads the message.
///
/// # Errors
/// [`OpenError`] if one of them is not what was sealed for this parcel.
pub fn open(key: &Key, id: ParcelId, facts: &Sealed, header: &Sealed, body: &Sealed) -> Result<Opened, OpenError> {
    let facts = open_facts(key, id, facts)?;
    let header = open_header(key, id, header)?;
    let body = open_body(key, id, body)?;
    let whole = Plaintext::new([header.expose(), b"\r\n", body.expose()].concat());
    Ok(Opened { facts, message: parse(whole) })
}

/// One piece of what is shown, in order.
pub enum Block {
    Text(String),
    Html(String),
}

/// A part offered as a file.
pub struct File<'a> {
    pub name: String,
    pub part: &'a Part,
}

/// How the message is laid out for its reader.
pub struct Layout<'a> {
    pub blocks: Vec<Block>,
    pub files: Vec<File<'a>>,
    /// HTML was too long or too deep and is shown as text.
    pub is_reduced: bool,
    /// Content was cut at [`TEXT_CHARS_MAX`].
    pub is_cut: bool,
}

impl File<'_> {
    /// Size once decoded, in bytes.
    pub fn size(&self, message: &Message) -> usize {
        match self.part.decode(message) {
            Ok(bytes) => bytes.len(),
            Err(problem) => problem.recovered.len(),
        }
    }
}

impl Layout<'_> {
    /// Turns HTML into text: for what took too long to be made harmless.
    pub fn reduce(&mut self) {
        for block in &mut self.blocks {
            if let Block::Html(html) = block {
                *block = Block::Text(cut(html::as_text(html), &mut self.is_cut));
                self.is_reduced = true;
            }
        }
    }

    pub fn has_html(&self) -> bool {
        self.blocks.iter().any(|block| matches!(block, Block::Html(_)))
    }
}

impl Opened {
    /// Chooses what to show and what to offer as files. What is not shown is a file.
    pub fn layout(&self, unnamed: &str) -> Layout<'_> {
        let mut shown = Vec::new();
        self.choose(self.message.root(), &mut shown);
        let mut layout = Layout { blocks: Vec::new(), files: Vec::new(), is_reduced: false, is_cut: false };
        for part in &shown {
            let text = part.text(&self.message).unwrap_or_else(|problem| problem.text());
            if part.media_type != "text/html" {
                layout.blocks.push(Block::Text(cut(text, &mut layout.is_cut)));
            } else if html::is_too_much(&text) {
                layout.is_reduced = true;
                layout.blocks.push(Block::Text(cut(html::as_text(&text), &mut layout.is_cut)));
            } else {
                layout.blocks.push(Block::Html(text));
            }
        }
        let shown: HashSet<_> = shown.iter().map(|part| &part.path).collect();
        collect(self.message.root(), false, &mut |part, is_alternative| {
            // The plain twin of shown HTML is no file of its own; it is in the whole message.
            let is_twin =
                is_alternative && matches!(part.media_type.as_str(), "text/plain" | "text/html") && !part.is_attachment();
            if !shown.contains(&part.path) && !is_twin {
                let fallback = if part.media_type == "message/rfc822" { "message.eml" } else { unnamed };
                layout.files.push(File { name: safe_name(part.file_name.as_deref(), fallback), part });
            }
        });
        layout
    }

    /// Of alternatives the richest that can be shown; of related parts the first; of others all.
    fn choose<'a>(&'a self, part: &'a Part, shown: &mut Vec<&'a Part>) {
        if part.media_type == "message/rfc822" {
            return;
        }
        if part.children.is_empty() {
            if matches!(part.media_type.as_str(), "text/plain" | "text/html") && !part.is_attachment() {
                shown.push(part);
            }
            return;
        }
        match part.media_type.as_str() {
            "multipart/alternative" => {
                let mut best: Vec<&Part> = Vec::new();
                for child in &part.children {
                    let mut these = Vec::new();
                    self.choose(child, &mut these);
                    let is_html = |parts: &[&Part]| parts.iter().any(|part| part.media_type == "text/html");
                    if !these.is_empty() && (best.is_empty() || is_html(&these) || !is_html(&best)) {
                        best = these;
                    }
                }
                shown.extend(best);
            }
            "multipart/related" => {
                if let Some(first) = part.children.first() {
                    self.choose(first, shown);
                }
            }
            _ => {
                for child in &part.children {
                    self.choose(child, shown);
                }
            }
        }
    }

    /// The HTML of the message, sanitised, with its own raster pictures inside.
    pub fn clean_html(self: &Arc<Opened>, layout: &Layout<'_>) -> Clean {
        let room = Arc::new(AtomicUsize::new(PICTURES_BYTES_MAX));
        let mut all = Clean::default();
        for block in &layout.blocks {
            if let Block::Html(html) = block {
                let (opened, room) = (self.clone(), room.clone());
                let clean = html::sanitise(html, move |id| opened.picture(id, &room));
                all.html.push_str(&clean.html);
                all.links.extend(clean.links);
            }
        }
        all
    }

    /// A raster picture of this message as a `data:` URL, while there is room.
    fn picture(&self, id: &str, room: &AtomicUsize) -> Option<String> {
        let id = percent_decoded(id);
        let part = self.message.parts().into_iter().find(|part| part.content_id.as_deref() == Some(id.as_str()))?;
        let bytes = part.decode(&self.message).ok()?;
        let kind = raster_type(&bytes).filter(|_| bytes.len() <= PICTURE_BYTES_MAX)?;
        room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes.len())).ok()?;
        Some(format!("data:{kind};base64,{}", STANDARD.encode(&bytes)))
    }
}

/// Files in the order of the message: leaves, and messages inside the message as a whole. `each` also learns whether
/// the part stands directly among alternatives.
fn collect<'a>(part: &'a Part, is_alternative: bool, each: &mut impl FnMut(&'a Part, bool)) {
    if part.media_type == "message/rfc822" || part.children.is_empty() {
        each(part, is_alternative);
        return;
    }
    for child in &part.children {
        collect(child, part.media_type == "multipart/alternative", each);
    }
}

fn cut(text: String, is_cut: &mut bool) -> String {
    match text.char_indices().nth(TEXT_CHARS_MAX) {
        Some((at, _)) => {
            *is_cut = true;
            text.get(..at).unwrap_or_default().to_owned()
        }
        None => text,
    }
}

/// A `cid:` URL may carry its Content-ID percent-encoded (RFC 2392).
fn percent_decoded(id: &str) -> String {
    let mut out = Vec::with_capacity(id.len());
    let bytes = id.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let escaped = (*byte == b'%').then(|| id.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok())).flatten();
        out.push(escaped.unwrap_or(*byte));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}
