//! # escrow: the parcel kept for pick-up
//!
//! What a parcel is and how it is sealed, the code that opens it, the number that names it, who may try how
//! often, when it ends, and the two letters that speak of it: the [`Notice`] to the recipient, which cannot
//! carry anything of the message, and the slip to the sender, which carries the code.
//!
//! Must not be here: sockets, the store, the clock, dice (all handed in), and any way to put a word of the
//! original message into a notice.
//!
//! Reading order: `code` → `number` → `parcel` → `access` → `letter` → `notice`, `slip`.

mod access;
mod code;
mod letter;
mod notice;
mod number;
mod parcel;
mod slip;

pub use access::{
    Access, BACK_OFF_FROM, EXPIRY_DAYS, READ_DAYS_MIN, TRIES_MAX, access, back_off_secs, default_expiry, effective_expiry,
};
pub use code::{Code, CodeError, SPOKEN_FORMS_MAX, SPOKEN_HASH, spoken_forms, spoken_in};
pub use letter::{Letter, SLIP_MARKER, long_date};
pub use notice::Notice;
pub use number::{NUMBER_HASH, Number, NumberError};
pub use parcel::{ParcelFacts, SealedParcel, open_body, open_facts, open_header, seal_parcel};
pub use slip::{Occasion, SlipFacts, Why, slip};
