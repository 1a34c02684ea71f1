//! An answer that fits is sent whole: names are compressed as far as they can be before TC is set.

use super::{Ask, ask, described, send, snapshot};
use crate::answer::Transport;
use crate::wire::message::MESSAGE_BYTES_MAX;

/// A signature that covers `rtype`, longer than real ones.
fn signature(rtype: &str) -> String {
    format!("RRSIG {rtype} 8 2 300 20300101000000 20200101000000 1 example. {}", "AAAA".repeat(240))
}

/// A delegation to thirteen servers below it, two of them with IPv6.
fn servers() -> String {
    let mut zone = String::new();
    for letter in 'a'..='m' {
        zone += &format!("net. NS {letter}.gtld-servers.net.\n{letter}.gtld-servers.net. A 192.0.2.1\n");
    }
    zone + "a.gtld-servers.net. AAAA 2001:db8::1\nb.gtld-servers.net. AAAA 2001:db8::2\n"
}

#[test]
fn a_referral_is_compressed_against_the_question() {
    let snapshot = snapshot(&[(".", &servers())]);
    for name in ["k.gtld-servers.net.", "K.gTlD-sErVeRs.NeT."] {
        let reply = send(&snapshot, &Ask::new(&format!("{name} A")).message(), Transport::Udp).expect("a reply");
        let text = described(&reply);
        assert!(reply.len() <= 512 && text.to_lowercase().starts_with("0 | | net. "), "{text}");
        assert_eq!(
            (text.matches(" NS ").count(), text.matches(" A ").count(), text.matches(" AAAA ").count()),
            (13, 13, 2)
        );
    }
}

#[test]
fn names_out_of_the_reach_of_pointers_are_written_out() {
    let name = |index: usize| format!("n{index:02}{0}.{1}.{1}.{1}", "x".repeat(50), "y".repeat(59));
    let mut zone = String::new();
    for index in 0..16 {
        zone += &format!("{0} CNAME {1}\n{0} {2}\n", name(index), name(index + 1), signature("CNAME"));
    }
    zone += &format!("{0} A 192.0.2.1\n{0} {1}\n@ {2}\n@ NSEC @ SOA\n", name(16), signature("A"), signature("SOA"));
    // Nothing of one name is found in another one.
    for index in (0..17).rev() {
        zone = zone.replace(&name(index), &name(index).replace("yyy", &format!("y{index:02}")));
    }
    let first = zone.split(' ').next().expect("a name").to_owned();
    let snapshot = snapshot(&[("example.", &zone)]);
    let question = format!("{first}.example. A");
    let ask = Ask { transport: Transport::Tcp, ..Ask::new(&question).with_do() };
    let reply = send(&snapshot, &ask.message(), ask.transport).expect("a reply");
    let text = described(&reply);
    assert!(text.starts_with("0 aa |"), "{} octets", reply.len());
    assert_eq!(
        (text.matches(" CNAME ").count(), text.matches(" RRSIG ").count(), text.matches(" A ").count()),
        (32, 17, 2)
    );
    assert!(reply.len() > 0x4000, "{} octets", reply.len());
}

#[test]
fn an_rrset_is_measured_as_it_will_be_sent() {
    let zone: String =
        (0..1500).map(|index| format!("10 PTR h{index:07}.customers.of.a.long.domain.name.test.\n")).collect();
    let snapshot = snapshot(&[("example.", &zone)]);
    let reply =
        send(&snapshot, &Ask { transport: Transport::Tcp, ..Ask::new("10.example. PTR") }.message(), Transport::Tcp);
    let text = described(&reply.expect("a reply"));
    assert!(text.starts_with("0 aa |"));
    assert_eq!(text.matches(" PTR ").count(), 1500);
}

#[test]
fn full_compression_never_changes_what_a_reply_says() {
    let mut zone = servers().replace("net. ", "net ").replace(".net.", ".net");
    zone += "net DS 1 13 1 0000000000000000000000000000000000000000\nmx MX 10 k.gtld-servers.net\nc CNAME ns\n";
    zone +=
        &(0..40).map(|index| format!("many NS h{index}.many\nh{index}.many A 192.0.2.{index}\n")).collect::<String>();
    zone += &(0..400).map(|index| format!("far PTR a{index}.B{index}.many\n")).collect::<String>();
    let snapshot = snapshot(&[("example.", &zone)]);
    for question in ["x.k.gtld-servers.net.example. A", "h3.MANY.example. A", "far.example. PTR", "b7.far.example. PTR"]
    {
        let whole = Ask { transport: Transport::Tcp, ..Ask::new(question) };
        let full = send(&snapshot, &whole.message(), Transport::Tcp).expect("a reply");
        for size in 512..=4096_u16 {
            let ask = Ask { edns: Some((size, false)), ..Ask::new(question) };
            let reply = send(&snapshot, &ask.message(), Transport::Udp).expect("a reply");
            assert!(reply.len() <= usize::from(size));
            let text = described(&reply);
            if !text.contains(" tc ") {
                let (text, full) = (text.to_lowercase(), described(&full).to_lowercase());
                assert!(text == full || full.starts_with(text.trim_end()), "{question} in {size}:\n{text}\n{full}");
            }
        }
    }
}

#[test]
fn what_fills_a_message_to_the_last_octet_is_sent() {
    // Header, question, owner and the rest of a record, and the length octet in front of each 255.
    let room = MESSAGE_BYTES_MAX - 12 - (9 + 4 + 4) - 12;
    for (octets, is_sent) in [(room, true), (room + 1, false)] {
        let (whole, rest) = (octets / 256, octets % 256);
        assert!(rest > 0);
        let text =
            format!("big TXT {}\"{}\"\n", format!("\"{}\" ", "x".repeat(255)).repeat(whole), "x".repeat(rest - 1));
        let snapshot = snapshot(&[("example.", &text)]);
        let described = ask(&snapshot, Ask { transport: Transport::Tcp, ..Ask::new("big.example. TXT") });
        assert_eq!(!described.starts_with("0 aa tc | | |"), is_sent, "{octets}");
        let edns = Ask { transport: Transport::Tcp, edns: Some((1232, false)), ..Ask::new("big.example. TXT") };
        assert!(ask(&snapshot, edns).starts_with("0 aa tc | | |"), "{octets} with EDNS");
    }
}
