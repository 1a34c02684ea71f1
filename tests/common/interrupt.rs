//! What is done should the process be interrupted before its end.

use std::sync::mpsc::channel;

use tokio::signal::unix::{SignalKind, signal};

/// Sees to it that SIGINT, SIGTERM and SIGHUP call `end` and then end the process, with the exit code that shells give.
/// Returns when that holds.
pub(crate) fn on_interrupt(end: fn()) {
    let (ready, is_ready) = channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let [mut interrupt, mut terminate, mut hangup] =
                [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()]
                    .map(|kind| signal(kind).expect("signals can be watched"));
            let _ = ready.send(());
            let number = tokio::select! {
                _ = interrupt.recv() => 2,
                _ = terminate.recv() => 15,
                _ = hangup.recv() => 1,
            };
            end();
            std::process::exit(128 + number);
        });
    });
    is_ready.recv().expect("the thread is there");
}
