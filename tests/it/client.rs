//! `readyloop client` as a process: in a pipe, at a prompt, and its errors.

mod connect;
mod failures;
mod frames;
mod pipe;
mod program;
mod prompt;
mod terminal;
mod udp;
