//! One zone after the other is asked for its SOA; what is wrong with a zone is that zone's fault.
//!
//! Pure but for the [`Zones`] that the caller brings: time is an argument. A zone that fails is asked again at once, on
//! the same worker; a fault that shows twice is noted until the zone answers right or is no longer served.

use core::time::Duration;

use hickory_proto::op::Query;

use crate::health::Wrong;
use crate::wire::{Name, NameRef};

/// What is served now. Zones that are meant to be answered with an error (expired ones) are left out.
pub trait Zones: Send + Sync {
    /// Returns the next zone in turn and the serial that is served now; `None` where no zone is served.
    fn next(&self) -> Option<(Name, u32)>;
    /// Returns the serial of `zone` that is served now; `None` where it is not served.
    fn serial(&self, zone: NameRef<'_>) -> Option<u32>;
}

/// What is wrong with a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZoneFault {
    /// The zone.
    pub zone: Name,
    /// What was wrong last.
    pub what: Wrong,
    /// When it was found first.
    pub since: Duration,
}

/// The question that is out, and the faults that are known.
#[derive(Debug, Default)]
pub(super) struct ZoneTurn {
    /// The question that waits for its answer.
    asked: Option<PendingProbe>,
    /// Zones with a fault, at most [`ZONE_FAULTS_MAX`], oldest first.
    faults: Vec<ZoneFault>,
    /// Questions so far.
    turn: usize,
}

/// A question for an SOA that is out.
#[derive(Clone, Debug)]
pub(super) struct PendingProbe {
    /// The number of the question, whose low half is its ID.
    pub(super) number: u64,
    /// The zone.
    pub(super) zone: Name,
    /// The serial that was served just before the question was sent.
    pub(super) serial: u32,
    /// The cell of the round, that is address and worker, that it was sent to.
    pub(super) cell: usize,
    /// When it was sent.
    pub(super) sent: Duration,
    /// Whether this is the second time.
    pub(super) is_again: bool,
    /// What a reply has to repeat.
    pub(super) question: Query,
}

/// What an answer, or its absence, means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ZoneStep {
    /// Nothing is to be done.
    Nothing,
    /// The zone is to be asked again, over the same cell.
    Again {
        /// The zone.
        zone: Name,
        /// Where.
        cell: usize,
    },
    /// A fault was found that was not known.
    Fault(ZoneFault),
    /// A zone that had a fault answers right again, or is no longer served.
    Cured(Name),
}

impl ZoneTurn {
    /// Chooses the zone to ask now: the next in turn, and every other time one of those with a fault.
    ///
    /// `None` while a question is out and where no zone is served.
    pub(super) fn choose(&mut self, zones: &dyn Zones) -> Option<(Name, u32)> {
        if self.asked.is_some() {
            return None;
        }
        self.turn = self.turn.wrapping_add(1);
        if self.turn.is_multiple_of(2) && !self.faults.is_empty() {
            let zone = self.faults[(self.turn / 2) % self.faults.len()].zone;
            if let Some(serial) = zones.serial(zone.as_ref()) {
                return Some((zone, serial));
            }
            self.forget(zone);
        }
        zones.next()
    }

    /// Chooses one of `cell_count` cells, so that each zone meets each worker and address in time.
    #[must_use]
    pub(super) fn choose_cell(&self, cell_count: usize) -> usize {
        // Multiplying by an odd constant and taking the upper half mixes the turns, whatever the number of zones is.
        let mixed = (self.turn as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        usize::try_from(mixed).unwrap_or_default() % cell_count.max(1)
    }

    /// Notes that a question is out.
    pub(super) fn ask(&mut self, asked: PendingProbe) {
        self.asked = Some(asked);
    }

    /// Returns the question that is out.
    #[must_use]
    pub(super) fn asked(&self) -> Option<&PendingProbe> {
        self.asked.as_ref()
    }

    /// Takes the answer to the question that is out; `serial` is what is served now.
    pub(super) fn answered(&mut self, now: Duration, answer: Result<u32, Wrong>, serial: Option<u32>) -> ZoneStep {
        let Some(asked) = self.asked.take() else { return ZoneStep::Nothing };
        let Some(serial) = serial else { return self.forget(asked.zone) };
        let what = match answer {
            Ok(serial_found) if is_between(serial_found, asked.serial, serial) => return self.forget(asked.zone),
            Ok(serial_found) => Wrong::Serial(serial_found),
            Err(wrong) => wrong,
        };
        if asked.is_again {
            self.note(asked.zone, what, now)
        } else {
            ZoneStep::Again { zone: asked.zone, cell: asked.cell }
        }
    }

    /// Takes that no answer came within `timeout`, if that is so.
    ///
    /// It is the zone's fault only where the same worker answered its canary in a round that the prover did not sleep
    /// through (`is_cell_well`); otherwise nothing is known, and the zone's turn comes again.
    pub(super) fn expire(
        &mut self,
        now: Duration,
        timeout: Duration,
        serial: impl Fn(NameRef<'_>) -> Option<u32>,
        is_cell_well: impl Fn(usize) -> bool,
    ) -> ZoneStep {
        let Some(asked) = self.asked.as_ref().filter(|asked| now > asked.sent + timeout) else {
            return ZoneStep::Nothing;
        };
        if !is_cell_well(asked.cell) {
            self.asked = None;
            return ZoneStep::Nothing;
        }
        let serial = serial(asked.zone.as_ref());
        self.answered(now, Err(Wrong::Silent), serial)
    }

    /// Returns the zones that have a fault, oldest first.
    #[must_use]
    pub(super) fn faults(&self) -> &[ZoneFault] {
        &self.faults
    }

    /// Notes a fault. Beyond [`ZONE_FAULTS_MAX`] a new one is logged, but not kept.
    fn note(&mut self, zone: Name, what: Wrong, now: Duration) -> ZoneStep {
        if let Some(known) = self.faults.iter_mut().find(|fault| fault.zone == zone) {
            known.what = what;
            return ZoneStep::Nothing;
        }
        let fault = ZoneFault { zone, what, since: now };
        if self.faults.len() < ZONE_FAULTS_MAX {
            self.faults.push(fault);
        }
        ZoneStep::Fault(fault)
    }

    /// Forgets the fault of a zone, if it had one.
    fn forget(&mut self, zone: Name) -> ZoneStep {
        let Some(index) = self.faults.iter().position(|fault| fault.zone == zone) else { return ZoneStep::Nothing };
        self.faults.remove(index);
        ZoneStep::Cured(zone)
    }
}

/// Whether `serial` was current at some moment between `before` and `after`: it is one of them, or lies between them
/// (RFC 1982 §3.2), since a zone may have changed twice.
fn is_between(serial: u32, before: u32, after: u32) -> bool {
    let span = after.wrapping_sub(before);
    serial == after || serial == before || (span < 1 << 31 && serial.wrapping_sub(before) <= span)
}

/// The most zones whose faults are kept.
pub const ZONE_FAULTS_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::rr::RecordType;

    const fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    fn name(text: &str) -> Name {
        text.parse().expect("a name")
    }

    fn ask(turn: &mut ZoneTurn, zone: &str, is_again: bool) {
        let question = Query::query(hickory_proto::rr::Name::root(), RecordType::SOA);
        turn.ask(PendingProbe { number: 0, zone: name(zone), serial: 5, cell: 3, sent: ms(0), is_again, question });
    }

    /// Serves one zone, `a.`, with serial 5.
    struct One;

    impl Zones for One {
        fn next(&self) -> Option<(Name, u32)> {
            Some((name("a."), 5))
        }

        fn serial(&self, zone: NameRef<'_>) -> Option<u32> {
            (zone == name("a.").as_ref()).then_some(5)
        }
    }

    #[test]
    fn a_zone_that_fails_twice_has_a_fault_until_it_answers_right() {
        let mut turn = ZoneTurn::default();
        ask(&mut turn, "a.", false);
        assert_eq!(turn.choose(&One), None, "one question is out at a time");
        let again = turn.answered(ms(1), Err(Wrong::Rcode(2)), Some(5));
        assert_eq!((again, turn.faults().len()), (ZoneStep::Again { zone: name("a."), cell: 3 }, 0));
        ask(&mut turn, "a.", true);
        let fault = ZoneFault { zone: name("a."), what: Wrong::Rcode(2), since: ms(2) };
        assert_eq!(turn.answered(ms(2), Err(Wrong::Rcode(2)), Some(5)), ZoneStep::Fault(fault));
        for (at, wrong) in [(3, Wrong::Malformed), (4, Wrong::Rcode(5))] {
            ask(&mut turn, "a.", true);
            assert_eq!(turn.answered(ms(at), Err(wrong), Some(5)), ZoneStep::Nothing, "it is known");
        }
        assert_eq!(turn.faults(), [ZoneFault { what: Wrong::Rcode(5), ..fault }]);
        ask(&mut turn, "a.", false);
        assert_eq!(turn.answered(ms(5), Ok(5), Some(5)), ZoneStep::Cured(name("a.")));
        assert_eq!(turn.faults(), []);
    }

    #[test]
    fn a_fault_goes_with_its_zone() {
        let mut turn = ZoneTurn::default();
        for zone in ["gone.", "a."] {
            ask(&mut turn, zone, true);
            assert!(matches!(turn.answered(ms(1), Ok(4), Some(5)), ZoneStep::Fault(_)));
        }
        assert_eq!(turn.faults()[0].what, Wrong::Serial(4));
        ask(&mut turn, "gone.", false);
        assert_eq!(turn.answered(ms(2), Ok(4), None), ZoneStep::Cured(name("gone.")));
        ask(&mut turn, "gone.", true);
        assert!(matches!(turn.answered(ms(3), Ok(4), Some(5)), ZoneStep::Fault(_)));
        for _ in 0..4 {
            assert_eq!(turn.choose(&One), Some((name("a."), 5)));
        }
        assert_eq!(turn.faults().len(), 1, "a zone that is gone is forgotten when its turn comes");
    }

    #[test]
    fn silence_is_the_zones_fault_only_where_the_worker_was_well() {
        let mut turn = ZoneTurn::default();
        let serial = |_: NameRef<'_>| Some(5);
        ask(&mut turn, "a.", false);
        assert_eq!(turn.expire(ms(50), ms(50), serial, |_| true), ZoneStep::Nothing);
        assert!(turn.asked().is_some(), "it is not over yet");
        assert_eq!(turn.expire(ms(51), ms(50), serial, |_| false), ZoneStep::Nothing);
        assert!(turn.asked().is_none() && turn.faults().is_empty());
        ask(&mut turn, "a.", false);
        assert!(matches!(turn.expire(ms(51), ms(50), serial, |cell| cell == 3), ZoneStep::Again { .. }));
        ask(&mut turn, "a.", true);
        assert!(matches!(turn.expire(ms(51), ms(50), serial, |_| true), ZoneStep::Fault(_)));
        assert_eq!(turn.faults()[0].what, Wrong::Silent);
        assert_eq!(turn.expire(ms(51), ms(50), serial, |_| true), ZoneStep::Nothing, "nothing is out");
    }

    #[test]
    fn a_serial_that_was_current_in_between_is_right() {
        for (serial, before, after, is_right) in [
            (5, 5, 5, true),
            (4, 5, 5, false),
            (6, 5, 5, false),
            (5, 5, 7, true),
            (6, 5, 7, true),
            (7, 5, 7, true),
            (8, 5, 7, false),
            (4, 5, 7, false),
            (0, u32::MAX, 1, true),
            (7, 7, 5, true),
            (5, 7, 5, true),
            (6, 7, 5, false),
        ] {
            assert_eq!(is_between(serial, before, after), is_right, "{serial} {before} {after}");
        }
    }

    #[test]
    fn faults_are_kept_up_to_the_bound() {
        let mut turn = ZoneTurn::default();
        for index in 0..=ZONE_FAULTS_MAX {
            ask(&mut turn, &format!("z{index}."), true);
            assert!(matches!(turn.answered(ms(1), Err(Wrong::Malformed), Some(5)), ZoneStep::Fault(_)));
        }
        assert_eq!(turn.faults().len(), ZONE_FAULTS_MAX);
    }

    #[test]
    fn every_cell_has_its_turn() {
        let mut turn = ZoneTurn::default();
        let mut seen = [false; 6];
        for _ in 0..200 {
            turn.choose(&One);
            seen[turn.choose_cell(6)] = true;
        }
        assert_eq!(seen, [true; 6]);
        assert_eq!(turn.choose_cell(0), 0);
    }
}
