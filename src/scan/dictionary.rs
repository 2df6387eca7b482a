use std::sync::OnceLock;

use super::lexicon::{Hash, Lexicon, Token, WordSet};
use super::normal::normalise;
use super::vocabulary::{Known, Lists, Vocabulary};
use super::words::{OwnPattern, Words};

/// Why a set of dictionaries was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    #[error("dictionary {file} is not one that the scanner knows; see policies/dictionaries/SOURCES.md for the names")]
    UnknownFile { file: String },
    #[error("dictionary {file} is missing")]
    MissingFile { file: &'static str },
    #[error("dictionary {file}, line {line}: {problem}")]
    Line { file: String, line: usize, problem: &'static str },
    #[error("the dictionaries are too large for one automaton")]
    TooLarge,
}

macro_rules! cues {
    ($($cue:ident $name:literal),* $(,)?) => {
        /// What a word says about what stands beside it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Cue { $($cue),* }

        // A set of cues is one word.
        const _: () = assert!([$($name),*].len() <= 64);

        impl Cue {
            /// A bit of its own, for sets.
            #[must_use]
            pub(super) const fn bit(self) -> u64 {
                1 << (self as u64)
            }

            fn parse(name: &str) -> Option<Cue> {
                match name { $($name => Some(Cue::$cue),)* _ => None }
            }
        }
    };
}

cues! {
    LabelMrn "label_mrn", LabelPlan "label_plan", LabelMedicaid "label_medicaid", LabelSsn "label_ssn",
    LabelDea "label_dea", LabelNpi "label_npi", LabelLicense "label_license", LabelVin "label_vin",
    LabelDevice "label_device", LabelAccount "label_account", LabelDob "label_dob", LabelPhone "label_phone",
    LabelFax "label_fax", LabelIcd "label_icd", LabelPcs "label_pcs", LabelCpt "label_cpt", LabelNdc "label_ndc", LabelLoinc "label_loinc",
    LabelDate "label_date", LabelRouting "label_routing", LabelCard "label_card", LabelPatient "label_patient",
    LabelMember "label_member", LabelName "label_name", LabelRe "label_re", LabelOther "label_other",
    HealthLabel "health_label", Care "care", CareStrong "care_strong", Honorific "honorific", Payment "payment", ProviderBefore "provider_before",
    Credential "credential", StaffRole "staff_role", Facility "facility", General "general", Bulk "bulk",
    Signoff "signoff", Footer "footer", DeviceNote "device_note", SelfNamed "self", FirstPerson "first_person",
    You "you", Relative "relative", Conditional "condition_if", Greeting "greeting", Example "example",
    SubjectOfCare "subject_of_care", WorkerBefore "worker_before", OwnBody "own_body", Animal "animal", Shorthand "shorthand", YourFamily "your_family", Allow "allow",
    Body "body", BadState "bad_state", ChangeState "change_state", CareHint "care_hint", Kin "kin", Pronoun "pronoun", Application "application", ChartWord "chart_word",
}

/// What a dictionary says a term means. The number is its weight: 2 speaks for itself, 1 needs support, and 3 is an acronym
/// that speaks for itself in capitals and else needs support.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Meaning {
    Condition(u8),
    Symptom(u8),
    Drug(u8),
    Lab(u8),
    Procedure(u8),
    Insurer,
    Specialty,
    Cue(Cue),
}

impl Meaning {
    /// The meaning of the term as it is written here.
    pub(super) fn written(self, text: &[u8]) -> Meaning {
        let weigh = |weight: u8| match weight {
            3 if text.iter().any(u8::is_ascii_lowercase) => 1,
            3 => 2,
            other => other,
        };
        match self {
            Meaning::Condition(weight) => Meaning::Condition(weigh(weight)),
            Meaning::Symptom(weight) => Meaning::Symptom(weigh(weight)),
            Meaning::Drug(weight) => Meaning::Drug(weigh(weight)),
            Meaning::Lab(weight) => Meaning::Lab(weigh(weight)),
            Meaning::Procedure(weight) => Meaning::Procedure(weigh(weight)),
            Meaning::Insurer | Meaning::Specialty | Meaning::Cue(_) => self,
        }
    }

    /// When dictionaries disagree on a term, the more special one is right: a test rather than a condition.
    pub(super) fn rank(self) -> u8 {
        match self {
            Meaning::Drug(_) => 0,
            Meaning::Lab(_) => 1,
            Meaning::Procedure(_) => 2,
            Meaning::Condition(_) => 3,
            Meaning::Symptom(_) => 4,
            Meaning::Insurer => 5,
            Meaning::Specialty => 6,
            Meaning::Cue(_) => 7,
        }
    }
}

/// Every dictionary in the form the scan needs: one table for terms, sets for names and codes.
/// Built once, shared by all scans.
pub struct Scanner {
    lexicon: Lexicon,
    /// Per term the range of its meanings.
    ranges: Vec<(u32, u32)>,
    meanings: Vec<Meaning>,
    /// Names, English words, words of ICD-10-CM, and which words begin a term.
    vocabulary: Vocabulary,
    icd_codes: WordSet,
    hcpcs: WordSet,
    zips: WordSet,
    area_codes: WordSet,
    /// What the practice looks for beside the detectors.
    pub(super) patterns: Vec<OwnPattern>,
    version: String,
}

const FILES: [(&str, &str); 18] = [
    ("conditions.tsv", include_str!("../../policies/dictionaries/conditions.tsv")),
    ("symptoms.tsv", include_str!("../../policies/dictionaries/symptoms.tsv")),
    ("drugs.tsv", include_str!("../../policies/dictionaries/drugs.tsv")),
    ("lab_tests.tsv", include_str!("../../policies/dictionaries/lab_tests.tsv")),
    ("procedures.tsv", include_str!("../../policies/dictionaries/procedures.tsv")),
    ("insurers.tsv", include_str!("../../policies/dictionaries/insurers.tsv")),
    ("specialties.tsv", include_str!("../../policies/dictionaries/specialties.tsv")),
    ("spoken.tsv", include_str!("../../policies/dictionaries/spoken.tsv")),
    ("clinical.tsv", include_str!("../../policies/dictionaries/clinical.tsv")),
    ("health_words.tsv", include_str!("../../policies/dictionaries/health_words.tsv")),
    ("cues.tsv", include_str!("../../policies/dictionaries/cues.tsv")),
    ("first_names.tsv", include_str!("../../policies/dictionaries/first_names.tsv")),
    ("last_names.tsv", include_str!("../../policies/dictionaries/last_names.tsv")),
    ("icd10cm_codes.tsv", include_str!("../../policies/dictionaries/icd10cm_codes.tsv")),
    ("icd10_words.tsv", include_str!("../../policies/dictionaries/icd10_words.tsv")),
    ("hcpcs_codes.tsv", include_str!("../../policies/dictionaries/hcpcs_codes.tsv")),
    ("english_words.tsv", include_str!("../../policies/dictionaries/english_words.tsv")),
    ("us_zip.tsv", include_str!("../../policies/dictionaries/us_zip.tsv")),
];
const AREA_CODES: (&str, &str) = ("us_area_codes.tsv", include_str!("../../policies/dictionaries/us_area_codes.tsv"));

impl Scanner {
    /// The dictionaries that come with the program, as (file name, text): a base to load with additions.
    pub fn shipped() -> impl Iterator<Item = (&'static str, &'static str)> {
        FILES.into_iter().chain(std::iter::once(AREA_CODES))
    }

    /// Loads the shipped dictionaries.
    ///
    /// # Panics
    /// Never with a program that passed its tests: the files are part of it.
    #[must_use]
    #[allow(clippy::expect_used)]
    pub fn embedded() -> Scanner {
        let files: Vec<(&str, &str)> = Scanner::shipped().collect();
        Scanner::load(&files).expect("the shipped dictionaries load")
    }

    /// The shipped dictionaries, loaded once in the life of the process.
    #[must_use]
    pub fn shared() -> &'static Scanner {
        static SHARED: OnceLock<Scanner> = OnceLock::new();
        SHARED.get_or_init(Scanner::embedded)
    }

    /// Builds a scanner from dictionaries given as (file name, text). A name may come more than once: its rows add up,
    /// so a practice adds a second `cues.tsv` with rows of class `allow` for its own staff and numbers.
    ///
    /// # Errors
    /// [`LoadError`] names file and line.
    pub fn load(files: &[(&str, &str)]) -> Result<Scanner, LoadError> {
        let mut terms: Vec<(std::borrow::Cow<'_, str>, Meaning)> = Vec::with_capacity(64_000);
        for (name, text) in files {
            match *name {
                "conditions.tsv" => weighted(name, text, Meaning::Condition, &mut terms)?,
                "symptoms.tsv" => weighted(name, text, Meaning::Symptom, &mut terms)?,
                "drugs.tsv" => weighted(name, text, Meaning::Drug, &mut terms)?,
                "lab_tests.tsv" => weighted(name, text, Meaning::Lab, &mut terms)?,
                "procedures.tsv" => weighted(name, text, Meaning::Procedure, &mut terms)?,
                "insurers.tsv" => weighted(name, text, |_| Meaning::Insurer, &mut terms)?,
                "specialties.tsv" => weighted(name, text, |_| Meaning::Specialty, &mut terms)?,
                "spoken.tsv" | "clinical.tsv" | "health_words.tsv" => spoken(name, text, &mut terms)?,
                "cues.tsv" => {
                    for (line, class, term) in rows(text) {
                        let problem = |problem| LoadError::Line { file: (*name).to_owned(), line, problem };
                        let cue = Cue::parse(class).ok_or_else(|| problem("the class is not one of the scanner's"))?;
                        let term = term.ok_or_else(|| problem("there is no term after the class"))?;
                        terms.push((fold(term), Meaning::Cue(cue)));
                    }
                }
                "first_names.tsv" | "last_names.tsv" | "icd10cm_codes.tsv" | "icd10_words.tsv" | "hcpcs_codes.tsv"
                | "us_zip.tsv" | "us_area_codes.tsv" | "english_words.tsv" => {}
                _ => return Err(LoadError::UnknownFile { file: (*name).to_owned() }),
            }
        }
        terms.sort_unstable();
        terms.dedup();
        let mut patterns: Vec<&str> = Vec::with_capacity(terms.len());
        let mut ranges: Vec<(u32, u32)> = Vec::with_capacity(terms.len());
        for (at, (term, _)) in terms.iter().enumerate() {
            let at = u32::try_from(at).map_err(|_| LoadError::TooLarge)?;
            if patterns.last().is_some_and(|last| *last == term.as_ref()) {
                if let Some(range) = ranges.last_mut() {
                    range.1 = at + 1;
                }
            } else {
                patterns.push(term);
                ranges.push((at, at + 1));
            }
        }
        let lexicon = Lexicon::of(&patterns).ok_or(LoadError::TooLarge)?;
        let meanings = terms.iter().map(|(_, meaning)| *meaning).collect();
        let texts = |name: &'static str| -> Result<Vec<&str>, LoadError> {
            let texts: Vec<&str> = files.iter().filter(|(file, _)| *file == name).map(|(_, text)| *text).collect();
            if texts.is_empty() { Err(LoadError::MissingFile { file: name }) } else { Ok(texts) }
        };
        let set = |name| texts(name).map(|texts| WordSet::of(&texts));
        let lists = Lists {
            first_names: texts("first_names.tsv")?,
            last_names: texts("last_names.tsv")?,
            english: texts("english_words.tsv")?,
            icd: texts("icd10_words.tsv")?,
        };
        Ok(Scanner {
            lexicon,
            ranges,
            meanings,
            vocabulary: Vocabulary::of(&lists, &Lexicon::firsts(&patterns)),
            icd_codes: set("icd10cm_codes.tsv")?,
            hcpcs: set("hcpcs_codes.tsv")?,
            zips: set("us_zip.tsv")?,
            area_codes: set("us_area_codes.tsv")?,
            patterns: Vec::new(),
            version: version(files),
        })
    }

    /// As [`Scanner::load`], with a practice's own words.
    ///
    /// # Errors
    /// As [`Scanner::load`].
    pub fn load_with(files: &[(&str, &str)], words: &Words) -> Result<Scanner, LoadError> {
        let mut all: Vec<(&str, &str)> = files.to_vec();
        for (name, text) in words.rows() {
            all.push((name, text));
        }
        let mut scanner = Scanner::load(&all)?;
        scanner.patterns.clone_from(&words.patterns);
        Ok(scanner)
    }

    /// Whether a word is plain English and nobody's name as far as the lists go, so that it may be shown.
    #[must_use]
    pub fn is_plain_word(&self, word: &str) -> bool {
        let known = self.known(word);
        known.is_english() && known.first().is_none() && known.last().is_none()
    }

    /// First 16 hexadecimal digits of the SHA-256 over all dictionaries in the order given.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Bytes held by the tables.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.lexicon.memory_bytes()
            + self.ranges.len() * size_of::<(u32, u32)>()
            + self.meanings.len() * size_of::<Meaning>()
            + self.vocabulary.memory_bytes()
            + [&self.icd_codes, &self.hcpcs, &self.zips, &self.area_codes].iter().map(|set| set.memory_bytes()).sum::<usize>()
    }

    /// Calls `found(end, meanings)` for every term that begins with the word `first` and ends at the end of a word (plural
    /// endings count with it). A single line end reads as a blank.
    #[inline]
    pub(super) fn terms_at(&self, text: &[u8], first: Token, mut found: impl FnMut(usize, &[Meaning])) {
        self.lexicon.at(text, first, |end, term| found(end, self.meanings_of(term)));
    }

    /// As [`Scanner::terms_at`], for a plain word that is no term itself.
    #[inline]
    pub(super) fn terms_behind(&self, text: &[u8], first: Token, mut found: impl FnMut(usize, &[Meaning])) {
        self.lexicon.behind(text, first, |end, term| found(end, self.meanings_of(term)));
    }

    #[inline]
    fn meanings_of(&self, term: usize) -> &[Meaning] {
        let range = self.ranges.get(term);
        range.and_then(|(from, to)| self.meanings.get(*from as usize..*to as usize)).unwrap_or_default()
    }

    /// What the lists say of a word; case does not matter.
    #[must_use]
    pub(super) fn known(&self, word: &str) -> Known {
        self.known_by(Hash::of(word.as_bytes()))
    }

    /// As [`Scanner::known`], for a word whose hash is known.
    #[must_use]
    #[inline]
    pub(super) fn known_by(&self, word: Hash) -> Known {
        self.vocabulary.of_hash(word)
    }

    /// Whether a term is or begins with a word of this hash.
    pub(super) fn begins_term(&self, word: Hash) -> bool {
        self.lexicon.begins(word)
    }

    /// How many terms a text holds, those inside others counted too. For measuring.
    #[must_use]
    pub fn count_terms(&self, text: &str) -> usize {
        let (bytes, mut at, mut count) = (text.as_bytes(), 0, 0);
        while let Some(byte) = bytes.get(at) {
            if byte.is_ascii_alphanumeric() || *byte >= 0x80 {
                let word = Token::read(bytes, at, Hash::START);
                self.lexicon.at(bytes, word, |_, _| count += 1);
                at = word.end;
            } else {
                at += 1;
            }
        }
        count
    }

    /// Whether an ICD-10-CM code exists; the dot and the case do not matter.
    pub(super) fn is_icd10(&self, code: &str) -> bool {
        let plain = code.bytes().filter(|b| *b != b'.').fold(Hash::START, Hash::byte);
        self.icd_codes.has_hash(plain)
    }

    pub(super) fn is_hcpcs(&self, code: &str) -> bool {
        self.hcpcs.has(code)
    }

    pub(super) fn is_zip_of(&self, zip: &str, state: &str) -> bool {
        self.zips.has_hash(zip.bytes().chain(state.bytes()).fold(Hash::START, Hash::byte))
    }

    /// A United States area code, or one of the toll-free ones.
    pub(super) fn is_area_code(&self, code: &str) -> bool {
        matches!(code, "800" | "833" | "844" | "855" | "866" | "877" | "888") || self.area_codes.has(code)
    }
}

fn fold(term: &str) -> std::borrow::Cow<'_, str> {
    if term.bytes().all(|b| b.is_ascii() && !b.is_ascii_uppercase()) {
        std::borrow::Cow::Borrowed(term)
    } else {
        std::borrow::Cow::Owned(normalise(term).text.to_ascii_lowercase())
    }
}

/// The rows of a file: line number, first column, second column. Headers and empty lines are left out.
fn rows(text: &str) -> impl Iterator<Item = (usize, &str, Option<&str>)> {
    text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with("# ")).map(|(at, line)| {
        let mut columns = line.split('\t');
        (at + 1, columns.next().unwrap_or_default(), columns.next())
    })
}

fn weighted<'a>(
    file: &str,
    text: &'a str,
    meaning: impl Fn(u8) -> Meaning,
    terms: &mut Vec<(std::borrow::Cow<'a, str>, Meaning)>,
) -> Result<(), LoadError> {
    for (line, term, weight) in rows(text) {
        let weight = match weight {
            Some("2") => 2,
            Some("1") => 1,
            Some("3") => 3,
            Some(_) | None => {
                return Err(LoadError::Line {
                    file: file.to_owned(),
                    line,
                    problem: "the weight after the term must be 1, 2 or 3",
                });
            }
        };
        if term.is_empty() {
            return Err(LoadError::Line { file: file.to_owned(), line, problem: "the term is empty" });
        }
        terms.push((fold(term), meaning(weight)));
    }
    Ok(())
}

/// Terms of all kinds in one file: class, term, and the weight if the class is not a cue.
fn spoken<'a>(file: &str, text: &'a str, terms: &mut Vec<(std::borrow::Cow<'a, str>, Meaning)>) -> Result<(), LoadError> {
    for (at, row) in text.lines().enumerate().filter(|(_, row)| !row.is_empty() && !row.starts_with("# ")) {
        let problem = |problem| LoadError::Line { file: file.to_owned(), line: at + 1, problem };
        let mut columns = row.split('\t');
        let (class, term) = (columns.next().unwrap_or_default(), columns.next());
        let meaning: fn(u8) -> Meaning = match class {
            "condition" => Meaning::Condition,
            "symptom" => Meaning::Symptom,
            "drug" => Meaning::Drug,
            "lab" => Meaning::Lab,
            "procedure" => Meaning::Procedure,
            _ => {
                let cue = Cue::parse(class).ok_or_else(|| problem("the class is not one of the scanner's"))?;
                let term = term.filter(|term| !term.is_empty()).ok_or_else(|| problem("there is no term after the class"))?;
                terms.push((fold(term), Meaning::Cue(cue)));
                continue;
            }
        };
        let term = term.filter(|term| !term.is_empty()).ok_or_else(|| problem("there is no term after the class"))?;
        let weight = match columns.next() {
            Some("1") => 1,
            Some("2") => 2,
            Some("3") => 3,
            Some(_) | None => return Err(problem("the weight after the term must be 1, 2 or 3")),
        };
        terms.push((fold(term), meaning(weight)));
    }
    Ok(())
}

fn version(files: &[(&str, &str)]) -> String {
    let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    for (name, text) in files {
        context.update(name.as_bytes());
        context.update(&[0]);
        context.update(text.as_bytes());
    }
    context.finish().as_ref().iter().take(8).map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::scan::vocabulary::NO_VALUE;

    fn found(text: &str) -> Vec<(usize, Meaning)> {
        let mut out = Vec::new();
        let first = Token::read(text.as_bytes(), 0, Hash::START);
        Scanner::shared().terms_at(text.as_bytes(), first, |end, meanings| out.extend(meanings.iter().map(|m| (end, *m))));
        out
    }

    #[test]
    fn a_term_is_found_as_a_whole_word_in_any_case_and_number() {
        assert!(found("Diabetes.").contains(&(8, Meaning::Condition(2))));
        assert!(found("fractures of").iter().any(|(end, _)| *end == 9));
        assert!(found("high blood\npressure").contains(&(19, Meaning::Condition(2))));
        assert!(found("paints the wall").is_empty());
        assert!(found("cancerous2x").is_empty());
    }

    #[test]
    fn a_shorter_term_is_found_when_the_longer_one_breaks_inside_a_word() {
        // "heart attack" is a term and so is "heart attack" cut short by a longer word.
        assert!(found("insulin lisproX").iter().any(|(end, _)| *end == 7));
    }

    #[test]
    fn sets_know_names_codes_and_places() {
        let scanner = Scanner::shared();
        assert_eq!(scanner.known("deborah").first(), Some(NO_VALUE));
        assert!(scanner.known("long").last().is_some_and(|tier| tier <= 20));
        assert_eq!(scanner.known("xqzzt").last(), None);
        assert!(scanner.is_icd10("E11.9") && scanner.is_icd10("e119") && !scanner.is_icd10("E11.99"));
        assert!(scanner.is_hcpcs("J0592"));
        assert!(scanner.is_zip_of("95141", "CA") && !scanner.is_zip_of("95141", "NY"));
        assert!(scanner.is_area_code("415") && scanner.is_area_code("888") && !scanner.is_area_code("199"));
        assert_eq!(scanner.version().len(), 16);
    }

    #[test]
    fn a_bad_dictionary_is_refused_with_its_place() {
        let bad = |name, text| {
            let mut files: Vec<(&str, &str)> = vec![(name, text)];
            files.extend(Scanner::shipped().filter(|(file, _)| *file != "conditions.tsv"));
            Scanner::load(&files).err()
        };
        assert!(matches!(bad("conditions.tsv", "# header\ngout\t4"), Some(LoadError::Line { line: 2, .. })));
        assert!(matches!(bad("cues.tsv", "no_class\tx"), Some(LoadError::Line { line: 1, .. })));
        assert!(matches!(bad("notes.tsv", ""), Some(LoadError::UnknownFile { .. })));
        assert!(matches!(Scanner::load(&[]).err(), Some(LoadError::MissingFile { .. })));
    }

    #[test]
    fn the_scanner_stays_within_its_memory() {
        assert!(Scanner::shared().memory_bytes() < 12 << 20, "{} bytes", Scanner::shared().memory_bytes());
    }
}
