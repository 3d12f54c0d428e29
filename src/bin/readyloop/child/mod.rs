//! Children of this process: servers and generators under a supervisor, and the signals that end them.

mod interrupt;
mod lines;
mod process;
mod server_command;

pub(crate) use interrupt::Interrupt;
pub(crate) use process::{Process, WaitError, wait_for};
pub(crate) use server_command::{RunningServer, ServerCommand, StartError, StartOptions};
