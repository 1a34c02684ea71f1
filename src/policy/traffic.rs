//! The traffic of real clients, as evidence: whether it stopped when the probes' path failed.
//!
//! A probe that does not come through shows that probes don't, not that clients don't. Clients that are answered show
//! that they do. Clients that would be due and don't come show that they don't, if their silence began with that of the
//! probes.

use core::time::Duration;

/// What is known of the clients of one address.
#[derive(Clone, Debug)]
pub(super) struct Traffic {
    /// When the last of them came.
    last_at: Option<Duration>,
    /// The mean time between two of them.
    gap: Duration,
    /// The longest time without any, in the window before this one and in this one.
    longest: [Duration; 2],
    /// When this window began.
    window_began: Duration,
    /// Rounds in a row, up to the last, in which the path failed.
    fault_rounds: u32,
    /// Whether the silence of clients can show nothing about the path that fails now: it began before, or was broken
    /// since.
    is_void: bool,
}

impl Default for Traffic {
    fn default() -> Self {
        Self {
            last_at: None,
            gap: GAP_SUPPOSED,
            longest: [Duration::ZERO; 2],
            window_began: Duration::ZERO,
            fault_rounds: 0,
            is_void: true,
        }
    }
}

impl Traffic {
    /// Notes that `clients` came since the last round, and whether that round showed a fault of the path; `None` where
    /// it showed nothing.
    pub(super) fn note(&mut self, now: Duration, clients: u32, is_path_fault: Option<bool>) {
        if clients > 0 {
            self.count(now, clients);
        }
        match is_path_fault {
            Some(false) => self.fault_rounds = 0,
            Some(true) => {
                self.fault_rounds = self.fault_rounds.saturating_add(1);
                if self.fault_rounds == 1 {
                    self.is_void = self.has_been_silent(now);
                }
            }
            None => {}
        }
        self.is_void |= clients > 0 && self.fault_rounds > ONSET_ROUNDS;
    }

    /// Whether clients no longer come, and the silence began when the path failed.
    pub(super) fn has_stopped(&self, now: Duration) -> bool {
        !self.is_void && self.is_overdue(now)
    }

    /// Takes clients into account.
    fn count(&mut self, now: Duration, clients: u32) {
        if now.saturating_sub(self.window_began) >= WINDOW {
            self.longest = [self.longest[1], Duration::ZERO];
            self.window_began = now;
        }
        if let Some(last_at) = self.last_at {
            let silence = now.saturating_sub(last_at);
            self.longest[1] = self.longest[1].max(silence);
            self.gap = self.gap.saturating_mul(MEMORY).saturating_add(silence) / MEMORY.saturating_add(clients);
        }
        self.last_at = Some(now);
    }

    /// Whether clients were silent already before a fault that was just found.
    fn has_been_silent(&self, now: Duration) -> bool {
        let usual = self.longest[0].max(self.longest[1]);
        self.last_at.is_none_or(|last_at| now.saturating_sub(last_at) > usual.saturating_add(ONSET_MAX))
    }

    /// Whether so many clients were due since the last one that their absence is no chance, nor one of their usual
    /// pauses.
    fn is_overdue(&self, now: Duration) -> bool {
        let Some(last_at) = self.last_at else { return true };
        let silence = now.saturating_sub(last_at);
        silence >= self.gap.saturating_mul(DUE) && silence > self.longest[0].max(self.longest[1])
    }
}

/// So many clients must have been due: where they come at random, that none of them does is no chance.
const DUE: u32 = 10;
/// In the first rounds of a fault clients are counted that came before it.
const ONSET_ROUNDS: u32 = 2;
/// A fault may be found so long after it began, where the prover or a worker had to wait for its CPU.
const ONSET_MAX: Duration = Duration::from_secs(1);
/// The mean is that of about so many clients.
const MEMORY: u32 = 15;
/// The mean before any is known: whoever has few clients learns nothing of their silence.
const GAP_SUPPOSED: Duration = Duration::from_secs(10);
/// For how long, and up to twice that, a pause of the clients is remembered as usual.
const WINDOW: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    /// Traffic in which `clients` come every `every` for a minute, up to which time then is.
    fn steady(every: u64, clients: u32) -> Traffic {
        let mut traffic = Traffic::default();
        (1..=60_000 / every).for_each(|index| traffic.note(ms(index * every), clients, Some(false)));
        traffic
    }

    /// After how many silent rounds of 50 ms, the path failing from the first on, clients count as stopped; `None`: not
    /// in ten minutes.
    fn stops_after(mut traffic: Traffic) -> Option<u64> {
        (1..=12_000).find(|round| {
            traffic.note(ms(60_000 + round * 50), 0, Some(true));
            traffic.has_stopped(ms(60_000 + round * 50))
        })
    }

    #[test]
    fn ten_that_were_due_are_evidence() {
        assert_eq!(stops_after(steady(50, 50)), Some(2), "a thousand a second");
        assert!(matches!(stops_after(steady(50, 1)), Some(10 | 11)), "20 a second");
        let rare = stops_after(steady(1000, 1)).expect("one a second");
        assert!((200..=400).contains(&rare), "{rare}");
        assert_eq!(stops_after(Traffic::default()), None, "who has no clients learns nothing");
    }

    #[test]
    fn who_comes_in_bursts_is_given_the_time_between_them() {
        // 200 in one round, then nothing for 10 s.
        let rounds = stops_after(steady(10_000, 200)).expect("they stop some time");
        assert!((200..=210).contains(&rounds), "{rounds}");
    }

    #[test]
    fn clients_that_are_heard_in_a_fault_show_that_they_pass() {
        let mut traffic = steady(50, 50);
        for round in 1..=5 {
            traffic.note(ms(60_000 + round * 50), 50, Some(true));
            assert!(!traffic.has_stopped(ms(60_000 + round * 50)));
        }
        // A degraded address may well lose them later.
        traffic.note(ms(90_000), 0, Some(true));
        assert!(!traffic.has_stopped(ms(90_000)));
    }

    #[test]
    fn a_silence_from_before_the_fault_shows_nothing() {
        let mut traffic = steady(50, 50);
        traffic.note(ms(70_000), 0, Some(false));
        traffic.note(ms(70_050), 0, Some(true));
        assert!(!traffic.has_stopped(ms(70_050)));
        traffic.note(ms(70_100), 0, None);
        assert!(!traffic.has_stopped(ms(99_000)));
    }
}
