//! HTML of a message, made harmless: elements that show text and tables, pictures that came with the message, and
//! nothing that loads, runs, submits or styles.
//!
//! This is the first of three walls. The second is the frame's sandbox, the third its content security policy.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use ammonia::{Builder, UrlRelative};

use super::weight::{Token, Tokens, is_too_heavy};

/// Longest HTML that is shown with its layout.
pub const HTML_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Links listed below a message.
const LINKS_MAX: usize = 50;
const LINK_CHARS_MAX: usize = 2000;

const TAGS: &[&str] = &[
    "a",
    "abbr",
    "b",
    "bdi",
    "bdo",
    "big",
    "blockquote",
    "br",
    "caption",
    "center",
    "cite",
    "code",
    "col",
    "colgroup",
    "dd",
    "del",
    "dfn",
    "div",
    "dl",
    "dt",
    "em",
    "figcaption",
    "figure",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "i",
    "img",
    "ins",
    "kbd",
    "li",
    "mark",
    "ol",
    "p",
    "pre",
    "q",
    "s",
    "samp",
    "small",
    "span",
    "strike",
    "strong",
    "sub",
    "sup",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "tr",
    "tt",
    "u",
    "ul",
    "var",
    "wbr",
];
/// Elements whose content is no text for readers.
const DROPPED_WITH_CONTENT: &[&str] = &[
    "script",
    "style",
    "title",
    "noscript",
    "template",
    "iframe",
    "object",
    "applet",
    "svg",
    "math",
    "textarea",
    "select",
    "xmp",
    "noembed",
    "noframes",
    "plaintext",
];

/// Elements that begin or end a line of text.
const BREAKS: &[&str] = &["blockquote", "br", "div", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "p", "pre", "table", "tr"];

/// What is left of a message's HTML.
#[derive(Debug, Default)]
pub struct Clean {
    pub html: String,
    /// Addresses that links led to; the frame itself has no live links.
    pub links: Vec<String>,
}

/// Whether this HTML is too long, too deep or too odd to be given to a tree builder.
pub fn is_too_much(html: &str) -> bool {
    html.len() > HTML_BYTES_MAX || is_too_heavy(html)
}

/// Sanitises. `picture` turns a Content-ID into a `data:` URL, if it names a raster picture of this message.
pub fn sanitise(html: &str, picture: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Clean {
    let links = Arc::new(Mutex::new(Vec::new()));
    let found = links.clone();
    let set = |names: &[&'static str]| names.iter().copied().collect::<HashSet<&str>>();
    let html = {
        let mut builder = Builder::empty();
        builder
            .tags(set(TAGS))
            .clean_content_tags(set(DROPPED_WITH_CONTENT))
            .tag_attributes(HashMap::from([
                ("a", set(&["href"])),
                ("img", set(&["src", "alt", "width", "height"])),
                ("td", set(&["colspan", "rowspan", "align", "valign"])),
                ("th", set(&["colspan", "rowspan", "align", "valign", "scope"])),
                ("ol", set(&["start"])),
                ("bdo", set(&["dir"])),
            ]))
            .generic_attributes(set(&["dir", "lang", "title"]))
            .url_schemes(set(&["http", "https", "mailto", "tel", "cid"]))
            .url_relative(UrlRelative::Deny)
            .link_rel(None)
            .strip_comments(true)
            .attribute_filter(move |element, attribute, value| match (element, attribute) {
                ("a", "href") => {
                    let mut links = found.lock().unwrap_or_else(PoisonError::into_inner);
                    if let Some(link) = shown_link(value)
                        && links.len() < LINKS_MAX
                        && !links.contains(&link)
                    {
                        links.push(link);
                    }
                    None
                }
                ("img", "src") => {
                    let id = value.trim().get(4..).filter(|_| value.trim().to_ascii_lowercase().starts_with("cid:"))?;
                    picture(id).map(Into::into)
                }
                (_, "width" | "height" | "colspan" | "rowspan" | "start") => {
                    (value.len() <= 5 && value.bytes().all(|b| b.is_ascii_digit())).then(|| value.into())
                }
                (_, "align" | "valign" | "dir" | "lang" | "scope") => {
                    (value.len() <= 20 && value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')).then(|| value.into())
                }
                _ => Some(value.into()),
            });
        builder.clean(html).to_string()
    };
    let links = std::mem::take(&mut *links.lock().unwrap_or_else(PoisonError::into_inner));
    Clean { html, links }
}

/// A link as it is listed, if it is of a kind that a reader may follow: whole, on one line, without marks that hide or
/// reorder it.
fn shown_link(link: &str) -> Option<String> {
    let link = link.trim();
    let lower = link.to_ascii_lowercase();
    let is_known = ["https://", "http://", "mailto:", "tel:"].iter().any(|scheme| lower.starts_with(scheme));
    let is_plain = link.chars().all(|c| !c.is_control() && !c.is_whitespace() && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '"' | '<' | '>'));
    (is_known && is_plain && link.chars().count() <= LINK_CHARS_MAX).then(|| link.to_owned())
}

/// The text of HTML, roughly, in linear time: for what is too much for a tree builder.
pub fn as_text(html: &str) -> String {
    let mut out = String::new();
    for token in Tokens(html) {
        match token {
            Token::Text(text) => out.push_str(&unescape(text)),
            Token::Start { name, .. } | Token::End { name } => {
                if BREAKS.contains(&name.as_str()) && !out.ends_with("\n\n") {
                    out.push('\n');
                }
            }
        }
    }
    out
}

/// The few entities that matter for reading; others stay as they are.
fn unescape(text: &str) -> String {
    if !text.contains('&') {
        return text.to_owned();
    }
    [("&nbsp;", " "), ("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")]
        .iter()
        .fold(text.to_owned(), |text, (entity, sign)| text.replace(entity, sign))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn clean(html: &str) -> Clean {
        sanitise(html, |id| (id == "logo@x").then(|| "data:image/png;base64,AAAA".to_owned()))
    }

    #[test]
    fn ordinary_mail_keeps_its_words_tables_and_own_pictures() {
        let html = "<html><head><style>p{color:red}</style><title>t</title></head><body><h1>Lab</h1><p style='x'>Dear <b>Pat</b>,</p>\
                    <table><tr><td colspan=2 onclick=x>HbA1c</td></tr></table><img src='cid:logo@x' alt='Logo'>\
                    <img src='https://track.example/x.gif'><a href='https://help.example/a?b=1'>help</a></body></html>";
        let clean = clean(html);
        assert!(clean.html.contains("<b>Pat</b>"));
        assert!(clean.html.contains("colspan=\"2\""));
        assert!(clean.html.contains("src=\"data:image/png;base64,AAAA\""));
        assert!(!clean.html.contains("track.example") && !clean.html.contains("href") && !clean.html.contains("color"));
        assert_eq!(clean.links, ["https://help.example/a?b=1"]);
    }

    #[test]
    fn deep_or_long_html_is_too_much_and_ordinary_html_is_not() {
        assert!(!is_too_much("<p>Dear Pat"));
        assert!(is_too_much(&"<div>".repeat(257)));
        assert!(is_too_much(&"x".repeat(HTML_BYTES_MAX + 1)));
    }

    #[test]
    fn text_of_html_is_readable_and_free_of_scripts() {
        let text =
            as_text("<p>Dear Pat,</p><script>alert(1)</script><div>1 &lt; 2 &amp; 3</div><style>x</style><!-- no -->end <3");
        assert!(text.contains("Dear Pat,") && text.contains("1 < 2 & 3") && text.contains("end <3"));
        assert!(!text.contains("alert") && !text.contains("no"));
    }

    #[test]
    fn links_that_could_hide_where_they_lead_are_not_listed() {
        for link in [
            "javascript:alert(1)",
            "data:text/html,x",
            "https://a.example/\u{202e}x",
            "//evil.example",
            "HTTPS:evil",
            "vbscript:x",
            "cid:x",
        ] {
            assert_eq!(shown_link(link), None, "{link}");
        }
        assert_eq!(shown_link(" https://a.example/x ").as_deref(), Some("https://a.example/x"));
    }
}
