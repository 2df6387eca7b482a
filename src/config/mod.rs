//! # config: files as typed become settings as meant
//!
//! Reads every file the program needs to know (configuration, policies, certificates, keys of DKIM) and gathers the
//! settings that each room owns. Unknown keys are refused with a suggestion; relative paths are relative to the file.
//!
//! Must not be here: behaviour of rooms, a setting that turns a safety off.
//!
//! Reading order: `raw` → `units` → `settings` → `check`.

mod error;
pub mod files;
mod raw;
mod settings;
pub mod throwaway;
mod units;

pub use error::Error;
pub use raw::{NoticeMode, Ocr, Raw};
pub use settings::{Admin, DEFAULT_POLICY, DkimKey, Partner, Settings, words};
pub use units::{Bytes, Span};

/// Parses the text of a configuration file. `file` is named in errors.
///
/// # Errors
/// [`Error::Syntax`] with line, problem and, for a misspelt key, the key that was probably meant.
pub fn parse(file: &str, text: &str) -> Result<Raw, Error> {
    toml::from_str(text).map_err(|error| Error::syntax(file, text, &error))
}
