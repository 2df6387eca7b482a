//! A line becomes a [`Command`], or says why not.

use std::fmt;

use zeroize::Zeroizing;

use super::path;
use crate::mail::{AddressError, MailParams, Mailbox, RcptParams, ReversePath};

/// Longest command line with its CRLF (RFC 5321, section 4.5.3.1.4).
pub const LINE_OCTETS_MAX: usize = 512;
/// Longest AUTH line and response to a challenge (RFC 4954, section 4).
pub const AUTH_OCTETS_MAX: usize = 12_288;
/// Longest MAIL or RCPT line: 512 and what SIZE, BODY, SMTPUTF8, AUTH, DSN add (RFC 3461, section 4; RFC 4954, section 3).
pub const PATH_OCTETS_MAX: usize = 2048;
/// Longest name in EHLO and HELO (RFC 5321, section 4.5.3.1.2).
const CLIENT_OCTETS_MAX: usize = 255;
/// Longest size in BDAT: more digits announce more octets than any server takes, and overflow lets the two sides
/// disagree about where the chunk ends.
const BDAT_DIGITS_MAX: usize = 10;

/// A secret a client sent. Wiped on drop, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub Zeroizing<Vec<u8>>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Whom RCPT names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipient {
    Mailbox(Mailbox),
    /// `<postmaster>` without a domain: the one of this host (RFC 5321, section 4.5.1).
    Postmaster,
}

/// One command of a client (RFC 5321, section 4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    Ehlo,
    Helo,
    StartTls,
    /// Mechanism in upper case; the initial response as it came, still in base64.
    Auth {
        mechanism: String,
        initial: Option<Secret>,
    },
    Mail {
        from: ReversePath,
        params: MailParams,
        /// Whether any parameter stood there: they need EHLO.
        has_params: bool,
    },
    Rcpt {
        to: Recipient,
        params: RcptParams,
        has_params: bool,
    },
    Data,
    Bdat {
        size: u64,
        last: bool,
    },
    /// A chunk whose size is known but whose line is wrong: its octets follow and must be read past.
    BdatWrong {
        size: u64,
    },
    Rset,
    Noop,
    Quit,
    Vrfy,
    Expn,
    Help,
}

/// Why a line is no command. Never repeats the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    #[error("the line does not end with CRLF, or has a CR, LF or NUL inside")]
    BareLineEnd,
    #[error("the line is too long")]
    TooLong,
    #[error("no such command")]
    Unknown,
    #[error("HTTP, not SMTP")]
    Http,
    #[error("the argument is missing, misplaced or not as RFC 5321 writes it")]
    Argument,
    #[error("the sender's address is not valid: {0}")]
    Sender(AddressError),
    #[error("the recipient's address is not valid: {0}")]
    Recipient(AddressError),
    #[error("the recipient's local part names a route through another host")]
    Route,
    #[error("the parameter is not known")]
    UnknownParameter,
    #[error("the parameter's value is not valid, or the parameter stands twice")]
    ParameterValue,
    #[error("the size of the chunk cannot be read, so its end cannot be found")]
    ChunkUnframed,
}

/// How long a line that starts like this may become, its CRLF included.
#[must_use]
pub fn line_octets_max(start: &[u8]) -> usize {
    let verb = start.get(..4).unwrap_or_default();
    if verb.eq_ignore_ascii_case(b"AUTH") {
        AUTH_OCTETS_MAX
    } else if verb.eq_ignore_ascii_case(b"MAIL") || verb.eq_ignore_ascii_case(b"RCPT") {
        PATH_OCTETS_MAX
    } else {
        LINE_OCTETS_MAX
    }
}

/// The line without its CRLF, if that is the only line end in it.
///
/// # Errors
/// [`CommandError::BareLineEnd`].
pub fn whole_line(line: &[u8]) -> Result<&[u8], CommandError> {
    match line.strip_suffix(b"\r\n") {
        Some(text) if memchr::memchr3(b'\r', b'\n', 0, text).is_none() => Ok(text),
        _ => Err(CommandError::BareLineEnd),
    }
}

/// Parses one line with its CRLF. The raw octets are judged before anything is read from them.
///
/// # Errors
/// [`CommandError`], which never repeats what the client wrote.
pub fn parse(line: &[u8]) -> Result<Command, CommandError> {
    if line.len() > line_octets_max(line) {
        return Err(CommandError::TooLong);
    }
    // Trailing white space before CRLF is tolerated (RFC 5321, section 4.1.1).
    let text = whole_line(line)?.trim_ascii_end();
    let (verb, rest) = match memchr::memchr(b' ', text) {
        Some(at) => {
            let (verb, rest) = text.split_at(at);
            (verb, rest.get(1..))
        }
        None => (text, None),
    };
    let mut name = [0u8; 8];
    let Some(slot) = name.get_mut(..verb.len()) else { return Err(CommandError::Unknown) };
    slot.copy_from_slice(verb);
    slot.make_ascii_uppercase();
    match &*slot {
        b"EHLO" => client(rest).map(|()| Command::Ehlo),
        b"HELO" => client(rest).map(|()| Command::Helo),
        b"MAIL" => mail(rest.ok_or(CommandError::Argument)?),
        b"RCPT" => rcpt(rest.ok_or(CommandError::Argument)?),
        b"BDAT" => bdat(rest.ok_or(CommandError::Argument)?),
        b"AUTH" => auth(rest.ok_or(CommandError::Argument)?),
        b"DATA" => alone(rest, Command::Data),
        b"RSET" => alone(rest, Command::Rset),
        b"QUIT" => alone(rest, Command::Quit),
        b"STARTTLS" => alone(rest, Command::StartTls),
        b"NOOP" => Ok(Command::Noop),
        b"HELP" => Ok(Command::Help),
        b"VRFY" => rest.map(|_| Command::Vrfy).ok_or(CommandError::Argument),
        b"EXPN" => rest.map(|_| Command::Expn).ok_or(CommandError::Argument),
        // A browser that was made to post to this port: what follows are lines of its choice.
        b"GET" | b"POST" | b"PUT" | b"CONNECT" | b"HOST:" => Err(CommandError::Http),
        _ => Err(CommandError::Unknown),
    }
}

fn alone(rest: Option<&[u8]>, command: Command) -> Result<Command, CommandError> {
    if rest.is_none() { Ok(command) } else { Err(CommandError::Argument) }
}

/// The name of the client is used for nothing, so only its shape is checked. Octets beyond ASCII are let through:
/// practices have machines called after people, and their mail programs say so in whatever charset they use.
fn client(rest: Option<&[u8]>) -> Result<(), CommandError> {
    let name = rest.ok_or(CommandError::Argument)?;
    let is_fit = !name.is_empty()
        && name.len() <= CLIENT_OCTETS_MAX
        && name.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':' | b'[' | b']') || *b >= 128);
    if is_fit { Ok(()) } else { Err(CommandError::Argument) }
}

fn auth(rest: &[u8]) -> Result<Command, CommandError> {
    let text = std::str::from_utf8(rest).map_err(|_| CommandError::Argument)?;
    let mut words = text.split(' ');
    let mechanism = words.next().unwrap_or_default();
    let is_name =
        (1..=20).contains(&mechanism.len()) && mechanism.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    let initial = words.next();
    if !is_name || initial == Some("") || words.next().is_some() {
        return Err(CommandError::Argument);
    }
    Ok(Command::Auth {
        mechanism: mechanism.to_ascii_uppercase(),
        initial: initial.map(|text| Secret(Zeroizing::new(text.as_bytes().to_vec()))),
    })
}

fn bdat(rest: &[u8]) -> Result<Command, CommandError> {
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    let (number, after) = rest.split_at(digits);
    if digits == 0 {
        return Err(CommandError::Argument);
    }
    if digits > BDAT_DIGITS_MAX {
        return Err(CommandError::ChunkUnframed);
    }
    let size = number.iter().fold(0u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    Ok(match after {
        b"" => Command::Bdat { size, last: false },
        _ if after.eq_ignore_ascii_case(b" LAST") => Command::Bdat { size, last: true },
        // `BDAT 12x`: nobody can say whether 12 octets follow.
        [b' ', ..] => Command::BdatWrong { size },
        _ => return Err(CommandError::ChunkUnframed),
    })
}

fn mail(rest: &[u8]) -> Result<Command, CommandError> {
    let (written, params) = path::split(rest, b"FROM:")?;
    let from = if written.is_empty() {
        ReversePath::Null
    } else {
        ReversePath::Mailbox(path::mailbox(written).map_err(CommandError::Sender)?)
    };
    Ok(Command::Mail { from, params: path::mail_params(params)?, has_params: !params.is_empty() })
}

fn rcpt(rest: &[u8]) -> Result<Command, CommandError> {
    let (written, params) = path::split(rest, b"TO:")?;
    let to = if written.eq_ignore_ascii_case("postmaster") {
        Recipient::Postmaster
    } else {
        let mailbox = path::mailbox(written).map_err(CommandError::Recipient)?;
        // `user%elsewhere@here` and `elsewhere!user@here` ask the next host to relay.
        if mailbox.local().as_str().contains(['%', '!']) {
            return Err(CommandError::Route);
        }
        // No top-level domain is a number (RFC 3696, section 2): this is an address without its brackets.
        if mailbox.domain().as_str().rsplit('.').next().is_some_and(|top| top.bytes().all(|b| b.is_ascii_digit())) {
            return Err(CommandError::Recipient(AddressError::AddressLiteral));
        }
        Recipient::Mailbox(mailbox)
    };
    Ok(Command::Rcpt { to, params: path::rcpt_params(params)?, has_params: !params.is_empty() })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::mail::{BodyKind, Ret};

    fn from(line: &str) -> (ReversePath, MailParams) {
        match parse(format!("{line}\r\n").as_bytes()) {
            Ok(Command::Mail { from, params, .. }) => (from, params),
            other => panic!("{line}: {other:?}"),
        }
    }

    fn to(line: &str) -> (Recipient, RcptParams) {
        match parse(format!("{line}\r\n").as_bytes()) {
            Ok(Command::Rcpt { to, params, .. }) => (to, params),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn addresses_arrive_byte_for_byte() {
        for written in
            ["a@b.example", "\"quo ted\"@b.example", "\"a>b\\\"c\"@b.example", "O'Hara+x@B.Example", "用户@例子.example"]
        {
            assert_eq!(from(&format!("MAIL FROM:<{written}>")).0.to_string(), written);
            match to(&format!("rcpt to: <{written}>")).0 {
                Recipient::Mailbox(mailbox) => assert_eq!(mailbox.to_string(), written),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(from("MAIL FROM:<>").0, ReversePath::Null);
        assert_eq!(from("mail from: <> ").0, ReversePath::Null);
        assert_eq!(to("RCPT TO:<PostMaster>").0, Recipient::Postmaster);
    }

    #[test]
    fn an_address_has_no_dot_at_its_end_and_no_more_than_254_octets() {
        let error = |line: String| parse(format!("{line}\r\n").as_bytes()).err();
        for address in ["a@b.example.", "a@example.", "a@b.example..", "\"a b\"@b.example.", "a@bücher.example."] {
            let (sender, recipient) =
                (CommandError::Sender(AddressError::TrailingDot), CommandError::Recipient(AddressError::TrailingDot));
            assert_eq!(error(format!("MAIL FROM:<{address}>")), Some(sender), "{address}");
            assert_eq!(error(format!("RCPT TO:<{address}> NOTIFY=NEVER")), Some(recipient), "{address}");
        }
        let labels = format!("{0}.{0}.{0}.", "b".repeat(61));
        let (long, longer) = (format!("{labels}{}", "c".repeat(66 - 64 + 1)), format!("{labels}{}", "c".repeat(66 - 64 + 2)));
        let local = "a".repeat(64);
        assert_eq!(local.len() + 1 + long.len(), 254);
        to(&format!("RCPT TO:<{local}@{long}>"));
        assert_eq!(error(format!("RCPT TO:<{local}@{longer}>")), Some(CommandError::Recipient(AddressError::Length)));
        assert_eq!(error(format!("MAIL FROM:<{local}@{longer}>")), Some(CommandError::Sender(AddressError::Length)));
        // Short as written, and too long as the next hop would see it.
        let written = format!("{local}@{}.example", ["Δx.Ax"; 15].join("."));
        assert!(written.len() <= 254);
        assert_eq!(error(format!("RCPT TO:<{written}>")), Some(CommandError::Recipient(AddressError::Length)));
    }

    #[test]
    fn parameters_are_read_and_strange_ones_refused() {
        let (_, params) =
            from("MAIL FROM:<a@b.example> SIZE=1000 body=8bitmime SMTPUTF8 RET=HDRS ENVID=QQ+2B1 REQUIRETLS AUTH=<>");
        assert_eq!(params.size_bytes, Some(1000));
        assert_eq!(params.body, BodyKind::EightBitMime);
        assert!(params.smtputf8 && params.require_tls);
        assert_eq!(params.ret, Some(Ret::Headers));
        assert_eq!(params.envid.as_deref(), Some("QQ+2B1"));
        assert_eq!(params.auth.as_deref(), Some("<>"));
        assert_eq!(from("MAIL FROM:<> SIZE=99999999999999999999").1.size_bytes, Some(u64::MAX));
        let (_, params) = to("RCPT TO:<a@b.example> NOTIFY=SUCCESS,delay ORCPT=rfc822;a+40b@c.example");
        assert!(params.notify.success && params.notify.delay && !params.notify.failure && !params.notify.never);
        assert_eq!(params.orcpt.as_deref(), Some("rfc822;a+40b@c.example"));
        assert!(to("RCPT TO:<a@b.example> NOTIFY=NEVER").1.notify.never);
        for (line, expected) in [
            ("MAIL FROM:<a@b.example> FOO=BAR", CommandError::UnknownParameter),
            ("MAIL FROM:<a@b.example> NOTIFY=NEVER", CommandError::UnknownParameter),
            ("RCPT TO:<a@b.example> SIZE=1", CommandError::UnknownParameter),
            ("MAIL FROM:<a@b.example> BODY=BINARYMIME", CommandError::ParameterValue),
            ("MAIL FROM:<a@b.example> SIZE=1 SIZE=2", CommandError::ParameterValue),
            ("MAIL FROM:<a@b.example> SIZE=", CommandError::ParameterValue),
            ("MAIL FROM:<a@b.example> SIZE=-1", CommandError::ParameterValue),
            ("MAIL FROM:<a@b.example> SIZE=999999999999999999999", CommandError::ParameterValue),
            ("MAIL FROM:<a@b.example> SMTPUTF8=1", CommandError::ParameterValue),
            ("MAIL FROM:<a@b.example> RET=BODY", CommandError::ParameterValue),
            ("MAIL FROM:<a@b.example> ENVID=a+b", CommandError::ParameterValue),
            ("MAIL FROM:<a@b.example> ENVID=a=b", CommandError::ParameterValue),
            ("RCPT TO:<a@b.example> NOTIFY=NEVER,DELAY", CommandError::ParameterValue),
            ("RCPT TO:<a@b.example> NOTIFY=DELAY,DELAY", CommandError::ParameterValue),
            ("RCPT TO:<a@b.example> ORCPT=a@b.example", CommandError::ParameterValue),
            ("RCPT TO:<a@b.example>SIZE=1", CommandError::Argument),
            ("RCPT TO:<a@b.example>  NOTIFY=NEVER", CommandError::Argument),
        ] {
            assert_eq!(parse(format!("{line}\r\n").as_bytes()), Err(expected), "{line}");
        }
        assert!(matches!(
            parse(format!("MAIL FROM:<a@b.example> ENVID={}\r\n", "x".repeat(101)).as_bytes()),
            Err(CommandError::ParameterValue)
        ));
    }

    #[test]
    fn routes_literals_and_broken_paths_are_refused() {
        for line in [
            "RCPT TO:<@a.example,@b.example:c@d.example>",
            "RCPT TO:<@a.example:c@d.example>",
            "RCPT TO:<a@[127.0.0.1]>",
            "RCPT TO:<a@[IPv6:::1]>",
            "RCPT TO:<a%b.example@c.example>",
            "RCPT TO:<b.example!a@c.example>",
            "RCPT TO:<\"a%b.example\"@c.example>",
            "RCPT TO:<a>",
            "RCPT TO:<>",
            "RCPT TO:a@b.example",
            "RCPT TO:<a@b.example",
            "RCPT TO:<<a@b.example>>",
            "RCPT TO:  <a@b.example>",
            "RCPT TO:\t<a@b.example>",
            "RCPT TO <a@b.example>",
            "RCPT:<a@b.example>",
            "RCPT <a@b.example>",
            "RCPT",
            "RCPT FROM:<a@b.example>",
            "MAIL TO:<a@b.example>",
            "MAIL FROM:<postmaster>",
            "MAIL FROM:<a b@c.example>",
            "MAIL FROM:<\"a@b.example>",
            "MAIL FROM:<a@b.example> ,",
        ] {
            assert!(parse(format!("{line}\r\n").as_bytes()).is_err(), "{line}");
        }
        assert!(parse(b"MAIL FROM:<\xff@b.example>\r\n").is_err());
    }

    #[test]
    fn only_crlf_ends_a_command_and_nothing_hides_inside() {
        for line in [
            &b"NOOP\n"[..],
            b"NOOP\r",
            b"NOOP",
            b"NOOP\r\r\n",
            b"NO\rOP\r\n",
            b"MAIL FROM:<a\rb@c.example>\r\n",
            b"NOOP\0\r\n",
            b"NOOP\nQUIT\r\n",
        ] {
            assert_eq!(parse(line), Err(CommandError::BareLineEnd), "{line:?}");
        }
        assert_eq!(parse(b"noop\r\n"), Ok(Command::Noop));
        assert_eq!(parse(b"NOOP anything \r\n"), Ok(Command::Noop));
    }

    #[test]
    fn chunk_sizes_cannot_overflow_or_be_read_in_two_ways() {
        assert_eq!(parse(b"BDAT 0 LAST\r\n"), Ok(Command::Bdat { size: 0, last: true }));
        assert_eq!(parse(b"bdat 86 last\r\n"), Ok(Command::Bdat { size: 86, last: true }));
        assert_eq!(parse(b"BDAT 9999999999\r\n"), Ok(Command::Bdat { size: 9_999_999_999, last: false }));
        assert_eq!(parse(b"BDAT 99999999999999999999999\r\n"), Err(CommandError::ChunkUnframed));
        assert_eq!(parse(b"BDAT 00000000001\r\n"), Err(CommandError::ChunkUnframed));
        assert_eq!(parse(b"BDAT 12x\r\n"), Err(CommandError::ChunkUnframed));
        assert_eq!(parse(b"BDAT 12 FIRST\r\n"), Ok(Command::BdatWrong { size: 12 }));
        assert_eq!(parse(b"BDAT 12  LAST\r\n"), Ok(Command::BdatWrong { size: 12 }));
        for line in ["BDAT", "BDAT -1", "BDAT +1", "BDAT 0x10", "BDAT LAST"] {
            let got = parse(format!("{line}\r\n").as_bytes());
            assert!(matches!(got, Err(CommandError::Argument | CommandError::ChunkUnframed)), "{line}: {got:?}");
        }
    }

    #[test]
    fn whatever_comes_in_an_accepted_path_stood_in_the_line() {
        let words: [&[u8]; 14] =
            [b"a", b"b.example", b"@", b"\"", b"\\", b" ", b">", b"<", b"%", b"\xff", "\u{e9}".as_bytes(), b"[", b":", b"."];
        let (mut seed, mut paths) = (0x9e37_79b9_7f4a_7c15_u64, 0);
        for _ in 0..200_000 {
            let mut line = Vec::new();
            let mut next = || {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                seed as usize
            };
            let start: &[u8] = [&b"MAIL FROM:<"[..], b"RCPT TO:<", b"RCPT TO:<a@", b""][next() % 4];
            line.extend_from_slice(start);
            for _ in 0..next() % 6 {
                line.extend_from_slice(words[next() % words.len()]);
            }
            let end: &[u8] = [&b"@b.example>\r\n"[..], b">\r\n", b"> SIZE=1\r\n", b"\r\n"][next() % 4];
            line.extend_from_slice(end);
            let written = match parse(&line) {
                Ok(Command::Mail { from: ReversePath::Mailbox(mailbox), .. }) => mailbox,
                Ok(Command::Rcpt { to: Recipient::Mailbox(mailbox), .. }) => mailbox,
                _ => continue,
            };
            paths += 1;
            let path = format!("<{}@{}>", written.local().as_str(), written.domain().written());
            let line = String::from_utf8(line).unwrap();
            assert!(line.contains(&path), "{line}");
        }
        assert!(paths > 1000, "only {paths} lines had a path");
    }

    #[test]
    fn lines_have_limits_by_command() {
        let line = |start: &str, octets: usize| {
            let mut line = start.as_bytes().to_vec();
            line.resize(octets - 2, b'x');
            line.extend_from_slice(b"\r\n");
            parse(&line)
        };
        assert_eq!(line("NOOP ", 512), Ok(Command::Noop));
        assert_eq!(line("NOOP ", 513), Err(CommandError::TooLong));
        assert!(matches!(line("AUTH PLAIN ", 12_288), Ok(Command::Auth { .. })));
        assert_eq!(line("AUTH PLAIN ", 12_289), Err(CommandError::TooLong));
        assert_ne!(line("MAIL FROM:<a@b.example> ENVID=", 2048), Err(CommandError::TooLong));
        assert_eq!(line("MAIL FROM:<a@b.example> ENVID=", 2049), Err(CommandError::TooLong));
    }

    #[test]
    fn arguments_stand_where_they_belong() {
        for (line, expected) in [
            ("EHLO mail.example", Ok(Command::Ehlo)),
            ("HELO [127.0.0.1]", Ok(Command::Helo)),
            ("EHLO [IPv6:::1]", Ok(Command::Ehlo)),
            ("EHLO me_x", Ok(Command::Ehlo)),
            ("EHLO PRAXIS-MÜLLER", Ok(Command::Ehlo)),
            ("EHLO", Err(CommandError::Argument)),
            ("EHLO ", Err(CommandError::Argument)),
            ("EHLO a b", Err(CommandError::Argument)),
            ("EHLO <x>", Err(CommandError::Argument)),
            ("DATA x", Err(CommandError::Argument)),
            ("STARTTLS x", Err(CommandError::Argument)),
            ("QUIT x", Err(CommandError::Argument)),
            ("VRFY", Err(CommandError::Argument)),
            ("VRFY ann", Ok(Command::Vrfy)),
            ("HELP MAIL", Ok(Command::Help)),
            ("AUTH", Err(CommandError::Argument)),
            ("AUTH PLAIN a b", Err(CommandError::Argument)),
            ("AUTH PLAIN  a", Err(CommandError::Argument)),
            (" NOOP", Err(CommandError::Unknown)),
            ("", Err(CommandError::Unknown)),
            ("FROBNICATE", Err(CommandError::Unknown)),
            ("XYZZY", Err(CommandError::Unknown)),
            ("POST / HTTP/1.1", Err(CommandError::Http)),
        ] {
            assert_eq!(parse(format!("{line}\r\n").as_bytes()), expected, "{line}");
        }
        let Ok(command) = parse(b"auth plain AGFubgBzZWNyZXQ=\r\n") else { panic!() };
        assert!(!format!("{command:?}").contains("AGFub"), "a secret was printed");
    }
}
