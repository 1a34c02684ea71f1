//! TCP threads that hang: each is woken a few times a second and has to show that it made progress since.
//!
//! Judged by the same rules as workers ([`Repair`]): waiting for a CPU is no hang, replacements are bounded in rate and
//! by the threads that are lost already. Time is an argument.

use std::time::Duration;

use crate::health::cpu::{self, CpuTimes, CpuWatch};
use crate::health::judge::{CLOCK_GAP_MAX, Seen};
use crate::health::repair::{Repair, Silence};
use crate::health::report::TcpThreadReport;
use crate::health::{ServerThreads, WorkerState};

/// The threads, and what is known of each.
#[derive(Debug)]
pub(super) struct TcpWatch {
    repair: Repair,
    threads: Vec<WokenThread>,
    /// From one look to the next.
    interval: Duration,
    /// A look that comes later than that by more is not judged.
    lateness_max: Duration,
    /// When the threads were last looked at and woken; `None` before the first time.
    last: Option<Duration>,
    /// Threads to replace.
    hung: Vec<usize>,
}

/// How a thread was when it was last woken.
#[derive(Debug, Default)]
struct WokenThread {
    cpu: CpuWatch,
    times: Option<CpuTimes>,
    progress: u64,
}

impl TcpWatch {
    /// Knows nothing yet. TCP is asked every `tcp_interval`; a thread is woken [`WAKES_PER_INTERVAL`] times in that, at
    /// the end of rounds, which take `round` at most.
    pub(super) fn new(threads: &dyn ServerThreads, tcp_interval: Duration, round: Duration) -> Self {
        let count = threads.tcp_thread_count();
        Self {
            repair: Repair::new(count, LOOKS),
            threads: (0..count).map(|_| WokenThread::default()).collect(),
            interval: tcp_interval / WAKES_PER_INTERVAL,
            lateness_max: round + CLOCK_GAP_MAX,
            last: None,
            hung: Vec::new(),
        }
    }

    /// Looks whether the threads moved since they were woken, if it is time for that, and wakes them again.
    pub(super) fn look(&mut self, now: Duration, threads: &dyn ServerThreads) {
        let elapsed = self.last.map(|last| now.saturating_sub(last));
        if elapsed.is_some_and(|elapsed| elapsed < self.interval) {
            return;
        }
        self.last = Some(now);
        // Where this thread came late to its own CPU, or was stopped, the others may have had none either.
        let elapsed = elapsed.filter(|elapsed| *elapsed <= self.interval + self.lateness_max);
        let lost_count = threads.tcp_lost();
        for (thread, woken) in self.threads.iter_mut().enumerate() {
            let tid = threads.tcp_tid(thread);
            let (progress, times) = (threads.tcp_progress(thread), woken.cpu.read(tid));
            let seen = match elapsed {
                None => Seen::Unknown,
                Some(_) if progress != woken.progress => Seen::Well,
                Some(_) => Seen::Late,
            };
            let grown = woken.times.zip(times).map_or(CpuTimes::default(), |(before, after)| after.since(before));
            let elapsed = elapsed.unwrap_or_default();
            let silence = Silence {
                is_moving: false,
                is_starved: seen == Seen::Late
                    && tid.is_some_and(|tid| cpu::is_starved(elapsed, grown, cpu::is_runnable(tid))),
                ran: grown.ran,
                has_queued: None,
            };
            if self.repair.judge(thread, now, seen, silence, lost_count) {
                self.hung.push(thread);
            }
            let (state, since, _) = self.repair.worker(thread);
            if state == WorkerState::Lost && since == now {
                tracing::error!(thread, lost_count, "the TCP thread hangs, and too many are lost to replace it");
            }
            (woken.progress, woken.times) = (progress, times);
            threads.wake_tcp(thread);
        }
    }

    /// Replaces the threads that hang; returns how often that failed.
    pub(super) fn act(&mut self, now: Duration, threads: &dyn ServerThreads) -> u64 {
        let mut failures = 0;
        for thread in self.hung.drain(..) {
            let outcome = threads.replace_tcp(thread);
            self.repair.tried(thread, now, outcome.is_ok());
            match outcome {
                Ok(()) => {
                    // Its progress counts from 0; the next look compares with what they are now.
                    self.threads[thread].progress = u64::MAX;
                    tracing::warn!(
                        thread,
                        "the TCP thread hung: a new one has taken over; its connections end with it"
                    );
                }
                Err(error) => {
                    failures += 1;
                    tracing::error!(thread, %error, "the TCP thread hangs, and no new one could take over");
                }
            }
        }
        failures
    }

    /// What is known of each thread.
    pub(super) fn report(&self) -> Vec<TcpThreadReport> {
        let report = |thread| {
            let (state, since, repairs) = self.repair.worker(thread);
            TcpThreadReport { state, since, repairs }
        };
        (0..self.threads.len()).map(report).collect()
    }
}

/// How often a thread is woken in the time between two queries over TCP.
pub const WAKES_PER_INTERVAL: u32 = 4;

/// After so many looks on end at which it had made no progress a thread hangs: a second and a half at most from the
/// moment that it does, with the usual interval, and so before the policy has seen three queries fail.
pub const LOOKS: u32 = 5;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::Mutex;

    const fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    /// Two threads without a number in the kernel, which move when they are woken unless they hang.
    #[derive(Debug, Default)]
    struct Fake(Mutex<State>);

    #[derive(Debug, Default)]
    struct State {
        progress: [u64; 2],
        hangs: [bool; 2],
        lost: usize,
        replaced: Vec<usize>,
        refuses: bool,
    }

    impl Fake {
        fn state(&self) -> std::sync::MutexGuard<'_, State> {
            self.0.lock().expect("no test panics with it")
        }
    }

    impl ServerThreads for Fake {
        fn worker_count(&self) -> usize {
            1
        }
        fn progress(&self, _worker: usize) -> u64 {
            0
        }
        fn tid(&self, _worker: usize) -> Option<i32> {
            None
        }
        fn drops(&self, _address: usize) -> u64 {
            0
        }
        fn replace(&self, _worker: usize) -> io::Result<()> {
            Ok(())
        }
        fn lost(&self) -> usize {
            0
        }
        fn tcp_thread_count(&self) -> usize {
            2
        }
        fn tcp_progress(&self, thread: usize) -> u64 {
            self.state().progress[thread]
        }
        fn wake_tcp(&self, thread: usize) {
            let mut state = self.state();
            state.progress[thread] += u64::from(!state.hangs[thread]);
        }
        fn replace_tcp(&self, thread: usize) -> io::Result<()> {
            let mut state = self.state();
            if state.refuses {
                return Err(io::Error::other("no"));
            }
            (state.progress[thread], state.hangs[thread]) = (0, false);
            state.lost += 1;
            state.replaced.push(thread);
            Ok(())
        }
        fn tcp_lost(&self) -> usize {
            self.state().lost
        }
    }

    /// Looks every 50 ms in a span of milliseconds, as rounds do.
    fn run(tcp_watch: &mut TcpWatch, fake: &Fake, span: std::ops::Range<u64>) {
        for at in span.step_by(50) {
            tcp_watch.look(ms(at), fake);
            tcp_watch.act(ms(at), fake);
        }
    }

    #[test]
    fn a_thread_that_hangs_is_replaced_once_before_three_queries_can_fail() {
        let fake = Fake::default();
        let mut tcp_watch = TcpWatch::new(&fake, ms(1000), ms(50));
        run(&mut tcp_watch, &fake, 0..10_000);
        assert_eq!(fake.state().replaced, [0; 0]);
        // The worst moment: just after a wake-up that it still answered.
        fake.state().hangs[1] = true;
        run(&mut tcp_watch, &fake, 10_000..11_250);
        assert_eq!(fake.state().replaced, [0; 0]);
        run(&mut tcp_watch, &fake, 11_250..11_550);
        assert_eq!(fake.state().replaced, [1]);
        run(&mut tcp_watch, &fake, 11_550..30_000);
        assert_eq!(fake.state().replaced, [1]);
        let reported: Vec<_> = tcp_watch.report().iter().map(|thread| (thread.state, thread.repairs)).collect();
        assert_eq!(reported, [(WorkerState::Well, 0), (WorkerState::Well, 1)]);
    }

    #[test]
    fn looks_that_come_late_are_not_judged() {
        let fake = Fake::default();
        let mut tcp_watch = TcpWatch::new(&fake, ms(1000), ms(50));
        fake.state().hangs = [true; 2];
        for at in (0..60).map(|second| ms(second * 5000)) {
            tcp_watch.look(at, &fake);
            tcp_watch.act(at, &fake);
        }
        assert_eq!(fake.state().replaced, [0; 0], "this thread was stopped, and the others may have been");
    }

    #[test]
    fn replacements_that_fail_are_counted_and_no_more_are_lost_than_there_are() {
        let fake = Fake::default();
        let mut tcp_watch = TcpWatch::new(&fake, ms(1000), ms(50));
        fake.state().refuses = true;
        fake.state().hangs = [true, false];
        let failures: u64 = (0..2000)
            .step_by(50)
            .map(|at| {
                tcp_watch.look(ms(at), &fake);
                tcp_watch.act(ms(at), &fake)
            })
            .sum();
        assert!(failures > 0);
        (fake.state().refuses, fake.state().lost) = (false, 2);
        run(&mut tcp_watch, &fake, 2000..40_000);
        assert_eq!((fake.state().replaced.len(), tcp_watch.report()[0].state), (0, WorkerState::Lost));
        fake.state().lost = 1;
        run(&mut tcp_watch, &fake, 40_000..60_000);
        assert_eq!(fake.state().replaced, [0], "an old thread ended");
    }
}
