//! # sandbox: documents are read in a child without files or network
//!
//! File formats are the widest door into a gateway, and their readers are other people's code. So a document is read
//! by a child process: our own program started again as [`WORKER_ARGUMENT`], which gives up memory, CPU time, files,
//! processes and the network before it reads its first byte ([`worker_main`]). A child reads one document and ends, so
//! a document that takes the child over cannot speak for the next one. What crashes or takes too long is unreadable.
//!
//! Must not be here: file formats (`extract`), what an unreadable part means (`policy`).
//!
//! Reading order: `pool` (the parent) → `child` → `extract::worker` (the frames between them) → `ocr`.

mod child;
mod ocr;
mod pool;

pub use child::{Protection, worker_main};
pub use ocr::{OCR_ARGUMENT, ocr_main, tesseract};
pub use pool::{Pool, Settings};

/// The hidden argument that makes the program a reader of documents.
pub const WORKER_ARGUMENT: &str = "extract-worker";
