//! The only integration binary: each further file in `tests/` would link everything again.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod check;
mod commands;
mod crash;
mod hostile;
mod pickup;
mod road;
mod sandbox;
mod support;
mod tidy;
mod tlsrpt;
