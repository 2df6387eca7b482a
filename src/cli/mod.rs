//! # cli: the commands
//!
//! Each verb calls the same rooms as the running gateway. Errors are printed once, here, with their causes.
//!
//! Must not be here: decisions; anything the gateway would do differently.

mod admin;
mod check;
mod check_config;
mod demo;
mod explain;
mod keys;
mod output;
mod patients;
mod scan;
mod serve;
mod unreadable;
mod words;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(
    name = "wardpost",
    version,
    about = "Mail gateway for medical practices: finds PHI, proves TLS for each recipient, keeps the rest in an encrypted portal"
)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

/// Which configuration; without one the built-in defaults.
#[derive(clap::Args, Clone)]
struct Configured {
    /// Configuration file; deploy/wardpost.toml lists every key
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Verb {
    /// Run the gateway; without --config with built-in defaults on loopback
    Serve {
        #[command(flatten)]
        configured: Configured,
        /// The data folder was restored from a backup: void every pick-up code, record it, then serve
        #[arg(long)]
        restored: bool,
    },
    /// Run the gateway with a small mail world on loopback and send sample messages through it
    Demo {
        /// End by itself; non-zero if any line is not as it must be
        #[arg(long)]
        once: bool,
    },
    /// Check a configuration as far as the start will: files, certificates, resolver, rules with their examples
    CheckConfig(Configured),
    /// Say what is known of the way to domains and what would become of mail to them now; sends nothing
    ///
    /// Connects to every mail server of the domain as a delivery would, up to the proof of who it is, and no further.
    /// Exit status: 0 all would be delivered at the level that the configuration asks for PHI, 1 some would not,
    /// 2 some could not be asked.
    Check {
        /// Domains or addresses
        #[arg(required_unless_present = "file", value_name = "DOMAIN")]
        domains: Vec<String>,
        /// A file of domains or addresses, one a line (- for standard input); each domain is asked once
        #[arg(long, value_name = "ADDRESSES")]
        file: Option<PathBuf>,
        /// One JSON object a domain and line
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        configured: Configured,
    },
    /// Scan messages for PHI and print what was found
    Scan {
        /// One JSON line a file
        #[arg(long)]
        json: bool,
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Say what the gateway would see in messages, find, and do for each recipient, and what would change that
    ///
    /// Nothing is sent or stored. Excerpts are masked.
    Explain {
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Sender; without it, nobody
        #[arg(long, value_name = "ADDRESS")]
        from: Option<String>,
        /// Recipients; without them, those of To, Cc and Bcc
        #[arg(long, value_name = "ADDRESS", num_args = 1..)]
        to: Vec<String>,
        /// Say also what the own words in this folder would change
        #[arg(long, value_name = "FOLDER")]
        with: Option<PathBuf>,
        /// Do not ask DNS and mail servers for the way
        #[arg(long)]
        offline: bool,
        /// One JSON object a file
        #[arg(long)]
        json: bool,
        /// Show what was found in clear
        #[arg(long)]
        reveal: bool,
        #[command(flatten)]
        configured: Configured,
    },
    /// Own words: terms, patterns and what is allowed
    #[command(subcommand)]
    Words(WordsVerb),
    /// The decision log
    #[command(subcommand)]
    Audit(Audit),
    /// Messages that wait or are held
    #[command(subcommand)]
    Queue(Queue),
    /// Messages in the portal
    #[command(subcommand)]
    Escrow(Escrow),
    /// Accounts that may submit mail
    #[command(subcommand)]
    User(User),
    /// Client certificates for mail servers that relay
    #[command(subcommand)]
    Certs(Certs),
    /// Reports about TLS to recipient domains (RFC 8460)
    #[command(subcommand)]
    Tlsrpt(Tlsrpt),
    /// What was agreed with partners: pinned hosts and keys, when to review them, when they last proved themselves
    #[command(subcommand)]
    Partners(Partners),
    /// Tokens for programs that ask over HTTP ([admin] in the configuration)
    #[command(subcommand)]
    Token(Token),
    /// The practice's own patients, kept as keyed hashes
    #[command(subcommand)]
    Patients(Patients),
    /// Keys for DKIM
    #[command(subcommand)]
    Keys(Keys),
    /// Child process that reads attachments; started by the gateway
    #[command(hide = true)]
    ExtractWorker,
    /// What starts the reader of pictures; for the gateway itself
    #[command(hide = true)]
    OcrWorker { program: PathBuf },
}

#[derive(Subcommand)]
enum Audit {
    /// Print why a message went where, one entry for each recipient and step
    Show {
        /// Queue id (from the 250 reply) or Message-ID
        message: String,
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        configured: Configured,
    },
    /// Write the log as JSON lines that `audit verify` and deploy/verify.py check without this program's store
    Export {
        /// From this entry on
        #[arg(long, default_value_t = 1)]
        from: u64,
        #[command(flatten)]
        configured: Configured,
    },
    /// Prove to somebody else how one message reached its recipient's mail server
    Proof {
        /// Queue id or Message-ID
        message: String,
        recipient: String,
        /// Write the signed proof, which `audit verify-proof` checks
        #[arg(long, value_name = "FILE")]
        export: Option<PathBuf>,
        #[command(flatten)]
        configured: Configured,
    },
    /// Check a proof that `audit proof --export` wrote; needs neither store nor configuration
    VerifyProof {
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// The gateway's verifying key as you know it (base64)
        #[arg(long, value_name = "KEY")]
        key: Option<String>,
        /// An export of the log: the proof's entries must stand in it
        #[arg(long, value_name = "EXPORT")]
        log: Option<PathBuf>,
    },
    /// Prove a log unchanged: an exported file, or the store's own log without one
    Verify {
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
        /// A head kept elsewhere: the log must contain it. Without FILE the one beside the keys is compared
        #[arg(long, value_name = "FILE")]
        head: Option<PathBuf>,
        /// The gateway's verifying key: `public_key` in the head.json beside its keys
        #[arg(long, value_name = "BASE64")]
        key: Option<String>,
        #[command(flatten)]
        configured: Configured,
    },
}

#[derive(Subcommand)]
enum Queue {
    /// List copies that are not finished
    List {
        #[arg(long)]
        json: bool,
        /// Finished ones too
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        configured: Configured,
    },
    /// Let a held copy go on: to delivery or the portal, as its rules say
    Release {
        copy: String,
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        configured: Configured,
    },
    /// Refuse a held copy; the sender is told
    Refuse {
        copy: String,
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        configured: Configured,
    },
}

#[derive(Subcommand)]
enum Escrow {
    /// List parcels
    List {
        #[arg(long)]
        json: bool,
        /// Closed ones too
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        configured: Configured,
    },
    /// Issue a new code for one recipient of a message; the old one is void
    Code {
        /// Queue id or Message-ID
        message: String,
        recipient: String,
        #[command(flatten)]
        configured: Configured,
    },
}

#[derive(Subcommand)]
enum User {
    /// Add an account; its password is shown once. Give each device one of its own
    Add {
        /// Login name, such as ann@practice.example or ann-phone
        name: String,
        /// Address (user@domain) or domain (@domain) it may send as; repeatable
        #[arg(long, value_name = "ADDRESS")]
        send_as: Vec<String>,
        /// Where slips and reports go
        #[arg(long, value_name = "ADDRESS")]
        bound_address: Option<String>,
        #[command(flatten)]
        configured: Configured,
    },
    /// List accounts: what they may send as, when and from where they were last used
    List {
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        configured: Configured,
    },
    /// Remove an account; open sessions cannot submit any more
    Revoke {
        name: String,
        #[command(flatten)]
        configured: Configured,
    },
}

#[derive(Subcommand)]
enum Certs {
    /// Make a key and a certificate of the built-in authority; they are written once and kept nowhere else
    Issue {
        name: String,
        /// Address (user@domain) or domain (@domain) it may send as; repeatable
        #[arg(long, value_name = "ADDRESS")]
        send_as: Vec<String>,
        /// Where slips and reports go
        #[arg(long, value_name = "ADDRESS")]
        bound_address: Option<String>,
        /// How long it is valid
        #[arg(long, default_value_t = 397)]
        days: u32,
        /// Messages it may send within an hour
        #[arg(long, value_name = "COUNT")]
        messages_per_hour: Option<u32>,
        /// Folder for NAME.pem and NAME.key
        #[arg(long, default_value = ".")]
        folder: PathBuf,
        #[command(flatten)]
        configured: Configured,
    },
    /// List certificates: what they may send, until when they are valid, when and from where they were last used
    List {
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        configured: Configured,
    },
    /// Take a certificate's rights away; new connections send nothing with it
    Revoke {
        name: String,
        #[command(flatten)]
        configured: Configured,
    },
}

#[derive(Subcommand)]
enum Tlsrpt {
    /// Show what has been counted and not yet reported
    Show {
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        configured: Configured,
    },
    /// Send the reports of the days that are over, without waiting for the night
    Send {
        /// And of today so far
        #[arg(long)]
        now: bool,
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        configured: Configured,
    },
}

#[derive(Subcommand)]
enum Partners {
    /// List every agreement: its review, and its last proven contact
    List {
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        configured: Configured,
    },
}

#[derive(Subcommand)]
enum Token {
    /// Make a token; it is shown once
    Add {
        name: String,
        #[command(flatten)]
        configured: Configured,
    },
    /// List tokens: when they were made, when and from where they were last used
    List {
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        configured: Configured,
    },
    /// Void a token at once
    Revoke {
        name: String,
        #[command(flatten)]
        configured: Configured,
    },
}

#[derive(Subcommand)]
enum WordsVerb {
    /// Say what the words in a folder would change, on bundled sample mail or on a folder of .eml files
    Try {
        #[arg(value_name = "FOLDER")]
        folder: PathBuf,
        #[arg(long, value_name = "FOLDER")]
        mail: Option<PathBuf>,
        /// One JSON object a changed message, and one with the sums
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        configured: Configured,
    },
}

#[derive(Subcommand)]
enum Patients {
    /// Take an export of the practice's program (CSV) in place of the list in force
    ///
    /// Columns are found by their names, in English or Spanish: last, first, full name, DOB, MRN, member id, SSN, phone,
    /// e-mail, address. One bad line, and nothing is taken.
    Import {
        /// The export (- for standard input)
        #[arg(value_name = "FILE.csv")]
        file: PathBuf,
        /// Say what would be taken, and change nothing
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        configured: Configured,
    },
    /// How many, how old, and whether the list fits the mail
    Status {
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        configured: Configured,
    },
    /// Remove the list
    Forget {
        #[command(flatten)]
        configured: Configured,
    },
}

#[derive(Subcommand)]
enum Keys {
    /// Make an Ed25519 and an RSA key for a sender domain and print the DNS records
    Dkim {
        domain: String,
        /// Selector; the RSA key gets it with `-rsa`
        #[arg(long, default_value = "wp1")]
        selector: String,
        /// Folder for the key files
        #[arg(long, default_value = ".")]
        folder: PathBuf,
    },
}

/// Runs the command that the arguments name.
#[must_use]
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    crate::observe::watch_panics(false);
    let result = match arguments.verb {
        Verb::Serve { configured, restored } => serve::run(configured.config.as_deref(), restored),
        Verb::Demo { once } => demo::run(once),
        Verb::CheckConfig(configured) => check_config::run(configured.config.as_deref()),
        Verb::Check { domains, file, json, configured } => {
            check::run(configured.config.as_deref(), &domains, file.as_deref(), json)
        }
        Verb::Scan { json, files } => return scan::run(&files, json),
        Verb::Explain { files, from, to, with, offline, json, reveal, configured } => {
            let asked =
                explain::Asked { files: &files, from: from.as_deref(), to: &to, with: with.as_deref(), offline, json, reveal };
            explain::run(configured.config.as_deref(), &asked)
        }
        Verb::Words(WordsVerb::Try { folder, mail, json, configured }) => {
            words::try_out(configured.config.as_deref(), &folder, mail.as_deref(), json)
        }
        Verb::Audit(Audit::Show { message, json, configured }) => admin::audit_show(configured.config.as_deref(), message, json),
        Verb::Audit(Audit::Export { from, configured }) => admin::audit_export(configured.config.as_deref(), from),
        Verb::Audit(Audit::Verify { file, head, key, configured }) => {
            admin::audit_verify(configured.config.as_deref(), file.as_deref(), head.as_deref(), key.as_deref())
        }
        Verb::Audit(Audit::Proof { message, recipient, export, configured }) => {
            admin::audit_proof(configured.config.as_deref(), message, recipient, export.as_deref())
        }
        Verb::Audit(Audit::VerifyProof { file, key, log }) => admin::verify_proof(&file, key.as_deref(), log.as_deref()),
        Verb::Queue(Queue::List { json, all, configured }) => admin::queue_list(configured.config.as_deref(), json, all),
        Verb::Queue(Queue::Release { copy, reason, configured }) => {
            admin::queue_release(configured.config.as_deref(), copy, reason, false)
        }
        Verb::Queue(Queue::Refuse { copy, reason, configured }) => {
            admin::queue_release(configured.config.as_deref(), copy, reason, true)
        }
        Verb::Escrow(Escrow::List { json, all, configured }) => admin::escrow_list(configured.config.as_deref(), json, all),
        Verb::Escrow(Escrow::Code { message, recipient, configured }) => {
            admin::escrow_code(configured.config.as_deref(), message, recipient)
        }
        Verb::User(User::Add { name, send_as, bound_address, configured }) => {
            admin::user_add(configured.config.as_deref(), name, send_as, bound_address)
        }
        Verb::User(User::List { json, configured }) => admin::user_list(configured.config.as_deref(), json),
        Verb::User(User::Revoke { name, configured }) => admin::user_revoke(configured.config.as_deref(), name),
        Verb::Certs(Certs::Issue { name, send_as, bound_address, days, messages_per_hour, folder, configured }) => {
            let wanted = admin::CertWanted { name, send_as, bound_address, days, messages_per_hour };
            admin::cert_issue(configured.config.as_deref(), wanted, &folder)
        }
        Verb::Certs(Certs::List { json, configured }) => admin::cert_list(configured.config.as_deref(), json),
        Verb::Certs(Certs::Revoke { name, configured }) => admin::cert_revoke(configured.config.as_deref(), name),
        Verb::Tlsrpt(Tlsrpt::Show { json, configured }) => admin::tlsrpt_show(configured.config.as_deref(), json),
        Verb::Tlsrpt(Tlsrpt::Send { now, json, configured }) => admin::tlsrpt_send(configured.config.as_deref(), now, json),
        Verb::Partners(Partners::List { json, configured }) => admin::partners_list(configured.config.as_deref(), json),
        Verb::Token(Token::Add { name, configured }) => admin::token_add(configured.config.as_deref(), name),
        Verb::Token(Token::List { json, configured }) => admin::token_list(configured.config.as_deref(), json),
        Verb::Token(Token::Revoke { name, configured }) => admin::token_revoke(configured.config.as_deref(), name),
        Verb::Patients(Patients::Import { file, dry_run, configured }) => {
            patients::import(configured.config.as_deref(), &file, dry_run)
        }
        Verb::Patients(Patients::Status { json, configured }) => patients::status(configured.config.as_deref(), json),
        Verb::Patients(Patients::Forget { configured }) => patients::forget(configured.config.as_deref()),
        Verb::Keys(Keys::Dkim { domain, selector, folder }) => keys::dkim(&domain, &selector, &folder),
        Verb::ExtractWorker => return crate::sandbox::worker_main(),
        Verb::OcrWorker { program } => return crate::sandbox::ocr_main(&program),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            complain(error.as_ref());
            ExitCode::FAILURE
        }
    }
}

/// An error with its causes, for a person.
fn complain(error: &(dyn std::error::Error + Send + Sync)) {
    eprintln!("wardpost: {error}");
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        // Some texts carry their cause already.
        let text = source.to_string();
        if !said.contains(&text) {
            eprintln!("  because: {text}");
            said = text;
        }
        cause = source.source();
    }
}

/// What a command ends with.
type Ended = Result<ExitCode, crate::server::Failure>;

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Arguments;

    /// A verb without a line of its own shows that of the options it shares.
    fn look(command: &clap::Command, wrong: &mut Vec<String>) {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        if about.is_empty() || about.starts_with("Which configuration") {
            wrong.push(format!("{}: `{about}`", command.get_name()));
        }
        for below in command.get_subcommands() {
            look(below, wrong);
        }
    }

    #[test]
    fn every_verb_says_in_its_help_what_it_does() {
        let mut wrong = Vec::new();
        look(&Arguments::command(), &mut wrong);
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}
