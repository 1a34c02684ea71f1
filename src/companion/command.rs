//! A command that says by its exit code whether a service lives.

use std::io;
use std::net::IpAddr;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

/// How often the end of a command is looked for.
const POLL: Duration = Duration::from_millis(2);

/// A command with a process group of its own, which is killed with this value.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw) {
            // What it started goes too; all of it may be gone already.
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.0.wait();
    }
}

/// Runs the command; `None` where it did not end in time and was killed.
///
/// # Errors
/// It can't be started.
pub(super) fn run(words: &[String], address: IpAddr, deadline: Instant) -> io::Result<Option<ExitStatus>> {
    let (program, arguments) = words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(program);
    command.args(arguments).env("FATED_ADDRESS", address.to_string()).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut group = Group(command.spawn()?);
    while Instant::now() < deadline {
        if let Some(status) = group.0.try_wait()? {
            return Ok(Some(status));
        }
        thread::sleep(POLL);
    }
    Ok(None)
}
