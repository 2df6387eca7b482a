//! # sandbox: documents are read in a child without files or network
