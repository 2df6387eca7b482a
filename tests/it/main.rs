//! The only integration binary: each further file in `tests/` would link everything again.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod attacks;
mod check;
mod commands;
mod crash;
mod disguise;
mod dkim;
mod hostile;
mod judge;
mod later;
mod mail;
mod network;
mod office;
mod patients;
mod pickup;
mod road;
mod sandbox;
mod support;
mod tickets;
mod tidy;
mod tlsrpt;
mod words;
mod zoo;
