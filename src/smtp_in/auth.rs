//! The exchange of AUTH (RFC 4954): PLAIN (RFC 4616), LOGIN and EXTERNAL, as values. What a password is worth is `guard`'s.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::mail::{EnhancedCode, Reply};
use crate::smtp::Secret;

/// Longest user name and password; longer ones are nobody's.
const NAME_OCTETS_MAX: usize = 255;
const PASSWORD_OCTETS_MAX: usize = 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mechanism {
    Plain,
    Login,
    /// The client's certificate says who it is (RFC 4422, appendix A).
    External,
}

impl Mechanism {
    pub(super) fn parse(name: &str) -> Option<Mechanism> {
        match name {
            "PLAIN" => Some(Mechanism::Plain),
            "LOGIN" => Some(Mechanism::Login),
            "EXTERNAL" => Some(Mechanism::External),
            _ => None,
        }
    }
}

/// What a client claims to be.
pub(super) struct Credentials {
    pub name: String,
    pub password: Zeroizing<Vec<u8>>,
}

/// An exchange that waits for the client's next line.
pub(super) enum Exchange {
    Plain,
    LoginName,
    LoginPassword { name: Zeroizing<Vec<u8>> },
    External,
}

pub(super) enum Turn {
    /// 334 with this text, then [`Exchange::on`] with the answer.
    Ask(&'static str, Exchange),
    Check(Credentials),
    /// Is the holder of the certificate this one? Empty: whoever it is.
    Certificate(String),
    Refuse(Reply),
}

impl Exchange {
    pub(super) fn start(mechanism: Mechanism, initial: Option<Secret>) -> Turn {
        match (mechanism, initial) {
            (Mechanism::Plain, None) => Turn::Ask("", Exchange::Plain),
            (Mechanism::Login, None) => Turn::Ask(ASK_NAME, Exchange::LoginName),
            (Mechanism::External, None) => Turn::Ask("", Exchange::External),
            // An initial response of no octets is written "=" (RFC 4954, section 4).
            (mechanism, Some(Secret(text))) => {
                let text = if *text == b"=" { &b""[..] } else { &text };
                match mechanism {
                    Mechanism::Plain => Exchange::Plain.on(text),
                    Mechanism::Login => Exchange::LoginName.on(text),
                    Mechanism::External => Exchange::External.on(text),
                }
            }
        }
    }

    /// The client's line without its CRLF.
    pub(super) fn on(self, line: &[u8]) -> Turn {
        if line == b"*" {
            return Turn::Refuse(Reply::new(501, EnhancedCode(5, 7, 0), "Authentication cancelled"));
        }
        let Ok(answer) = STANDARD.decode(line).map(Zeroizing::new) else { return malformed() };
        match self {
            Exchange::Plain => plain(&answer),
            Exchange::LoginName => Turn::Ask(ASK_PASSWORD, Exchange::LoginPassword { name: answer }),
            Exchange::LoginPassword { name } => credentials(&name, &answer),
            Exchange::External => match std::str::from_utf8(&answer) {
                Ok(name) if name.len() <= NAME_OCTETS_MAX && !name.contains('\0') => Turn::Certificate(name.to_owned()),
                _ => malformed(),
            },
        }
    }
}

/// "Username:" and "Password:", which clients of LOGIN match octet by octet.
const ASK_NAME: &str = "VXNlcm5hbWU6";
const ASK_PASSWORD: &str = "UGFzc3dvcmQ6";

fn malformed() -> Turn {
    Turn::Refuse(Reply::new(501, EnhancedCode(5, 5, 2), "The response cannot be decoded"))
}

/// `[authzid] NUL authcid NUL passwd`. Acting for somebody else is not offered.
fn plain(answer: &[u8]) -> Turn {
    let mut fields = answer.split(|b| *b == 0);
    match (fields.next(), fields.next(), fields.next(), fields.next()) {
        (Some(authzid), Some(name), Some(password), None) if authzid.is_empty() || authzid == name => credentials(name, password),
        (Some(_), Some(_), Some(_), None) => Turn::Refuse(wrong()),
        _ => malformed(),
    }
}

fn credentials(name: &[u8], password: &[u8]) -> Turn {
    match std::str::from_utf8(name) {
        Ok(name)
            if !name.is_empty()
                && !password.is_empty()
                && name.len() <= NAME_OCTETS_MAX
                && password.len() <= PASSWORD_OCTETS_MAX =>
        {
            Turn::Check(Credentials { name: name.to_owned(), password: Zeroizing::new(password.to_vec()) })
        }
        _ => Turn::Refuse(wrong()),
    }
}

/// The one answer to every credential that does not hold, whatever the reason.
pub(super) fn wrong() -> Reply {
    Reply::new(535, EnhancedCode(5, 7, 8), "User name or password not accepted")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    /// Runs an exchange: `Ok((name, password))` or the code of the refusal.
    fn run(mechanism: Mechanism, initial: Option<&str>, lines: &[&str]) -> Result<(String, String), u16> {
        let mut turn = Exchange::start(mechanism, initial.map(|text| Secret(Zeroizing::new(text.as_bytes().to_vec()))));
        let mut lines = lines.iter();
        loop {
            turn = match turn {
                Turn::Ask(_, exchange) => exchange.on(lines.next().expect("asked for more").as_bytes()),
                Turn::Check(c) => {
                    assert!(lines.next().is_none(), "not asked for all");
                    return Ok((c.name, String::from_utf8(c.password.to_vec()).unwrap()));
                }
                Turn::Certificate(_) => panic!("nobody asked for EXTERNAL"),
                Turn::Refuse(reply) => return Err(reply.code),
            };
        }
    }

    #[test]
    fn each_form_of_plain_and_login_is_understood() {
        let b64 = |text: &str| STANDARD.encode(text);
        let ann = || Ok(("ann".to_owned(), "pass word".to_owned()));
        let plain = b64("\0ann\0pass word");
        assert_eq!(run(Mechanism::Plain, Some(&plain), &[]), ann());
        assert_eq!(run(Mechanism::Plain, None, &[&plain]), ann());
        assert_eq!(run(Mechanism::Plain, Some(&b64("ann\0ann\0pass word")), &[]), ann());
        assert_eq!(run(Mechanism::Login, None, &[&b64("ann"), &b64("pass word")]), ann());
        assert_eq!(run(Mechanism::Login, Some(&b64("ann")), &[&b64("pass word")]), ann());

        assert_eq!(run(Mechanism::Plain, Some(&b64("bob\0ann\0pass word")), &[]), Err(535), "acting for another");
        assert_eq!(run(Mechanism::Plain, None, &["*"]), Err(501));
        assert_eq!(run(Mechanism::Login, None, &["*"]), Err(501));
        assert_eq!(run(Mechanism::Login, None, &[&b64("ann"), "*"]), Err(501));
        assert_eq!(run(Mechanism::Plain, Some("="), &[]), Err(501), "empty response");
        assert_eq!(run(Mechanism::Plain, None, &[""]), Err(501));
        assert_eq!(run(Mechanism::Login, Some("="), &[&b64("x")]), Err(535), "empty name");
        assert_eq!(run(Mechanism::Plain, Some("?not base64?"), &[]), Err(501));
        assert_eq!(run(Mechanism::Plain, Some("AGFubgBwYXNz d29yZA=="), &[]), Err(501));
        assert_eq!(run(Mechanism::Plain, Some(&b64("\0ann")), &[]), Err(501));
        assert_eq!(run(Mechanism::Plain, Some(&b64("\0ann\0a\0b")), &[]), Err(501));
        assert_eq!(run(Mechanism::Plain, Some(&b64("\0ann\0")), &[]), Err(535));
        assert_eq!(run(Mechanism::Plain, Some(&b64(&format!("\0{}\0x", "n".repeat(256)))), &[]), Err(535));
        assert_eq!(run(Mechanism::Plain, Some(&STANDARD.encode(b"\0\xff\0x")), &[]), Err(535));
    }

    #[test]
    fn the_prompts_are_the_ones_clients_look_for() {
        assert!(matches!(Exchange::start(Mechanism::Plain, None), Turn::Ask("", _)));
        let Turn::Ask(name, exchange) = Exchange::start(Mechanism::Login, None) else { panic!() };
        assert_eq!(STANDARD.decode(name).unwrap(), b"Username:");
        let Turn::Ask(password, _) = exchange.on(b"YQ==") else { panic!() };
        assert_eq!(STANDARD.decode(password).unwrap(), b"Password:");
    }
}
