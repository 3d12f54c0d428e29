//! `CallbackRecorder`: records the callbacks of a service in the log of its run, and in the trace if it is kept.

use super::log::{PeerName, SharedLog};
use crate::run_log::{Callback, CallbackLog, CallbackObserver};
use crate::service::Role;

/// Records the callbacks of one endpoint.
pub(super) struct CallbackRecorder {
    /// The index of the endpoint.
    pub(super) endpoint: usize,
    pub(super) log: SharedLog,
    /// `None` if no story is kept.
    pub(super) trace: Option<CallbackLog>,
}

impl CallbackObserver for CallbackRecorder {
    fn observe(&mut self, callback: &Callback<'_>) {
        if let Some(trace) = &mut self.trace {
            trace.observe(callback);
        }
        let name = |key| -> PeerName { (self.endpoint, key) };
        match callback {
            Callback::Open { key, info } => {
                if info.role() == Role::Connected {
                    let violation = format!("connected to {info}, although no peer accepts connects in these worlds");
                    self.log.lock().violation = Some(violation);
                }
                let port = info.to_string().rsplit(':').next().and_then(|port| port.parse().ok());
                self.log.add_open(name(*key), port.expect("ip:port"));
            }
            Callback::Frame { key, .. } => {
                self.log.count_callback(name(*key));
                self.log.add_frame(name(*key));
            }
            Callback::End { key } => {
                self.log.count_callback(name(*key));
                self.log.add_end(name(*key));
            }
            Callback::Close { key, reason } => {
                self.log.count_callback(name(*key));
                self.log.add_close(name(*key), *reason);
            }
            Callback::Writable { key } | Callback::Timer { key } | Callback::LayerError { key, .. } => {
                self.log.count_callback(name(*key));
            }
            Callback::ConnectFailed { .. } | Callback::Message | Callback::Drain => self.log.lock().callbacks += 1,
        }
    }

    fn observe_panic(&mut self, message: &str) {
        if let Some(trace) = &mut self.trace {
            trace.observe_panic(message);
        }
    }
}
