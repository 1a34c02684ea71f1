//! A primary that is reached over IPv6 alone.

use super::command::{Server, Site};
use super::common::ask::ask_until;
use super::common::message::Query;
use super::common::name;
use super::common::server::free_port;
use super::node::{self, PATIENCE};

/// The zone in a version.
fn zone(serial: u32) -> String {
    format!("@ 60 SOA ns admin {serial} 3600 600 86400 60\n@ 60 NS ns\nns 60 A 192.0.2.1\n")
}

/// Serves a site over IPv4, by which it is asked, and over IPv6.
fn serve(site: &Site, port: u16) -> Server {
    site.serve(&["--config", "fated.toml", "--listen", &format!("[::1]:{port}")])
}

#[test]
fn a_zone_and_its_changes_come_over_ipv6() {
    let (above, below) = (Site::new(), Site::new());
    let [primary, secondary] = [free_port(), free_port()];
    above.write("a.zone", zone(1));
    above.write(
        "fated.toml",
        format!(
            "[[zone]]\nname = \"a.test\"\nfile = \"a.zone\"\nallow-transfer = [{{ prefix = \"::1\" }}]\n\
             notify = [{{ address = \"[::1]:{secondary}\" }}]\n"
        ),
    );
    below.write(
        "fated.toml",
        format!("[[zone]]\nname = \"a.test\"\nprimaries = [{{ address = \"[::1]:{primary}\" }}]\n"),
    );
    let _above = serve(&above, primary);
    let below_server = serve(&below, secondary);
    let query = Query::new(&name::name("a.test."), 6);
    assert!(ask_until(below_server.address, &query, PATIENCE, |reply| reply.rcode() == 0));
    assert_eq!(node::serial(below_server.address, "a.test."), Some(1));
    above.write("a.zone", zone(2));
    above.ask(&["reload"]).expect(0, &[]);
    // REFRESH is an hour: only the notification brings it.
    let line = below_server.wait_for_line("changes transferred");
    assert!(line.contains("serial=2") && line.contains(&format!("[::1]:{primary}")), "{line}");
    let said = below.ask(&["zone", "status", "a.test."]);
    assert!(said.code == 0 && said.out.contains(&format!("primary  [::1]:{primary}")), "{said:?}");
}
