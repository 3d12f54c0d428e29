//! The independent generator in an open loop: requests have planned times, whatever the server does.
//!
//! Request number n is planned for n / rate seconds after the begin, on connection n modulo their number, as in
//! `readyloop bench`. A request waits for the answer to the one before it on its connection, and its latency counts
//! from the planned time. It sleeps until the next planned time, so a late wake-up is part of a latency, as in `bench`.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use libc::{EPOLLET, EPOLLIN};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use socket2::SockRef;

use crate::rig::kernel::{self, Epoll, Events, Wait};
use crate::rig::measurements::Measurements;
use crate::rig::pattern::Pattern;
use crate::rig::steady::STALL_TIMEOUT;

const BUFFER_BYTES: usize = 4096;

/// The token of the timer; the token of a connection is its number.
const TIMER: usize = usize::MAX;

/// The requests of a run.
#[derive(Clone, Copy)]
pub(crate) struct Schedule {
    pub(crate) message_len: usize,
    /// Requests per second over all connections.
    pub(crate) rate: f64,
    /// Requests that are sent first and not measured.
    pub(crate) warm_up: usize,
    pub(crate) measured: usize,
}

/// Open connections to one server.
pub(crate) struct OpenLoop {
    schedule: Schedule,
    begun_at: Instant,
    pattern: Pattern,
    epoll: Epoll,
    events: Events,
    /// More precise than the timeout of a poll.
    timer: OwnedFd,
    flows: Vec<Flow>,
}

/// One connection. Positions are bytes since its start.
struct Flow {
    stream: TcpStream,
    sent: usize,
    received: usize,
    /// The number of the next request.
    next: usize,
}

impl Schedule {
    fn end(&self) -> usize {
        self.warm_up + self.measured
    }

    fn planned(&self, number: usize) -> Duration {
        Duration::from_secs_f64(number as f64 / self.rate)
    }
}

impl OpenLoop {
    pub(crate) fn open(address: SocketAddr, connections: usize, schedule: Schedule) -> Result<Self> {
        let epoll = Epoll::new()?;
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        // Edge-triggered, so that it needs no read.
        epoll.add(timer.as_raw_fd(), EPOLLIN | EPOLLET, TIMER)?;
        let mut flows = Vec::with_capacity(connections);
        for number in 0..connections {
            let stream = TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            // The drop is a reset: connections in TIME_WAIT would use up all ports.
            SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
            epoll.add(stream.as_raw_fd(), EPOLLIN, number)?;
            flows.push(Flow { stream, sent: 0, received: 0, next: number });
        }
        let (begun_at, pattern, events) = (Instant::now(), Pattern::new(), kernel::no_events());
        Ok(Self { schedule, begun_at, pattern, epoll, events, timer, flows })
    }

    /// Sends all requests and waits for their answers. Returns the answers per second between the planned times of
    /// the first measured request and of the one after the last.
    pub(crate) fn run(&mut self, measurements: &mut Measurements) -> Result<f64> {
        self.begun_at = Instant::now();
        let schedule = self.schedule;
        let window = schedule.planned(schedule.warm_up)..schedule.planned(schedule.end());
        let (mut next, mut missing, mut in_window) = (0, schedule.end(), 0_usize);
        while 0 < missing {
            let now = self.begun_at.elapsed();
            while next < schedule.end() && schedule.planned(next) <= now {
                self.send_due(next % self.flows.len(), now)?;
                next += 1;
                if next < schedule.end() {
                    self.wake_after(schedule.planned(next).saturating_sub(self.begun_at.elapsed()))?;
                }
            }
            let count = self.epoll.wait(&mut self.events, Wait::Sleep(STALL_TIMEOUT))?;
            ensure!(0 < count || next < schedule.end(), "no echo for {STALL_TIMEOUT:?}, {missing} missing");
            for index in 0..count {
                let number = self.events[index].u64 as usize;
                if number == TIMER {
                    continue;
                }
                if let Some(request) = self.receive(number)? {
                    let now = self.begun_at.elapsed();
                    in_window += usize::from(window.contains(&now));
                    missing -= 1;
                    if schedule.warm_up <= request {
                        let planned = self.begun_at + schedule.planned(request);
                        measurements.record_round_trip(planned, self.begun_at + now);
                    }
                    self.send_due(number, now)?;
                }
            }
        }
        Ok(in_window as f64 / (window.end - window.start).as_secs_f64())
    }

    /// Sets the timer.
    fn wake_after(&self, pause: Duration) -> Result<()> {
        // Zero would disarm it.
        let pause = pause.max(Duration::from_nanos(1));
        let it_value = Timespec { tv_sec: pause.as_secs().try_into()?, tv_nsec: pause.subsec_nanos().into() };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)?;
        Ok(())
    }

    /// Sends the next request of a connection if it is due and no answer is missing.
    fn send_due(&mut self, number: usize, now: Duration) -> Result<()> {
        let step = self.flows.len();
        let flow = &mut self.flows[number];
        if flow.received < flow.sent || self.schedule.end() <= flow.next || now < self.schedule.planned(flow.next) {
            return Ok(());
        }
        let message = self.pattern.piece(number, flow.sent, self.schedule.message_len);
        // A short message always fits into the empty send buffer.
        flow.stream.write_all(message).with_context(|| format!("connection {number}"))?;
        flow.sent += message.len();
        flow.next += step;
        Ok(())
    }

    /// Reads once. Returns the number of the request that is answered completely by that.
    fn receive(&mut self, number: usize) -> Result<Option<usize>> {
        let step = self.flows.len();
        let flow = &mut self.flows[number];
        let mut buffer = [0; BUFFER_BYTES];
        let count = match flow.stream.read(&mut buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("connection {number}")),
        };
        ensure!(0 < count && flow.received + count <= flow.sent, "connection {number}: {count} unexpected bytes");
        let is_right = buffer[..count] == *self.pattern.piece(number, flow.received, count);
        ensure!(is_right, "connection {number}: wrong bytes after byte {}", flow.received);
        flow.received += count;
        Ok((flow.received == flow.sent).then(|| flow.next - step))
    }
}
