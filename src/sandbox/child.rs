//! The child: gives up what it can, reads one document from standard input, answers on standard output, ends.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::process::ExitCode;

use landlock::{ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetStatus, Scope};
use rustix::process::{Resource, Rlimit, setrlimit};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, SeccompRule};

use crate::extract::worker::{self, REQUEST_HEAD};
use crate::extract::{AttachmentText, InProcess, ReadAttachment, UnreadableWhy};

/// Address space of the child. A document of 50 MiB needs a few times its size.
const MEMORY_BYTES: u64 = 1 << 30;
/// CPU seconds of the child, behind the parent's deadline on the wall clock.
const CPU_SECONDS: u64 = 20;
/// Largest document a child takes.
const DOCUMENT_BYTES_MAX: u64 = 256 << 20;

/// Which walls stand around the child. The limits on memory, CPU and files always do: without them it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protection {
    /// No file system (Linux 5.13 and later, where Landlock is switched on).
    pub landlock: bool,
    /// Only the system calls that reading, writing and memory need.
    pub seccomp: bool,
}

impl Protection {
    /// The first byte a child says.
    #[must_use]
    pub(super) fn to_byte(self) -> u8 {
        0b1000_0000 | u8::from(self.landlock) | u8::from(self.seccomp) << 1
    }

    pub(super) fn from_byte(byte: u8) -> Option<Protection> {
        (byte & 0b1111_1100 == 0b1000_0000).then_some(Protection { landlock: byte & 1 != 0, seccomp: byte & 2 != 0 })
    }
}

/// What `main` does for [`super::WORKER_ARGUMENT`].
#[must_use]
pub fn worker_main() -> ExitCode {
    // A panic's text may quote the document.
    std::panic::set_hook(Box::new(|_| {}));
    match protect().and_then(serve) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Gives everything up, before the first byte is read.
fn protect() -> std::io::Result<Protection> {
    let limit = |resource, value| setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) });
    limit(Resource::As, MEMORY_BYTES)?;
    limit(Resource::Cpu, CPU_SECONDS)?;
    limit(Resource::Core, 0)?;
    limit(Resource::Fsize, 0)?;
    limit(Resource::Nproc, 0)?;
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    let landlock = landlock();
    // The three open files stay; no further one can be opened. Landlock needed one for a moment.
    limit(Resource::Nofile, 3)?;
    let seccomp = seccomp();
    Ok(Protection { landlock, seccomp })
}

/// Denies the file system, TCP ports and signals to others; `false` if the kernel does not do so.
fn landlock() -> bool {
    let all = ABI::V6;
    let restrict = || {
        Ruleset::default()
            .handle_access(AccessFs::from_all(all))?
            .handle_access(AccessNet::from_all(all))?
            .scope(Scope::from_all(all))?
            .create()?
            .restrict_self()
    };
    restrict().is_ok_and(|status| status.ruleset != RulesetStatus::NotEnforced)
}

/// Allows what reading standard input, writing standard output, memory and ending need; all else fails with EPERM.
fn seccomp() -> bool {
    let calls = [
        libc::SYS_read,
        libc::SYS_write,
        libc::SYS_writev,
        libc::SYS_close,
        libc::SYS_brk,
        libc::SYS_mmap,
        libc::SYS_munmap,
        libc::SYS_mremap,
        libc::SYS_mprotect,
        libc::SYS_madvise,
        libc::SYS_futex,
        libc::SYS_getrandom,
        libc::SYS_clock_gettime,
        libc::SYS_sched_yield,
        libc::SYS_sigaltstack,
        libc::SYS_rt_sigreturn,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigaction,
        libc::SYS_gettid,
        libc::SYS_getpid,
        libc::SYS_tgkill,
        libc::SYS_exit,
        libc::SYS_exit_group,
    ];
    let rules: BTreeMap<i64, Vec<SeccompRule>> = calls.into_iter().map(|call| (call, Vec::new())).collect();
    let Ok(arch) = std::env::consts::ARCH.try_into() else { return false };
    let errno = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let Ok(filter) = SeccompFilter::new(rules, errno, SeccompAction::Allow, arch) else { return false };
    let Ok(program) = BpfProgram::try_from(filter) else { return false };
    seccompiler::apply_filter(&program).is_ok()
}

/// Denies sockets of every kind, and looking into other processes; all else is left to a program that is not ours.
pub(super) fn no_network() -> bool {
    let calls = [
        libc::SYS_socket,
        libc::SYS_socketpair,
        libc::SYS_connect,
        libc::SYS_bind,
        libc::SYS_listen,
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_kill,
        libc::SYS_io_uring_setup,
    ];
    let rules: BTreeMap<i64, Vec<SeccompRule>> = calls.into_iter().map(|call| (call, Vec::new())).collect();
    let Ok(arch) = std::env::consts::ARCH.try_into() else { return false };
    let errno = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let Ok(filter) = SeccompFilter::new(rules, SeccompAction::Allow, errno, arch) else { return false };
    let Ok(program) = BpfProgram::try_from(filter) else { return false };
    seccompiler::apply_filter(&program).is_ok()
}

/// Says hello, reads one request, answers it.
fn serve(protection: Protection) -> std::io::Result<()> {
    let mut output = std::io::stdout().lock();
    output.write_all(&[protection.to_byte()])?;
    output.flush()?;
    let mut input = std::io::stdin().lock();
    let mut head = [0; REQUEST_HEAD];
    if input.read_exact(&mut head).is_err() {
        // The parent ended without a document.
        return Ok(());
    }
    let (format, fuel, length) = worker::parse_request_head(&head).map_err(std::io::Error::other)?;
    let text = if length > DOCUMENT_BYTES_MAX {
        AttachmentText::unreadable(UnreadableWhy::TooLarge)
    } else {
        let mut document = Vec::new();
        input.take(length).read_to_end(&mut document)?;
        if document.len() as u64 != length {
            return Ok(());
        }
        InProcess.read(format, &document, fuel)
    };
    output.write_all(&worker::reply(&text))?;
    output.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_tells_the_walls_and_nothing_else_does() {
        for (landlock, seccomp) in [(false, false), (true, false), (false, true), (true, true)] {
            let protection = Protection { landlock, seccomp };
            assert_eq!(Protection::from_byte(protection.to_byte()), Some(protection));
        }
        assert_eq!(Protection::from_byte(0), None);
        assert_eq!(Protection::from_byte(b'x'), None);
    }
}
