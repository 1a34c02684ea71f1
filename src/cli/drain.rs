//! `fated drain` and `resume`: the word goes over the control socket, and draining is waited for.

use std::thread;
use std::time::{Duration, Instant};

use super::control::{ControlArgs, connect, no_reply};
use super::output::{EXIT_FAILED, EXIT_OK, fail, print};
use crate::admin::Request;
use crate::admin::client::Client;
use crate::admin::reply::{Drained, Status};
use crate::wire::shown::lines;

/// How long a withdrawal may take; the server ends itself long before.
const WITHDRAWAL_TIME_MAX: Duration = Duration::from_secs(10);
/// How long to wait before the status is asked for again.
const PAUSE: Duration = Duration::from_millis(50);

/// Drains or resumes the server.
pub(super) fn set(args: &ControlArgs, is_drained: bool, is_json: bool) -> u8 {
    let request = if is_drained { Request::Drain } else { Request::Resume };
    let mut client = match connect(args) {
        Ok(client) => client,
        Err(code) => return code,
    };
    let (line, drained) = match client.ask::<Drained>(&request) {
        Ok(asked) => asked,
        Err(error) => return no_reply(&error),
    };
    if is_json {
        return print(line.as_bytes(), EXIT_OK);
    }
    for note in &drained.notes {
        eprintln!("fated: {}", lines(note));
    }
    if !is_drained {
        return print(shown(&drained).as_bytes(), EXIT_OK);
    }
    match wait_for_withdrawal(&mut client) {
        Ok(()) => print(shown(&drained).as_bytes(), EXIT_OK),
        Err(code) => code,
    }
}

/// What came of it, in one line.
fn shown(drained: &Drained) -> String {
    let text = match (drained.drained, drained.before) {
        (true, false) => "drained; `fated resume` ends that",
        (true, true) => "drained, as it was before; `fated resume` ends that",
        (false, true) => "resumed: announced again as soon as the node is well",
        (false, false) => "not drained, as it was before; what is held down is announced again as soon as it is well",
    };
    format!("{text}\n")
}

/// Waits until nothing is announced any more; returns the exit code where that does not come.
fn wait_for_withdrawal(client: &mut Client) -> Result<(), u8> {
    let end = Instant::now() + WITHDRAWAL_TIME_MAX;
    loop {
        let (_, status) = client.ask::<Status>(&Request::Status).map_err(|error| no_reply(&error))?;
        let announced = announced(&status);
        if announced.is_empty() {
            return Ok(());
        }
        if Instant::now() >= end {
            let names = announced.join(", ");
            return Err(fail(
                &format!("after {WITHDRAWAL_TIME_MAX:?} {names} is announced still; see fated status"),
                EXIT_FAILED,
            ));
        }
        thread::sleep(PAUSE);
    }
}

/// The addresses that are announced.
fn announced(status: &Status) -> Vec<&str> {
    let addresses = status.anycast.iter().flat_map(|anycast| &anycast.addresses);
    addresses.filter(|address| address.announced).map(|address| address.address.as_str()).collect()
}
