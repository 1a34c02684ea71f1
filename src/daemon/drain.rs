//! Whether the operator has drained this server, kept over restarts in a file of the state folder.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::state;
use crate::admin::reply;
use crate::policy::Order;
use crate::wire::Shown;

/// The file that is there while the server is drained.
const FILE: &str = "drained";
/// What the file says, for whoever finds it.
const TEXT: &str = "fated was drained by its operator and announces nothing; `fated resume` ends that.\n";

/// The operator's flag, for whoever carries it out.
#[derive(Debug, Default)]
pub(super) struct DrainFlag {
    is_drained: AtomicBool,
    /// How often the operator said that the node is to come back: also where it was not drained, but held down.
    resumes: AtomicU64,
}

/// How much of a [`DrainFlag`] was carried out.
#[derive(Debug, Default)]
pub(super) struct DrainSeen {
    is_drained: bool,
    resumes: u64,
}

/// Whether the server is drained, and where that is kept.
pub(super) struct Drain {
    flag: Arc<DrainFlag>,
    /// The state folder, if there is one.
    folder: Option<PathBuf>,
}

/// Whether the server was drained is unknown.
#[derive(Debug, thiserror::Error)]
#[error("{} can't be looked at: {cause}; without it nobody knows whether this server is drained", Shown::path(path))]
pub struct DrainError {
    /// The file.
    path: PathBuf,
    /// What the system said.
    cause: io::Error,
}

impl Drain {
    /// Reads what the state folder says; without one nothing was said. Where that can't be read, the server counts as
    /// drained: it answers whoever asks, and announces nothing that the operator may have taken out.
    ///
    /// # Errors
    /// [`DrainError`] where `is_strict`.
    pub(super) fn open(folder: Option<&Path>, is_strict: bool) -> Result<Self, DrainError> {
        let path = folder.map(|folder| folder.join(FILE));
        // A link counts, wherever it leads.
        let is_drained = match path.as_ref().map(fs::symlink_metadata) {
            None => false,
            Some(Ok(_)) => true,
            Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => false,
            Some(Err(cause)) => {
                let error = DrainError { path: path.unwrap_or_default(), cause };
                if is_strict {
                    return Err(error);
                }
                tracing::error!("{error}: it counts as drained");
                true
            }
        };
        if is_drained {
            tracing::warn!("this server is drained since before its start; `fated resume` ends that");
        }
        let flag = DrainFlag { is_drained: AtomicBool::new(is_drained), ..DrainFlag::default() };
        Ok(Self { flag: Arc::new(flag), folder: folder.map(Path::to_owned) })
    }

    /// Whether the server is drained.
    pub(super) fn is_drained(&self) -> bool {
        self.flag.is_drained.load(Ordering::Acquire)
    }

    /// The flag, for the thread that carries out what it says.
    pub(super) fn flag(&self) -> Arc<DrainFlag> {
        Arc::clone(&self.flag)
    }

    /// Drains or resumes, first in this process, then on disk, and says what came of it.
    ///
    /// A file that can't be written does not stop the draining: the reply says so.
    pub(super) fn set(&self, is_drained: bool, is_anycast: bool) -> reply::Drained {
        let before = self.flag.is_drained.swap(is_drained, Ordering::AcqRel);
        if !is_drained {
            self.flag.resumes.fetch_add(1, Ordering::Release);
        }
        let mut notes = Vec::new();
        let persists = match &self.folder {
            None if is_drained => {
                notes.push("without `server.state-dir` this does not outlive a restart".to_owned());
                false
            }
            None => true,
            Some(folder) => {
                let kept = keep(folder, is_drained);
                notes.extend(kept.as_ref().err().map(|cause| {
                    format!("this does not outlive a restart: {}: {cause}", Shown::path(&folder.join(FILE)))
                }));
                kept.is_ok()
            }
        };
        if !is_anycast {
            notes.push("this server announces nothing; only /readyz and `fated status` show it".to_owned());
        }
        if before != is_drained {
            tracing::info!(persists, "{}", if is_drained { "drained" } else { "resumed" });
        }
        reply::Drained { drained: is_drained, before, persists, notes }
    }
}

impl DrainSeen {
    /// What was ordered since the last call; the last order where there were several. A resume ends a hold-down too.
    pub(super) fn order(&mut self, flag: &DrainFlag) -> Option<Order> {
        let now =
            Self { resumes: flag.resumes.load(Ordering::Acquire), is_drained: flag.is_drained.load(Ordering::Acquire) };
        let before = std::mem::replace(self, now);
        match (before.is_drained, self.is_drained) {
            (false, true) => Some(Order::Drain),
            (true, true) => None,
            (true, false) => Some(Order::Resume),
            (false, false) => (self.resumes != before.resumes).then_some(Order::Resume),
        }
    }
}

/// Makes or removes the file, so that it is whole or not there, and is so after a power cut too.
fn keep(folder: &Path, is_drained: bool) -> io::Result<()> {
    if is_drained {
        state::write_whole(folder, FILE, TEXT.as_bytes(), File::sync_all)?;
    } else {
        match fs::remove_file(folder.join(FILE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drained_server_is_drained_after_a_restart_until_it_resumes() {
        let folder = tempfile::tempdir().expect("a folder");
        let open = || Drain::open(Some(folder.path()), false).expect("readable");
        let first = open();
        assert!(!first.is_drained());
        let flag = first.flag();
        let reply = first.set(true, true);
        assert_eq!((reply.drained, reply.before, reply.persists, reply.notes), (true, false, true, vec![]));
        assert!(first.is_drained() && flag.is_drained.load(Ordering::Acquire));
        let second = open();
        assert!(second.is_drained());
        assert!(second.set(true, true).before, "drained twice is drained");
        let reply = second.set(false, true);
        assert_eq!((reply.drained, reply.before, reply.persists), (false, true, true));
        assert!(!open().is_drained());
        assert!(second.set(false, true).persists, "resumed twice is resumed");
    }

    #[test]
    fn each_order_is_seen_once_and_a_resume_also_where_nothing_is_drained() {
        let drain = Drain::open(None, false).expect("nothing to read");
        let (flag, mut seen) = (drain.flag(), DrainSeen::default());
        assert_eq!(seen.order(&flag), None);
        for (is_drained, order) in [
            (true, Some(Order::Drain)),
            (true, None),
            (false, Some(Order::Resume)),
            (false, Some(Order::Resume)),
            (true, Some(Order::Drain)),
        ] {
            drain.set(is_drained, true);
            assert_eq!(seen.order(&flag), order);
            assert_eq!(seen.order(&flag), None, "once");
        }
        assert_eq!(DrainSeen::default().order(&flag), Some(Order::Drain), "drained since before the start");
        drain.set(false, true);
        drain.set(true, true);
        assert_eq!(seen.order(&flag), None, "the last order is what it was");
    }

    #[test]
    fn what_does_not_outlive_a_restart_is_reported() {
        let drain = Drain::open(None, false).expect("nothing to read");
        let reply = drain.set(true, false);
        assert!(drain.is_drained() && !reply.persists);
        assert!(
            reply.notes[0].contains("server.state-dir") && reply.notes[1].contains("announces nothing"),
            "{reply:?}"
        );
        assert!(drain.set(false, true).persists, "a restart is resumed as well");
        let folder = tempfile::tempdir().expect("a folder");
        let drain = Drain::open(Some(&folder.path().join("gone")), false).expect("nothing is there");
        let reply = drain.set(true, true);
        assert!(drain.is_drained() && !reply.persists && reply.notes[0].contains("gone/drained"), "{reply:?}");
    }

    #[test]
    fn a_state_that_cannot_be_read_counts_as_drained_until_it_is_resumed() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("file"), "").expect("writes");
        let open = |is_strict| Drain::open(Some(&folder.path().join("file")), is_strict);
        let error = open(true).err().expect("no folder");
        assert!(error.to_string().contains("file/drained can't be looked at"), "{error}");
        let drain = open(false).expect("it starts");
        assert!(drain.is_drained());
        drain.set(false, true);
        assert!(!drain.is_drained());
    }

    #[test]
    fn no_link_is_written_through() {
        let folder = tempfile::tempdir().expect("a folder");
        let precious = folder.path().join("precious");
        fs::write(&precious, "precious").expect("writes");
        let state = folder.path().join("state");
        fs::create_dir(&state).expect("a folder");
        for file in ["drained.new", "drained"] {
            std::os::unix::fs::symlink(&precious, state.join(file)).expect("a link");
        }
        let drain = Drain::open(Some(&state), false).expect("readable");
        assert!(drain.is_drained(), "a link is a file that is there");
        assert!(drain.set(true, true).persists);
        assert!(fs::symlink_metadata(state.join("drained")).expect("there").is_file());
        assert!(drain.set(false, true).persists);
        assert_eq!(fs::read_to_string(&precious).expect("there"), "precious");
        // A link that leads nowhere counts as well.
        std::os::unix::fs::symlink("nowhere", state.join("drained")).expect("a link");
        assert!(Drain::open(Some(&state), false).expect("readable").is_drained());
    }
}
