//! readyloop
pub mod buffer;
pub mod codec;
pub mod conn;
pub mod instant;
pub mod net;
pub mod table;
pub mod timers;
pub mod watermark;
