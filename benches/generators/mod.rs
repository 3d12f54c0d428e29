//! Load generators that are compared over the same server, and the printed table.

mod generator;
mod open_loop;
mod raw_loop;
pub(crate) mod table;

pub(crate) use generator::{Figures, Generator, Round};
pub(crate) use table::Title;
