//! System calls: epoll, sockets by descriptor, cores, CPU clocks. All `unsafe` code of the benchmarks is here.

// std has no safe interface for epoll, for CPU affinity and for CPU clocks.
#![allow(unsafe_code)]

use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::ptr::null_mut;
use std::time::Duration;

use libc::{c_int, c_void, cpu_set_t, epoll_event};

/// An epoll instance.
pub(crate) struct Epoll(OwnedFd);

/// The events of one wait: many, so that many peers share the call.
pub(crate) type Events = [epoll_event; 1024];

/// How long a wait may take.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Do not sleep.
    Spin,
    Sleep(Duration),
    SleepForever,
}

impl Epoll {
    pub(crate) fn new() -> io::Result<Epoll> {
        // SAFETY: takes no pointers; the new descriptor has no other owner.
        unsafe { Ok(Epoll(OwnedFd::from_raw_fd(checked(libc::epoll_create1(libc::EPOLL_CLOEXEC))?))) }
    }

    pub(crate) fn add(&self, fd: RawFd, interest: c_int, token: usize) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, interest, token)
    }

    pub(crate) fn modify(&self, fd: RawFd, interest: c_int, token: usize) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd, interest, token)
    }

    fn control(&self, operation: c_int, fd: RawFd, interest: c_int, token: usize) -> io::Result<()> {
        let mut event = epoll_event { events: interest as u32, u64: token as u64 };
        // SAFETY: `event` outlives the call, which keeps no pointer to it.
        checked(unsafe { libc::epoll_ctl(self.0.as_raw_fd(), operation, fd, &raw mut event) })?;
        Ok(())
    }

    /// Waits for events and returns their number; 0 when interrupted.
    pub(crate) fn wait(&self, events: &mut Events, wait: Wait) -> io::Result<usize> {
        let timeout_ms = match wait {
            Wait::Spin => 0,
            Wait::Sleep(timeout) => timeout.as_millis().min(c_int::MAX as u128) as c_int,
            Wait::SleepForever => -1,
        };
        let capacity = events.len() as c_int;
        // SAFETY: the kernel writes at most `capacity` events, which `events` holds.
        let waited =
            checked(unsafe { libc::epoll_wait(self.0.as_raw_fd(), events.as_mut_ptr(), capacity, timeout_ms) });
        match waited {
            Ok(count) => Ok(count as usize),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            Err(error) => Err(error),
        }
    }
}

/// An empty array of events.
pub(crate) fn no_events() -> Events {
    [epoll_event { events: 0, u64: 0 }; 1024]
}

/// Accepts one non-blocking connection; it inherits the options of the listener.
pub(crate) fn accept(listener: RawFd) -> io::Result<RawFd> {
    // SAFETY: null pointers mean that the peer's address is not needed (accept(2)).
    checked(unsafe { libc::accept4(listener, null_mut(), null_mut(), libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC) })
}

pub(crate) fn receive(fd: RawFd, buf: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the kernel writes at most `buf.len()` bytes to `buf`.
    counted(unsafe { libc::recv(fd, buf.as_mut_ptr().cast::<c_void>(), buf.len(), 0) })
}

pub(crate) fn send(fd: RawFd, bytes: &[u8]) -> io::Result<usize> {
    // SAFETY: the kernel reads at most `bytes.len()` bytes of `bytes`.
    counted(unsafe { libc::send(fd, bytes.as_ptr().cast::<c_void>(), bytes.len(), libc::MSG_NOSIGNAL) })
}

/// Closes a descriptor that the caller owns by number.
pub(crate) fn close(fd: RawFd) {
    // SAFETY: takes no pointers; the caller's loop is the only owner of the descriptor.
    unsafe { libc::close(fd) };
}

/// Lets `connect` choose the port of a socket that is bound to an address only. Ports of closed connections
/// to other destinations can then be reused (ip(7), `IP_BIND_ADDRESS_NO_PORT`).
pub(crate) fn choose_port_at_connect(socket: &impl AsRawFd) -> io::Result<()> {
    let on: c_int = 1;
    let len = size_of::<c_int>() as libc::socklen_t;
    // SAFETY: the kernel reads one integer, which outlives the call.
    checked(unsafe {
        let value = (&raw const on).cast::<c_void>();
        libc::setsockopt(socket.as_raw_fd(), libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, value, len)
    })?;
    Ok(())
}

/// User and system time of all threads of a process (clock_getcpuclockid(3)).
pub(crate) fn cpu_time(pid: u32) -> io::Result<Duration> {
    // SAFETY: zero is a valid value of both types, and the calls write to them only before they return.
    let time = unsafe {
        let mut clock: libc::clockid_t = 0;
        // This call returns its error instead of setting errno.
        match libc::clock_getcpuclockid(pid as libc::pid_t, &raw mut clock) {
            0 => {}
            number => return Err(io::Error::from_raw_os_error(number)),
        }
        let mut time: libc::timespec = zeroed();
        checked(libc::clock_gettime(clock, &raw mut time))?;
        time
    };
    Ok(Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
}

/// The cores that this process may use.
pub(crate) fn cores() -> io::Result<Vec<usize>> {
    // SAFETY: an empty set is all zeroes, and the kernel writes at most its size.
    unsafe {
        let mut set: cpu_set_t = zeroed();
        checked(libc::sched_getaffinity(0, size_of::<cpu_set_t>(), &raw mut set))?;
        Ok((0..libc::CPU_SETSIZE as usize).filter(|&core| libc::CPU_ISSET(core, &set)).collect())
    }
}

/// Keeps the calling thread on one core.
pub(crate) fn pin(core: usize) -> io::Result<()> {
    // SAFETY: an empty set is all zeroes, `CPU_SET` checks its bound, and the kernel keeps no pointer.
    unsafe {
        let mut set: cpu_set_t = zeroed();
        libc::CPU_SET(core, &mut set);
        checked(libc::sched_setaffinity(0, size_of::<cpu_set_t>(), &raw const set))?;
    }
    Ok(())
}

/// Pins the command's process to `core`, if there is one, and ends it when this process ends.
pub(crate) fn tie(command: &mut Command, core: Option<usize>) {
    let before_exec = move || {
        if let Some(core) = core {
            pin(core)?;
        }
        // SAFETY: `PR_SET_PDEATHSIG` takes a signal and no pointer.
        checked(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) })?;
        Ok(())
    };
    // SAFETY: between fork and exec it only makes system calls. It allocates nothing and takes no lock.
    unsafe { command.pre_exec(before_exec) };
}

fn checked(result: c_int) -> io::Result<c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn counted(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}
