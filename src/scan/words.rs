//! Own words: what a practice adds to the dictionaries: terms, patterns with a check, and what is allowed.
//!
//! A file says whose it is and of which version. A pattern carries examples that it must and must not find, and does
//! not load if one is wrong. Regular expressions are linear in the text, whatever they are: there is no look-around and
//! no back-reference.

use std::ops::Range;

use regex::{Regex, RegexBuilder};
use serde::Deserialize;
use toml::Spanned;

use super::findings::Kind;
use super::identifier::Hit;
use super::page::Page;

/// Memory that one compiled pattern may take; what needs more is a list and belongs into terms.
const PATTERN_BYTES_MAX: usize = 1 << 20;
/// How far before a number its words may stand.
const NEAR: usize = 60;
/// A file of own words with more is an export that went wrong.
const ENTRIES_MAX: usize = 200_000;

/// Why a file of own words was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}{}: {what}", line.map(|line| format!(", line {line}")).unwrap_or_default())]
pub struct WordsError {
    pub file: String,
    pub line: Option<usize>,
    pub what: String,
}

/// All own words, checked.
#[derive(Clone, Debug, Default)]
pub struct Words {
    pub files: Vec<WordsFile>,
    /// Rows for the dictionaries: name of the dictionary and text.
    rows: Vec<(&'static str, String)>,
    pub(super) patterns: Vec<OwnPattern>,
}

/// What one file says of itself, and how much is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WordsFile {
    pub name: String,
    pub version: String,
    pub owner: String,
    pub terms: usize,
    pub patterns: usize,
    pub allowed: usize,
}

#[derive(Clone, Debug)]
pub(super) struct OwnPattern {
    regex: Regex,
    kind: Kind,
    score: u8,
    check: Check,
    near: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: String,
    owner: String,
    #[serde(default)]
    term: Vec<Spanned<Term>>,
    #[serde(default)]
    pattern: Vec<Spanned<Pattern>>,
    #[serde(default)]
    allow: Vec<Spanned<Allow>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Term {
    kind: TermKind,
    /// 1: needs support, 2: speaks for itself, 3: speaks for itself when written in capitals.
    #[serde(default = "plain")]
    weight: u8,
    words: Vec<Spanned<String>>,
}

fn plain() -> u8 {
    2
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum TermKind {
    Condition,
    Symptom,
    Drug,
    Lab,
    Procedure,
    Insurer,
    Specialty,
}

impl TermKind {
    fn dictionary(self) -> &'static str {
        match self {
            TermKind::Condition => "conditions.tsv",
            TermKind::Symptom => "symptoms.tsv",
            TermKind::Drug => "drugs.tsv",
            TermKind::Lab => "lab_tests.tsv",
            TermKind::Procedure => "procedures.tsv",
            TermKind::Insurer => "insurers.tsv",
            TermKind::Specialty => "specialties.tsv",
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pattern {
    kind: String,
    pattern: Spanned<String>,
    #[serde(default)]
    check: Check,
    /// One of these words has to stand within 60 characters before.
    #[serde(default)]
    near: Vec<String>,
    #[serde(default = "sure")]
    score: u8,
    hits: Vec<Spanned<String>>,
    misses: Vec<Spanned<String>>,
}

fn sure() -> u8 {
    90
}

/// What a match has to pass beside its shape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Check {
    #[default]
    None,
    /// ISO/IEC 7812-1.
    Luhn,
    /// ISO 7064 MOD 97-10, as IBANs have it.
    Mod97,
    /// Not one digit again and again.
    NotAllSame,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Allow {
    /// Why, for who reads the file next.
    #[serde(default, rename = "why")]
    _why: String,
    words: Vec<Spanned<String>>,
}

impl Words {
    /// Reads files of own words, given as (name, text): `*.toml` as described here, `*.tsv` as the shipped dictionaries
    /// with `# version:` and `# owner:` in their head.
    ///
    /// # Errors
    /// [`WordsError`] with file, line and reason.
    pub fn load(files: &[(String, String)]) -> Result<Words, WordsError> {
        let mut words = Words::default();
        for (name, text) in files {
            let name = name.rsplit('/').next().unwrap_or(name);
            if name.ends_with(".toml") { words.toml(name, text)? } else { words.tsv(name, text)? }
        }
        Ok(words)
    }

    /// Rows to be loaded beside the shipped dictionaries.
    pub fn rows(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.rows.iter().map(|(name, text)| (*name, text.as_str()))
    }

    fn toml(&mut self, name: &str, text: &str) -> Result<(), WordsError> {
        let fail = |at: usize, what: String| WordsError { file: name.to_owned(), line: Some(line_of(text, at)), what };
        let file: File =
            toml::from_str(text).map_err(|error| fail(error.span().map_or(0, |span| span.start), error.message().to_owned()))?;
        if file.version.trim().is_empty() || file.owner.trim().is_empty() {
            return Err(fail(
                0,
                "version and owner say which state of the file this is and who answers for it; neither may be empty".into(),
            ));
        }
        let (mut terms, mut allowed) = (0, 0);
        for term in &file.term {
            let term = term.get_ref();
            if !(1..=3).contains(&term.weight) {
                return Err(fail(term.words.first().map_or(0, |word| word.span().start), "weight is 1, 2 or 3".into()));
            }
            for word in &term.words {
                let plain = checked(word.get_ref()).map_err(|what| fail(word.span().start, what.to_owned()))?;
                self.rows.push((term.kind.dictionary(), format!("{plain}\t{}\n", term.weight)));
                terms += 1;
            }
        }
        for allow in &file.allow {
            for word in &allow.get_ref().words {
                checked(word.get_ref()).map_err(|what| fail(word.span().start, what.to_owned()))?;
                for form in allowed_forms(word.get_ref()) {
                    self.rows.push(("cues.tsv", format!("allow\t{form}\n")));
                }
                allowed += 1;
            }
        }
        if terms + allowed > ENTRIES_MAX {
            return Err(fail(0, format!("more than {ENTRIES_MAX} entries")));
        }
        for pattern in &file.pattern {
            let own = OwnPattern::of(pattern.get_ref(), &fail)?;
            self.patterns.push(own);
        }
        self.files.push(WordsFile {
            name: name.to_owned(),
            version: file.version,
            owner: file.owner,
            terms,
            patterns: file.pattern.len(),
            allowed,
        });
        Ok(())
    }

    fn tsv(&mut self, name: &str, text: &str) -> Result<(), WordsError> {
        let fail = |line: Option<usize>, what: &str| WordsError { file: name.to_owned(), line, what: what.to_owned() };
        let Some((known, _)) = super::Scanner::shipped().find(|(known, _)| *known == name) else {
            return Err(fail(
                None,
                "own words are files *.toml, or dictionaries that have the name of a shipped one; see policies/README.md",
            ));
        };
        let said = |key: &str| {
            text.lines()
                .take_while(|line| line.starts_with('#'))
                .find_map(|line| line.trim_start_matches(['#', ' ']).strip_prefix(key))
                .map(|value| value.trim().to_owned())
                .filter(|value| !value.is_empty())
        };
        let (Some(version), Some(owner)) = (said("version:"), said("owner:")) else {
            return Err(fail(Some(1), "the file begins with the lines `# version: ...` and `# owner: ...`"));
        };
        let rows = text.lines().filter(|line| !line.is_empty() && !line.starts_with("# ")).count();
        self.rows.push((known, text.to_owned()));
        self.files.push(WordsFile { name: name.to_owned(), version, owner, terms: rows, patterns: 0, allowed: 0 });
        Ok(())
    }
}

fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|b| *b == b'\n').count() + 1
}

/// A term begins at the start of a word, so signs before it are left out.
fn checked(word: &str) -> Result<&str, &'static str> {
    let plain = word.trim().trim_start_matches(|c: char| !c.is_alphanumeric());
    if plain.contains(['\t', '\n', '\r']) {
        Err("a term is one line without tabs")
    } else if plain.chars().filter(|c| c.is_alphanumeric()).count() < 2 {
        Err("a term has at least two letters or digits")
    } else {
        Ok(plain)
    }
}

/// A telephone number is allowed however it is written.
fn allowed_forms(word: &str) -> Vec<String> {
    let digits: String = word.chars().filter(char::is_ascii_digit).collect();
    let digits = digits.strip_prefix('1').filter(|rest| rest.len() == 10).unwrap_or(&digits);
    let is_phone = digits.len() == 10 && word.chars().all(|c| c.is_ascii_digit() || " ()+-./".contains(c));
    let mut out: Vec<String> = checked(word).into_iter().map(str::to_owned).collect();
    if let (true, Some(area), Some(exchange), Some(line)) = (is_phone, digits.get(0..3), digits.get(3..6), digits.get(6..)) {
        for (first, second) in [(") ", "-"), (")", "-"), ("-", "-"), (".", "."), (" ", " "), ("/", "-"), ("", ""), (" ", "-")] {
            out.push(format!("{area}{first}{exchange}{second}{line}"));
        }
    }
    out.sort();
    out.dedup();
    out
}

impl OwnPattern {
    fn of(pattern: &Pattern, fail: &dyn Fn(usize, String) -> WordsError) -> Result<OwnPattern, WordsError> {
        let at = pattern.pattern.span().start;
        let kind = Kind::ALL.iter().copied().find(|kind| kind.as_str() == pattern.kind);
        let kind = kind.filter(|kind| !matches!(kind, Kind::Name | Kind::Provider | Kind::OwnPatient)).ok_or_else(|| {
            let known: Vec<&str> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
            fail(at, format!("`{}` is no kind that a pattern can find; kinds: {}", pattern.kind, known.join(", ")))
        })?;
        let regex = RegexBuilder::new(pattern.pattern.get_ref()).size_limit(PATTERN_BYTES_MAX).build().map_err(|error| {
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            let hint = if last.contains("look-around") || last.contains("backreference") {
                "; what they do cannot be done in time linear to the text: use `near`, `check` and \\b"
            } else {
                ""
            };
            fail(at, format!("the pattern does not compile: {last}{hint}"))
        })?;
        if regex.is_match("") {
            return Err(fail(
                at,
                "the pattern matches where there is nothing; it needs at least one character that must be there".into(),
            ));
        }
        if !(1..=100).contains(&pattern.score) {
            return Err(fail(at, "score is 1 to 100".into()));
        }
        let own = OwnPattern {
            regex,
            kind,
            score: pattern.score,
            check: pattern.check,
            near: pattern.near.iter().map(|word| word.trim().to_lowercase()).collect(),
        };
        if pattern.hits.is_empty() || pattern.misses.is_empty() {
            return Err(fail(at, "a pattern has at least one example in `hits` and one in `misses`".into()));
        }
        let finds = |text: &str| {
            let normal = super::normal::normalise(text);
            !own.spans(&normal.text).is_empty()
        };
        if let Some(hit) = pattern.hits.iter().find(|hit| !finds(hit.get_ref())) {
            return Err(fail(
                hit.span().start,
                "the pattern does not find this example of `hits`; change the one or the other".into(),
            ));
        }
        if let Some(miss) = pattern.misses.iter().find(|miss| finds(miss.get_ref())) {
            return Err(fail(
                miss.span().start,
                "the pattern finds this example of `misses`; change the one or the other".into(),
            ));
        }
        Ok(own)
    }

    fn spans(&self, text: &str) -> Vec<Range<usize>> {
        let found = self.regex.find_iter(text).map(|found| found.range());
        found.filter(|span| !span.is_empty() && self.passes(text, span)).collect()
    }

    fn passes(&self, text: &str, span: &Range<usize>) -> bool {
        let words = text.get(span.clone()).unwrap_or_default();
        self.check.passes(words) && (self.near.is_empty() || self.is_near(text, span.start))
    }

    fn is_near(&self, text: &str, at: usize) -> bool {
        let mut from = at.saturating_sub(NEAR);
        while !text.is_char_boundary(from) {
            from -= 1;
        }
        let before = text.get(from..at).unwrap_or_default().to_lowercase();
        let ends = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
        self.near.iter().any(|word| {
            before.match_indices(word.as_str()).any(|(at, _)| {
                ends(before.get(..at).and_then(|text| text.chars().next_back()))
                    && ends(before.get(at + word.len()..).and_then(|text| text.chars().next()))
            })
        })
    }
}

impl Check {
    fn passes(self, words: &str) -> bool {
        let digits: String = words.chars().filter(char::is_ascii_digit).collect();
        match self {
            Check::None => true,
            Check::Luhn => !digits.is_empty() && super::identifier::luhn(&digits),
            Check::Mod97 => is_mod97(words),
            Check::NotAllSame => digits.bytes().any(|b| Some(b) != digits.bytes().next()),
        }
    }
}

/// The first four characters are read last, letters count 10 to 35.
fn is_mod97(words: &str) -> bool {
    let plain: Vec<char> = words.chars().filter(char::is_ascii_alphanumeric).collect();
    let (head, tail) = plain.split_at(plain.len().min(4));
    let number = tail.iter().chain(head).filter_map(|c| c.to_digit(36));
    plain.len() > 4 && number.fold(0, |sum, digit| (sum * if digit > 9 { 100 } else { 10 } + digit) % 97) == 1
}

/// Adds what own patterns find; where they overlap with a detector, the practice knows better.
pub(super) fn find(patterns: &[OwnPattern], page: &Page<'_>, hits: &mut Vec<Hit>) {
    for pattern in patterns {
        for span in pattern.spans(page.text) {
            hits.retain(|hit| hit.span.end <= span.start || hit.span.start >= span.end);
            hits.push(Hit { kind: pattern.kind, span, score: pattern.score });
        }
    }
    if !patterns.is_empty() {
        hits.sort_by_key(|hit| hit.span.start);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Words, WordsError> {
        Words::load(&[("own/words.toml".to_owned(), text.to_owned())])
    }

    const GOOD: &str = r#"version = "3"
owner = "Ann Baker"

[[term]]
kind = "condition"
words = ["frobnitz syndrome"]

[[pattern]]
kind = "mrn"
pattern = '\bMSO-\d{6}\b'
check = "luhn"
near = ["chart"]
hits = ["chart MSO-123455"]
misses = ["chart MSO-123456", "MSO-123455", "flowchart MSO-123455"]

[[allow]]
words = ["(804) 555-0100"]
"#;

    #[test]
    fn a_good_file_says_whose_it_is() {
        let words = load(GOOD).unwrap();
        let file = &words.files[0];
        assert_eq!((file.version.as_str(), file.owner.as_str()), ("3", "Ann Baker"));
        assert_eq!((file.terms, file.patterns, file.allowed), (1, 1, 1));
        assert!(words.rows().any(|row| row == ("conditions.tsv", "frobnitz syndrome\t2\n")));
        assert!(words.rows().any(|row| row == ("cues.tsv", "allow\t804.555.0100\n")));
    }

    #[test]
    fn every_mistake_is_named_with_its_line() {
        let check = |old: &str, new: &str, line: usize, part: &str| {
            let text = GOOD.replace(old, new);
            assert_ne!(text, GOOD, "{old}");
            let error = load(&text).unwrap_err();
            assert!(error.line == Some(line) && error.to_string().contains(part), "{error}");
        };
        check("owner = \"Ann Baker\"", "", 1, "owner");
        check("owner = \"Ann Baker\"", "owner = \" \"", 1, "owner");
        check("kind = \"condition\"", "kind = \"illness\"", 5, "illness");
        check("\"frobnitz syndrome\"", "\"...\"", 6, "two letters");
        check("kind = \"mrn\"", "kind = \"name\"", 10, "no kind that a pattern can find");
        check(r"\d{6}\b'", r"(?=\d{6})'", 10, "linear");
        check(r"'\bMSO-\d{6}\b'", r"'(\d)\1'", 10, "linear");
        check(r"'\bMSO-\d{6}\b'", r"'\d*'", 10, "nothing");
        check(r"\d{6}\b'", r"\d{6}(\w{1000}){1000}'", 10, "size limit");
        check("check = \"luhn\"", "check = \"lunh\"", 11, "lunh");
        check("\"chart MSO-123455\"]", "\"chart MSO-123450\"]", 13, "does not find");
        check("\"MSO-123455\", ", "\"chart: MSO-123455\", ", 14, "finds this example");
        check("[[allow]]", "[[allows]]", 16, "allows");
    }

    #[test]
    fn dictionaries_carry_version_and_owner_in_their_head() {
        let load = |name: &str, text: &str| Words::load(&[(name.to_owned(), text.to_owned())]);
        let good = "# version: 2\n# owner: Ann Baker\nfrobnitz syndrome\t2\n";
        assert_eq!(load("conditions.tsv", good).unwrap().files[0].terms, 1);
        assert!(load("conditions.tsv", "frobnitz syndrome\t2\n").unwrap_err().to_string().contains("# owner"));
        assert!(load("illnesses.tsv", good).is_err());
    }

    #[test]
    fn check_digits_are_those_of_the_standards() {
        assert!(is_mod97("GB82 WEST 1234 5698 7654 32") && !is_mod97("GB82 WEST 1234 5698 7654 33") && !is_mod97("GB"));
        assert!(Check::NotAllSame.passes("1112") && !Check::NotAllSame.passes("1111"));
    }
}
