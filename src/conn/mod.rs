//! conn
mod close;
mod limits;
pub use close::CloseReason;
pub use limits::{ENVELOPE_LEN_MAX, KIB, Limits, READ_LEN_MAX};
