//! Tables of packets, octets ↔ values, and what is refused (RFC 5880 §4.1, §6.8.6).

use core::num::{NonZeroU8, NonZeroU32};

use super::{Diagnostic, Malformed, PACKET_BYTES, Packet, State};

/// A packet of a session that is up: multiplier 3, discriminators 1 and 2, intervals 50 ms, 40 ms and 0.
const UP: [u8; PACKET_BYTES] = [
    0x20, 0xC0, 3, 24, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0xC3, 0x50, 0, 0, 0x9C, 0x40, 0, 0, 0, 0, //
];

/// What [`UP`] says.
fn up() -> Packet {
    Packet {
        diagnostic: Diagnostic::NONE,
        state: State::Up,
        is_poll: false,
        is_final: false,
        is_independent: false,
        is_demand: false,
        multiplier: NonZeroU8::new(3).expect("not 0"),
        my_discriminator: NonZeroU32::MIN,
        your_discriminator: NonZeroU32::new(2),
        desired_min_tx_us: 50_000,
        required_min_rx_us: 40_000,
        required_min_echo_rx_us: 0,
    }
}

/// [`UP`] with some octets replaced.
fn with(changes: &[(usize, u8)]) -> [u8; PACKET_BYTES] {
    let mut octets = UP;
    changes.iter().for_each(|(at, octet)| octets[*at] = *octet);
    octets
}

#[test]
fn octets_are_read_as_what_they_say_and_values_written_as_the_same_octets() {
    let table: [(&[(usize, u8)], Packet); 12] = [
        (&[], up()),
        (&[(0, 0x21)], Packet { diagnostic: Diagnostic::DETECTION_TIME_EXPIRED, ..up() }),
        (&[(0, 0x23)], Packet { diagnostic: Diagnostic::NEIGHBOR_SIGNALED_DOWN, ..up() }),
        (&[(1, 0x80)], Packet { state: State::Init, ..up() }),
        (&[(1, 0x40)], Packet { state: State::Down, ..up() }),
        (&[(1, 0x00)], Packet { state: State::AdminDown, ..up() }),
        (&[(1, 0xE0)], Packet { is_poll: true, ..up() }),
        (&[(1, 0xD0)], Packet { is_final: true, ..up() }),
        (&[(1, 0xC8)], Packet { is_independent: true, ..up() }),
        (&[(1, 0xC2)], Packet { is_demand: true, ..up() }),
        (&[(1, 0x40), (11, 0)], Packet { state: State::Down, your_discriminator: None, ..up() }),
        (
            &[(2, 255), (12, 255), (13, 255), (14, 255), (15, 255), (20, 0x80)],
            Packet {
                multiplier: NonZeroU8::MAX,
                desired_min_tx_us: u32::MAX,
                required_min_echo_rx_us: 1 << 31,
                ..up()
            },
        ),
    ];
    for (changes, packet) in table {
        let octets = with(changes);
        assert_eq!(Packet::read(&octets), Ok(packet), "{octets:02x?}");
        assert_eq!(packet.write(), octets, "{packet:?}");
    }
}

#[test]
fn every_diagnostic_is_kept_even_one_that_means_nothing_yet() {
    for value in 0..32 {
        let packet = Packet::read(&with(&[(0, 0x20 | value)])).expect("well-formed");
        assert_eq!((packet.diagnostic.value(), packet.write()[0]), (value, 0x20 | value));
        assert!(!packet.diagnostic.to_string().is_empty());
    }
}

#[test]
fn what_the_standard_discards_is_refused_with_its_cause() {
    let table: [(&[(usize, u8)], Malformed); 11] = [
        (&[(0, 0x00)], Malformed::Version),
        (&[(0, 0x40)], Malformed::Version),
        (&[(3, 23)], Malformed::Length),
        (&[(3, 25)], Malformed::Length),
        (&[(3, 0)], Malformed::Length),
        (&[(2, 0)], Malformed::Multiplier),
        (&[(1, 0xC1)], Malformed::Multipoint),
        (&[(7, 0)], Malformed::Discriminator),
        (&[(11, 0)], Malformed::Unaddressed),
        (&[(1, 0x80), (11, 0)], Malformed::Unaddressed),
        (&[(1, 0xC4)], Malformed::Authenticated),
    ];
    for (changes, refusal) in table {
        assert_eq!(Packet::read(&with(changes)), Err(refusal), "{changes:?}");
    }
}

#[test]
fn a_packet_that_lacks_an_octet_is_refused_and_what_stands_behind_it_is_ignored() {
    for length in 0..PACKET_BYTES {
        assert_eq!(Packet::read(&UP[..length]), Err(Malformed::Short));
    }
    let longer = [&UP[..], &[0xAA; 40]].concat();
    assert_eq!(Packet::read(&longer), Ok(up()));
    let mut longer = longer;
    longer[3] = 64;
    assert_eq!(Packet::read(&longer), Ok(up()), "a length up to what has come is taken");
    longer[3] = 65;
    assert_eq!(Packet::read(&longer), Err(Malformed::Length));
}
