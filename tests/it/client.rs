//! `readyloop client` as a process: in a pipe, at a prompt, and what it says when something is wrong.

mod failures;
mod frames;
mod pipe;
mod program;
mod prompt;
mod reach;
mod terminal;
mod udp;
