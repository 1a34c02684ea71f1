//! The lab.
#[path = "../tests/common/mod.rs"]
mod common;
use common::site::{Fault, Plan, Routing, Site, Subject, Tuning};
use std::time::Duration;
fn main() {
    let which = std::env::args().nth(1).unwrap_or_default();
    let subject = match which.as_str() {
        "tuned" => Subject::Pair(Tuning::Tuned),
        "default" => Subject::Pair(Tuning::Default),
        _ => Subject::StandIn,
    };
    let routing = match std::env::args().nth(2).as_deref() {
        Some("ospf") => Routing::BirdOspf,
        Some("frr") => Routing::Frr,
        _ => Routing::BirdBgp,
    };
    let only = std::env::args().nth(3).unwrap_or_default();
    let plan = Plan { subject, routing, rate: 1000 };
    let start = std::time::Instant::now();
    let mut site = Site::build(&plan);
    println!("up after {:?}", start.elapsed());
    for fault in Fault::ALL.into_iter().filter(|f| only.is_empty() || only == f.word()) {
        let r = site.round(fault, Duration::from_secs(2), Duration::from_secs(20));
        println!(
            "{:9} route {:?} back {:?} during {:?} after {:?}",
            fault.word(),
            r.route_change,
            r.back_at.map(|b| b - r.lifted_at),
            r.during,
            r.after
        );
    }
}
