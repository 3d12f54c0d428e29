//! The tests inside of the examples, in the simulated world. `cargo test` builds an example as a program, and not
//! with its tests, so they are included here.
#![expect(dead_code, reason = "the program of an example is not run here")]

#[path = "../../examples/27_embedded.rs"]
mod embedded;
#[path = "../../examples/24_kv/main.rs"]
mod kv;
#[path = "../../examples/25_socks5.rs"]
mod socks5;
#[path = "../../examples/26_tls_gateway.rs"]
mod tls_gateway;
#[path = "../../examples/28_upgrade.rs"]
mod upgrade;
