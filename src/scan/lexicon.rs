//! Terms and words behind hashes: no automaton, no copies of the texts, two loads and no allocation for a word that is
//! in none of them.
//!
//! An automaton over the same terms takes 40 MB and most of a second to build; terms begin and end with words, so a step
//! a word is enough. Words and beginnings of terms are known by 64-bit hashes. Who finds two texts with one hash gains a
//! false finding in his own mail, so the hash needs no key; that no two shipped terms share one is tested when they load.

/// Running hash (FNV-1a) over lower-case bytes. The state after "a b" is the state after "a" carried on over " b".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hash(u64);

impl Hash {
    pub const START: Hash = Hash(0xcbf2_9ce4_8422_2325);

    /// One byte on, capitals as small letters.
    #[must_use]
    #[inline]
    pub fn byte(self, byte: u8) -> Hash {
        self.small(byte.to_ascii_lowercase())
    }

    /// As [`Hash::byte`], for a byte that is no capital.
    #[must_use]
    #[inline]
    pub fn small(self, byte: u8) -> Hash {
        Hash((self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
    }

    /// The state before a byte: the factor is odd, so the step has a way back.
    #[inline]
    fn without(self, byte: u8) -> Hash {
        Hash(self.0.wrapping_mul(0xce96_5057_aff6_957b) ^ u64::from(byte.to_ascii_lowercase()))
    }

    #[must_use]
    pub fn of(text: &[u8]) -> Hash {
        text.iter().fold(Hash::START, |hash, byte| hash.byte(*byte))
    }

    /// The state with its bits spread, for places in tables.
    #[inline]
    pub fn spread(self) -> u64 {
        let mixed = (self.0 ^ (self.0 >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ (mixed >> 29)
    }
}

/// Where in a table of `slots` places a hash begins to look.
#[inline]
pub fn place(spread: u64, slots: usize) -> usize {
    ((u128::from(spread) * slots as u128) >> 64) as usize
}

/// A term goes on with another word behind this.
const LONGER: u32 = 1 << 31;
/// A term ends with a sign (a stop, a bracket) behind this.
const SIGNED: u32 = 1 << 30;
const TERM: u32 = SIGNED - 1;

/// All terms, as a table of their beginnings word by word.
pub struct Lexicon {
    hashes: Vec<u64>,
    /// Beside each hash: the two marks, and the number of the term that ends here plus one.
    values: Vec<u32>,
    /// A bit for each hash of the table, by other digits than its place: most words go on no term, and a look into these few
    /// bytes, which stay in the cache, tells so.
    filter: Vec<u64>,
}

/// A word that terms begin with.
pub struct First {
    pub hash: Hash,
    /// The word that follows in a term of several, in the singular and as a plural; `None`: a term ends with the first word.
    pub next: Option<Hash>,
}

/// Longest run of signs between two words of a term.
const SIGNS_MAX: usize = 6;

#[inline]
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte >= 0x80
}

impl Lexicon {
    /// The table of `terms`, which are sorted, without doubles, and in lower case. `None` if they are too many.
    #[must_use]
    pub fn of(terms: &[&str]) -> Option<Lexicon> {
        // Beginnings shared by neighbours are counted once, well enough to size the table.
        let mut begins: Vec<(Hash, u32)> = Vec::with_capacity(terms.len() * 2);
        for (number, term) in terms.iter().enumerate() {
            let value = u32::try_from(number + 1).ok().filter(|value| *value < TERM)?;
            let bytes = term.as_bytes();
            let mut hash = Hash::START;
            for (at, byte) in bytes.iter().enumerate() {
                hash = hash.byte(*byte);
                let next = bytes.get(at + 1);
                let ends_word = is_word(*byte) && !next.is_some_and(|next| is_word(*next));
                if next.is_none() {
                    begins.push((hash, value));
                } else if ends_word {
                    let rest = bytes.get(at + 1..).unwrap_or_default();
                    let mark = if rest.iter().any(|byte| is_word(*byte)) { LONGER } else { SIGNED };
                    begins.push((hash, mark));
                }
            }
        }
        begins.sort_unstable_by_key(|(hash, _)| hash.0);
        let count = begins.chunk_by(|a, b| a.0 == b.0).count();
        let slots = (count * 3 / 2).max(8);
        let words = (count / FILTER_SHARE).next_power_of_two();
        let mut table = Lexicon { hashes: vec![0; slots], values: vec![0; slots], filter: vec![0; words] };
        for same in begins.chunk_by(|a, b| a.0 == b.0) {
            let hash = same.first()?.0;
            let value = same.iter().fold(0, |all, (_, value)| all | value);
            // Two terms of one hash would read as one.
            if same.iter().filter(|(_, value)| value & TERM != 0).count() > 1 {
                return None;
            }
            let mut slot = place(hash.spread(), slots);
            while *table.values.get(slot)? != 0 {
                slot = (slot + 1) % slots;
            }
            *table.values.get_mut(slot)? = value;
            *table.hashes.get_mut(slot)? = hash.0;
            let (word, bit) = table.bit(hash.spread());
            *table.filter.get_mut(word)? |= bit;
        }
        Some(table)
    }

    /// The words that a walk has to begin at: the first of each term, and the plurals of terms of one word.
    pub fn firsts(terms: &[&str]) -> Vec<First> {
        let mut out = Vec::with_capacity(terms.len());
        for term in terms {
            let bytes = term.as_bytes();
            let mut words = bytes.split(|byte| !is_word(*byte)).filter(|word| !word.is_empty());
            let Some(first) = words.next().filter(|_| bytes.first().is_some_and(|byte| is_word(*byte))) else { continue };
            let hash = Hash::of(first);
            let Some(second) = words.next() else {
                out.push(First { hash, next: None });
                if bytes.len() >= PLURAL_OF_MIN && first.len() == bytes.len() {
                    out.extend([hash.byte(b's'), hash.byte(b'e').byte(b's')].map(|hash| First { hash, next: None }));
                }
                continue;
            };
            let next = Hash::of(second);
            out.push(First { hash, next: Some(next) });
            if words.next().is_none() {
                out.extend([next.byte(b's'), next.byte(b'e').byte(b's')].map(|next| First { hash, next: Some(next) }));
            }
        }
        out
    }

    /// Whether a word is a term, or begins one.
    #[must_use]
    pub fn begins(&self, hash: Hash) -> bool {
        self.value(hash) != 0
    }

    /// Where in the filter a hash has its bit.
    #[inline]
    fn bit(&self, spread: u64) -> (usize, u64) {
        ((spread >> 6) as usize & (self.filter.len() - 1), 1 << (spread & 63))
    }

    #[inline]
    fn value(&self, hash: Hash) -> u32 {
        let spread = hash.spread();
        let (word, bit) = self.bit(spread);
        if self.filter.get(word).is_none_or(|bits| bits & bit == 0) {
            return 0;
        }
        let mut slot = place(spread, self.hashes.len());
        loop {
            let (Some(value), Some(key)) = (self.values.get(slot), self.hashes.get(slot)) else { return 0 };
            if *value == 0 || *key == hash.0 {
                return *value;
            }
            slot = if slot + 1 == self.hashes.len() { 0 } else { slot + 1 };
        }
    }

    /// Calls `found(end, term)` for every term that begins with `first`, a word of `text`, and ends with a word (plural
    /// endings count with it) or a sign; shorter ones first. A line end reads as a blank.
    #[inline]
    pub fn at(&self, text: &[u8], first: Token, mut found: impl FnMut(usize, usize)) {
        self.walk(text, first.start, first, &mut found);
    }

    /// As [`Lexicon::at`] for a word that is no term itself.
    #[inline]
    pub fn behind(&self, text: &[u8], first: Token, mut found: impl FnMut(usize, usize)) {
        let (mut at, mut hash) = (first.end, first.hash);
        while let Some(byte) = text.get(at).filter(|_| at - first.end < SIGNS_MAX + 1) {
            if is_word(*byte) {
                return self.walk(text, first.start, Token::read(text, at, hash), &mut found);
            }
            hash = hash.byte(if *byte == b'\n' { b' ' } else { *byte });
            at += 1;
        }
    }

    fn walk(&self, text: &[u8], start: usize, mut token: Token, found: &mut impl FnMut(usize, usize)) {
        loop {
            self.plurals(text, token, start, found);
            let value = self.value(token.hash);
            if value & TERM != 0 {
                found(token.end, (value & TERM) as usize - 1);
            }
            if value & (LONGER | SIGNED) == 0 {
                return;
            }
            // The signs up to the next word.
            let (mut at, mut hash) = (token.end, token.hash);
            loop {
                let Some(byte) = text.get(at) else { return };
                if is_word(*byte) {
                    break;
                }
                if at - token.end >= SIGNS_MAX {
                    return;
                }
                hash = hash.byte(if *byte == b'\n' { b' ' } else { *byte });
                at += 1;
                if value & SIGNED != 0 {
                    let term = self.value(hash) & TERM;
                    if term != 0 {
                        found(at, term as usize - 1);
                    }
                }
            }
            if value & LONGER == 0 {
                return;
            }
            token = Token::read(text, at, hash);
        }
    }

    /// Terms that end one or two letters before the end of the word: "allergies" no, "rashes" and "scans" yes.
    #[inline]
    fn plurals(&self, text: &[u8], token: Token, start: usize, found: &mut impl FnMut(usize, usize)) {
        let (Some([.., before, last]), true) = (text.get(token.start..token.end), token.end - start > PLURAL_OF_MIN) else {
            return;
        };
        if !matches!(last, b's' | b'S') {
            return;
        }
        let one_less = token.hash.without(*last);
        let ends_in_es = token.end > token.start + 2 && matches!(before, b'e' | b'E');
        if ends_in_es && token.end - start >= PLURAL_OF_MIN + 2 {
            let term = self.value(one_less.without(*before)) & TERM;
            if term != 0 {
                found(token.end, term as usize - 1);
            }
        }
        let term = self.value(one_less) & TERM;
        if term != 0 {
            found(token.end, term as usize - 1);
        }
    }

    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.hashes.len() * 8 + self.values.len() * 4 + self.filter.len() * 8
    }
}

/// Shortest term that has a plural.
const PLURAL_OF_MIN: usize = 5;

/// Beginnings of terms for each 64 bits of the filter: one in eight bits is set or fewer.
const FILTER_SHARE: usize = 8;

/// One word of the text, hashed on from what stood before it.
#[derive(Clone, Copy)]
pub struct Token {
    pub start: usize,
    pub end: usize,
    pub hash: Hash,
}

impl Token {
    /// The word that begins at `start`.
    #[inline]
    pub fn read(text: &[u8], start: usize, hash: Hash) -> Token {
        let rest = text.get(start..).unwrap_or_default();
        let (mut hash, mut length) = (hash, 0);
        for byte in rest.iter().take_while(|byte| is_word(**byte)) {
            hash = hash.byte(*byte);
            length += 1;
        }
        Token { start, end: start + length, hash }
    }
}

/// The rows of files of words: the word, and what stands behind a tab; "# " before a remark.
pub fn rows<'t>(texts: &[&'t str]) -> impl Iterator<Item = (&'t str, Option<&'t str>)> {
    texts.iter().flat_map(|text| text.split('\n')).filter(|line| !line.is_empty() && !line.starts_with("# ")).map(|line| {
        let line = line.trim_end_matches('\r');
        line.split_once('\t').map_or((line, None), |(word, number)| (word, Some(number)))
    })
}

/// A set of codes: four bytes for a place.
pub struct WordSet {
    /// Half of each word's hash, never 0; the other half is where it stands.
    marks: Vec<u32>,
}

/// Half of a hash as it stands in a table where 0 is an empty place.
#[inline]
fn mark(spread: u64) -> u32 {
    spread as u32 | 1
}

impl WordSet {
    /// The words of files: one a line, up to a tab; "# " before a remark.
    #[must_use]
    pub fn of(texts: &[&str]) -> WordSet {
        let slots = (rows(texts).count() * 3 / 2).max(8);
        let mut set = WordSet { marks: vec![0; slots] };
        for (word, _) in rows(texts) {
            let spread = Hash::of(word.as_bytes()).spread();
            let mut slot = place(spread, slots);
            while let Some(known) = set.marks.get_mut(slot) {
                if *known == 0 || *known == mark(spread) {
                    *known = mark(spread);
                    break;
                }
                slot = (slot + 1) % slots;
            }
        }
        set
    }

    /// Whether a word is in the set; case does not matter.
    #[must_use]
    pub fn has(&self, word: &str) -> bool {
        self.has_hash(Hash::of(word.as_bytes()))
    }

    /// As [`WordSet::has`], for a word whose hash is known.
    #[must_use]
    #[inline]
    pub fn has_hash(&self, hash: Hash) -> bool {
        let spread = hash.spread();
        let mut slot = place(spread, self.marks.len());
        loop {
            match self.marks.get(slot) {
                Some(0) | None => return false,
                Some(known) if *known == mark(spread) => return true,
                Some(_) => slot = if slot + 1 == self.marks.len() { 0 } else { slot + 1 },
            }
        }
    }

    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.marks.len() * 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_of_the_hash_can_be_undone() {
        for byte in 0..=u8::MAX {
            assert_eq!(Hash::of(b"scan").byte(byte).without(byte), Hash::of(b"scan"));
        }
    }
}
