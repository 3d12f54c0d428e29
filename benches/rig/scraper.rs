//! `Scraper`: reads the metrics of a server at its start and then once a second, as Prometheus does.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

const INTERVAL: Duration = Duration::from_secs(1);

/// Reads the metrics until it is dropped.
pub(crate) struct Scraper {
    /// Its end ends the thread.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
    path: PathBuf,
}

impl Scraper {
    /// Reads the metrics once, then in a thread.
    pub(crate) fn start(path: PathBuf) -> Result<Self> {
        scrape(&path)?;
        let (stop, stopped) = mpsc::channel();
        let at = path.clone();
        let thread = thread::spawn(move || {
            while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                // The server is killed at the end of its round, perhaps in the middle of a response.
                let _ = scrape(&at);
            }
        });
        Ok(Self { stop: Some(stop), thread: Some(thread), path })
    }
}

impl Drop for Scraper {
    fn drop(&mut self) {
        self.stop = None;
        // It does not panic, and it has nothing to return.
        let _ = self.thread.take().map(JoinHandle::join);
        let _ = std::fs::remove_file(&self.path);
    }
}

fn scrape(path: &Path) -> Result<()> {
    let mut stream = UnixStream::connect(path).context("the administration endpoint is not reachable")?;
    stream.set_read_timeout(Some(INTERVAL))?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n")?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    ensure!(response.contains("readyloop_frames_total"), "no metrics in {response:?}");
    Ok(())
}
