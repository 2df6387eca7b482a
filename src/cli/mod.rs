//! # cli: the program's verbs

pub mod scan;
