//! `RunGroup` and `Member`: what the threads of a run do together.
//!
//! All threads begin to send at the same time, when each has opened its connections. No thread closes a
//! connection before all have ended. Each thread has a `Member` of the one group.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::instant::Instant;
use crate::net::Handle;

use super::cost::{Cost, ThreadCost, ThreadSample};
use super::progress::RunProgress;
use super::share::Share;

/// The state that the threads of a run share.
pub(super) struct RunGroup {
    state: Mutex<GroupState>,
    all_ended: Condvar,
}

struct GroupState {
    /// Number of threads that are opening connections.
    opening: usize,
    /// When all threads begin to send, once none is opening connections.
    begin: Option<Instant>,
    /// Number of threads with a measured time that has not ended.
    measuring: usize,
    /// Number of threads that have not ended.
    running: usize,
    is_stopped: bool,
    /// Handles of the event loops of the threads.
    handles: Vec<Handle>,
    /// Handle of the event loop that waits for the end; `None` if there is none.
    main_loop: Option<Handle>,
    /// The last report of each thread.
    progress: Vec<RunProgress>,
    cost: Cost,
}

/// A thread as part of a group. If it is dropped before its end, the whole run is stopped.
pub(super) struct Member {
    group: Arc<RunGroup>,
    pub(super) share: Share,
    /// Its place in the list of reports.
    index: usize,
    is_opening: bool,
    is_running: bool,
    /// Sample of the thread at the start of the measured time, and its cost in it.
    cost_before: Option<ThreadSample>,
    cost: Option<ThreadCost>,
}

impl RunGroup {
    /// A group of threads, and the member for each. `main_loop` is woken when the last one has ended.
    pub(super) fn new(threads: usize, cost: Cost, main_loop: Option<Handle>) -> (Arc<Self>, Vec<Member>) {
        let state = GroupState {
            opening: threads,
            begin: None,
            measuring: threads,
            running: threads,
            is_stopped: false,
            handles: Vec::new(),
            main_loop,
            progress: vec![RunProgress::default(); threads],
            cost,
        };
        let group = Arc::new(Self { state: Mutex::new(state), all_ended: Condvar::new() });
        let member = |(index, share)| Member {
            group: Arc::clone(&group),
            share,
            index,
            is_opening: true,
            is_running: true,
            cost_before: None,
            cost: None,
        };
        let members = Share::all(threads).enumerate().map(member).collect();
        (group, members)
    }

    fn state(&self) -> MutexGuard<'_, GroupState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Interrupts the run.
    pub(super) fn stop(&self) {
        self.state().stop();
    }

    /// Whether a thread has not ended.
    pub(super) fn is_running(&self) -> bool {
        self.state().running > 0
    }

    /// The sum of the last reports. Asks each thread for another one.
    pub(super) fn progress(&self) -> RunProgress {
        let state = self.state();
        state.handles.iter().for_each(Handle::log_totals);
        state.progress.iter().copied().reduce(RunProgress::plus).unwrap_or_default()
    }

    /// The cost of the whole run, after its end.
    pub(super) fn into_cost(self) -> Cost {
        self.state.into_inner().unwrap_or_else(PoisonError::into_inner).cost
    }
}

impl GroupState {
    fn stop(&mut self) {
        self.is_stopped = true;
        self.handles.iter().for_each(Handle::stop);
    }

    fn end_opening(&mut self, now: Instant) {
        self.opening -= 1;
        if self.opening == 0 {
            self.cost.sample_when_open();
            self.begin = Some(now);
            self.handles.iter().for_each(Handle::wake);
        }
    }

    fn end_measuring(&mut self) {
        self.measuring -= 1;
        if self.measuring == 0 {
            self.cost.end();
        }
    }

    fn end_running(&mut self, all_ended: &Condvar) {
        self.running -= 1;
        if self.running == 0 {
            self.cost.finish_sampling();
            all_ended.notify_all();
            self.main_loop.iter().for_each(Handle::wake);
        }
    }
}

impl Member {
    /// The member of a run on one thread.
    #[cfg(test)]
    pub(super) fn alone() -> Self {
        let cost = Cost::new(None).expect("there is no process to inspect");
        RunGroup::new(1, cost, None).1.remove(0)
    }

    /// Gives the group the handle of the event loop of this thread.
    pub(super) fn register(&self, handle: Handle) {
        let mut state = self.group.state();
        if state.is_stopped {
            handle.stop();
        }
        state.handles.push(handle);
    }

    /// Reports that this thread has opened its connections. Returns the common start time, or `None` while another
    /// thread opens connections. The event loop is woken when the time is set.
    pub(super) fn begin(&mut self, now: Instant) -> Option<Instant> {
        let mut state = self.group.state();
        if std::mem::take(&mut self.is_opening) {
            state.end_opening(now);
        }
        state.begin
    }

    /// Whether the measured time has begun.
    pub(super) fn is_measuring(&self) -> bool {
        self.cost_before.is_some()
    }

    /// Samples the start of the measured time.
    pub(super) fn begin_measuring(&mut self) {
        self.group.state().cost.begin();
        self.cost_before = Some(ThreadSample::now());
    }

    /// Samples the end of the measured time. Returns false if it has not begun, or has already ended.
    pub(super) fn end_measuring(&mut self) -> bool {
        let Some(before) = self.cost_before.filter(|_| self.cost.is_none()) else { return false };
        self.cost = Some(ThreadSample::now().since(before));
        self.group.state().end_measuring();
        true
    }

    /// Stores the state of this thread, for a display.
    pub(super) fn report(&self, progress: RunProgress) {
        self.group.state().progress[self.index] = progress;
    }

    /// Ends the part of this thread, which keeps its connections open.
    pub(super) fn end(&mut self, now: Instant) {
        if !std::mem::take(&mut self.is_running) {
            return;
        }
        self.end_measuring();
        let mut state = self.group.state();
        if std::mem::take(&mut self.is_opening) {
            state.end_opening(now);
        }
        if self.cost_before.is_none() {
            state.end_measuring();
        }
        state.end_running(&self.group.all_ended);
    }

    /// Waits until all threads have ended. Returns the cost of this thread in the measured time.
    pub(super) fn wait_for_all(self) -> ThreadCost {
        let state = self.group.state();
        let all_ended = self.group.all_ended.wait_while(state, |state| state.running > 0);
        drop(all_ended.unwrap_or_else(PoisonError::into_inner));
        self.cost.unwrap_or_default()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if self.is_running {
            let mut state = self.group.state();
            state.stop();
            state.end_running(&self.group.all_ended);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{ControlEvent, Wake};

    struct NoWake;

    impl Wake for NoWake {
        fn wake(&self) {}
    }

    fn handle() -> Handle {
        Handle::new(Arc::new(NoWake))
    }

    fn group(threads: usize) -> (Arc<RunGroup>, Vec<Member>) {
        RunGroup::new(threads, Cost::new(None).unwrap(), None)
    }

    fn at(nanos: u64) -> Instant {
        Instant::from_nanos(nanos)
    }

    #[test]
    fn all_threads_begin_when_the_last_one_is_open() {
        let (_group, mut members) = group(3);
        assert_eq!([0, 1, 0].map(|index| members[index].begin(at(5))), [None; 3]);
        assert_eq!([2, 0, 1, 2].map(|index| members[index].begin(at(6 + index as u64))), [Some(at(8)); 4]);
    }

    #[test]
    fn a_thread_that_ends_early_is_not_awaited() {
        let (group, mut members) = group(2);
        assert_eq!(members[0].begin(at(1)), None);
        members[1].end(at(2));
        assert_eq!(members[0].begin(at(3)), Some(at(2)));
        assert!(group.is_running());
        members[0].end(at(4));
        assert!(!group.is_running());
        members.into_iter().for_each(|member| _ = member.wait_for_all());
    }

    #[test]
    fn a_thread_that_fails_stops_all_others() {
        let (group, mut members) = group(3);
        let (early, late) = (handle(), handle());
        members[0].register(early.clone());
        drop(members.pop());
        members[1].register(late.clone());
        assert_eq!([early, late].map(|handle| handle.take_requests()), [[ControlEvent::Stop], [ControlEvent::Stop]]);
        members.iter_mut().for_each(|member| member.end(at(1)));
        assert!(!group.is_running());
    }

    #[test]
    fn the_progress_is_the_sum_of_the_last_reports() {
        let (group, members) = group(2);
        let handle = handle();
        members[0].register(handle.clone());
        let report = |open| RunProgress { open, answered: 10, ..RunProgress::default() };
        members[0].report(report(1));
        members[0].report(report(2));
        members[1].report(report(5));
        assert_eq!(group.progress(), RunProgress { answered: 20, ..report(7) });
        assert_eq!(handle.take_requests(), [ControlEvent::Totals], "each thread is asked for its next report");
    }
}
