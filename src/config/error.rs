use std::path::{Path, PathBuf};

/// Why the configuration was refused. Each text names the place, the problem and a way out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{file}, line {line}: {message}")]
    Syntax { file: String, line: usize, message: String },
    #[error("{key} is `{value}`: {problem}")]
    Value { key: String, value: String, problem: String },
    #[error("{}: {problem}", path.display())]
    File { path: PathBuf, problem: String },
    #[error(transparent)]
    Policy(#[from] crate::policy::LoadError),
}

impl Error {
    pub(super) fn value(key: impl Into<String>, value: impl Into<String>, problem: impl Into<String>) -> Error {
        Error::Value { key: key.into(), value: value.into(), problem: problem.into() }
    }

    pub(super) fn file(path: &Path, problem: impl Into<String>) -> Error {
        Error::File { path: path.to_owned(), problem: problem.into() }
    }

    pub(super) fn syntax(file: &str, text: &str, error: &toml::de::Error) -> Error {
        let at = error.span().map_or(0, |span| span.start.min(text.len()));
        let line = text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
        let mut message = error.message().to_owned();
        if let Some(suggestion) = suggestion(&message) {
            message = suggestion;
        }
        Error::Syntax { file: file.to_owned(), line, message }
    }
}

/// Turns what serde says into a sentence for administrators: the nearest key for an unknown one, and how a value is
/// written instead of the name of its type.
fn suggestion(message: &str) -> Option<String> {
    if let Some(rest) = message.strip_prefix("missing field `") {
        return Some(format!("the key `{}` is missing in this section", rest.trim_end_matches('`')));
    }
    if message.starts_with("invalid type: ") {
        let wanted = message.rsplit(", expected ").next().unwrap_or_default();
        return match wanted {
            "a string" => Some("this value is written as text in quotes, for example \"60m\"".to_owned()),
            "a sequence" => Some("this value is written as a list in brackets, for example [\"127.0.0.1:25\"]".to_owned()),
            "a boolean" => Some("this value is true or false, without quotes".to_owned()),
            "u16" | "usize" | "u64" => Some("this value is a number without quotes".to_owned()),
            _ => None,
        };
    }
    let rest = message.strip_prefix("unknown field `")?;
    let (typed, expected) = rest.split_once('`')?;
    let known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
    let nearest = known.iter().min_by_key(|key| distance(typed, key))?;
    Some(if distance(typed, nearest) <= typed.len() / 2 {
        format!("there is no key `{typed}` here; did you mean `{nearest}`?")
    } else {
        format!("there is no key `{typed}` here; known keys: {}", known.join(", "))
    })
}

/// Levenshtein distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut corner = i;
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
        for (j, y) in b.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = (corner + usize::from(x != *y)).min(above + 1).min(row[j] + 1);
            corner = above;
        }
    }
    row[b.len()]
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::super::parse;

    #[test]
    fn a_misspelt_key_is_refused_with_its_line_and_the_right_one() {
        let error = parse("wardpost.toml", "[smtp]\nmax_mesage = \"1MiB\"\n").unwrap_err().to_string();
        assert_eq!(error, "wardpost.toml, line 2: there is no key `max_mesage` here; did you mean `max_message`?");
        let error = parse("wardpost.toml", "[portal]\nnotice_delay = \"soon\"\n").unwrap_err().to_string();
        assert!(error.starts_with("wardpost.toml, line 2: `soon` is no length of time"), "{error}");
    }

    #[test]
    fn a_value_of_the_wrong_form_is_told_how_it_is_written() {
        for (text, expected) in [
            ("[queue]\nportal_after = 60\n", "line 2: this value is written as text in quotes"),
            ("[smtp]\nrelay = \"127.0.0.1:25\"\n", "line 2: this value is written as a list in brackets"),
            ("[smtp]\nmax_recipients = \"many\"\n", "line 2: this value is a number without quotes"),
            ("[next_hop]\nport = 25\n", "line 1: the key `host` is missing in this section"),
        ] {
            let error = parse("x", text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn an_empty_file_is_a_configuration() {
        assert!(parse("x", "").is_ok());
    }

    /// What the README shows can be copied.
    #[test]
    fn the_examples_of_the_readme_are_configurations() {
        for (page, blocks_min) in [
            (include_str!("../../README.md"), 2),
            (include_str!("../../docs/clients/copiers.md"), 1),
            (include_str!("../../docs/clients/mail-servers.md"), 1),
            (include_str!("../../docs/clients/clouds.md"), 2),
        ] {
            let blocks: Vec<&str> = page.split("```toml").skip(1).filter_map(|rest| rest.split("```").next()).collect();
            assert!(blocks.len() >= blocks_min);
            for block in blocks {
                parse("a page", block).unwrap_or_else(|error| panic!("{error}\n{block}"));
            }
        }
    }

    fn check(text: &str) -> Result<(), String> {
        super::super::Settings::of(parse("x", text).unwrap(), std::path::Path::new("/tmp"))
            .map(|_| ())
            .map_err(|error| error.to_string())
    }

    /// What a listener without encryption may be: private, fenced, and never wide.
    #[test]
    fn a_legacy_listener_is_private_and_fenced() {
        let legacy = |listen: &str, addresses: &str, recipients: &str, rest: &str| {
            check(&format!(
                "[[legacy]]\nname = \"copier\"\nlisten = \"{listen}\"\naddresses = [{addresses}]\n\
                 sender = \"copier@practice.example\"\nrecipients = [{recipients}]\n{rest}\n"
            ))
        };
        let (copier, own) = ("\"192.168.1.20\"", "\"@practice.example\"");
        for listen in ["192.168.1.5:2526", "127.0.0.1:2526", "[fd00::5]:2526", "10.0.0.1:25"] {
            assert_eq!(legacy(listen, copier, own, ""), Ok(()), "{listen}");
        }
        for (listen, addresses, recipients, rest) in [
            ("0.0.0.0:2526", copier, own, ""),
            ("[::]:2526", copier, own, ""),
            ("192.0.2.5:2526", copier, own, ""),
            ("192.168.1.5:2526", "\"192.0.2.20\"", own, ""),
            ("192.168.1.5:2526", "\"192.168.0.0/16\"", own, ""),
            ("192.168.1.5:2526", "", own, ""),
            ("192.168.1.5:2526", copier, "", ""),
            ("192.168.1.5:2526", copier, "\"*\"", ""),
            ("192.168.1.5:2526", copier, own, "messages_per_hour = 0"),
        ] {
            assert!(legacy(listen, addresses, recipients, rest).is_err(), "{listen} {addresses} {recipients} {rest}");
        }
        let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/clients/copiers.md")).unwrap();
        let block = text.split("```toml").nth(1).unwrap().split("```").next().unwrap().to_owned();
        assert_eq!(check(&block), Ok(()), "the recipe");
        assert!(check(&format!("{block}{block}")).is_err(), "two of one name");
    }

    /// A provider's range comes only with what tells its customers apart.
    #[test]
    fn shared_ranges_need_a_tenant_or_a_token() {
        let network = |addresses: &str, rest: &str| {
            check(&format!(
                "[[network]]\nname = \"cloud\"\naddresses = [\"{addresses}\"]\nsender_domains = [\"practice.example\"]\n{rest}\n"
            ))
        };
        let tenant = "tenants = [\"72f988bf-86f1-41af-91ab-2d7cd011db47\"]";
        for addresses in ["40.92.0.0/15", "40.107.1.0/24", "104.47.0.0/17", "209.85.128.0/17", "2a01:111:f400::/48"] {
            assert_eq!(network(addresses, tenant), Ok(()), "{addresses}");
            assert!(network(addresses, "").is_err(), "{addresses}");
        }
        for (addresses, rest) in [
            ("40.0.0.0/8", tenant),
            ("203.0.113.0/24", tenant),
            ("40.92.0.0/15", "tenants = [\"not a tenant\"]"),
            ("40.92.0.0/15", "tenants = [\"72f988bf-86f1-41af-91ab-2d7cd011db47\"]\ntls = \"optional\""),
            ("40.92.0.0/15", "token_file = \"/nowhere/token\""),
        ] {
            assert!(network(addresses, rest).is_err(), "{addresses} {rest}");
        }
    }

    /// An address alone lets in whoever has it; of a public range nobody knows who that is tomorrow.
    #[test]
    fn only_single_servers_and_small_private_ranges_may_relay() {
        let check = |addresses: &str| {
            let text =
                format!("[[network]]\nname = \"x\"\naddresses = [\"{addresses}\"]\nsender_domains = [\"practice.example\"]\n");
            super::super::Settings::of(parse("x", &text).unwrap(), std::path::Path::new("/tmp")).map(|_| ())
        };
        for addresses in ["192.0.2.10", "192.0.2.10/32", "10.1.2.0/24", "192.168.7.8/29", "fd00:1::/64", "2001:db8::1"] {
            check(addresses).unwrap_or_else(|error| panic!("{addresses}: {error}"));
        }
        for addresses in ["10.0.0.0/8", "10.1.0.0/23", "192.0.2.0/24", "192.0.2.8/31", "2001:db8::/64", "fd00::/48", "0.0.0.0/0"]
        {
            assert!(check(addresses).is_err(), "{addresses}");
        }
    }

    #[test]
    fn keys_never_lie_inside_the_data_they_open() {
        let check = |data: &str, keys: &str| {
            let text = format!("[data]\npath = \"{data}\"\n[keys]\npath = \"{keys}\"\n");
            super::super::Settings::of(parse("x", &text).unwrap(), std::path::Path::new("/srv")).map(|_| ())
        };
        assert!(check("data", "keys").is_ok());
        for (data, keys) in [("data", "data/keys"), ("data", "data"), ("keys/data", "keys"), ("/srv/data", "data/../data/k")] {
            assert!(check(data, keys).is_err(), "{data} {keys}");
        }
    }

    /// Every key that exists stands in the shipped example, and every key of the example exists.
    #[test]
    fn the_example_file_lists_every_key() {
        let example = include_str!("../../deploy/wardpost.toml");
        // A commented line is a key if it reads like one; sentences do not.
        let uncommented: String = example
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(rest)
                    if rest.starts_with('[')
                        || rest.split_once(" = ").is_some_and(|(key, _)| {
                            key.chars().all(|c| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit())
                        }) =>
                {
                    format!("{rest}\n")
                }
                _ => format!("{line}\n"),
            })
            .collect();
        let raw = parse("deploy/wardpost.toml", &uncommented).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(raw.route.len(), 1);
        let sections = uncommented.split("\n[").skip(1);
        let mut seen = 0;
        for section in sections {
            let (head, body) = section.split_once(']').unwrap();
            let head = head.trim_start_matches('[');
            let probe = if ["network", "client_certificate", "legacy", "pin", "route", "group", "dkim"].contains(&head) {
                format!("[[{head}]]\nzzz_unknown = 1\n")
            } else {
                format!("[{head}]\nzzz_unknown = 1\n")
            };
            let error = toml::from_str::<super::super::Raw>(&probe).unwrap_err();
            let keys: Vec<&str> = error.message().split('`').skip(3).step_by(2).collect();
            assert!(!keys.is_empty(), "{head}: {}", error.message());
            for key in keys {
                seen += 1;
                assert!(
                    body.lines().any(|line| line.starts_with(&format!("{key} = "))),
                    "[{head}] {key} is missing in deploy/wardpost.toml"
                );
            }
        }
        assert!(seen > 50, "{seen}");
    }
}
