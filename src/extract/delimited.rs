//! Comma, semicolon and tab separated values: cells come out parted by tabs, whatever parted them (RFC 4180).

/// Cells parted by tabs, rows by line ends; quotes undone, line ends inside a cell become blanks.
#[must_use]
pub fn text(csv: &str) -> String {
    let separator = separator(csv);
    let mut out = String::with_capacity(csv.len());
    let mut quoted = false;
    let mut starts_cell = true;
    let mut chars = csv.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted => {
                if chars.peek() == Some(&'"') {
                    out.push('"');
                    chars.next();
                } else {
                    quoted = false;
                }
            }
            '"' if starts_cell => quoted = true,
            '\r' => {}
            '\n' if quoted => out.push(' '),
            '\n' => {
                out.push('\n');
                starts_cell = true;
                continue;
            }
            c if c == separator && !quoted => {
                out.push('\t');
                starts_cell = true;
                continue;
            }
            '\t' => out.push(' '),
            c => out.push(c),
        }
        starts_cell = false;
    }
    out
}

/// The sign that occurs most in the first line.
fn separator(csv: &str) -> char {
    let first = csv.lines().next().unwrap_or_default();
    let count = |sign: char| first.matches(sign).count();
    [',', ';', '\t', '|'].into_iter().rev().max_by_key(|sign| count(*sign)).filter(|sign| count(*sign) > 0).unwrap_or(',')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_parted_by_tabs() {
        for (csv, expected) in [
            ("a,b\r\n\"Baker, Anna\",2\r\n", "a\tb\nBaker, Anna\t2\n"),
            ("a;b\n1;2,5", "a\tb\n1\t2,5"),
            ("a\tb\n1\t2", "a\tb\n1\t2"),
            ("\"say \"\"x\"\"\",\"two\nlines\"", "say \"x\"\ttwo lines"),
            ("", ""),
        ] {
            assert_eq!(text(csv), expected);
        }
    }
}
