//! Finds the process that listens at a port, on a system that shows it (proc_pid_net(5), proc_pid_fd(5)).

use std::fs;
use std::path::PathBuf;

use rustix::process::Pid;

/// The state of a listener in the tables of sockets (`TCP_LISTEN`).
const LISTENS: &str = "0A";

/// The first of these processes that listens at the port.
pub(super) fn find_process(port: u16, mut processes: impl Iterator<Item = Pid>) -> Option<Pid> {
    let listeners = listeners(port);
    processes.find(|pid| {
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        descriptors.filter_map(|link| fs::read_link(link.path()).ok()).any(|target| listeners.contains(&target))
    })
}

/// The listeners at a port of this machine, in the form in which descriptors link to them: `socket:[4242]`.
fn listeners(port: u16) -> Vec<PathBuf> {
    let tables = ["tcp", "tcp6"].map(|table| fs::read_to_string(format!("/proc/self/net/{table}")).unwrap_or_default());
    tables.iter().flat_map(|table| table.lines()).filter_map(|line| listener(line, port)).collect()
}

/// Parses `0: 0100007F:1B5F 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 4242 …`.
fn listener(line: &str, port: u16) -> Option<PathBuf> {
    let mut columns = line.split_whitespace();
    let (_, local_port) = columns.nth(1)?.rsplit_once(':')?;
    let is_it = u16::from_str_radix(local_port, 16) == Ok(port) && columns.nth(1)? == LISTENS;
    is_it.then(|| Some(format!("socket:[{}]", columns.nth(5)?).into()))?
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_line_of_the_table_has_state_port_and_socket() {
        let line =
            |state| format!("0: 0100007F:1B5F 00000000:0000 {state} 00000000:00000000 00:00000000 00000000 0 0 42 1");
        assert_eq!(listener(&line("0A"), 7_007), Some("socket:[42]".into()));
        assert_eq!((listener(&line("01"), 7_007), listener(&line("0A"), 7_008)), (None, None));
        assert_eq!((listener("", 7_007), listener("sl  local_address rem_address st", 7_007)), (None, None));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_process_of_a_listener_is_found() {
        let this = rustix::process::getpid();
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| Ok((listener.local_addr()?.port(), listener)));
        let (port, listener) = port.unwrap();
        let processes = || [Pid::INIT, this].into_iter();
        assert_eq!(find_process(port, processes()), Some(this));
        drop(listener);
        assert_eq!(find_process(port, processes()), None);
    }
}
