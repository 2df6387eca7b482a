//! Everything a statement can travel in: forms of mail, pages, documents, archives, records of machines. In each it must be
//! found in at least nine of ten, as it is and disguised, and what nobody here can open must never look clean.
//! The tables printed here stand in `docs/DETECTION.md`.

mod documents;
mod files;
mod letters;
mod locked;
mod pages;
mod pdf;
mod sheets;

use crate::disguise::{STATEMENTS, disguises, is_found};

/// What a carrier can hold of a disguise.
#[derive(Clone, Copy, PartialEq)]
pub enum Takes {
    /// Any text.
    Any,
    /// Any text on one line.
    Line,
    /// ASCII on one line.
    Ascii,
}

pub struct Carrier {
    pub name: &'static str,
    pub takes: Takes,
    pub carry: fn(&str) -> Vec<u8>,
}

pub const fn carrier(name: &'static str, takes: Takes, carry: fn(&str) -> Vec<u8>) -> Carrier {
    Carrier { name, takes, carry }
}

/// One of each way of hiding: inside words, in other letters, in wider gaps, over lines.
const DISGUISES: [&str; 5] = ["none", "zero-width", "homoglyphs", "letters and words spaced", "narrow lines"];

fn holds(takes: Takes, text: &str) -> bool {
    match takes {
        Takes::Any => true,
        Takes::Line => !text.contains('\n'),
        Takes::Ascii => text.is_ascii() && !text.contains('\n'),
    }
}

fn share(carrier: &Carrier, change: fn(&str) -> String) -> Option<(f64, Vec<&'static str>)> {
    if !holds(carrier.takes, &change(STATEMENTS[1])) {
        return None;
    }
    let missed: Vec<&str> =
        STATEMENTS.iter().copied().filter(|statement| !is_found((carrier.carry)(&change(statement)))).collect();
    Some((1.0 - missed.len() as f64 / STATEMENTS.len() as f64, missed))
}

/// Prints what each carrier gives, the row of the documentation with the lowest share of each disguise, and the carriers' names.
fn table(title: &str, carriers: &[Carrier]) {
    let disguises: Vec<_> = disguises().into_iter().filter(|(name, ..)| DISGUISES.contains(name)).collect();
    let mut low = Vec::new();
    let mut lowest = vec![1.0f64; disguises.len()];
    for carrier in carriers {
        let mut row = format!("| {} |", carrier.name);
        for ((disguise, _, change), lowest) in disguises.iter().zip(&mut lowest) {
            let Some((share, missed)) = share(carrier, *change) else {
                row.push_str(" |");
                continue;
            };
            row.push_str(&format!(" {share:.1} |"));
            *lowest = lowest.min(share);
            if share < 0.9 {
                low.push(format!("{disguise} in {}: {share:.1}, e.g. {:?}", carrier.name, missed.first()));
            }
        }
        println!("{row}");
    }
    let shares: String = lowest.iter().map(|share| format!(" {share:.1} |")).collect();
    let names: Vec<&str> = carriers.iter().map(|carrier| carrier.name).collect();
    println!("\n| | carriers | {} |", disguises.iter().map(|(name, ..)| *name).collect::<Vec<_>>().join(" | "));
    println!("| {title} | {} |{shares}\n\n- {title}: {}.", carriers.len(), names.join("; "));
    assert!(low.is_empty(), "{low:#?}");
}

#[test]
fn no_form_of_mail_hides_a_statement() {
    table("forms of mail", &letters::carriers());
}

#[test]
fn no_page_hides_a_statement() {
    table("HTML", &pages::carriers());
}

#[test]
fn no_pdf_hides_a_statement() {
    table("PDF", &pdf::carriers());
}

#[test]
fn no_document_hides_a_statement() {
    table("documents", &documents::carriers());
}

#[test]
fn no_other_file_hides_a_statement() {
    table("other files", &files::carriers());
}
