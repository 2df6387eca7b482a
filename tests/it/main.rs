//! The only integration binary: each further file in `tests/` would link everything again.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod access;
mod attacks;
mod bombs;
mod check;
mod commands;
mod crash;
mod dkim;
mod faults;
mod hostile;
mod judge;
mod lanes;
mod later;
mod network;
mod office;
mod partners;
mod pickup;
mod road;
mod sandbox;
mod startup;
mod support;
mod tickets;
mod tidy;
mod tlsrpt;
mod zoo;
