//! Signals that end the process, where the kernel does not see to it.

use std::thread;

use tokio::runtime::Builder;
use tokio::select;
use tokio::signal::unix::{SignalKind, signal};

/// Has SIGHUP, SIGINT and SIGTERM end the process where it is the first of its PID namespace, as the entrypoint of a
/// container is: from that one the kernel keeps every signal that it has not asked for. The exit code is the one that a
/// shell reports elsewhere, and the kernel ends what the process has started, in other process groups too.
pub fn end_first_process() {
    if std::process::id() != 1 {
        return;
    }
    // Without a way to hear signals it is as it was: `docker kill` ends the container.
    let Ok(runtime) = Builder::new_current_thread().enable_io().build() else { return };
    let entered = runtime.enter();
    let heard = [SignalKind::hangup(), SignalKind::interrupt(), SignalKind::terminate()].map(signal);
    drop(entered);
    let [Ok(mut hangup), Ok(mut interrupt), Ok(mut terminate)] = heard else { return };
    // A thread of its own: whatever the others do, it is there to hear.
    thread::spawn(move || {
        let kind = runtime.block_on(async {
            select! {
                _ = hangup.recv() => SignalKind::hangup(),
                _ = interrupt.recv() => SignalKind::interrupt(),
                _ = terminate.recv() => SignalKind::terminate(),
            }
        });
        std::process::exit(128 + kind.as_raw_value());
    });
}
