use std::ops::Range;

use super::dictionary::{Cue, Meaning, Scanner};
use super::lexicon::{Hash, Token};
use super::vocabulary::Known;

/// How a word is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `Anna`
    Capital,
    /// `ANNA`
    Upper,
    Lower,
    /// One capital letter.
    Initial,
    /// With a digit in it.
    Number,
}

#[derive(Clone, Copy, Debug)]
pub struct Word {
    pub start: usize,
    pub end: usize,
    pub shape: Shape,
    /// What the lists say of it.
    pub known: Known,
    pub hash: Hash,
    /// Without apostrophe and hyphen.
    pub is_plain: bool,
}

impl Word {
    fn token(&self) -> Token {
        Token { start: self.start, end: self.end, hash: self.hash }
    }
}

/// A term of a health dictionary.
#[derive(Clone, Copy, Debug)]
pub struct Term {
    pub start: usize,
    pub end: usize,
    pub meaning: Meaning,
}

#[derive(Clone, Copy, Debug)]
pub struct CueHit {
    pub start: usize,
    pub end: usize,
    pub cue: Cue,
}

/// What part of a letter a line belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zone {
    Body,
    /// Who sends it: names and numbers of the sender.
    Signature,
    /// A confidentiality notice or the like: nobody's data.
    Footer,
}

#[derive(Clone, Debug)]
pub struct Line {
    pub start: usize,
    pub end: usize,
    pub zone: Zone,
    /// What parts its cells, if it has any: a tab, or at least two bars or semicolons.
    pub separator: Option<u8>,
    /// A row of a table: index of its header line and whether this is it.
    pub header: Option<usize>,
}

/// Longest cell, row and sentence that are looked at as one; so no text costs the square of its length.
const CELL_MAX: usize = 1_000;
const ROW_MAX: usize = 8_000;
const SENTENCE_MAX: usize = 1_200;

/// One normalised text, taken apart once for all detectors. Everything is sorted by place.
pub struct Page<'a> {
    pub text: &'a str,
    pub words: Vec<Word>,
    pub terms: Vec<Term>,
    pub cues: Vec<CueHit>,
    /// All cues of the page, as [`Cue::bit`]s.
    cue_set: u64,
    /// The cues that name a place of care or of work: asked for beside every term.
    facilities: Vec<CueHit>,
    pub lines: Vec<Line>,
    /// Where sentences begin.
    pub sentences: Vec<usize>,
    /// A line names the days of the week: who works when.
    is_roster: bool,
    /// Header lines of tables with their cells.
    headers: Vec<(usize, Vec<Range<usize>>)>,
    line_places: Places,
    sentence_places: Places,
    cue_places: Places,
    term_ends: Places,
}

/// What a walk from one place finds.
struct Found<'p> {
    at: usize,
    /// Terms that end up to here are inside another.
    covered: usize,
    longest: Option<Term>,
    cues: &'p mut Vec<CueHit>,
    bytes: &'p [u8],
}

impl Found<'_> {
    #[inline]
    fn take(&mut self, end: usize, meanings: &[Meaning]) {
        for meaning in meanings {
            if let Meaning::Cue(cue) = meaning {
                self.cues.push(CueHit { start: self.at, end, cue: *cue });
                continue;
            }
            let is_longer = |term: Term| term.end < end || (term.end == end && meaning.rank() < term.meaning.rank());
            if end > self.covered && self.longest.is_none_or(is_longer) {
                let written = meaning.written(self.bytes.get(self.at..end).unwrap_or_default());
                self.longest = Some(Term { start: self.at, end, meaning: written });
            }
        }
    }
}

/// Where in a sorted list the entries of each stretch of text begin, so that a place is found by looking at its few
/// neighbours and not by a search through all: a page is asked for places far more often than it has entries.
#[derive(Default)]
struct Places(Vec<u32>);

/// Bytes of text, as a power of two, that share an entry.
const STRETCH_BITS: usize = 6;

impl Places {
    fn of(places: impl Iterator<Item = usize>, length: usize) -> Places {
        let mut firsts = Vec::with_capacity((length >> STRETCH_BITS) + 3);
        let mut count = 0u32;
        for place in places {
            while firsts.len() <= place >> STRETCH_BITS {
                firsts.push(count);
            }
            count = count.saturating_add(1);
        }
        firsts.push(count);
        Places(firsts)
    }

    /// How many of `items` the condition is true for; it must be so for all before `at`, for none behind it.
    #[inline]
    fn count<T>(&self, items: &[T], at: usize, is_before: impl FnMut(&T) -> bool) -> usize {
        let stretch = at >> STRETCH_BITS;
        let from = self.0.get(stretch).map_or(items.len(), |first| *first as usize);
        let to = self.0.get(stretch + 1).map_or(items.len(), |first| *first as usize);
        from + items.get(from..to).unwrap_or_default().partition_point(is_before)
    }
}

impl<'a> Page<'a> {
    #[cfg(test)]
    pub fn of(text: &'a str, scanner: &Scanner) -> Page<'a> {
        Page::of_piece(text, scanner, true)
    }

    /// Takes a text apart; `is_last`: it ends here, and may end in a signature.
    #[must_use]
    pub fn of_piece(text: &'a str, scanner: &Scanner, is_last: bool) -> Page<'a> {
        let lines = lines(text);
        let mut page = Page {
            text,
            words: words(text, scanner),
            terms: Vec::new(),
            cues: Vec::new(),
            cue_set: 0,
            facilities: Vec::new(),
            line_places: Places::of(lines.iter().map(|line| line.start), text.len()),
            lines,
            sentences: Vec::new(),
            is_roster: false,
            headers: Vec::new(),
            sentence_places: Places::default(),
            cue_places: Places::default(),
            term_ends: Places::default(),
        };
        page.find_terms(scanner);
        page.cue_set = page.cues.iter().fold(0, |set, hit| set | hit.cue.bit());
        page.facilities = page.cues.iter().filter(|hit| hit.cue == Cue::Facility).copied().collect();
        page.cue_places = Places::of(page.cues.iter().map(|cue| cue.start), text.len());
        page.term_ends = Places::of(page.terms.iter().map(|term| term.end), text.len());
        page.sentences = page.find_sentences();
        page.sentence_places = Places::of(page.sentences.iter().copied(), text.len());
        page.is_roster = page.finds_roster();
        page.find_tables();
        page.find_footers();
        page.find_signatures(is_last);
        page
    }

    /// The header row of the table that the text ends in.
    #[must_use]
    pub fn last_header(&self) -> Option<&'a str> {
        let last = self.lines.iter().rev().find(|line| line.end > line.start)?;
        let header = self.lines.get(last.header?)?;
        Some(self.slice(header.start..header.end))
    }

    /// The text of a span, empty if it is none.
    #[must_use]
    pub fn slice(&self, span: Range<usize>) -> &'a str {
        self.text.get(span).unwrap_or_default()
    }

    #[must_use]
    pub fn word_text(&self, index: usize) -> &'a str {
        self.words.get(index).map_or("", |word| self.slice(word.start..word.end))
    }

    /// Index of the line that holds a place.
    #[must_use]
    pub fn line_at(&self, at: usize) -> usize {
        self.line_places.count(&self.lines, at, |line| line.start <= at).saturating_sub(1)
    }

    #[must_use]
    pub fn zone_at(&self, at: usize) -> Zone {
        self.lines.get(self.line_at(at)).map_or(Zone::Body, |line| line.zone)
    }

    /// Number of the sentence that holds a place.
    #[must_use]
    pub fn sentence_at(&self, at: usize) -> usize {
        self.sentence_places.count(&self.sentences, at, |start| *start <= at).saturating_sub(1)
    }

    #[must_use]
    pub fn sentence_span(&self, sentence: usize) -> Range<usize> {
        let start = self.sentences.get(sentence).copied().unwrap_or(0);
        start..self.sentences.get(sentence + 1).copied().unwrap_or(self.text.len())
    }

    /// Health terms that overlap a span.
    pub fn terms_in(&self, span: Range<usize>) -> impl Iterator<Item = &Term> {
        let from = self.term_ends.count(&self.terms, span.start, |term| term.end <= span.start);
        self.terms.get(from..).unwrap_or_default().iter().take_while(move |term| term.start < span.end)
    }

    /// Cues that begin inside a span.
    pub fn cues_in(&self, span: Range<usize>) -> impl Iterator<Item = &CueHit> {
        let from = self.cue_places.count(&self.cues, span.start, |cue| cue.start < span.start);
        self.cues.get(from..).unwrap_or_default().iter().take_while(move |cue| cue.start < span.end)
    }

    /// As [`Page::cues_in`], of facilities only.
    pub fn facilities_in(&self, span: Range<usize>) -> impl Iterator<Item = &CueHit> {
        let from = self.facilities.partition_point(|hit| hit.start < span.start);
        self.facilities.get(from..).unwrap_or_default().iter().take_while(move |hit| hit.start < span.end)
    }

    /// Whether a cue of this class stands anywhere in the page.
    #[must_use]
    #[inline]
    pub fn holds(&self, cue: Cue) -> bool {
        self.cue_set & cue.bit() != 0
    }

    /// Whether this is a plan of who works when.
    #[must_use]
    pub fn is_roster(&self) -> bool {
        self.is_roster
    }

    /// A line with at least four days of the week and little else.
    fn finds_roster(&self) -> bool {
        let day = |word: &&Word| {
            const DAYS: [&str; 5] = ["mon", "tue", "wed", "thu", "fri"];
            let is_day = matches!(word.shape, Shape::Capital | Shape::Upper) && word.end - word.start >= 3;
            let begin = is_day.then(|| self.slice(word.start..word.start + 3))?;
            DAYS.iter().position(|day| day.eq_ignore_ascii_case(begin))
        };
        // Days in a row, with at most two words between one and the next.
        let (mut next_day, mut count, mut last) = (0, 0, 0);
        for (index, word) in self.words.iter().enumerate() {
            let Some(day) = day(&word) else { continue };
            let goes_on = count > 0
                && day == next_day
                && index - last <= 3
                && !self.slice(last_end(&self.words, last)..word.start).contains('\n');
            count = if goes_on { count + 1 } else { 1 };
            (next_day, last) = (day + 1, index);
            if count >= 4 {
                return true;
            }
        }
        false
    }

    #[must_use]
    pub fn has_cue(&self, span: Range<usize>, wanted: Cue) -> bool {
        self.holds(wanted) && self.cues_in(span).any(|hit| hit.cue == wanted)
    }

    /// Whether a cue of `wanted` stands within `reach` bytes before a place, or in the column header above it.
    #[must_use]
    pub fn is_labelled(&self, at: usize, reach: usize, wanted: Cue) -> bool {
        self.cues_in(at.saturating_sub(reach)..at).any(|hit| hit.cue == wanted && hit.end <= at)
            || self.column(at).any(|cue| cue == wanted)
    }

    /// The nearest identifier label before a place: its cues, and how far away. A column header counts as nearest.
    #[must_use]
    pub fn label_before(&self, at: usize, reach: usize) -> Option<(Vec<Cue>, usize)> {
        let column: Vec<Cue> = self.column(at).filter(|cue| is_label(*cue)).collect();
        if !column.is_empty() {
            return Some((column, 0));
        }
        let mut best: Option<(Range<usize>, Vec<Cue>)> = None;
        for hit in self.cues_in(at.saturating_sub(reach)..at).filter(|hit| hit.end <= at && is_label(hit.cue)) {
            match &mut best {
                Some((span, cues)) if *span == (hit.start..hit.end) => cues.push(hit.cue),
                // A label inside a longer one ("id" in "member id") is no label of its own.
                Some((span, _)) if hit.end <= span.end => {}
                _ => best = Some((hit.start..hit.end, vec![hit.cue])),
            }
        }
        best.map(|(span, cues)| (cues, at - span.end))
    }

    /// The cues that stand in a span or in a column header above any place of it, as [`Cue::bit`]s: none says no.
    #[must_use]
    pub fn cue_bits(&self, before: usize, span: Range<usize>) -> u64 {
        let own = self.cues_in(span.start.saturating_sub(before)..span.end).fold(0, |bits, hit| bits | hit.cue.bit());
        let lines = self.lines.get(self.line_at(span.start)..).unwrap_or_default();
        let headers = lines.iter().take_while(|line| line.start < span.end).filter_map(|line| line.header);
        headers.fold(own, |bits, header| {
            self.lines
                .get(header)
                .map_or(bits, |line| self.cues_in(line.start..line.end).fold(bits, |bits, hit| bits | hit.cue.bit()))
        })
    }

    /// Cues of the column header above a place in a table.
    pub fn column(&self, at: usize) -> impl Iterator<Item = Cue> + '_ {
        self.header_cell(at).into_iter().flat_map(|cell| self.cues_in(cell)).map(|hit| hit.cue)
    }

    /// The header cell of the column a place is in.
    fn header_cell(&self, at: usize) -> Option<Range<usize>> {
        let index = self.line_at(at);
        let line = self.lines.get(index)?;
        // A row longer than this is no row that a person reads; it must not cost its square.
        let header = line.header.filter(|header| *header != index && at - line.start <= ROW_MAX)?;
        let column = self.slice(line.start..at).bytes().filter(|b| Some(*b) == line.separator).count();
        let table = self.headers.binary_search_by_key(&header, |(line, _)| *line).ok()?;
        self.headers.get(table).and_then(|(_, cells)| cells.get(column)).cloned()
    }

    /// The cell, or the line outside of tables, that holds a place.
    #[must_use]
    pub fn cell(&self, at: usize) -> Range<usize> {
        let Some(line) = self.lines.get(self.line_at(at)) else { return at..at };
        let bytes = self.text.as_bytes();
        let from = at.saturating_sub(CELL_MAX).max(line.start);
        let to = (at + CELL_MAX).min(line.end);
        let Some(separator) = line.separator else { return from..to };
        let before = bytes.get(from..at).unwrap_or_default();
        let after = bytes.get(at..to).unwrap_or_default();
        let mut start = before.iter().rposition(|b| *b == separator).map_or(from, |tab| from + tab + 1);
        let end = after.iter().position(|b| *b == separator).map_or(to, |tab| at + tab);
        while start < at && bytes.get(start) == Some(&b' ') {
            start += 1;
        }
        start..end
    }

    /// The cells of a line, blanks at their ends left out; the whole line if it has none.
    fn cells(&self, line: &Line) -> impl Iterator<Item = Range<usize>> + '_ {
        let mut start = line.start;
        let separator = line.separator;
        self.slice(line.start..line.end).split(move |c: char| separator.is_some_and(|s| c == char::from(s))).map(move |cell| {
            let from = start + (cell.len() - cell.trim_start().len());
            start += cell.len() + 1;
            from..from + cell.trim().len()
        })
    }

    /// One walk over all words: health terms (the longest at each place, none inside another) and cues.
    fn find_terms(&mut self, scanner: &Scanner) {
        let bytes = self.text.as_bytes();
        let mut covered = 0usize;
        let words = std::mem::take(&mut self.words);
        for (index, word) in words.iter().enumerate() {
            let next = words.get(index + 1);
            if word.is_plain {
                if word.known.is_term() {
                    self.terms_at(word.token(), scanner, &mut covered);
                } else if word.known.begins_term()
                    && next.is_some_and(|next| !next.is_plain || word.known.goes_on_with(next.hash))
                {
                    self.terms_behind(word.token(), scanner, &mut covered);
                }
                continue;
            }
            // Signs part this one: each of its parts may begin a term.
            let end = next.map_or(bytes.len(), |next| next.start);
            let mut at = word.start;
            while at < end {
                let part = Token::read(bytes, at, Hash::START);
                if part.end > at {
                    self.terms_at(part, scanner, &mut covered);
                }
                at = part.end.max(at + 1);
            }
        }
        self.words = words;
    }

    /// The terms and cues that begin with a word.
    fn terms_at(&mut self, first: Token, scanner: &Scanner, covered: &mut usize) {
        let bytes = self.text.as_bytes();
        let mut found = Found { at: first.start, covered: *covered, longest: None, cues: &mut self.cues, bytes };
        scanner.terms_at(bytes, first, |end, meanings| found.take(end, meanings));
        let longest = found.longest;
        self.keep(longest, covered);
    }

    /// The terms and cues that begin with a word and go on behind it.
    fn terms_behind(&mut self, first: Token, scanner: &Scanner, covered: &mut usize) {
        let bytes = self.text.as_bytes();
        let mut found = Found { at: first.start, covered: *covered, longest: None, cues: &mut self.cues, bytes };
        scanner.terms_behind(bytes, first, |end, meanings| found.take(end, meanings));
        let longest = found.longest;
        self.keep(longest, covered);
    }

    fn keep(&mut self, longest: Option<Term>, covered: &mut usize) {
        if let Some(term) = longest {
            *covered = term.end;
            self.terms.push(term);
        }
    }

    fn find_sentences(&self) -> Vec<usize> {
        let bytes = self.text.as_bytes();
        let mut out = vec![0];
        let mut last = 0;
        let mut line = 0;
        let mut from = 0;
        // Only signs between words end a sentence.
        for (start, end) in self.words.iter().map(|word| (word.start, word.end)).chain([(bytes.len(), bytes.len())]) {
            let gap = bytes.get(from..start).unwrap_or_default();
            let is_blank = matches!(gap, [b' ']) && start.saturating_sub(last) <= SENTENCE_MAX;
            for (at, byte) in gap.iter().enumerate().filter(|_| !is_blank) {
                let at = from + at;
                let begins = self.sentence_behind(at, *byte, last, line);
                line += usize::from(*byte == b'\n');
                if let Some(next) = begins.filter(|next| *next < bytes.len() && *next != last) {
                    out.push(next);
                    last = next;
                }
            }
            from = end;
        }
        out.sort_unstable();
        out.dedup();
        out
    }

    /// Where the next sentence begins if the byte at a place ends one that began at `last`.
    fn sentence_behind(&self, at: usize, byte: u8, last: usize, line: usize) -> Option<usize> {
        let byte_at = |at: usize| self.text.as_bytes().get(at).copied();
        match byte {
            b' ' => (at.saturating_sub(last) > SENTENCE_MAX).then_some(at + 1),
            b'.' | b'!' | b'?' => {
                let after = byte_at(at + 1).unwrap_or(b'\n');
                let begins = byte_at(at + 2).unwrap_or(b'A');
                ((after == b' ' || after == b'\n')
                    && (begins.is_ascii_uppercase() || begins.is_ascii_digit() || begins == b'"' || begins == b'(')
                    && !(byte == b'.' && self.is_abbreviation(at)))
                .then_some(at + 2)
            }
            b'\n' => {
                let (this, next) = (self.lines.get(line), self.lines.get(line + 1));
                let is_short = this.is_some_and(|line| line.end - line.start < 45);
                let is_row = [this, next].iter().flatten().any(|line| line.separator.is_some());
                let is_blank = byte_at(at + 1) == Some(b'\n');
                (is_short || is_row || is_blank).then_some(at + 1)
            }
            _ => None,
        }
    }

    /// Whether the word before a full stop is one that a stop does not end.
    fn is_abbreviation(&self, at: usize) -> bool {
        let start = self.slice(0..at).rfind(|c: char| !c.is_ascii_alphabetic()).map_or(0, |i| i + 1);
        let word = self.slice(start..at);
        word.len() == 1 && word.bytes().all(|b| b.is_ascii_uppercase())
            || [
                "b", "dob", "wk", "dra", "sra", "srta", "dr", "mr", "mrs", "ms", "st", "jr", "sr", "no", "vs", "apt", "ste",
                "prof", "pt", "dx", "rx", "inc", "dept", "approx", "ext", "tel",
            ]
            .iter()
            .any(|known| known.eq_ignore_ascii_case(word))
    }

    /// Runs of lines with cells whose first line is made of labels get that line as header. A wrapped line inside the run
    /// belongs to the row before it.
    fn find_tables(&mut self) {
        let mut at = 0;
        while at < self.lines.len() {
            let Some(first) = self.lines.get(at) else { break };
            let separator = first.separator;
            let is_header = separator.is_some() && self.is_header(first);
            let mut end = at + 1;
            while is_header
                && self.lines.get(end).is_some_and(|line| {
                    let next_goes_on = self.lines.get(end + 1).is_some_and(|next| next.separator == separator);
                    line.separator == separator || (line.separator.is_none() && next_goes_on && line.end > line.start)
                })
            {
                end += 1;
            }
            if is_header && end > at + 1 {
                let cells = self.cells(first).collect();
                self.headers.push((at, cells));
                for line in self.lines.get_mut(at..end).unwrap_or_default() {
                    line.header = Some(at);
                }
                at = end;
            } else {
                at += 1;
            }
        }
    }

    /// A header names things: at least half of its cells (and two) hold a label, and none holds a digit run like a value.
    fn is_header(&self, line: &Line) -> bool {
        let (mut labelled, mut all, mut is_register) = (0, 0, false);
        for cell in self.cells(line).filter(|cell| !cell.is_empty()) {
            all += 1;
            if cell.len() > 40 || self.slice(cell.clone()).bytes().filter(u8::is_ascii_digit).count() > 2 {
                return false;
            }
            is_register |= self
                .cues_in(cell.clone())
                .any(|hit| matches!(hit.cue, Cue::LabelDob | Cue::LabelMrn | Cue::LabelSsn | Cue::LabelPatient));
            if self
                .cues_in(cell)
                .any(|hit| is_label(hit.cue) || matches!(hit.cue, Cue::HealthLabel | Cue::Care | Cue::ProviderBefore))
            {
                labelled += 1;
            }
        }
        // One column that only persons have makes a register of three or more.
        labelled >= 2 && labelled * 2 >= all || is_register && all >= 3 && line.separator == Some(b'\t')
    }

    /// Confidentiality notices: a paragraph that begins with such words, or holds two of them.
    fn find_footers(&mut self) {
        if !self.holds(Cue::Footer) {
            return;
        }
        for paragraph in self.paragraphs() {
            let (Some(first), Some(last)) = (self.lines.get(paragraph.start), self.lines.get(paragraph.end - 1)) else {
                continue;
            };
            let span = first.start..last.end;
            let mut footers = 0;
            let mut first_at = usize::MAX;
            for hit in self.cues_in(span.clone()) {
                if hit.cue == Cue::Footer {
                    footers += 1;
                    first_at = first_at.min(hit.start);
                }
            }
            if footers == 0 || (footers < 2 && first_at > span.start + 24) {
                continue;
            }
            let from = self.line_at(first_at).max(paragraph.start);
            for line in self.lines.get_mut(from..paragraph.end).unwrap_or_default() {
                line.zone = Zone::Footer;
            }
        }
    }

    /// Runs of lines between blank ones, as ranges of line numbers.
    #[must_use]
    pub fn paragraphs(&self) -> Vec<Range<usize>> {
        let mut out = Vec::new();
        let mut start = None;
        for (at, line) in self.lines.iter().enumerate() {
            match (line.start == line.end, start) {
                (false, None) => start = Some(at),
                (true, Some(from)) => {
                    out.push(from..at);
                    start = None;
                }
                _ => {}
            }
        }
        if let Some(from) = start {
            out.push(from..self.lines.len());
        }
        out
    }

    /// Sender blocks: after "-- ", after a closing formula, or a last short block that is a name and at most how to reach it.
    fn find_signatures(&mut self, is_last: bool) {
        let count = self.lines.len();
        let mut at = 0;
        while at < count {
            let Some(line) = self.lines.get(at) else { break };
            let text = self.slice(line.start..line.end).trim_end();
            let is_dashes = text == "--" || (text.len() >= 2 && text.len() < 12 && text.bytes().all(|b| b == b'_'));
            let is_closing = text.len() < 32
                && self.cues_in(line.start..line.start + 1).any(|hit| {
                    hit.cue == Cue::Signoff
                        && text
                            .get(hit.end - line.start..)
                            .is_some_and(|rest| rest.trim_matches([',', '.', '!', '-', ' ']).is_empty())
                });
            let is_device = self.cues_in(line.start..line.end).any(|hit| hit.cue == Cue::DeviceNote);
            if is_dashes || is_closing {
                let end = self.signature_end(at + 1);
                for line in self.lines.get_mut(at..end).unwrap_or_default() {
                    if line.zone == Zone::Body {
                        line.zone = Zone::Signature;
                    }
                }
                at = end.max(at + 1);
                continue;
            }
            if is_device && let Some(line) = self.lines.get_mut(at) {
                line.zone = Zone::Signature;
            }
            at += 1;
        }
        if !is_last {
            return;
        }
        // The last block of what is left of the letter.
        let paragraphs = self.paragraphs();
        let is_body = |page: &Page<'_>, p: &Range<usize>| {
            page.lines.get(p.clone()).unwrap_or_default().iter().any(|l| l.zone == Zone::Body)
        };
        let last = paragraphs.iter().rposition(|p| is_body(self, p));
        if let Some(last) = last.filter(|last| *last > 0)
            && let Some(paragraph) = paragraphs.get(last).cloned()
            && self.is_sender_block(&paragraph)
        {
            for line in self.lines.get_mut(paragraph).unwrap_or_default() {
                line.zone = Zone::Signature;
            }
        }
    }

    /// How far a signature that begins at line `at` reaches: short lines, at most eight, until quoted or long text.
    fn signature_end(&self, at: usize) -> usize {
        let mut end = at;
        let mut blanks = 0;
        while let Some(line) = self.lines.get(end) {
            let text = self.slice(line.start..line.end);
            if text.is_empty() {
                blanks += 1;
                // A blank line ends it once something was read.
                if blanks > 1 || end > at + 1 {
                    break;
                }
            }
            if line.zone == Zone::Footer || text.len() > 70 || text.starts_with('>') || end > at + 8 {
                break;
            }
            if self
                .cues_in(line.start..line.end)
                .any(|hit| matches!(hit.cue, Cue::LabelPatient | Cue::LabelDob | Cue::LabelMrn | Cue::HealthLabel))
            {
                break;
            }
            end += 1;
        }
        end
    }

    /// A short block that opens with a name alone, or a name and a title, and holds no label of a patient.
    fn is_sender_block(&self, paragraph: &Range<usize>) -> bool {
        let lines = self.lines.get(paragraph.clone()).unwrap_or_default();
        // A notice may stand right below the name.
        let notice = lines.iter().position(|line| line.zone == Zone::Footer).unwrap_or(lines.len());
        let lines = lines.get(..notice).unwrap_or_default();
        let (Some(first), Some(last)) = (lines.first(), lines.last()) else { return false };
        if lines.len() > 6 || lines.iter().any(|line| line.end - line.start > 90 || line.separator == Some(b'\t')) {
            return false;
        }
        let span = first.start..last.end;
        if self.cues_in(span.clone()).any(|hit| {
            matches!(
                hit.cue,
                Cue::LabelPatient | Cue::LabelDob | Cue::LabelMrn | Cue::LabelSsn | Cue::LabelPlan | Cue::HealthLabel
            )
        }) {
            return false;
        }
        let spoken = |word: &Word| word.known.first().is_some() || word.known.last().is_some();
        let opening: Vec<&Word> = self.words.iter().filter(|w| w.start >= first.start && w.end <= first.end).collect();
        let name: Vec<&&Word> =
            opening.iter().take_while(|w| matches!(w.shape, Shape::Capital | Shape::Initial | Shape::Upper)).collect();
        let is_all_name = name.len() == opening.len()
            || self.cues_in(first.start..first.end).any(|h| matches!(h.cue, Cue::Credential | Cue::StaffRole));
        let health = self
            .terms
            .iter()
            .any(|t| t.start >= span.start && t.end <= span.end && !matches!(t.meaning, Meaning::Specialty | Meaning::Insurer));
        // Clinic names hold words such as "eye" and "heart"; a sentence with a verb does not come in lines this short.
        (2..=6).contains(&name.len().max(opening.len().min(6)))
            && is_all_name
            && name.len() >= 2
            && name.iter().any(|w| spoken(w))
            && !health
            || name.len() >= 2 && is_all_name && lines.len() > 1 && name.iter().any(|w| spoken(w))
    }
}

fn last_end(words: &[Word], index: usize) -> usize {
    words.get(index).map_or(0, |word| word.end)
}

/// Labels that say what kind of value follows.
#[must_use]
pub fn is_label(cue: Cue) -> bool {
    matches!(
        cue,
        Cue::LabelMrn
            | Cue::LabelPlan
            | Cue::LabelMedicaid
            | Cue::LabelSsn
            | Cue::LabelDea
            | Cue::LabelNpi
            | Cue::LabelLicense
            | Cue::LabelVin
            | Cue::LabelDevice
            | Cue::LabelAccount
            | Cue::LabelDob
            | Cue::LabelPhone
            | Cue::LabelFax
            | Cue::LabelIcd
            | Cue::LabelPcs
            | Cue::LabelCpt
            | Cue::LabelNdc
            | Cue::LabelLoinc
            | Cue::LabelDate
            | Cue::LabelRouting
            | Cue::LabelCard
            | Cue::LabelPatient
            | Cue::LabelMember
            | Cue::LabelName
            | Cue::LabelOther
    )
}

fn lines(text: &str) -> Vec<Line> {
    let bytes = text.as_bytes();
    // Most texts have no cells at all.
    let holds = |sign: u8| memchr::memchr(sign, bytes).is_some();
    let (tabs, bars, semicolons) = (holds(b'\t'), holds(b'|'), holds(b';'));
    let mut out = Vec::with_capacity(memchr::memchr_iter(b'\n', bytes).count() + 1);
    let mut start = 0;
    for end in memchr::memchr_iter(b'\n', bytes).chain([bytes.len()]) {
        let line = bytes.get(start..end).unwrap_or_default();
        let twice = |sign: u8| memchr::memchr_iter(sign, line).nth(1).is_some();
        let separator = if tabs && memchr::memchr(b'\t', line).is_some() {
            Some(b'\t')
        } else if bars && twice(b'|') {
            Some(b'|')
        } else {
            (semicolons && twice(b';')).then_some(b';')
        };
        out.push(Line { start, end, zone: Zone::Body, separator, header: None });
        start = end + 1;
    }
    out
}

const DIGIT: u8 = 1;
const UPPER: u8 = 2;
const LOWER: u8 = 4;
/// Bytes of letters outside of ASCII.
const OTHER: u8 = 8;
/// What a byte is inside a word (0: no part of one), and the byte as a small letter.
const CLASS: [(u8, u8); 256] = {
    let mut class = [(0, 0); 256];
    let mut byte = 0;
    while byte < 256 {
        let this = match byte as u8 {
            b'0'..=b'9' => DIGIT,
            b'A'..=b'Z' => UPPER,
            b'a'..=b'z' => LOWER,
            0x80.. => OTHER,
            _ => 0,
        };
        class[byte] = (this, (byte as u8).to_ascii_lowercase());
        byte += 1;
    }
    class
};

#[inline]
fn class(byte: u8) -> u8 {
    CLASS.get(usize::from(byte)).map_or(0, |(class, _)| *class)
}

/// A word as it is read.
struct Run {
    /// Behind its last letter, "'s" left out.
    end: usize,
    hash: Hash,
    /// The classes of all bytes but the first.
    classes: u8,
    is_plain: bool,
}

impl Run {
    /// The word that begins at `start` with the byte `first`, and where it ends with "'s".
    #[inline]
    fn read(bytes: &[u8], start: usize, first: u8) -> (Run, usize) {
        let mut run = Run { end: start + 1, hash: Hash::START.byte(first), classes: 0, is_plain: true };
        let mut before_sign = run.hash;
        let mut classes_before = 0;
        let mut sign = 0;
        for byte in bytes.get(start + 1..).unwrap_or_default() {
            let (class, small) = CLASS.get(usize::from(*byte)).copied().unwrap_or_default();
            if class == 0 {
                let goes_on = matches!(byte, b'\'' | b'-') && bytes.get(run.end + 1).is_some_and(u8::is_ascii_alphabetic);
                if !goes_on {
                    break;
                }
                (run.is_plain, sign, before_sign, classes_before) = (false, run.end, run.hash, run.classes);
            }
            run.classes |= class;
            run.hash = run.hash.small(small);
            run.end += 1;
        }
        let end = run.end;
        if !run.is_plain && sign + 2 == end && matches!(bytes.get(sign..end), Some([b'\'', b's' | b'S'])) {
            (run.end, run.hash, run.classes) = (sign, before_sign, classes_before);
        }
        (run, end)
    }

    #[inline]
    fn shape(&self, first: u8, start: usize) -> Shape {
        let first = class(first);
        match (first, self.end - start) {
            _ if (first | self.classes) & DIGIT != 0 => Shape::Number,
            (UPPER, 1) => Shape::Initial,
            (UPPER, _) if self.classes & LOWER == 0 => Shape::Upper,
            (UPPER, _) => Shape::Capital,
            _ => Shape::Lower,
        }
    }
}

/// All words of a text: runs of letters and digits; an apostrophe or hyphen between letters belongs to the word.
fn words(text: &str, scanner: &Scanner) -> Vec<Word> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(text.len() / 5 + 1);
    let mut at = 0;
    while let Some(first) = bytes.get(at) {
        if class(*first) == 0 {
            at += 1;
            continue;
        }
        let (run, behind) = Run::read(bytes, at, *first);
        let (shape, known) = (run.shape(*first, at), scanner.known_by(run.hash));
        out.push(Word { start: at, end: run.end, shape, known, hash: run.hash, is_plain: run.is_plain });
        at = behind;
    }
    out
}
