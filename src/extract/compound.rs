//! Compound files (MS-CFB): the small file system that Office before 2007 and Outlook save into.
//!
//! Every chain is followed at most as long as the file is, and every entry of the directory is visited once.

use std::cell::RefCell;

use super::little::{Little, u16_at, u32_at, wide_text};
use super::{Fuel, UnreadableWhy};

pub(super) const MAGIC: [u8; 8] = [0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1];
const END_OF_CHAIN: u32 = 0xffff_fffe;
const NONE: u32 = 0xffff_ffff;
/// Sectors named in the header itself.
const IN_HEADER: usize = 109;
/// Entries in a directory: a mailbox saved as one file would have more, a letter has not.
const ENTRIES_MAX: usize = 100_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Storage,
    Stream,
}

pub(super) struct Entry {
    pub name: String,
    pub kind: Kind,
    left: u32,
    right: u32,
    child: u32,
    start: u32,
    size: u64,
}

/// A compound file, opened.
pub(super) struct Compound<'a> {
    bytes: &'a [u8],
    sector: usize,
    mini_sector: usize,
    /// Streams shorter than this lie in the mini stream.
    cutoff: u64,
    table: Vec<u32>,
    mini_table: Vec<u32>,
    mini_stream: Vec<u8>,
    entries: Vec<Option<Entry>>,
    /// The storage that each entry was found in: a tree that joins another would be walked again and again.
    owners: RefCell<Vec<Option<usize>>>,
}

impl<'a> Compound<'a> {
    /// Reads the tables and the directory; `None` if they do not hold together.
    pub fn open(bytes: &'a [u8]) -> Option<Compound<'a>> {
        if !bytes.starts_with(&MAGIC) {
            return None;
        }
        let (sector, mini_sector) = match (u16_at(bytes, 30)?, u16_at(bytes, 32)?) {
            (9, 6) => (512, 64),
            (12, 6) => (4096, 64),
            _ => return None,
        };
        let cutoff = u64::from(u32_at(bytes, 56)?);
        let mut file = Compound {
            bytes,
            sector,
            mini_sector,
            cutoff,
            table: Vec::new(),
            mini_table: Vec::new(),
            mini_stream: Vec::new(),
            entries: Vec::new(),
            owners: RefCell::new(Vec::new()),
        };
        file.table = file.sector_table()?;
        file.mini_table = match u32_at(bytes, 60)? {
            END_OF_CHAIN | NONE => Vec::new(),
            start => numbers(&file.chain(start)?),
        };
        let directory = file.chain(u32_at(bytes, 48)?)?;
        if directory.len() / 128 > ENTRIES_MAX {
            return None;
        }
        let is_long = sector == 4096;
        file.entries = directory.chunks_exact(128).map(|bytes| entry(bytes, is_long)).collect();
        file.owners = RefCell::new(vec![None; file.entries.len()]);
        let root = file.entries.first()?.as_ref()?;
        if root.size > 0 && root.start != END_OF_CHAIN {
            let (start, size) = (root.start, usize::try_from(root.size).ok()?);
            let mut mini_stream = file.chain(start)?;
            mini_stream.truncate(size);
            file.mini_stream = mini_stream;
        }
        Some(file)
    }

    fn sectors(&self) -> usize {
        self.bytes.len() / self.sector + 1
    }

    /// The bytes of one sector. The last one of a file may be short.
    fn sector_bytes(&self, number: u32) -> Option<&'a [u8]> {
        let start = usize::try_from(number).ok()?.checked_add(1)?.checked_mul(self.sector)?;
        let rest = self.bytes.get(start..).filter(|rest| !rest.is_empty())?;
        Some(rest.get(..self.sector).unwrap_or(rest))
    }

    /// The table of what follows each sector, from the list in the header and its continuation.
    fn sector_table(&self) -> Option<Vec<u32>> {
        let mut places: Vec<u32> = numbers(self.bytes.get(76..76 + IN_HEADER * 4)?);
        let mut next = u32_at(self.bytes, 68)?;
        let mut steps = 0;
        while next != END_OF_CHAIN && next != NONE {
            steps += 1;
            if steps > self.sectors() {
                return None;
            }
            let mut list = numbers(self.sector_bytes(next)?);
            next = list.pop()?;
            places.extend(list);
        }
        let places: Vec<u32> = places.into_iter().filter(|place| *place != NONE && *place != END_OF_CHAIN).collect();
        if places.len() > self.sectors() {
            return None;
        }
        let mut table = Vec::with_capacity(places.len() * self.sector / 4);
        for place in places {
            table.extend(numbers(self.sector_bytes(place)?));
        }
        Some(table)
    }

    fn chain(&self, start: u32) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        let mut at = start;
        let mut steps = 0;
        while at != END_OF_CHAIN {
            steps += 1;
            if steps > self.sectors() {
                return None;
            }
            out.extend_from_slice(self.sector_bytes(at)?);
            at = *self.table.get(usize::try_from(at).ok()?)?;
        }
        Some(out)
    }

    fn mini_chain(&self, start: u32, size: usize) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(size.min(self.mini_stream.len()));
        let mut at = start;
        while out.len() < size {
            let from = usize::try_from(at).ok()?.checked_mul(self.mini_sector)?;
            let rest = self.mini_stream.get(from..).filter(|rest| !rest.is_empty())?;
            out.extend_from_slice(rest.get(..self.mini_sector).unwrap_or(rest));
            at = *self.mini_table.get(usize::try_from(at).ok()?)?;
        }
        out.truncate(size);
        Some(out)
    }

    pub fn entry(&self, index: usize) -> Option<&Entry> {
        self.entries.get(index)?.as_ref()
    }

    /// The members of a storage (0 is the root); `None` if their tree turns back into itself.
    pub fn members(&self, storage: usize) -> Option<Vec<usize>> {
        let mut out = Vec::new();
        let mut owners = self.owners.borrow_mut();
        let mut open = vec![self.entry(storage)?.child];
        while let Some(at) = open.pop() {
            if at == NONE {
                continue;
            }
            let index = usize::try_from(at).ok()?;
            let entry = self.entry(index)?;
            let owner = owners.get_mut(index)?;
            out.push(index);
            if owner.is_some_and(|owner| owner != storage) || out.len() > self.entries.len() {
                return None;
            }
            *owner = Some(storage);
            open.extend([entry.left, entry.right]);
        }
        out.sort_unstable();
        Some(out)
    }

    /// A stream's bytes, taken off the fuel.
    pub fn stream(&self, index: usize, fuel: &mut Fuel) -> Result<Vec<u8>, UnreadableWhy> {
        let entry = self.entry(index).ok_or(UnreadableWhy::Damaged)?;
        let size = usize::try_from(entry.size).ok().filter(|size| *size <= self.bytes.len()).ok_or(UnreadableWhy::Damaged)?;
        if !fuel.burn(size) {
            return Err(UnreadableWhy::TooLarge);
        }
        if size == 0 {
            return Ok(Vec::new());
        }
        let content = if entry.size < self.cutoff {
            self.mini_chain(entry.start, size)
        } else {
            self.chain(entry.start).filter(|content| content.len() >= size).map(|mut content| {
                content.truncate(size);
                content
            })
        };
        content.ok_or(UnreadableWhy::Damaged)
    }
}

fn numbers(bytes: &[u8]) -> Vec<u32> {
    bytes.chunks_exact(4).filter_map(|four| Little(four).u32()).collect()
}

fn entry(bytes: &[u8], is_long: bool) -> Option<Entry> {
    let kind = match bytes.get(66)? {
        1 | 5 => Kind::Storage,
        2 => Kind::Stream,
        _ => return None,
    };
    let length = usize::from(u16_at(bytes, 64)?).min(64);
    let high = if is_long { u64::from(u32_at(bytes, 124)?) } else { 0 };
    Some(Entry {
        name: wide_text(bytes.get(..length)?),
        kind,
        left: u32_at(bytes, 68)?,
        right: u32_at(bytes, 72)?,
        child: u32_at(bytes, 76)?,
        start: u32_at(bytes, 116)?,
        size: high << 32 | u64::from(u32_at(bytes, 120)?),
    })
}

/// A member of a compound file to be written: its name, its bytes or its own members.
pub(super) enum Member<'a> {
    Stream(&'a str, &'a [u8]),
    #[cfg_attr(not(test), allow(dead_code))]
    Storage(&'a str, Vec<Member<'a>>),
}

/// Writes a compound file: a workbook found inside another document is handed on as a file of its own.
pub(super) fn write(members: &[Member<'_>]) -> Vec<u8> {
    const SECTOR: usize = 512;
    let mut entries: Vec<[u8; 128]> = vec![[0; 128]];
    let mut contents: Vec<u8> = Vec::new();
    let mut table: Vec<u32> = Vec::new();
    describe(&mut entries, 0, "Root Entry", 5, END_OF_CHAIN, 0);
    place(members, 0, &mut entries, &mut contents, &mut table);
    let number = |count: usize| u32::try_from(count).unwrap_or(NONE);
    let chained = |table: &mut Vec<u32>, sectors: usize| {
        let first = table.len();
        table.extend((1..=sectors).map(|step| if step == sectors { END_OF_CHAIN } else { number(first + step) }));
        number(first)
    };
    let directory: Vec<u8> = entries.concat();
    let directory_start = chained(&mut table, directory.len().div_ceil(SECTOR));
    // The table counts its own sectors, and those that list it beyond the header.
    let mut own = (table.len() * 4).div_ceil(SECTOR);
    let lists = |own: usize| own.saturating_sub(IN_HEADER).div_ceil(SECTOR / 4 - 1);
    while ((table.len() + own + lists(own)) * 4).div_ceil(SECTOR) > own {
        own += 1;
    }
    let table_start = table.len();
    table.extend(std::iter::repeat_n(0xffff_fffd, own));
    let lists_start = table.len();
    table.extend(std::iter::repeat_n(0xffff_fffc, lists(own)));
    table.resize(own * SECTOR / 4, NONE);

    let mut out = MAGIC.to_vec();
    out.resize(SECTOR, 0);
    let put = |out: &mut Vec<u8>, at: usize, value: &[u8]| {
        if let Some(place) = out.get_mut(at..at + value.len()) {
            place.copy_from_slice(value);
        }
    };
    put(&mut out, 24, &[0x3e, 0, 3, 0, 0xfe, 0xff, 9, 0, 6, 0]);
    for (at, value) in [(44, number(own)), (48, directory_start), (60, END_OF_CHAIN), (72, number(lists(own)))] {
        put(&mut out, at, &value.to_le_bytes());
    }
    let first_list = if lists(own) > 0 { number(lists_start) } else { END_OF_CHAIN };
    put(&mut out, 68, &first_list.to_le_bytes());
    // No mini stream: its cutoff is zero.
    let mut places: Vec<u32> = (table_start..table_start + own).map(number).collect();
    let beyond = places.split_off(places.len().min(IN_HEADER));
    places.resize(IN_HEADER, NONE);
    let listed: Vec<u8> = places.into_iter().flat_map(u32::to_le_bytes).collect();
    put(&mut out, 76, &listed);
    out.extend(contents);
    out.extend(directory);
    out.resize(out.len().div_ceil(SECTOR) * SECTOR, 0);
    out.extend(table.iter().flat_map(|next| next.to_le_bytes()));
    let chunks = beyond.chunks(SECTOR / 4 - 1);
    let count = chunks.len();
    for (at, chunk) in chunks.enumerate() {
        let mut list = chunk.to_vec();
        list.resize(SECTOR / 4 - 1, NONE);
        list.push(if at + 1 == count { END_OF_CHAIN } else { number(lists_start + at + 1) });
        out.extend(list.into_iter().flat_map(u32::to_le_bytes));
    }
    out
}

/// Puts members under a storage: one long branch to the right, which every reader follows.
fn place(members: &[Member<'_>], storage: usize, entries: &mut Vec<[u8; 128]>, contents: &mut Vec<u8>, table: &mut Vec<u32>) {
    const SECTOR: usize = 512;
    let mut before: Option<usize> = None;
    for member in members {
        let index = entries.len();
        entries.push([0; 128]);
        match member {
            Member::Stream(name, bytes) => {
                let first = table.len();
                let sectors = bytes.len().div_ceil(SECTOR);
                let number = |at: usize| u32::try_from(at).unwrap_or(NONE);
                table.extend((1..=sectors).map(|step| if step == sectors { END_OF_CHAIN } else { number(first + step) }));
                contents.extend_from_slice(bytes);
                contents.resize(table.len() * SECTOR, 0);
                let start = if sectors == 0 { END_OF_CHAIN } else { number(first) };
                describe(entries, index, name, 2, start, bytes.len());
            }
            Member::Storage(name, inner) => {
                describe(entries, index, name, 1, 0, 0);
                place(inner, index, entries, contents, table);
            }
        }
        let (at, field) = match before {
            None => (storage, 76),
            Some(before) => (before, 72),
        };
        if let Some(place) = entries.get_mut(at).and_then(|entry| entry.get_mut(field..field + 4)) {
            place.copy_from_slice(&u32::try_from(index).unwrap_or(NONE).to_le_bytes());
        }
        before = Some(index);
    }
}

fn describe(entries: &mut [[u8; 128]], index: usize, name: &str, kind: u8, start: u32, size: usize) {
    let Some(entry) = entries.get_mut(index) else { return };
    let wide: Vec<u8> = name.encode_utf16().take(31).flat_map(u16::to_le_bytes).collect();
    let length = u16::try_from(wide.len() + 2).unwrap_or(64);
    let none = NONE.to_le_bytes();
    for (at, value) in [
        (0, wide.as_slice()),
        (64, &length.to_le_bytes()),
        (66, &[kind, 1]),
        (68, &none),
        (72, &none),
        (76, &none),
        (116, &start.to_le_bytes()),
        (120, &u32::try_from(size).unwrap_or(NONE).to_le_bytes()),
    ] {
        if let Some(place) = entry.get_mut(at..at + value.len()) {
            place.copy_from_slice(value);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn find(file: &Compound<'_>, storage: usize, name: &str) -> usize {
        let members = file.members(storage).unwrap();
        members.into_iter().find(|at| file.entry(*at).unwrap().name == name).unwrap()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let long = vec![7u8; 20_000_000];
        let bytes = write(&[
            Member::Stream("short", b"lupus"),
            Member::Storage("folder", vec![Member::Stream("inner", &long), Member::Stream("empty", b"")]),
        ]);
        let file = Compound::open(&bytes).unwrap();
        let mut fuel = Fuel::default();
        assert_eq!(file.stream(find(&file, 0, "short"), &mut fuel).unwrap(), b"lupus");
        let folder = find(&file, 0, "folder");
        assert_eq!(file.stream(find(&file, folder, "inner"), &mut fuel).unwrap(), long);
        assert_eq!(file.stream(find(&file, folder, "empty"), &mut fuel).unwrap(), b"");
        assert_eq!(fuel.bytes, Fuel::default().bytes - 20_000_005);
    }

    #[test]
    fn chains_and_trees_that_turn_back_end() {
        let good = write(&[Member::Stream("a", &[1; 2000]), Member::Stream("b", b"x")]);
        let patched = |at: usize, value: u32| {
            let mut bytes = good.clone();
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
            bytes
        };
        // Sectors: four of a, one of b, the directory, the table.
        let (directory, table) = (512 * 6, 512 * 7);
        assert_eq!(Compound::open(&good).unwrap().members(0).unwrap().len(), 2);
        for (what, bytes) in [
            ("the directory follows itself", patched(table + 5 * 4, 5)),
            ("the list of tables follows itself", patched(68, 0)),
            ("a table beyond the file", patched(76, 99_999)),
        ] {
            assert!(Compound::open(&bytes).is_none(), "{what}");
        }
        let tree = patched(directory + 128 + 72, 1);
        assert!(Compound::open(&tree).unwrap().members(0).is_none(), "an entry is its own neighbour");
        let chain = patched(table, 0);
        assert_eq!(Compound::open(&chain).unwrap().stream(1, &mut Fuel::default()), Err(UnreadableWhy::Damaged));
        let size = patched(directory + 128 + 120, u32::MAX - 1);
        assert_eq!(Compound::open(&size).unwrap().stream(1, &mut Fuel::default()), Err(UnreadableWhy::Damaged));
        for cut in 0..good.len() {
            if let Some(file) = Compound::open(&good[..cut]) {
                let _ = file.stream(1, &mut Fuel::default());
            }
        }
    }
}
