#![allow(clippy::unwrap_used, clippy::expect_used)]

mod client;
mod dns;
mod sink;
mod town;
