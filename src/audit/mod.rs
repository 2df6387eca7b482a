//! # audit: the decision log as values
//!
//! One [`Record`] for each thing that happened to one recipient's copy, hash-chained, with signed heads.
//! The bytes are written down in `docs/AUDIT-FORMAT.md`; `deploy/verify.py` checks them without this program.
//!
//! Must not be here: addresses, subjects or matched texts in clear (pseudonyms and sealed fields only), files, clock.
//!
//! Reading order: `record` → `chain` → `export` → `verify` → `proof`.

mod chain;
mod export;
mod proof;
mod record;
mod verify;

pub use chain::{
    BEFORE_THE_FIRST, End, HEAD_FORMAT, Head, Pseudonyms, SignedHead, commit, commitment, entry_hash, field_salt, head_message,
    key_id, reveal, sign_head,
};
pub use export::{EXPORT_FORMAT, Entry, Export, Line, Seal, Start, export_lines, export_message};
pub use proof::{
    PROOF_FORMAT, PROOF_LIMITS, ProofEntry, ProofProblem, SignedProof, Statement, proof_message, sign_proof, statement,
    verify_proof,
};
pub use record::{Event, FindingCount, Proven, Record};
pub use verify::{Problem, Report, open_head, verify_export, verify_export_and_head};

#[cfg(test)]
mod tests;
