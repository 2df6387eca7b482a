//! The only integration binary: each further file in `tests/` would link everything again.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod commands;
mod crash;
mod pickup;
mod road;
mod support;
mod tidy;
mod tlsrpt;
