//! Integration tests: the real `readyloop` command over loopback, one file for each topic.
//!
//! The test process is the client, and the server is its child. Module `kernel` tests kernel behavior
//! that the code relies on. Module `sim` runs the server in the simulated world.

mod admin;
mod bad_path;
mod bench;
mod bugs;
mod caps;
mod client;
mod close;
mod compare;
mod descriptors;
mod designs;
mod drain;
mod echo;
mod example_tests;
mod examples;
mod fairness;
mod framing;
mod full;
mod guide;
mod half_close;
mod help_examples;
mod idle;
mod kernel;
mod kill;
mod laws;
mod log_lines;
mod mappings;
mod panics;
mod process_state;
mod prometheus;
mod proxy;
mod reload;
mod report;
mod reset;
mod services;
mod shrink;
mod sim;
mod slow_reader;
mod slow_writer;
mod soak;
mod sockets;
mod start;
mod supply;
mod support;
mod syscalls;
mod system;
mod systemd;
mod tls;
mod udp;
mod usage;
