//! The contest: generators that ask the same server, from who takes part to the table printed.

mod contestant;
mod raw_loop;
pub(crate) mod table;

pub(crate) use contestant::{Contestant, Figures, Place};
pub(crate) use table::Title;
