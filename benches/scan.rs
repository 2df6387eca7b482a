//! What scanning costs: start-up, memory, text throughput, time per message, growth on hostile texts, and how the term
//! table compares with automata over the same terms. `cargo bench --bench scan`; `docs/BENCHMARKS.md` says how to read it.
//! `ONLY=findings` prints what is found, to compare two builds. With `FOLDER` set, the .eml files in it are measured too. Nothing here asserts: it prints figures.

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use aho_corasick::automaton::Automaton;
use aho_corasick::{Anchored, MatchKind, dfa, nfa};
use wardpost::extract::{self, Extracted, Fuel, InProcess, Place, Text};
use wardpost::message::{self, Message};
use wardpost::scan::{self, Scanner};
use wardpost::secret::Plaintext;

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let only = std::env::var("ONLY").unwrap_or_default();
    let wanted = |name: &str| only.is_empty() || only == name;
    let before = resident_kb();
    let begun = Instant::now();
    let scanner = Scanner::embedded();
    println!(
        "start-up {:.0} ms, tables {:.1} MB, resident +{:.1} MB (of it dictionary text still mapped from the program file)",
        ms(begun.elapsed()),
        scanner.memory_bytes() as f64 / 1e6,
        resident_kb().saturating_sub(before) as f64 / 1e3
    );
    if wanted("throughput") {
        for (name, text) in
            [("office prose", office(1 << 20)), ("clinical notes", clinical(1 << 20)), ("table of patients", table(1 << 20))]
        {
            throughput(&scanner, name, &text);
        }
    }
    if let Some(folder) = std::env::var_os("FOLDER").filter(|_| wanted("folder")) {
        messages(&scanner, Path::new(&folder))?;
    }
    if only == "findings" {
        findings(&scanner)?;
    }
    if wanted("hostile") {
        hostile(&scanner);
    }
    if wanted("automata") {
        automata(&scanner)?;
    }
    Ok(())
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn resident_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS"));
    line.and_then(|line| line.split_whitespace().nth(1)).and_then(|kb| kb.parse().ok()).unwrap_or(0)
}

/// The shell of a message whose body is given as text.
fn shell() -> Message {
    message::parse(Plaintext::new(b"From: a@practice.example\r\nTo: b@other.example\r\nSubject: x\r\n\r\n\r\n".to_vec()))
}

fn body(text: &str) -> Extracted {
    let message = shell();
    let mut extracted = extract::read(&message, &InProcess, Fuel::default());
    if let Some(at) = extracted.texts.iter().position(|text| matches!(text.place, Place::Body(_))) {
        extracted.texts.remove(at);
    }
    let place = Place::Body(message::PartPath::root());
    extracted.texts.push(Text { place, content: text.to_owned() });
    extracted
}

/// Processor time of this process so far, in hundredths of a second: on a shared machine the clock on the wall measures the
/// neighbours.
fn ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Behind the name in brackets the 12th and 13th field are user and system time.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    fields.filter_map(|field| field.parse::<u64>().ok()).sum()
}

/// Processor time of one scan, over as many scans as fill `least` hundredths of a second.
fn cost(scanner: &Scanner, extracted: &Extracted, least: u64) -> Duration {
    let message = shell();
    let begun = ticks();
    let mut scans = 0u32;
    while ticks() < begun + least {
        black_box(scan::scan(scanner, &message, extracted));
        scans += 1;
    }
    Duration::from_millis((ticks() - begun) * 10) / scans.max(1)
}

fn throughput(scanner: &Scanner, name: &str, text: &str) {
    let time = cost(scanner, &body(text), 100);
    println!(
        "{name:<18} {:>6.1} MB/s ({} KB in {:.1} ms)",
        text.len() as f64 / 1e6 / time.as_secs_f64(),
        text.len() >> 10,
        ms(time)
    );
}

fn messages(scanner: &Scanner, folder: &Path) -> Result<(), Failure> {
    let mut whole = Vec::new();
    let mut scans = Vec::new();
    let mut bytes = 0;
    let mut files: Vec<_> = std::fs::read_dir(folder)?.filter_map(Result::ok).map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "eml"));
    files.sort();
    for file in &files {
        let content = std::fs::read(file)?;
        let (mut least, mut least_scan) = (Duration::MAX, Duration::MAX);
        for _ in 0..3 {
            let copy = content.clone();
            let begun = Instant::now();
            let message = message::parse(Plaintext::new(copy));
            let extracted = extract::read(&message, &InProcess, Fuel::default());
            let scan_begun = Instant::now();
            black_box(scan::scan(scanner, &message, &extracted));
            least = least.min(begun.elapsed());
            least_scan = least_scan.min(scan_begun.elapsed());
            bytes += extracted.texts.iter().map(|text| text.content.len()).sum::<usize>();
        }
        whole.push(least);
        scans.push(least_scan);
    }
    bytes /= 3;
    let scanning: Duration = scans.iter().sum();
    // All texts of the folder as one load, by processor time.
    let read: Vec<(Message, Extracted)> = files
        .iter()
        .filter_map(|file| std::fs::read(file).ok())
        .map(|content| {
            let message = message::parse(Plaintext::new(content));
            let extracted = extract::read(&message, &InProcess, Fuel::default());
            (message, extracted)
        })
        .collect();
    let begun = ticks();
    let mut rounds = 0u32;
    while ticks() < begun + 100 {
        for (message, extracted) in &read {
            black_box(scan::scan(scanner, message, extracted));
        }
        rounds += 1;
    }
    let seconds = (ticks() - begun) as f64 / 100.0 / f64::from(rounds);
    println!("by processor time: {:.1} MB/s", bytes as f64 / 1e6 / seconds);
    println!(
        "{} messages, {} KB of extracted text, scanned at {:.1} MB/s",
        files.len(),
        bytes >> 10,
        bytes as f64 / 1e6 / scanning.as_secs_f64()
    );
    for (name, mut times) in [("parse + extract + scan", whole), ("scan alone", scans)] {
        times.sort_unstable();
        let at = |share: f64| times.get(((times.len() as f64 - 1.0) * share) as usize).copied().unwrap_or_default();
        println!("{name:<24} p50 {:.3} ms  p99 {:.3} ms  max {:.3} ms", ms(at(0.5)), ms(at(0.99)), ms(at(1.0)));
    }
    Ok(())
}

/// Everything found, one line a text: what two builds print must be the same when only the speed was to change. The texts are
/// the made ones, those of FOLDER, and each of both with marks, blanks, digits and letters exchanged.
fn findings(scanner: &Scanner) -> Result<(), Failure> {
    let mut texts = vec![("office".to_owned(), office(1 << 16)), ("clinical".to_owned(), clinical(1 << 16))];
    texts.push(("table".to_owned(), table(1 << 16)));
    for folder in std::env::var("FOLDER").unwrap_or_default().split(':').filter(|folder| !folder.is_empty()) {
        let mut files: Vec<_> = std::fs::read_dir(folder)?.filter_map(Result::ok).map(|entry| entry.path()).collect();
        files.sort();
        for file in files.iter().filter(|file| file.is_file()) {
            let message = message::parse(Plaintext::new(std::fs::read(file)?));
            let extracted = extract::read(&message, &InProcess, Fuel::default());
            println!("{}: {:?}", file.display(), scan::scan(scanner, &message, &extracted));
            let whole: Vec<String> = extracted.texts.into_iter().map(|text| text.content).collect();
            texts.push((file.display().to_string(), whole.join("\n\n")));
        }
    }
    let message = shell();
    for (name, text) in &texts {
        for seed in 0..8u64 {
            let mut dice = Dice(0x9e37_79b9_7f4a_7c15 ^ (seed + 1).wrapping_mul(0x2545_f491_4f6c_dd1d));
            let mut changed = String::with_capacity(text.len() * 2);
            for c in text.chars() {
                if seed == 0 || dice.below(1 + 60 / seed) > 0 {
                    changed.push(c);
                    continue;
                }
                let put = match dice.below(8) {
                    0 => dice.pick(&["0", "1", "9", "12", "555-", "2024", "000"]),
                    1 => dice.pick(&[" ", "\n", "\t", "\n\n", "  ", " ", "\u{a0}"]),
                    2 => dice.pick(&[".", ",", ":", "-", "/", "(", ")", "'", "$", "%", "@", "|", ";", "_", "#", ">", "\""]),
                    3 => dice.pick(&["A", "B", "Mr. ", "Dr. ", "MD ", "E11.9", "S", " Anna Baker", "MRN "]),
                    4 => dice.pick(&["a", "s", "x", "e", "mg", "st", " mg/dL", "é", "ſ", "İ", "K", "٣", "\u{200b}", "—"]),
                    5 => "",
                    6 => "1",
                    _ => {
                        changed.extend(c.to_uppercase());
                        continue;
                    }
                };
                changed.push_str(put);
            }
            println!("{name} {seed}: {:?}", scan::scan(scanner, &message, &body(&changed)));
        }
    }
    Ok(())
}

fn hostile(scanner: &Scanner) {
    println!("hostile texts: time at 64 KB, then the factor at 2, 4 and 8 times the size (linear: 2, 4, 8)");
    let patterns: [(&str, &str); 22] = [
        ("digits", "9"),
        ("digits, blanks", "1 "),
        ("dashes", "-"),
        ("digits, dashes", "1-"),
        ("number groups", "123-45-6789-"),
        ("names", "Anna Baker "),
        ("names, commas", "Baker, Anna, "),
        ("initials", "A. B. "),
        ("quotes", "> > "),
        ("quoted names", ">Anna Baker\n"),
        ("tags", "<b><i><table><td>"),
        ("labels", "MRN: DOB: SSN: "),
        ("labels, numbers", "MRN 4471209 "),
        ("tabs", "\t"),
        ("cells", "a\tb\t"),
        ("cells of names", "Baker, Anna\t03/04/1950\tHIV\n"),
        ("line ends", "\n"),
        ("short lines", "a.\n"),
        ("terms", "acute chronic acute "),
        ("at signs", "a@a"),
        ("mail addresses", "a.b.c@d.e."),
        ("invisible", "\u{200b}a\u{301}"),
    ];
    for (name, unit) in patterns {
        let time = |size: usize| cost(scanner, &body(&unit.repeat(size / unit.len())), 15);
        let base = time(64 << 10);
        let factor = |n: usize| time((64 << 10) * n).as_secs_f64() / base.as_secs_f64();
        println!("{name:<16} {:>8.2} ms  x{:<5.1} x{:<5.1} x{:.1}", ms(base), factor(2), factor(4), factor(8));
    }
}

/// Terms as the scanner has them, over automata of three kinds and over its own table.
fn automata(scanner: &Scanner) -> Result<(), Failure> {
    let mut terms: Vec<String> = Scanner::shipped()
        .flat_map(|(file, text)| {
            let column = match file {
                "cues.tsv" | "spoken.tsv" | "clinical.tsv" | "health_words.tsv" => 1,
                "conditions.tsv" | "symptoms.tsv" | "drugs.tsv" | "lab_tests.tsv" | "procedures.tsv" | "insurers.tsv"
                | "specialties.tsv" => 0,
                _ => return Vec::new(),
            };
            text.lines()
                .filter(|line| !line.is_empty() && !line.starts_with("# "))
                .filter_map(|line| line.split('\t').nth(column).map(str::to_lowercase))
                .collect()
        })
        .collect();
    terms.sort_unstable();
    terms.dedup();
    let text = format!("{}{}", office(1 << 19), clinical(1 << 19)).to_ascii_lowercase();
    let mb = text.len() as f64 / 1e6;
    println!("{} terms over {mb:.1} MB, from each start of a word:", terms.len());
    let time = (0..5)
        .map(|_| {
            let begun = Instant::now();
            black_box(scanner.count_terms(&text));
            begun.elapsed()
        })
        .min()
        .unwrap_or_default();
    println!(
        "{:<20} {:>7} {:>8} {:>7.1} MB/s, {} found",
        "token table",
        "",
        "",
        mb / time.as_secs_f64(),
        scanner.count_terms(&text)
    );

    let begun = Instant::now();
    let noncontiguous =
        nfa::noncontiguous::Builder::new().match_kind(MatchKind::LeftmostLongest).prefilter(false).build(&terms)?;
    walk("noncontiguous NFA", &noncontiguous, begun.elapsed(), &text)?;
    let begun = Instant::now();
    let contiguous = nfa::contiguous::Builder::new().match_kind(MatchKind::LeftmostLongest).prefilter(false).build(&terms)?;
    walk("contiguous NFA", &contiguous, begun.elapsed(), &text)?;
    let begun = Instant::now();
    let dfa = dfa::Builder::new()
        .match_kind(MatchKind::LeftmostLongest)
        .start_kind(aho_corasick::StartKind::Anchored)
        .prefilter(false)
        .build(&terms)?;
    walk("DFA", &dfa, begun.elapsed(), &text)?;
    Ok(())
}

fn walk(name: &str, automaton: &impl Automaton, built: Duration, text: &str) -> Result<(), Failure> {
    let start = automaton.start_state(Anchored::Yes)?;
    let bytes = text.as_bytes();
    let run = || {
        let mut found = 0;
        let mut before_is_word = false;
        for (at, byte) in bytes.iter().enumerate() {
            let is_word = byte.is_ascii_alphanumeric() || *byte >= 0x80;
            if is_word && !before_is_word {
                let mut state = start;
                for byte in bytes.get(at..).unwrap_or_default() {
                    state = automaton.next_state(Anchored::Yes, state, *byte);
                    if automaton.is_special(state) {
                        if automaton.is_dead(state) {
                            break;
                        }
                        found += usize::from(automaton.is_match(state));
                    }
                }
            }
            before_is_word = is_word;
        }
        found
    };
    let time = (0..3)
        .map(|_| {
            let begun = Instant::now();
            black_box(run());
            begun.elapsed()
        })
        .min()
        .unwrap_or_default();
    println!(
        "{name:<20} {:>4.1} MB built in {:>6.0} ms, {:>7.1} MB/s, {} ends of terms",
        automaton.memory_usage() as f64 / 1e6,
        ms(built),
        text.len() as f64 / 1e6 / time.as_secs_f64(),
        run()
    );
    Ok(())
}

/// A small generator of our own (xorshift): the same texts on every machine.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from.get(self.below(from.len() as u64) as usize).copied().unwrap_or_default()
    }
}

fn office(size: usize) -> String {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut out = String::with_capacity(size + 200);
    while out.len() < size {
        let line = [
            dice.pick(&["Please", "Could you", "We should", "Before Friday,", "As agreed,", "I will", "They cannot"]),
            dice.pick(&["send", "check", "return", "print", "move", "look at", "sign", "forget about"]),
            dice.pick(&[
                "the contract",
                "our invoice",
                "those boxes",
                "the second page",
                "the new printer",
                "a copy of the lease",
            ]),
            dice.pick(&[
                "for Martin",
                "with the landlord",
                "at the front desk",
                "in Denver",
                "before lunch",
                "from the vendor",
                "as usual",
            ]),
        ];
        out.push_str(&line.join(" "));
        out.push_str(dice.pick(&[". ", ".\n", ", and then we talk. ", "; room 214 is free at 3:30. ", ".\n\n", "? Thanks! "]));
    }
    out
}

fn clinical(size: usize) -> String {
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    let mut out = String::with_capacity(size + 200);
    while out.len() < size {
        let line = [
            dice.pick(&["Mr. Haines", "The patient", "Eleanor Whitcomb", "She", "Pomeroy, Gerald", "Pt"]),
            dice.pick(&["was seen for", "complains of", "has a history of", "denies", "was started on", "underwent"]),
            dice.pick(&[
                "chest pain",
                "type 2 diabetes mellitus",
                "metformin 500 mg twice daily",
                "a colonoscopy",
                "hypertension (I10)",
                "acute otitis media",
            ]),
            dice.pick(&[
                "on 03/14/2025",
                "since last spring",
                "with BP 148/92",
                "and A1c 8.4%",
                "per Dr. Curry",
                "without fever",
            ]),
        ];
        out.push_str(&line.join(" "));
        out.push_str(dice.pick(&[
            ". ",
            ".\n",
            ". Follow up in 6 weeks. ",
            ". MRN 4471209. ",
            ".\n\n",
            ". Call (415) 555-0144. ",
        ]));
    }
    out
}

fn table(size: usize) -> String {
    let mut dice = Dice(0xd1b5_4a32_d192_ed03);
    let mut out = String::from("Patient\tDOB\tMRN\tDiagnosis\tPhone\n");
    while out.len() < size {
        let row = [
            dice.pick(&["Haines, Walter", "Whitcomb, Eleanor", "Pomeroy, Gerald", "Okonkwo, Ada"]),
            dice.pick(&["03/14/1950", "12/01/1988", "7/9/2001"]),
            dice.pick(&["4471209", "0068060", "8812231"]),
            dice.pick(&["E11.65", "asthma", "hypertension", "J45.909", "left hip fracture"]),
            dice.pick(&["415-555-0101", "(312) 555-0188", ""]),
        ];
        out.push_str(&row.join("\t"));
        out.push('\n');
    }
    out
}
