//! Network namespaces of a test's own.

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

/// Moves this thread, and every process that it starts, into a network namespace of its own with
/// its own names of namespaces (`ip netns`): nothing in it outlives the test, and nothing clashes
/// with another. `false`, with a line that says so, without the privilege.
pub fn enter_namespaces() -> bool {
    const NONE: Option<&str> = None;
    let entered = unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS)
        .and_then(|()| mount(NONE, "/", NONE, MsFlags::MS_PRIVATE | MsFlags::MS_REC, NONE))
        .and_then(|()| mount(Some("none"), "/run", Some("tmpfs"), MsFlags::empty(), NONE));
    if entered.is_err() {
        crate::skip("CAP_SYS_ADMIN");
    }
    entered.is_ok()
}
