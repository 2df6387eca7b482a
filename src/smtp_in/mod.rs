//! # smtp_in
