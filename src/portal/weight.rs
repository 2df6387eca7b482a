//! How much work a piece of HTML would make for a tree builder, found out without building a tree.
//!
//! HTML readers repair what is broken: elements never closed pile up, and formatting that was left open is made anew in
//! every block that follows, so that two megabytes can become gigabytes of nodes. This counts like a tree builder that is
//! never lenient: where it is unsure whether something closes, it does not.

/// Deepest nesting, formatting left open included.
pub const LEVELS_MAX: usize = 256;
/// Tags and texts: ordinary long newsletters have a tenth of it.
const TOKENS_MAX: usize = 150_000;
/// Formatting elements that may be made anew, summed over all tokens.
const REPAIRS_MAX: usize = 500_000;
/// Attributes of one tag; each is compared with all others.
const ATTRIBUTES_MAX: usize = 256;

/// Elements and texts that stand in a table but in none of its cells: each is moved before the table, past all others.
const STRAYS_MAX: usize = 5_000;

/// Elements that HTML closes by itself or that never have content: not counted as levels.
const UNCOUNTED: &[&str] = &[
    "area", "base", "body", "br", "col", "dd", "dt", "embed", "head", "hr", "html", "img", "input", "li", "link", "meta",
    "option", "p", "param", "source", "tbody", "td", "tfoot", "th", "thead", "tr", "track", "wbr",
];
/// Elements that stay in force beyond the block they stand in, until their own end tag.
const FORMATTING: &[&str] = &["a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u"];
/// Formatting opened before one of these is not closed by an end tag behind it.
const FENCES: &[&str] =
    &["table", "td", "th", "caption", "object", "applet", "marquee", "template", "svg", "math", "select", "button"];
/// Inline elements: a block's end tag closes them on its way. All others count as blocks.
const INLINE: &[&str] = &[
    "abbr", "bdi", "bdo", "cite", "del", "dfn", "ins", "kbd", "label", "mark", "q", "samp", "span", "sub", "sup", "time", "var",
];
/// What may stand in a table outside its cells.
const TABLE_PARTS: &[&str] = &["caption", "col", "colgroup", "table", "tbody", "td", "tfoot", "th", "thead", "tr"];
/// Elements whose content is text, whatever it looks like.
const RAW: &[&str] = &["iframe", "noembed", "noframes", "noscript", "plaintext", "script", "style", "textarea", "title", "xmp"];
/// Inside these the elements above are something else; then nothing here is sure.
const FOREIGN: &[&str] = &["math", "select", "svg"];

/// A tag or the text before it.
pub enum Token<'a> {
    Text(&'a str),
    Start { name: String, attributes: usize },
    End { name: String },
}

/// Whether this HTML is too deep, too repetitive or too odd for a tree builder.
pub fn is_too_heavy(html: &str) -> bool {
    let mut open: Vec<String> = Vec::new();
    // Formatting left open; `None` is a fence.
    let mut formatting: Vec<Option<String>> = Vec::new();
    let (mut held, mut tokens, mut repairs, mut is_foreign) = (0usize, 0usize, 0usize, false);
    let (mut strays, mut is_between_cells) = (0usize, false);
    for token in Tokens(html) {
        tokens += 1;
        repairs += held;
        match &token {
            Token::Text(text) => strays += usize::from(is_between_cells && !text.trim().is_empty()),
            Token::Start { name, .. } => match name.as_str() {
                "td" | "th" | "caption" => is_between_cells = false,
                name if TABLE_PARTS.contains(&name) => is_between_cells = true,
                _ => strays += usize::from(is_between_cells),
            },
            Token::End { name } => match name.as_str() {
                "table" => is_between_cells = false,
                name if TABLE_PARTS.contains(&name) => is_between_cells = true,
                _ => {}
            },
        }
        match token {
            Token::Text(_) => {}
            Token::Start { name, attributes } => {
                let name_str = name.as_str();
                if attributes > ATTRIBUTES_MAX || (is_foreign && RAW.contains(&name_str)) {
                    return true;
                }
                is_foreign |= FOREIGN.contains(&name_str);
                if FENCES.contains(&name_str) && !formatting.last().is_none_or(Option::is_none) {
                    formatting.push(None);
                }
                if FORMATTING.contains(&name_str) {
                    formatting.push(Some(name));
                    held += 1;
                } else if !UNCOUNTED.contains(&name_str) && !RAW.contains(&name_str) {
                    open.push(name);
                }
            }
            Token::End { name } if FORMATTING.contains(&name.as_str()) => {
                let since = formatting.iter().rposition(Option::is_none).map_or(0, |fence| fence + 1);
                let found = formatting.iter().skip(since).rposition(|entry| entry.as_deref() == Some(name.as_str()));
                if let Some(at) = found {
                    formatting.remove(since + at);
                    held -= 1;
                }
            }
            Token::End { name } => {
                let block = open.iter().rposition(|entry| !INLINE.contains(&entry.as_str())).unwrap_or(0);
                if let Some(at) = open.iter().skip(block).rposition(|entry| *entry == name) {
                    open.truncate(block + at);
                }
            }
        }
        if open.len() + held > LEVELS_MAX || tokens > TOKENS_MAX || repairs > REPAIRS_MAX || strays > STRAYS_MAX {
            return true;
        }
    }
    false
}

/// Splits HTML as its standard's tokenizer does (WHATWG HTML, section 13.2.5).
pub struct Tokens<'a>(pub &'a str);

impl<'a> Tokens<'a> {
    fn skip(&mut self, bytes: usize) {
        self.0 = self.0.get(bytes..).unwrap_or_default();
    }

    /// Takes everything up to the next thing that could be markup.
    fn text(&mut self, from: usize) -> Token<'a> {
        let end = self.0.get(from..).and_then(|rest| rest.find('<')).map_or(self.0.len(), |at| from + at);
        let (text, rest) = self.0.split_at(end);
        self.0 = rest;
        Token::Text(text)
    }

    /// Past the end tag of an element whose content is text; what is inside is nobody's business.
    fn skip_raw(&mut self, name: &str) {
        let mut at = 0;
        if name == "plaintext" {
            self.0 = "";
        }
        while let Some(found) = self.0.get(at..).and_then(|rest| rest.find("</")) {
            let inside = self.0.get(at + found + 2..).unwrap_or_default();
            let is_end = inside.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
                && inside.as_bytes().get(name.len()).is_none_or(|next| is_space(*next) || matches!(next, b'/' | b'>'));
            if is_end {
                self.skip(at + found);
                return;
            }
            at += found + 2;
        }
        self.0 = "";
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            let bytes = self.0.as_bytes();
            if bytes.is_empty() {
                return None;
            }
            if bytes.first() != Some(&b'<') {
                return Some(self.text(0));
            }
            match (bytes.get(1), bytes.get(2)) {
                (Some(b'!'), _) if self.0.starts_with("<!--") => self.skip(comment_end(self.0)),
                (Some(b'!' | b'?'), _) => self.skip(self.0.find('>').map_or(self.0.len(), |at| at + 1)),
                (Some(b'/'), Some(next)) if next.is_ascii_alphabetic() => {
                    let (name, _, end) = tag(self.0, 2);
                    self.skip(end);
                    return Some(Token::End { name });
                }
                (Some(b'/'), Some(_)) => self.skip(self.0.find('>').map_or(self.0.len(), |at| at + 1)),
                (Some(next), _) if next.is_ascii_alphabetic() => {
                    let (name, attributes, end) = tag(self.0, 1);
                    self.skip(end);
                    if RAW.contains(&name.as_str()) {
                        self.skip_raw(&name);
                    }
                    return Some(Token::Start { name, attributes });
                }
                _ => return Some(self.text(1)),
            }
        }
    }
}

/// Length of the comment at the start. `<!-->` and `<!--->` are whole comments, and `--!>` ends one too.
fn comment_end(html: &str) -> usize {
    let rest = html.get(4..).unwrap_or_default();
    if rest.starts_with('>') {
        return 5;
    }
    if rest.starts_with("->") {
        return 6;
    }
    let ends = [rest.find("-->").map(|at| at + 3), rest.find("--!>").map(|at| at + 4)];
    ends.into_iter().flatten().min().map_or(html.len(), |end| 4 + end)
}

/// Name, number of attributes and length of the tag whose name starts at `from`. A tag without an end takes the rest.
fn tag(html: &str, from: usize) -> (String, usize, usize) {
    #[derive(Clone, Copy, PartialEq)]
    enum At {
        Name,
        BeforeAttribute,
        Attribute,
        AfterAttribute,
        BeforeValue,
        Quoted(u8),
        Value,
        AfterQuoted,
    }
    let mut at = At::Name;
    let mut attributes = 0;
    let mut name_end = html.len();
    for (index, byte) in html.bytes().enumerate().skip(from) {
        let is_end = byte == b'>' && !matches!(at, At::Quoted(_));
        if at == At::Name && (is_end || is_space(byte) || byte == b'/') {
            name_end = index;
        }
        if is_end {
            return (lower(html, from, name_end), attributes, index + 1);
        }
        at = match (at, byte) {
            (At::Name, b'/') => At::BeforeAttribute,
            (At::Name, byte) if is_space(byte) => At::BeforeAttribute,
            (At::Name, _) => At::Name,
            (At::BeforeAttribute | At::AfterQuoted, byte) if is_space(byte) || byte == b'/' => At::BeforeAttribute,
            (At::AfterAttribute, byte) if is_space(byte) => At::AfterAttribute,
            (At::Attribute, byte) if is_space(byte) => At::AfterAttribute,
            (At::Attribute | At::AfterAttribute, b'/') => At::BeforeAttribute,
            (At::Attribute | At::AfterAttribute, b'=') => At::BeforeValue,
            (At::Attribute, _) => At::Attribute,
            // An equals sign that nothing stands before begins a name, it does not end one.
            (At::BeforeAttribute | At::AfterAttribute | At::AfterQuoted, _) => {
                attributes += 1;
                At::Attribute
            }
            (At::BeforeValue, byte) if is_space(byte) => At::BeforeValue,
            (At::BeforeValue, b'"' | b'\'') => At::Quoted(byte),
            (At::Quoted(quote), byte) if byte == quote => At::AfterQuoted,
            (At::Quoted(quote), _) => At::Quoted(quote),
            (At::Value, byte) if is_space(byte) => At::BeforeAttribute,
            (At::BeforeValue | At::Value, _) => At::Value,
        };
    }
    (lower(html, from, name_end), attributes, html.len())
}

fn lower(html: &str, from: usize, to: usize) -> String {
    // A name longer than any known one is none of them, and is kept short.
    html.get(from..to).unwrap_or_default().chars().take(24).collect::<String>().to_ascii_lowercase()
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0c)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_html_is_light() {
        for html in [
            "<p>line<br>".repeat(5000),
            "<tr><td><b>x</b></td></tr>".repeat(5000),
            "<div><b>x</b> <span>y</div>".repeat(5000),
            "<table><tr><td><a href=\"x\"><img src=y></a></td></tr></table>".repeat(3000),
            "<ul><li>a<li>b</ul>".repeat(5000),
            format!("{}{}", "<div>".repeat(256), "</div>".repeat(256)),
            format!("<style>{}</style><p>x", "p>b{color:red}".repeat(10_000)),
            "<!-- <div> -->".repeat(1000),
            "1 < 2 && 3 > 2 </ <".repeat(1000),
        ] {
            assert!(!is_too_heavy(&html), "{}", &html[..40]);
        }
    }

    #[test]
    fn ways_to_pile_up_elements_are_heavy_however_they_are_hidden() {
        let numbered = |piece: &str| (0..400).map(|i| piece.replace('#', &i.to_string())).collect::<String>();
        for piece in [
            "<div>",
            "<div/>",
            "<b id=#>",
            "<div><b id=#></div>",
            "<b id=#></i>",
            "<b id=#></x>",
            "<x><div></x>",
            "<td><b id=#></td>",
            "<div><b id=#><table><td></b></table></div>",
            "<b id=#><script></b></script>",
            "<b id=#><style></b></style>",
            "<!--><b id=#>-->",
            "<!---><b id=#>-->",
            "<!-- --!><b id=#>-->",
            "<!x \"><b id=#>\">",
            "</ \"><b id=#>\">",
            "<p x\"><b id=#>\">",
            "<p =\"><b id=#>\">",
            "<p a=b\"><b id=#>\">",
            "<p a=\"\"\"><b id=#>\">",
            "<B ID=#>",
            "<p/<b id=#>",
            "<p><font a=#></p>",
        ] {
            let html = numbered(piece);
            // `<p/<b` is one odd tag and no `b`.
            assert_eq!(is_too_heavy(&html), piece != "<p/<b id=#>", "{piece}");
        }
        assert!(is_too_heavy(&format!("<svg><style>{}", numbered("<b id=#>"))));
        assert!(is_too_heavy(&format!("<select><style></select>{}", numbered("<b id=#>"))));
        let left_open: String = (0..200).map(|i| format!("<b id={i}>")).collect();
        assert!(is_too_heavy(&format!("<div>{left_open}</div>{}", "<p>x</p>".repeat(20_000))));
        let attributes: String = (0..10_000).map(|i| format!(" a{i}")).collect();
        assert!(is_too_heavy(&format!("<p{attributes}>")));
        assert!(is_too_heavy(&"<hr>".repeat(TOKENS_MAX + 1)));
        assert!(is_too_heavy(&format!("<table>{}", "<hr>".repeat(STRAYS_MAX + 1))));
        assert!(is_too_heavy(&format!("<table>{}", "<tr>x".repeat(STRAYS_MAX + 1))));
    }

    #[test]
    fn foreign_bytes_never_break_the_tokenizer() {
        let pieces = [
            "<", ">", "/", "!", "--", "\"", "'", "=", "b", " ", "é", "<!--", "-->", "</", "<p a=\"", "<script>", "</script", "\0",
        ];
        let mut state = 1u32;
        for _ in 0..20_000 {
            let mut html = String::new();
            for _ in 0..12 {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                html.push_str(pieces[(state >> 16) as usize % pieces.len()]);
            }
            let read: usize = Tokens(&html).count();
            assert!(read <= html.len(), "{html:?}");
        }
    }
}
