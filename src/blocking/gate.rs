//! A gate: one listener of a server whose peers have threads.
//!
//! It accepts whom the door lets in and there is a thread for, and has no part in serving them.

use std::io;
use std::sync::Arc;

use log::{debug, warn};

use crate::admission::{AcceptError, AcceptRetry, LogThrottle, Rejection};
use crate::instant::Instant;
use crate::net::blocking::BlockingStream;
use crate::net::{Address, Listener, Net, PeerAddress, Reactor};

use super::crew::{Crew, Job};
use super::driver::Newcomer;
use super::ground::{Ground, Stage};

/// Newcomers in one turn: signals are heard between turns.
const ACCEPT_BUDGET: usize = 256;

/// No backlog is longer: who keeps connecting during a drain does not keep it from going on.
const BACKLOG_MAX: usize = 1 << 16;

/// One listener, and what its newcomers become.
pub(super) struct Gate {
    address: Address,
    listener: Option<Listener>,
    /// How each newcomer is to be served.
    job_for: Box<dyn Fn(Newcomer) -> Job>,
    /// An accept may succeed, as far as we know.
    is_acceptable: bool,
    accept_retry: AcceptRetry,
    complaint: LogThrottle,
}

/// Whether accepting goes on.
enum Accepted {
    Next,
    Enough,
}

/// What a gate works with, for the length of one turn.
pub(super) struct Post<'a> {
    pub(super) reactor: &'a mut Reactor,
    pub(super) ground: &'a Ground,
    pub(super) crew: &'a mut dyn Crew,
    pub(super) now: Instant,
}

impl Gate {
    pub(super) fn new(address: Address, listener: Listener, job_for: Box<dyn Fn(Newcomer) -> Job>) -> Self {
        Self {
            address,
            listener: Some(listener),
            job_for,
            is_acceptable: false,
            accept_retry: AcceptRetry::new(),
            complaint: LogThrottle::default(),
        }
    }

    /// Somebody may be in the backlog.
    pub(super) fn remember_newcomers(&mut self) {
        self.is_acceptable = true;
    }

    fn wants_accept(&self, post: &Post<'_>) -> bool {
        self.is_acceptable
            && self.listener.is_some()
            && post.crew.has_room()
            && post.ground.books().admission.may_accept()
    }

    /// Accepts, within the budget, if there is room.
    pub(super) fn accept(&mut self, post: &mut Post<'_>) {
        if self.is_resting(post) {
            return;
        }
        for _ in 0..ACCEPT_BUDGET {
            if !self.wants_accept(post) {
                break;
            }
            match self.accept_one(post) {
                Accepted::Next => {}
                Accepted::Enough => break,
            }
        }
    }

    /// Takes in who is in the backlog, then stops listening.
    pub(super) fn drain(&mut self, post: &mut Post<'_>) {
        for _ in 0..BACKLOG_MAX {
            match self.accept_one(post) {
                Accepted::Next => {}
                Accepted::Enough => break,
            }
        }
        self.close();
    }

    /// Stops listening.
    pub(super) fn close(&mut self) {
        self.listener = None;
    }

    /// Until when there is nothing to do unless a fact or word comes.
    pub(super) fn next_work(&self, post: &Post<'_>) -> Instant {
        match self.accept_retry.until() {
            _ if !self.wants_accept(post) => Instant::NEVER,
            Some(until) if self.is_resting(post) => until,
            Some(_) | None => Instant::ORIGIN,
        }
    }

    fn is_resting(&self, post: &Post<'_>) -> bool {
        self.accept_retry.is_paused(post.now, post.ground.books().closes)
    }

    fn accept_one(&mut self, post: &mut Post<'_>) -> Accepted {
        let Some(listener) = &mut self.listener else { return Accepted::Enough };
        match post.reactor.accept(listener) {
            Ok((stream, who)) => self.admit(stream, who, post),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.is_acceptable = false;
                Accepted::Enough
            }
            Err(error) => self.cannot_accept(&error, post),
        }
    }

    fn admit(&mut self, stream: <Reactor as Net>::Stream, who: PeerAddress, post: &mut Post<'_>) -> Accepted {
        let (ground, group) = (post.ground, who.group());
        let bell = Arc::clone(ground.bell(Stage::Serving));
        let newcomer = match BlockingStream::new(stream, bell, Arc::clone(&ground.naps), ground.clock) {
            Ok(stream) => Newcomer::new(stream, who),
            Err(error) => return self.cannot_accept(&error, post),
        };
        if let Err(refusal) = ground.admit(group) {
            let totals = &mut ground.books().totals;
            match refusal {
                Rejection::Full => totals.refused_full += 1,
                Rejection::AddressFull => totals.refused_address += 1,
            }
            debug!("refused {who}: {refusal:?}");
            return Accepted::Next;
        }
        match post.crew.take((self.job_for)(newcomer)) {
            Ok(()) => {
                self.accept_retry.succeeded();
                Accepted::Next
            }
            Err(error) => {
                let mut books = ground.books();
                books.admission.release(group);
                books.totals.refused_full += 1;
                drop(books);
                self.complain(&format!("refused {who}, no thread for it: {error}"), post);
                self.accept_retry.failed(post.now, ground.books().closes);
                Accepted::Enough
            }
        }
    }

    fn cannot_accept(&mut self, error: &io::Error, post: &Post<'_>) -> Accepted {
        post.ground.books().totals.accept_errors += 1;
        self.complain(&format!("cannot accept on {}: {error}", self.address), post);
        match AcceptError::of(error) {
            AcceptError::Connection => Accepted::Next,
            AcceptError::System => {
                self.accept_retry.failed(post.now, post.ground.books().closes);
                Accepted::Enough
            }
        }
    }

    fn complain(&mut self, of: &str, post: &Post<'_>) {
        if let Some(held_back) = self.complaint.permit(post.now) {
            let more = if held_back == 0 { String::new() } else { format!(" ({held_back} times more)") };
            warn!("{of}{more}");
        }
    }
}
