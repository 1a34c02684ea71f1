//! What is promised of a BFD session, whatever happens to it. Shared by the fuzz target, the replay of the corpus and
//! the sessions with real routers; panics where a promise is broken.

#![allow(dead_code)] // Each of those who share this file uses a part of it.

use std::num::{NonZeroU8, NonZeroU32};
use std::time::Duration;

use fated::bfd::{Action, Event, Facts, Packet, Session, SessionSettings, State};

/// The seed of what is left to chance: always the same, so that a crash is one that comes again.
const SEED: u64 = 0x0123_4567_89AB_CDEF;

/// Octets in front of the steps of [`bfd`]: interval and what can be received in milliseconds, the multiplier, the
/// discriminator.
const HEAD_BYTES: usize = 9;

/// Makes the session that the head of an input of [`bfd`] asks for; returns it with the steps behind.
pub(crate) fn session(input: &[u8]) -> Option<(Session, &[u8])> {
    let ([i1, i2, r1, r2, multiplier, name @ ..], steps) = input.split_first_chunk::<HEAD_BYTES>()?;
    let interval = |octets: [u8; 2]| Duration::from_millis(u16::from_be_bytes(octets).into());
    let settings = SessionSettings {
        interval: interval([*i1, *i2]),
        min_rx: interval([*r1, *r2]),
        multiplier: NonZeroU8::new(*multiplier)?,
        is_multihop: false,
    };
    let name = NonZeroU32::new(u32::from_be_bytes(*name))?;
    Some((Session::new(Duration::ZERO, settings, name, SEED), steps))
}

/// Takes one step off an input of [`bfd`]: after how long, and what happens. A step is one octet of what happens, the
/// delay in tenths of milliseconds (2), and behind 1, that something is received, its length and octets.
pub(crate) fn step<'a>(steps: &mut &'a [u8]) -> Option<(Duration, Event<'a>)> {
    let ([kind, d1, d2], mut rest) = steps.split_first_chunk::<3>()?;
    let event = match kind % 6 {
        0 => Event::Tick,
        1 => {
            let (length, octets) = rest.split_first()?;
            let (octets, behind) = octets.split_at(octets.len().min((*length).into()));
            rest = behind;
            Event::Received(octets)
        }
        2 => Event::Proven(true),
        3 => Event::Proven(false),
        4 => Event::Begin,
        _ => Event::End,
    };
    *steps = rest;
    Some((Duration::from_micros(u64::from(u16::from_be_bytes([*d1, *d2])) * 100), event))
}

/// Leads a BFD session through steps, with a tick at each of its deadlines that they pass over.
///
/// # Panics
/// Where a packet leaves without a proof, or can't be read, or a deadline lies behind, or a refused packet changes
/// anything.
pub(crate) fn bfd(input: &[u8]) {
    let Some((mut session, mut steps)) = session(input) else { return };
    let (mut now, mut is_proven, mut ticks) = (Duration::ZERO, false, 0);
    while let Some((delay, event)) = step(&mut steps) {
        let then = now + delay;
        while let Some(at) = session.deadline().filter(|at| *at <= then) {
            tell(&mut session, at, Event::Tick, is_proven);
            ticks += 1;
            // No interval is shorter than 7.5 ms, and each delay is below 6.6 s.
            assert!(ticks <= 2000 + input.len() * 1000, "the session is never at rest");
        }
        now = then;
        if let Event::Proven(is_so) = event {
            is_proven = is_so;
        }
        tell(&mut session, now, event, is_proven);
    }
}

/// Gives a session one event and checks what comes of it.
fn tell(session: &mut Session, now: Duration, event: Event<'_>, is_proven: bool) {
    let (before, state_before, mut out) = (session.facts(), session.state(), Vec::new());
    session.handle(now, event, &mut out);
    let (after, mut state, mut sent) = (session.facts(), state_before, 0);
    for action in &out {
        match action {
            Action::Changed { from, to, .. } => {
                assert!(*from == state && from != to, "changes follow each other");
                state = *to;
            }
            Action::Send(octets) => {
                let packet = Packet::read(octets).expect("what is sent can be read");
                assert!(is_proven, "a packet without a proof");
                assert_eq!((packet.state, packet.my_discriminator), (session.state(), after.local_discriminator));
                assert!(packet.state != State::AdminDown && !(packet.is_poll && packet.is_final));
                sent += 1;
            }
        }
    }
    assert!(state == session.state() && sent <= 1 && out.len() <= 3, "{out:?}");
    assert_eq!((after.sent - before.sent, after.refused - before.refused <= 1), (sent, true));
    assert_eq!(state == State::AdminDown, session.deadline().is_none(), "what is wanted never rests for good");
    if after.refused > before.refused {
        let counted = Facts { refused: after.refused, last_refusal: after.last_refusal, ..before };
        assert_eq!(after, counted, "what is refused changes nothing but its count");
    }
    if event == Event::Tick {
        assert!(session.deadline().is_none_or(|at| at > now), "a deadline that has passed");
    }
}
