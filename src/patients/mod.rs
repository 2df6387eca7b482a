//! # patients: the practice's own patients as keyed hashes
//!
//! [`read`] turns an export of the practice's program into rows, [`Builder`] turns rows into [`Patients`]: a set of keyed
//! hashes that tells whether a name with a birth date, a record number or the like is one of them, and whose. The
//! hashes' key is handed in; rows are dropped once they are hashed.
//!
//! Must not be here: keys, files, finding such values in texts (`scan`), anything kept in clear.
//!
//! Reading order: `form` → `table` → `list`.

mod form;
mod list;
mod table;

pub use form::{Field, Order, address, birth, email, name, names, number, phone, ssn};
pub use list::{Builder, Damaged, Hasher, Patients};
pub use table::{Problem, Row, Table, read};
