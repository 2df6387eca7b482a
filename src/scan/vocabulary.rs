//! All lists of words as one table: what they say of a word costs one look, and most words of a text are in none that matters.

use super::lexicon::{First, Hash, place, rows};

/// What the lists say of one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known(u32);

const LAST_SHIFT: u32 = 8;
const ENGLISH: u32 = 1 << 16;
const ICD: u32 = 1 << 17;
const TERM: u32 = 1 << 18;
/// The word is a term, not only the beginning of some.
const WHOLE: u32 = 1 << 19;
/// From here on a bit for each twelfth of all words that terms go on with behind this one.
const NEXT_SHIFT: u32 = 20;
const NEXT_BITS: u64 = 12;

#[inline]
fn next_bit(next: Hash) -> u32 {
    1 << (NEXT_SHIFT as u64 + (next.spread() >> 32) % NEXT_BITS)
}

/// The tier of a name that is no English word.
pub const NO_VALUE: u8 = 99;

impl Known {
    /// As a first name: how common the word is in English, lower is commoner, [`NO_VALUE`] if it is none. `None`: no first name.
    #[must_use]
    #[inline]
    pub fn first(self) -> Option<u8> {
        (self.0 as u8).checked_sub(1)
    }

    /// As [`Known::first`], of last names.
    #[must_use]
    #[inline]
    pub fn last(self) -> Option<u8> {
        ((self.0 >> LAST_SHIFT) as u8).checked_sub(1)
    }

    #[must_use]
    #[inline]
    pub fn is_english(self) -> bool {
        self.0 & ENGLISH != 0
    }

    /// A word of the descriptions in ICD-10-CM.
    #[must_use]
    #[inline]
    pub fn is_icd(self) -> bool {
        self.0 & ICD != 0
    }

    /// A term begins with this word, or is it; plurals count.
    #[must_use]
    #[inline]
    pub fn begins_term(self) -> bool {
        self.0 & TERM != 0
    }

    /// A term ends with this word.
    #[must_use]
    #[inline]
    pub fn is_term(self) -> bool {
        self.0 & WHOLE != 0
    }

    /// Whether a term may go on with a word of this hash; says no for eleven of twelve words where one term goes on.
    #[must_use]
    #[inline]
    pub fn goes_on_with(self, next: Hash) -> bool {
        self.0 & next_bit(next) != 0
    }

    /// A first name that is no English word.
    #[must_use]
    #[inline]
    pub fn is_plain_first(self) -> bool {
        self.first() == Some(NO_VALUE)
    }
}

/// The lists that a [`Vocabulary`] is made of: texts of files, one word a line, a number behind a tab.
pub struct Lists<'t> {
    pub first_names: Vec<&'t str>,
    pub last_names: Vec<&'t str>,
    pub english: Vec<&'t str>,
    pub icd: Vec<&'t str>,
}

pub struct Vocabulary {
    /// Half of each word's hash; the other half is where it stands. Beside it what is known; 0 is an empty place.
    slots: Vec<(u32, Known)>,
}

impl Vocabulary {
    /// `terms` are the words that begin terms.
    #[must_use]
    pub fn of(lists: &Lists<'_>, terms: &[First]) -> Vocabulary {
        let all = [&lists.first_names, &lists.last_names, &lists.english, &lists.icd];
        let count = all.iter().flat_map(|texts| texts.iter()).map(|text| memchr::memchr_iter(b'\n', text.as_bytes()).count() + 1);
        let slots = ((count.sum::<usize>() + terms.len()) * 3 / 2).max(8);
        let mut table = Vocabulary { slots: vec![(0, Known(0)); slots] };
        for (texts, shift) in [(&lists.first_names, 0), (&lists.last_names, LAST_SHIFT)] {
            for (word, number) in rows(texts) {
                let number = number.map_or(NO_VALUE, tier);
                table.add(Hash::of(word.as_bytes()), 0xff << shift, (u32::from(number) + 1) << shift);
            }
        }
        for (texts, mark) in [(&lists.english, ENGLISH), (&lists.icd, ICD)] {
            rows(texts).for_each(|(word, _)| table.add(Hash::of(word.as_bytes()), mark, mark));
        }
        for first in terms {
            // Marks add up.
            table.add(first.hash, 0, TERM | first.next.map_or(WHOLE, next_bit));
        }
        table
    }

    /// The first row of a word counts: a field that is set stays.
    fn add(&mut self, hash: Hash, field: u32, value: u32) {
        let spread = hash.spread();
        let mut slot = place(spread, self.slots.len());
        let count = self.slots.len();
        while let Some((mark, known)) = self.slots.get_mut(slot) {
            if known.0 == 0 || *mark == spread as u32 {
                *mark = spread as u32;
                if known.0 & field == 0 {
                    known.0 |= value;
                }
                return;
            }
            slot = (slot + 1) % count;
        }
    }

    /// What is known of the word with a hash, whatever its case.
    #[must_use]
    #[inline]
    pub fn of_hash(&self, hash: Hash) -> Known {
        let spread = hash.spread();
        let mut slot = place(spread, self.slots.len());
        loop {
            match self.slots.get(slot) {
                Some((mark, known)) if known.0 == 0 || *mark == spread as u32 => return *known,
                Some(_) => slot = if slot + 1 == self.slots.len() { 0 } else { slot + 1 },
                None => return Known(0),
            }
        }
    }

    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.slots.len() * size_of::<(u32, Known)>()
    }
}

fn tier(number: &str) -> u8 {
    number.bytes().take_while(u8::is_ascii_digit).fold(0u8, |n, b| n.saturating_mul(10).saturating_add(b - b'0')).min(254)
}
