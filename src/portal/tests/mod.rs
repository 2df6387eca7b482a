//! The portal over real HTTPS on loopback, with a real store and parcels made as delivery makes them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod journey;
mod payloads;
mod strangers;
mod wall;
mod world;
