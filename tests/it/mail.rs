//! Mail that no rule was written for: letters, notes, lists and chat of a practice, and what else comes through its mail
//! server, in `tests/mail/CLASS.txt`. Everybody in it is invented. The class is what a reader would say:
//! `phi` (a person and that person's health, care or payment for it), `health_only`, `identifiers_only`, `none`; the
//! later letters, written when the first were told well, are `phi` and `other`.

use wardpost::extract::{Fuel, InProcess, read};
use wardpost::message::parse;
use wardpost::scan::{Scanner, scan};
use wardpost::secret::Plaintext;

struct Letter {
    class: &'static str,
    name: &'static str,
    text: String,
}

/// `=== name`, then header lines, a blank line and the body, up to the next `=== `.
fn letters(class: &'static str, file: &'static str) -> Vec<Letter> {
    file.split("=== ")
        .filter(|text| !text.trim().is_empty())
        .map(|text| {
            let (name, text) = text.split_once('\n').unwrap();
            let (header, body) = text.split_once("\n\n").unwrap();
            let kind = if header.contains("Content-Type:") { "" } else { "\nContent-Type: text/plain; charset=utf-8" };
            let text = format!("{header}{kind}\nMIME-Version: 1.0\nContent-Transfer-Encoding: 8bit\n\n{body}");
            Letter { class, name, text: text.replace('\n', "\r\n") }
        })
        .collect()
}

fn is_phi(text: &str) -> bool {
    let message = parse(Plaintext::new(text.as_bytes().to_vec()));
    let extracted = read(&message, &InProcess, Fuel::default());
    scan(Scanner::shared(), &message, &extracted).phi.is_some()
}

#[test]
fn mail_nobody_tuned_for_is_told_apart() {
    let all: Vec<Letter> = [
        letters("phi", include_str!("../mail/phi.txt")),
        letters("health_only", include_str!("../mail/health_only.txt")),
        letters("identifiers_only", include_str!("../mail/identifiers_only.txt")),
        letters("none", include_str!("../mail/none.txt")),
        letters("phi", include_str!("../mail/later_phi.txt")),
        letters("other", include_str!("../mail/later_other.txt")),
    ]
    .into_iter()
    .flatten()
    .collect();
    assert!(all.len() >= 150, "{} letters", all.len());
    let wrong: Vec<&Letter> = all.iter().filter(|letter| is_phi(&letter.text) != (letter.class == "phi")).collect();
    for letter in &wrong {
        println!("{} {}", if letter.class == "phi" { "missed:     " } else { "false alarm:" }, letter.name);
    }
    let share = |class: &str| {
        let of = |letters: &mut dyn Iterator<Item = &Letter>| letters.filter(|letter| letter.class == class).count() as f64;
        of(&mut wrong.iter().copied()) / of(&mut all.iter())
    };
    let shares = ["phi", "health_only", "identifiers_only", "none", "other"].map(|class| (class, share(class)));
    println!("wrong: {shares:.3?}");
    for ((class, share), most) in shares.into_iter().zip(WRONG_MOST) {
        assert!(share <= most, "{class}: {share:.3} are wrong, at most {most} may be");
    }
}

/// The share of each class that may be told wrong.
const WRONG_MOST: [f64; 5] = [0.10, 0.05, 0.05, 0.0, 0.12];

/// Shorthand of nurses, one-line mails, voicemail, forms: harder than letters. Half of what is meant is not said in words
/// that any list holds, so a third of them goes unseen; false alarms stay rare.
#[test]
fn terse_notes_are_mostly_found_and_raise_few_false_alarms() {
    for (batch, phi, other, found_least, alarms_most) in [
        ("terse", include_str!("../mail/terse_phi.txt"), include_str!("../mail/terse_other.txt"), 0.80, 0.05),
        ("later", include_str!("../mail/terse_later_phi.txt"), include_str!("../mail/terse_later_other.txt"), 0.70, 0.05),
        // By somebody who did not know the scanner, and hard on purpose on both sides.
        ("other hand", include_str!("../mail/other_hand_phi.txt"), include_str!("../mail/other_hand_other.txt"), 0.84, 0.07),
        // By four more hands, as hard as life is; the plain words are those of patients and families.
        ("clinic", include_str!("../mail/clinic_phi.txt"), include_str!("../mail/clinic_other.txt"), 0.92, 0.02),
        ("judge", include_str!("../mail/judge_phi.txt"), include_str!("../mail/judge_other.txt"), 0.91, 0.04),
        ("plain words", include_str!("../mail/plain_phi.txt"), include_str!("../mail/plain_other.txt"), 0.78, 0.02),
        ("mixed", include_str!("../mail/mixed_phi.txt"), include_str!("../mail/mixed_other.txt"), 0.88, 0.04),
    ] {
        let (phi, other) = (letters("phi", phi), letters("other", other));
        let found = phi.iter().filter(|letter| is_phi(&letter.text)).count() as f64 / phi.len() as f64;
        let alarms: Vec<&str> = other.iter().filter(|letter| is_phi(&letter.text)).map(|letter| letter.name).collect();
        println!("{batch}: found {found:.3} of {}, false alarms {alarms:?} of {}", phi.len(), other.len());
        assert!(found >= found_least, "{batch}: {found:.3} found, at least {found_least} must be");
        assert!(alarms.len() as f64 <= other.len() as f64 * alarms_most, "{batch}: {alarms:?} of {}", other.len());
    }
}
