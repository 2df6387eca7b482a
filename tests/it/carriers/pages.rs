//! HTML: everywhere a page can hold text.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::Takes::{Any, Ascii, Line};
use super::{Carrier, carrier};
use crate::disguise::{mail, map};

fn page(body: &str) -> Vec<u8> {
    whole(&format!("<html><head><title>Note</title></head><body><p>See below,</p>{body}<p>Regards</p></body></html>"))
}

fn whole(html: &str) -> Vec<u8> {
    mail("Subject: x\nContent-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: 8bit", html)
}

fn percent(text: &str) -> String {
    text.bytes().map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

fn numbers(text: &str, end: &str) -> String {
    map(text, |c| if c == '\n' { "\n".into() } else { format!("&#{};", c as u32).trim_end_matches(';').to_owned() + end })
}

pub fn carriers() -> Vec<Carrier> {
    vec![
        carrier("alt", Any, |t| page(&format!("<img src=x alt=\"{t}\">"))),
        carrier("title", Any, |t| page(&format!("<a href=x title='{t}'>here</a>"))),
        carrier("aria-label", Any, |t| page(&format!("<div aria-label=\"{t}\"></div>"))),
        carrier("placeholder", Any, |t| page(&format!("<input placeholder=\"{t}\">"))),
        carrier("value of a field", Any, |t| page(&format!("<input type=text value=\"{t}\"><input type=submit value=Send>"))),
        carrier("data-*", Any, |t| page(&format!("<div data-note=\"{t}\">x</div>"))),
        carrier("attribute nobody knows", Any, |t| page(&format!("<div note=\"{t}\">x</div>"))),
        carrier("label of an option", Any, |t| page(&format!("<select><optgroup label=\"{t}\"><option>x</select>"))),
        carrier("textarea", Any, |t| page(&format!("<textarea>{t}</textarea>"))),
        carrier("CSS content", Line, |t| {
            whole(&format!("<html><head><style>p:before {{ content: \"{t}\" }}</style></head><body><p>x</p></body></html>"))
        }),
        carrier("CSS content in escapes", Line, |t| {
            let escaped = map(t, |c| format!("\\{:06x}", c as u32));
            whole(&format!("<html><head><style>p:before {{ content: \"{escaped}\" }}</style></head><body><p>x</p></body></html>"))
        }),
        carrier("noscript", Any, |t| page(&format!("<noscript>{t}</noscript>"))),
        carrier("template", Any, |t| page(&format!("<template><p>{t}</p></template>"))),
        carrier("comment", Any, |t| page(&format!("<!-- {t} -->"))),
        carrier("comment with tags inside words", Any, |t| {
            page(&format!("<!-- <p>{}</p> -->", crate::disguise::insert(t, "<b></b>")))
        }),
        carrier("comment for Outlook", Any, |t| {
            page(&format!("<!--[if mso]><table><tr><td>{}</td></tr></table><![endif]-->", numbers(t, ";")))
        }),
        carrier("shown to all but Outlook", Any, |t| page(&format!("<!--[if !mso]><!--><p>{t}</p><!--<![endif]-->"))),
        carrier("title of the page", Any, |t| whole(&format!("<html><head><title>{t}</title></head><body>x</body></html>"))),
        carrier("meta description", Any, |t| {
            whole(&format!("<html><head><meta name=description content=\"{t}\"></head><body>x</body></html>"))
        }),
        carrier("preview line", Any, |t| {
            page(&format!("<div style=\"display:none;max-height:0\">{t}&#847;&zwnj;&nbsp;&#847;</div>"))
        }),
        carrier("o:p", Any, |t| page(&format!("<p class=MsoNormal><span>{t}<o:p></o:p></span></p>"))),
        carrier("MathML", Any, |t| page(&format!("<math><mtext>{t}</mtext></math>"))),
        carrier("SVG text", Any, |t| page(&format!("<svg><text x=1>{t}</text></svg>"))),
        carrier("SVG title", Any, |t| page(&format!("<svg><title>{t}</title><rect/></svg>"))),
        carrier("numbers without a semicolon", Line, |t| {
            // A digit behind an open number would belong to it.
            page(&map(t, |c| {
                if c.is_ascii_alphabetic() {
                    format!("&#{}", c as u32)
                } else if c.is_ascii_digit() {
                    format!("&#{};", c as u32)
                } else {
                    c.to_string()
                }
            }))
        }),
        carrier("named entities", Any, |t| {
            page(&map(t, |c| match c {
                ' ' => "&nbsp;".into(),
                '-' => "&hyphen;".into(),
                ',' => "&comma;".into(),
                ':' => "&colon;".into(),
                'a' => "&aacute;".into(),
                '/' => "&sol;".into(),
                c => c.to_string(),
            }))
        }),
        carrier("rare named entities", Any, |t| {
            page(&map(t, |c| match c {
                ' ' => "&ThinSpace;".into(),
                '-' => "&dash;".into(),
                'a' => "&amacr;".into(),
                'e' => "&eogon;".into(),
                's' => "&scaron;".into(),
                'o' => "&oscr;".into(),
                c => c.to_string(),
            }))
        }),
        carrier("entities in script letters", Any, |t| {
            page(&map(t, |c| if c.is_ascii_alphabetic() { format!("&{c}opf;") } else { c.to_string() }))
        }),
        carrier("entities without a semicolon", Any, |t| page(&t.replace(' ', "&nbsp").replace('-', "&shy-"))),
        carrier("link", Ascii, |t| page(&format!("<a href=\"https://a.example/?note={}\">here</a>", percent(t)))),
        carrier("link with plus signs", Ascii, |t| {
            page(&format!("<a href=\"https://a.example/?note={}&amp;x=1\">here</a>", percent(t).replace("%20", "+")))
        }),
        carrier("mailto with subject and body", Any, |t| {
            page(&format!("<a href=\"mailto:b@other.example?subject=x&amp;body={}\">reply</a>", percent(t)))
        }),
        carrier("address of a picture", Ascii, |t| page(&format!("<img src=\"https://a.example/{}.png\">", percent(t)))),
        carrier("data: plain", Any, |t| page(&format!("<a href=\"data:text/plain;charset=utf-8,{}\">here</a>", percent(t)))),
        carrier("data: base64", Any, |t| page(&format!("<a href=\"data:text/plain;base64,{}\">here</a>", BASE64.encode(t)))),
        carrier("data: page in a frame", Any, |t| {
            page(&format!("<iframe src=\"data:text/html;base64,{}\"></iframe>", BASE64.encode(format!("<p>{t}</p>"))))
        }),
        carrier("data: drawing", Any, |t| {
            page(&format!(
                "<img src='data:image/svg+xml;base64,{}'>",
                BASE64.encode(format!("<svg xmlns=\"http://www.w3.org/2000/svg\"><text>{t}</text></svg>"))
            ))
        }),
        carrier("data: drawing in percents", Any, |t| {
            page(&format!(
                "<img src='data:image/svg+xml,{}'>",
                percent(&format!("<svg xmlns=\"http://www.w3.org/2000/svg\"><text>{t}</text></svg>"))
            ))
        }),
        carrier("data: in CSS", Any, |t| {
            page(&format!(
                "<div style=\"background:url(data:image/svg+xml;base64,{})\">x</div>",
                BASE64.encode(format!("<svg xmlns=\"http://www.w3.org/2000/svg\"><text>{t}</text></svg>"))
            ))
        }),
        carrier("data: document", Any, |t| {
            page(&format!(
                "<a download=a.zip href=\"data:application/zip;base64,{}\">here</a>",
                BASE64.encode(crate::disguise::zipped(&[("n.txt", t.to_owned())]))
            ))
        }),
        carrier("srcdoc", Any, |t| {
            page(&format!("<iframe srcdoc=\"&lt;p&gt;{}&lt;/p&gt;\"></iframe>", numbers(t, ";").replace('&', "&amp;")))
        }),
        carrier("script", Line, |t| page(&format!("<script>var note = '{}';</script>", t.replace('\n', "\\n")))),
        carrier("JSON-LD", Line, |t| page(&format!("<script type=\"application/ld+json\">{{\"name\": \"{t}\"}}</script>"))),
        carrier("download name", Line, |t| page(&format!("<a href=x download=\"{t}.pdf\">here</a>"))),
        carrier("CDATA", Any, |t| page(&format!("<![CDATA[{t}]]>"))),
        carrier("one word a cell", Line, |t| page(&format!("<table><tr><td>{}</td></tr></table>", t.replace(' ', "</td><td>")))),
        carrier("words in boxes", Line, |t| {
            page(&format!(
                "<span style=\"display:inline-block\">{}</span>",
                t.replace(' ', "</span> <span style=\"display:inline-block\">")
            ))
        }),
        carrier("wbr", Any, |t| page(&crate::disguise::insert(t, "<wbr>"))),
        carrier("font tags that never close", Any, |t| page(&crate::disguise::insert(t, "<font color=red>"))),
        carrier("tag cut at the end", Any, |t| whole(&format!("<html><body>{t} <b"))),
        carrier("open quote before", Any, |t| whole(&format!("<html><body><a href=\"x>{t}</a> <p>"))),
        carrier("written backwards in bdo", Line, |t| {
            page(&format!("<bdo dir=rtl>{}</bdo>", t.chars().rev().collect::<String>()))
        }),
        carrier("written backwards by CSS", Line, |t| {
            page(&format!(
                "<span style=\"unicode-bidi:bidi-override;direction:rtl\">{}</span>",
                t.chars().rev().collect::<String>()
            ))
        }),
        carrier("ruby", Any, |t| page(&format!("<ruby>x<rt>{t}</rt></ruby>"))),
        carrier("details", Any, |t| page(&format!("<details><summary>more</summary>{t}</details>"))),
        carrier("xmp", Any, |t| page(&format!("<xmp>{t}</xmp>"))),
        carrier("frames nobody shows", Any, |t| page(&format!("<noframes>{t}</noframes><noembed>x</noembed>"))),
        carrier("XML island", Any, |t| page(&format!("<xml><o:note>{t}</o:note></xml>"))),
        carrier("object parameter", Any, |t| page(&format!("<object><param name=note value=\"{t}\"></object>"))),
    ]
}
