//! HTML as a reader finds it, in one pass without a tree: nesting costs nothing, and no element can hide text.

use super::entity::entity;

/// The text of an HTML document.
pub struct HtmlText {
    /// What is shown, or hidden by a style, with `alt` texts in place. Blocks become lines, cells are parted by tabs; tags
    /// and comments inside a word leave it whole, as they do on the screen.
    pub shown: String,
    /// Titles and other telling attributes, comments, what scripts and styles hold.
    pub aside: String,
    /// Addresses that are files themselves (RFC 2397), from `data:` on.
    pub files: Vec<String>,
}

#[must_use]
pub fn text(html: &str) -> HtmlText {
    within(html, 0)
}

/// A page in an attribute or comment of a page, in that of another: nobody nests them deeper, and each level is one more pass.
const DEPTH_MAX: u8 = 2;

fn within(html: &str, depth: u8) -> HtmlText {
    let mut page = Writer { shown: String::with_capacity(html.len() / 2), closes: true, depth, ..Writer::default() };
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        let (before, tag) = rest.split_at(at);
        page.words(before);
        rest = page.markup(tag);
    }
    page.words(rest);
    HtmlText { shown: page.shown, aside: page.aside, files: page.files }
}

#[derive(Default)]
struct Writer {
    shown: String,
    /// Comments, titles, scripts: not seen, but there to be found.
    aside: String,
    /// Depth of `pre`, where line ends count.
    pre: usize,
    /// White space waits until a word follows.
    blank: bool,
    /// Whether a `>` is still to come; once there is none, nothing is a tag.
    closes: bool,
    files: Vec<String>,
    /// Pages around this one.
    depth: u8,
    /// The element that turns its text round.
    turned: Option<String>,
}

impl Writer {
    /// Text between tags, entities undone, white space folded as a browser does.
    fn words(&mut self, text: &str) {
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            if c == '&'
                && let Some((decoded, length)) = entity(rest)
            {
                self.push(decoded);
                rest = rest.get(length..).unwrap_or_default();
                continue;
            }
            self.push(c);
            rest = rest.get(c.len_utf8()..).unwrap_or_default();
        }
    }

    fn push(&mut self, c: char) {
        if matches!(c, ' ' | '\t' | '\r' | '\n' | '\u{0c}') {
            if self.pre > 0 && c == '\n' {
                self.shown.push('\n');
            } else {
                self.blank = true;
            }
            return;
        }
        if self.blank {
            if !self.shown.is_empty() && !self.shown.ends_with(['\n', '\t']) {
                self.shown.push(' ');
            }
            self.blank = false;
        }
        self.shown.push(c);
    }

    /// One comment, declaration or tag at the start of `text`; what follows it.
    fn markup<'t>(&mut self, text: &'t str) -> &'t str {
        if let Some(comment) = text.strip_prefix("<!--") {
            let (inside, after) = comment.split_once("-->").unwrap_or((comment, ""));
            self.inner_page(inside);
            return after;
        }
        if text.starts_with("<!") || text.starts_with("<?") {
            let (inside, after) = text.split_once('>').unwrap_or((text, ""));
            self.note(inside.get(2..).unwrap_or_default());
            return after;
        }
        let is_tag = text.as_bytes().get(1).is_some_and(|b| b.is_ascii_alphabetic() || *b == b'/');
        self.closes = self.closes && (!is_tag || text.contains('>'));
        if !is_tag || !self.closes {
            self.push('<');
            return text.get(1..).unwrap_or_default();
        }
        let (tag, after) = split_tag(text);
        let is_end = tag.starts_with("</");
        let name: String = tag
            .trim_start_matches(['<', '/'])
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric())
            .map(|c| c.to_ascii_lowercase())
            .collect();
        self.element(&name, is_end);
        self.direction(&name, tag, is_end);
        if !is_end {
            self.attributes(tag);
            if matches!(name.as_str(), "script" | "style") {
                let end = find_end(after, &name);
                let (inside, after) = after.split_at(end);
                if name == "style" {
                    self.style(inside);
                } else {
                    self.note(inside);
                }
                return after;
            }
        }
        after
    }

    fn element(&mut self, name: &str, is_end: bool) {
        match name {
            "td" | "th" if !is_end => {
                // The first cell of a row needs no separator.
                if !self.shown.is_empty() && !self.shown.ends_with('\n') {
                    self.shown.push('\t');
                }
                self.blank = false;
            }
            "br" | "tr" | "li" | "dt" | "dd" | "option" | "hr" | "caption" | "thead" | "tbody" => self.line(1),
            "p" | "div" | "table" | "ul" | "ol" | "dl" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "blockquote" | "section"
            | "article" | "header" | "footer" | "form" | "fieldset" | "body" | "html" | "head" | "title" | "center"
            | "address" | "main" | "nav" | "aside" | "figure" | "summary" | "details" | "dialog" | "legend" | "figcaption"
            | "rt" | "noframes" | "noembed" | "noscript" | "object" | "video" | "audio" | "svg" | "math" => {
                self.line(if matches!(name, "p" | "table" | "title") || name.starts_with('h') && name.len() == 2 {
                    2
                } else {
                    1
                });
            }
            // Drawings place each word by itself.
            "tspan" => self.blank = true,
            "text" => self.line(1),
            "pre" | "textarea" => {
                self.pre = if is_end { self.pre.saturating_sub(1) } else { self.pre + 1 };
                self.line(1);
            }
            _ => {}
        }
    }

    /// An element that shows its text from right to left whatever its letters are; told to the scan by Unicode's signs.
    fn direction(&mut self, name: &str, tag: &str, is_end: bool) {
        if is_end {
            if self.turned.as_deref() == Some(name) {
                self.turned = None;
                self.shown.push('\u{202c}');
            }
        } else if (name == "bdo" || tag.contains("bidi-override")) && tag.to_ascii_lowercase().contains("rtl") {
            self.turned = Some(name.to_owned());
            self.shown.push('\u{202e}');
        }
    }

    /// Makes the text end in at least `count` line ends.
    fn line(&mut self, count: usize) {
        self.blank = false;
        if self.shown.is_empty() {
            return;
        }
        let have = self.shown.bytes().rev().take_while(|b| *b == b'\n').count();
        for _ in have..count {
            self.shown.push('\n');
        }
    }

    /// Attributes that hold text: all but those that are for machines alone.
    fn attributes(&mut self, tag: &str) {
        for (name, value) in Attributes(tag) {
            let name = name.to_ascii_lowercase();
            if name == "style" {
                self.style(&decoded(value));
                continue;
            }
            if UNREAD.contains(&name.as_str()) {
                continue;
            }
            let value = decoded(value);
            match name.as_str() {
                "alt" => {
                    self.blank = true;
                    value.chars().for_each(|c| self.push(c));
                    self.blank = true;
                }
                "srcdoc" => self.inner_page(&value),
                _ if ADDRESSES.contains(&name.as_str()) => self.address(&value),
                _ => self.note(&value),
            }
        }
    }

    /// An address says something where it is a file itself, writes a letter, or has words written as numbers.
    fn address(&mut self, value: &str) {
        let value = value.trim();
        let starts = |scheme: &str| value.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
        if starts("data:") {
            self.files.push(value.to_owned());
        } else if value.contains(['%', '+', ' ']) || starts("mailto:") && value.len() > "mailto:".len() {
            self.note(value);
        }
    }

    /// Style sheets put words on the page by `content`, and drawings by an address.
    fn style(&mut self, css: &str) {
        if css.contains('\\') {
            self.note(&unescaped(css));
        } else if css.contains("content") || css.contains("/*") {
            self.note(css);
        }
        let mut rest = css;
        while let Some((before, file)) = rest.split_once("data:") {
            let quote = before.chars().next_back().filter(|c| matches!(c, '"' | '\'')).unwrap_or(')');
            let (file, after) = file.split_once(quote).unwrap_or((file, ""));
            self.files.push(format!("data:{file}"));
            rest = after;
        }
    }

    /// A page that some programs show: in a comment that Outlook reads, in an attribute.
    fn inner_page(&mut self, html: &str) {
        if self.depth >= DEPTH_MAX || !html.contains(['<', '&']) {
            return self.note(html);
        }
        let inner = within(html, self.depth + 1);
        self.note(&inner.shown);
        self.note(&inner.aside);
        self.files.extend(inner.files);
    }

    fn note(&mut self, text: &str) {
        if text.bytes().filter(u8::is_ascii_alphanumeric).count() > 2 {
            self.aside.push_str(text.trim());
            self.aside.push('\n');
        }
    }
}

/// A tag up to its `>`, which may stand inside quotes; what follows.
fn split_tag(text: &str) -> (&str, &str) {
    let mut quote = None;
    for (at, b) in text.bytes().enumerate().skip(1) {
        match (quote, b) {
            (None, b'>') => return (text.get(..at).unwrap_or_default(), text.get(at + 1..).unwrap_or_default()),
            (None, b'"' | b'\'') if text.as_bytes().get(at - 1).is_some_and(|before| matches!(before, b'=' | b' ')) => {
                quote = Some(b)
            }
            (Some(open), b) if open == b => quote = None,
            _ => {}
        }
    }
    // A quote that never closes: browsers would swallow the rest; we read it.
    match text.find('>') {
        Some(at) => (text.get(..at).unwrap_or_default(), text.get(at + 1..).unwrap_or_default()),
        None => (text.get(..1).unwrap_or_default(), text.get(1..).unwrap_or_default()),
    }
}

/// Where the end tag of a raw-text element begins.
fn find_end(text: &str, name: &str) -> usize {
    let mut from = 0;
    while let Some(at) = text.get(from..).and_then(|rest| rest.find("</")) {
        let at = from + at;
        if text.get(at + 2..at + 2 + name.len()).is_some_and(|found| found.eq_ignore_ascii_case(name)) {
            return at;
        }
        from = at + 2;
    }
    text.len()
}

/// Attributes of a tag, in order.
struct Attributes<'t>(&'t str);

impl<'t> Iterator for Attributes<'t> {
    type Item = (&'t str, &'t str);

    fn next(&mut self) -> Option<(&'t str, &'t str)> {
        loop {
            let equals = self.0.find('=')?;
            let (before, after) = self.0.split_at(equals);
            let name = before
                .trim_end()
                .rsplit(|c: char| c.is_ascii_whitespace() || matches!(c, '"' | '\'' | '/' | '<'))
                .next()
                .unwrap_or_default();
            let after = after.get(1..).unwrap_or_default().trim_start();
            let (value, rest) = match after.chars().next() {
                Some(quote @ ('"' | '\'')) => {
                    let inside = after.get(1..).unwrap_or_default();
                    inside.split_once(quote).unwrap_or((inside, ""))
                }
                _ => after.split_at(after.find(|c: char| c.is_ascii_whitespace() || c == '>').unwrap_or(after.len())),
            };
            self.0 = rest;
            if !name.is_empty() {
                return Some((name, value));
            }
        }
    }
}

/// Attributes for machines alone.
const UNREAD: [&str; 28] = [
    "class",
    "id",
    "rel",
    "type",
    "media",
    "lang",
    "width",
    "height",
    "align",
    "valign",
    "border",
    "cellpadding",
    "cellspacing",
    "bgcolor",
    "color",
    "face",
    "size",
    "sizes",
    "target",
    "charset",
    "http-equiv",
    "role",
    "dir",
    "colspan",
    "rowspan",
    "viewbox",
    "d",
    "integrity",
];

/// Attributes that are addresses.
const ADDRESSES: [&str; 11] =
    ["href", "src", "action", "background", "data", "poster", "cite", "formaction", "longdesc", "xlink:href", "srcset"];

/// Escapes of style sheets undone: up to six hex digits and one blank, or a sign as it is (CSS Syntax, 4.3.7).
fn unescaped(css: &str) -> String {
    let mut out = String::with_capacity(css.len());
    let mut rest = css;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let length = after.bytes().take(6).take_while(u8::is_ascii_hexdigit).count();
        let (digits, behind) = after.split_at(length);
        rest = match u32::from_str_radix(digits, 16).ok().and_then(char::from_u32) {
            Some(c) => {
                out.push(c);
                behind.strip_prefix(' ').unwrap_or(behind)
            }
            None => after,
        };
    }
    out + rest
}

pub(super) fn decoded(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(c) = rest.chars().next() {
        match entity(rest) {
            Some((decoded, length)) if c == '&' => {
                out.push(decoded);
                rest = rest.get(length..).unwrap_or_default();
            }
            _ => {
                out.push(c);
                rest = rest.get(c.len_utf8()..).unwrap_or_default();
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_whole_and_blocks_become_lines() {
        for (html, expected) in [
            ("<p>Do<!-- x -->nn<b>a</b> C</p><p>next</p>", "Donna C\n\nnext\n\n"),
            ("a&#78;&#x61;&amp;&nbsp;b", "aNa&\u{a0}b"),
            ("x<br>y<br/>z", "x\ny\nz"),
            ("<table><tr><th>Name</th><th>DOB</th></tr><tr><td>A</td><td>1</td></tr></table>", "Name\tDOB\nA\t1\n\n"),
            ("one\n two", "one two"),
            ("<pre>one\n two</pre>", "one\ntwo\n"),
            ("<img src='x' alt=\"breast cancer\">", "breast cancer"),
            ("a < b and <3", "a < b and <3"),
            ("<a title='lupus>x'>link</a>", "link\n\nlupus>x\n"),
            ("<script>var a = 'lupus'</script>b", "b\n\nvar a = 'lupus'\n"),
            ("<!-- Anna Baker -->b", "b\n\nAnna Baker\n"),
            ("<div style=\"display:none\">hidden</div>", "hidden\n"),
            ("cut <b", "cut <b"),
        ] {
            let read = text(html);
            let whole = if read.aside.is_empty() { read.shown } else { read.shown + "\n\n" + &read.aside };
            assert_eq!(whole.trim_end(), expected.trim_end(), "{html}");
        }
    }

    #[test]
    fn deep_nesting_and_open_quotes_cost_linear_work() {
        let deep = "<div>".repeat(100_000) + "lupus";
        assert!(text(&deep).shown.contains("lupus"));
        let open = "<b ".repeat(100_000) + "lupus";
        assert!(text(&open).shown.contains("lupus"));
        let quotes = "<a title=\"".repeat(100_000) + "lupus";
        assert!(text(&quotes).shown.contains("lupus"));
    }
}
