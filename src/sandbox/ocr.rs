//! Text on pictures, by a `tesseract` that is installed on this machine: started by a child that gives up the network and
//! all files but programs and their data first, and ended after its time.

use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use landlock::{ABI, Access, AccessFs, AccessNet, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr, Scope};
use rustix::process::{Resource, Rlimit, setrlimit};

use super::pool::{Reaped, under_deadline};

/// The hidden argument that makes the program start `tesseract` behind walls.
pub const OCR_ARGUMENT: &str = "ocr-worker";
/// Where distributions put it.
const PLACES: [&str; 2] = ["/usr/bin/tesseract", "/usr/local/bin/tesseract"];
/// What it may read: itself, its libraries, its language data.
const READABLE: [&str; 7] = ["/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache", "/etc/alternatives", "/etc/fonts"];
/// A page of a few megapixels needs about 200 MiB.
const MEMORY_BYTES: u64 = 1 << 30;
const CPU_SECONDS: u64 = 15;
/// Wall time for one picture.
const DEADLINE: Duration = Duration::from_secs(8);
/// A page holds some thousand characters.
const TEXT_BYTES_MAX: u64 = 1 << 20;

/// The installed program, if there is one.
#[must_use]
pub fn tesseract() -> Option<PathBuf> {
    PLACES.iter().map(PathBuf::from).find(|place| place.is_file())
}

/// What `main` does for [`OCR_ARGUMENT`]: gives up what it can and becomes `tesseract`.
#[must_use]
pub fn ocr_main(program: &Path) -> ExitCode {
    std::panic::set_hook(Box::new(|_| {}));
    if protect().is_err() {
        return ExitCode::FAILURE;
    }
    // One thread: the deadline counts the wall clock, and other messages want processors too.
    let command = ["stdin", "stdout"];
    let _failed = Command::new(program).args(command).env_clear().env("OMP_THREAD_LIMIT", "1").current_dir("/").exec();
    ExitCode::FAILURE
}

fn protect() -> io::Result<()> {
    let limit = |resource, value| setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) });
    limit(Resource::As, MEMORY_BYTES)?;
    limit(Resource::Cpu, CPU_SECONDS)?;
    limit(Resource::Core, 0)?;
    limit(Resource::Fsize, 0)?;
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    // Where the kernel has no Landlock, limits and the missing network remain.
    let _ = landlock();
    if super::child::no_network() { Ok(()) } else { Err(io::Error::other("the network could not be given up")) }
}

fn landlock() -> Result<(), landlock::RulesetError> {
    let all = ABI::V6;
    let mut rules = Ruleset::default()
        .handle_access(AccessFs::from_all(all))?
        .handle_access(AccessNet::from_all(all))?
        .scope(Scope::from_all(all))?
        .create()?;
    for place in READABLE {
        if let Ok(place) = PathFd::new(place) {
            let access = AccessFs::from_read(all);
            rules = rules.add_rule(PathBeneath::new(place, access))?;
        }
    }
    rules.restrict_self().map(drop)
}

/// The text on one picture; nothing if there is none, or it took too long.
pub(super) fn recognise(worker: &Path, tesseract: &Path, picture: &[u8]) -> Option<String> {
    let child = Command::new(worker)
        .arg(OCR_ARGUMENT)
        .arg(tesseract)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut child = Reaped(child);
    let (mut input, output) = (child.0.stdin.take()?, child.0.stdout.take()?);
    let (timed_out, read) = under_deadline(&mut child, DEADLINE, || {
        std::thread::scope(|scope| {
            scope.spawn(move || {
                // A child that ends early is seen by the reader.
                let _ = input.write_all(picture);
            });
            let mut text = Vec::new();
            output.take(TEXT_BYTES_MAX).read_to_end(&mut text).map(|_| text)
        })
    });
    let text = String::from_utf8_lossy(&read.ok()?).into_owned();
    (!timed_out && text.chars().any(char::is_alphanumeric)).then_some(text)
}
