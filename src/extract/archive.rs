//! ZIP archives, member by member, with limits on what they unpack to.

use std::io::{Cursor, Read};

use zip::ZipArchive;
use zip::result::ZipError;

use super::read::{document, spoken};
use super::{AttachmentText, Format, Fuel, TextKind, UnreadableWhy, format, office};

/// Every member of an archive: its name, and what it holds.
pub(super) fn read(bytes: &[u8], fuel: &mut Fuel) -> AttachmentText {
    let Ok(mut archive) = ZipArchive::new(Cursor::new(bytes)) else {
        return AttachmentText::unreadable(UnreadableWhy::Damaged);
    };
    if fuel.depth == 0 {
        return AttachmentText::unreadable(UnreadableWhy::TooDeep);
    }
    let mut out = AttachmentText::default();
    if names_twice(bytes, archive.len()) {
        out.unreadable.push(UnreadableWhy::Damaged);
    }
    let comment = format::decode(archive.comment());
    if fuel.burn(comment.len()) && !comment.trim().is_empty() {
        out.texts.push((TextKind::Content, comment));
    }
    for (index, name) in names(&mut archive) {
        if name.ends_with('/') {
            out.texts.push((TextKind::Name, spoken(&name)));
            continue;
        }
        match entry(&mut archive, index, fuel) {
            Ok(content) => member(&name, &content, fuel, &mut out),
            Err(why) => {
                out.texts.push((TextKind::Name, spoken(&name)));
                out.unreadable.push(why);
                if why == UnreadableWhy::TooLarge {
                    break;
                }
            }
        }
    }
    out
}

/// Whether the directory names more than the library kept: of two members with one name programs show either.
pub(super) fn names_twice(bytes: &[u8], kept: usize) -> bool {
    format::directory(bytes).len() > kept
}

/// The members: place and name (a name that is no UTF-8 is read as far as it is).
pub(super) fn names(archive: &mut ZipArchive<Cursor<&[u8]>>) -> Vec<(usize, String)> {
    (0..archive.len())
        .map(|index| {
            let name = archive.by_index_raw(index).ok().map(|file| String::from_utf8_lossy(file.name_raw()).into_owned());
            (index, name.unwrap_or_default())
        })
        .collect()
}

/// One member's bytes, taken off the fuel.
pub(super) fn entry(archive: &mut ZipArchive<Cursor<&[u8]>>, index: usize, fuel: &mut Fuel) -> Result<Vec<u8>, UnreadableWhy> {
    fuel.parts = fuel.parts.checked_sub(1).ok_or(UnreadableWhy::TooLarge)?;
    let limit = fuel.bytes;
    let content = match archive.by_index(index) {
        Ok(file) if file.encrypted() => return Err(UnreadableWhy::Encrypted),
        Ok(file) => office::read_limited(file, limit).map_err(|_| UnreadableWhy::Damaged)?,
        Err(ZipError::UnsupportedArchive(why)) if why == ZipError::PASSWORD_REQUIRED => return Err(UnreadableWhy::Encrypted),
        Err(ZipError::UnsupportedArchive(_)) => return Err(UnreadableWhy::UnknownFormat),
        Err(_) => return Err(UnreadableWhy::Damaged),
    };
    if fuel.burn(content.len()) { Ok(content) } else { Err(UnreadableWhy::TooLarge) }
}

/// What a member holds, by its content; archives inside go one level deeper.
pub(super) fn member(name: &str, content: &[u8], fuel: &mut Fuel, out: &mut AttachmentText) {
    if !name.is_empty() {
        out.texts.push((TextKind::Name, spoken(name)));
    }
    if content.is_empty() {
        return;
    }
    let format = Format::of(content, "", name);
    let Some(depth) = fuel.depth.checked_sub(1) else {
        out.unreadable.push(UnreadableWhy::TooDeep);
        return;
    };
    fuel.depth = depth;
    let mut inner = document(format, content, fuel);
    fuel.depth = depth + 1;
    out.texts.append(&mut inner.texts);
    out.unreadable.append(&mut inner.unreadable);
    out.images.append(&mut inner.images);
}

/// A member whose bytes are not taken off the fuel yet.
pub(super) fn burned_member(name: &str, content: &[u8], fuel: &mut Fuel, out: &mut AttachmentText) {
    match fuel.parts.checked_sub(1).filter(|_| fuel.burn(content.len())) {
        Some(parts) => {
            fuel.parts = parts;
            member(name, content, fuel, out);
        }
        None => out.unreadable.push(UnreadableWhy::TooLarge),
    }
}

/// Unpacks everything into nothing, to see whether it stays within the fuel. Declared sizes are not believed.
pub(super) fn measure(bytes: &[u8], fuel: &Fuel) -> Result<(), UnreadableWhy> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|_| UnreadableWhy::Damaged)?;
    let mut left = fuel.bytes;
    if archive.len() > fuel.parts as usize {
        return Err(UnreadableWhy::TooLarge);
    }
    for index in 0..archive.len() {
        let file = archive.by_index(index).map_err(|error| match error {
            ZipError::UnsupportedArchive(why) if why == ZipError::PASSWORD_REQUIRED => UnreadableWhy::Encrypted,
            _ => UnreadableWhy::Damaged,
        })?;
        let size =
            std::io::copy(&mut file.take(left.saturating_add(1)), &mut std::io::sink()).map_err(|_| UnreadableWhy::Damaged)?;
        left = left.checked_sub(size).ok_or(UnreadableWhy::TooLarge)?;
    }
    Ok(())
}
