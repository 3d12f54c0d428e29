//! The behaviour tests: one binary, one file per behaviour.

mod sim;
