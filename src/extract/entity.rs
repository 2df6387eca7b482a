//! Character references of HTML by name and number (HTML standard, 13.2.5.72 and 13.5).

/// The character reference at the start of `text`, and its length. A missing semicolon is forgiven where browsers do.
pub(super) fn entity(text: &str) -> Option<(char, usize)> {
    let body = text.strip_prefix('&')?;
    if let Some(number) = body.strip_prefix('#') {
        return numbered(number);
    }
    let length = body.bytes().take(NAME_MAX).take_while(u8::is_ascii_alphanumeric).count();
    if body.as_bytes().get(length) == Some(&b';') {
        return Some((named(body.get(..length)?)?, length + 2));
    }
    // The longest beginning that may stand without one: "&nbspx".
    (2..=length.min(UNCLOSED_MAX)).rev().find_map(|length| {
        let name = body.get(..length).filter(|name| may_stay_open(name))?;
        Some((named(name)?, length + 1))
    })
}

/// "CounterClockwiseContourIntegral" is the longest name.
const NAME_MAX: usize = 32;
/// "frac12", "plusmn", "middot", "divide", "Ccedil".
const UNCLOSED_MAX: usize = 6;

/// What stands behind `&#`.
fn numbered(number: &str) -> Option<(char, usize)> {
    let (digits, radix, lead) = match number.strip_prefix(['x', 'X']) {
        Some(hex) => (hex, 16, 3),
        None => (number, 10, 2),
    };
    let length = digits.bytes().take(12).take_while(|b| char::from(*b).is_digit(radix)).count();
    let value = u32::from_str_radix(digits.get(..length)?, radix).ok()?;
    let end = lead + length + usize::from(digits.as_bytes().get(length) == Some(&b';'));
    // Numbers 128 to 159 mean windows-1252 in browsers (HTML standard, 13.2.5.80).
    let c = match value {
        0x80..=0x9f => encoding_rs::WINDOWS_1252.decode_without_bom_handling(&[u8::try_from(value).ok()?]).0.chars().next()?,
        other => char::from_u32(other).unwrap_or('\u{fffd}'),
    };
    Some((c, end))
}

/// Names of HTML 4 and before, which browsers know without a semicolon.
fn may_stay_open(name: &str) -> bool {
    let marks = ["acute", "grave", "circ", "uml", "tilde", "cedil", "ring", "slash"];
    let is_marked = name.len() > 3 && name.get(1..).is_some_and(|mark| marks.contains(&mark));
    is_marked
        || matches!(
            name,
            "amp"
                | "AMP"
                | "lt"
                | "LT"
                | "gt"
                | "GT"
                | "quot"
                | "QUOT"
                | "nbsp"
                | "shy"
                | "copy"
                | "COPY"
                | "reg"
                | "REG"
                | "deg"
                | "plusmn"
                | "micro"
                | "sect"
                | "para"
                | "times"
                | "divide"
                | "frac12"
                | "frac14"
                | "sup2"
                | "pound"
                | "yen"
                | "cent"
                | "laquo"
                | "raquo"
                | "middot"
                | "szlig"
                | "aelig"
                | "AElig"
        )
}

/// What a name stands for. Letters with a mark, and letters of other faces, are read as the letter anyway.
fn named(name: &str) -> Option<char> {
    Some(match name {
        "amp" | "AMP" => '&',
        "lt" | "LT" => '<',
        "gt" | "GT" => '>',
        "quot" | "QUOT" => '"',
        "apos" => '\'',
        "nbsp" | "ensp" | "emsp" | "thinsp" | "numsp" | "puncsp" | "hairsp" | "emsp13" | "emsp14" | "ThinSpace"
        | "MediumSpace" | "VeryThinSpace" | "NonBreakingSpace" | "ThickSpace" => '\u{a0}',
        "shy" => '\u{ad}',
        "zwnj" => '\u{200c}',
        "zwj" => '\u{200d}',
        "lrm" => '\u{200e}',
        "rlm" => '\u{200f}',
        "ZeroWidthSpace"
        | "NoBreak"
        | "NegativeThinSpace"
        | "NegativeMediumSpace"
        | "NegativeThickSpace"
        | "NegativeVeryThinSpace"
        | "InvisibleTimes"
        | "it"
        | "InvisibleComma"
        | "ic"
        | "ApplyFunction"
        | "af" => '\u{200b}',
        "ndash" | "mdash" | "hyphen" | "dash" | "minus" | "horbar" => '-',
        "lsquo" | "rsquo" | "sbquo" | "prime" | "lsquor" | "rsquor" | "OpenCurlyQuote" | "CloseCurlyQuote" => '\'',
        "ldquo" | "rdquo" | "bdquo" | "ldquor" | "rdquor" | "OpenCurlyDoubleQuote" | "CloseCurlyDoubleQuote" => '"',
        "hellip" | "mldr" => '…',
        "bull" | "bullet" | "middot" | "centerdot" | "CenterDot" | "ast" | "midast" => '*',
        "copy" | "COPY" => '©',
        "reg" | "REG" => '®',
        "trade" | "TRADE" => '™',
        "deg" => '°',
        "plusmn" | "pm" | "PlusMinus" => '±',
        "micro" => 'µ',
        "sect" => '§',
        "para" => '¶',
        "times" => '×',
        "divide" | "div" => '÷',
        "frac12" | "half" => '½',
        "frac14" => '¼',
        "sup2" => '²',
        "le" | "leq" => '≤',
        "ge" | "geq" => '≥',
        "ne" => '≠',
        "euro" => '€',
        "pound" => '£',
        "yen" => '¥',
        "cent" => '¢',
        "laquo" => '«',
        "raquo" => '»',
        "num" => '#',
        "commat" => '@',
        "period" => '.',
        "comma" => ',',
        "colon" => ':',
        "semi" => ';',
        "sol" => '/',
        "bsol" => '\\',
        "verbar" | "vert" | "VerticalLine" => '|',
        "lpar" => '(',
        "rpar" => ')',
        "lsqb" | "lbrack" => '[',
        "rsqb" | "rbrack" => ']',
        "lcub" | "lbrace" => '{',
        "rcub" | "rbrace" => '}',
        "dollar" => '$',
        "percnt" => '%',
        "plus" => '+',
        "equals" => '=',
        "lowbar" | "UnderBar" => '_',
        "excl" => '!',
        "quest" => '?',
        "Tab" => '\t',
        "NewLine" => '\n',
        "szlig" => 'ß',
        "aelig" => 'æ',
        "AElig" => 'Æ',
        "oelig" => 'œ',
        "OElig" => 'Œ',
        "oslash" => 'ø',
        "Oslash" => 'Ø',
        "filig" => 'ﬁ',
        "fflig" => 'ﬀ',
        "fllig" => 'ﬂ',
        "ffilig" => 'ﬃ',
        "ffllig" => 'ﬄ',
        "inodot" | "imath" => 'i',
        "jmath" => 'j',
        "acy" => 'а',
        "iecy" => 'е',
        "iukcy" => 'і',
        "ocy" => 'о',
        "pcy" => 'п',
        "rcy" => 'р',
        "scy" => 'с',
        "ucy" => 'у',
        "khcy" => 'х',
        "alpha" => 'α',
        "epsi" | "epsilon" => 'ε',
        "iota" => 'ι',
        "kappa" => 'κ',
        "nu" => 'ν',
        "omicron" => 'ο',
        "rho" => 'ρ',
        "tau" => 'τ',
        "upsilon" => 'υ',
        "chi" => 'χ',
        _ => return faced(name),
    })
}

/// A letter of a face or with a mark: `&aopf;`, `&scaron;`.
fn faced(name: &str) -> Option<char> {
    const ENDINGS: [&str; 19] = [
        "acute", "grave", "circ", "uml", "tilde", "cedil", "caron", "ring", "macr", "ogon", "breve", "dot", "dblac", "strok",
        "midot", "slash", "opf", "scr", "fr",
    ];
    let first = name.chars().next().filter(char::is_ascii_alphabetic)?;
    ENDINGS.contains(&name.get(1..)?).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_read_as_browsers_do() {
        for (text, expected) in [
            ("&amp;x", Some(('&', 5))),
            ("&ampx", Some(('&', 4))),
            ("&nbspx", Some(('\u{a0}', 5))),
            ("&eacutex", Some(('e', 7))),
            ("&scaron;", Some(('s', 8))),
            ("&scaronx", None),
            ("&Popf;", Some(('P', 6))),
            ("&#80x", Some(('P', 4))),
            ("&#x50;", Some(('P', 6))),
            ("&#0000000080;", Some(('P', 13))),
            ("&#147;", Some(('\u{201c}', 6))),
            ("&nosuch;", None),
            ("& x", None),
            ("&", None),
        ] {
            assert_eq!(entity(text), expected, "{text}");
        }
    }
}
