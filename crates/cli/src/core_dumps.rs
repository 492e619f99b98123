//! Core dumps are switched off, because a dump of this process would contain its secrets in plain text.

use rustix::process::{Resource, Rlimit, setrlimit};

/// Switches core dumps off for this process and its children. On Linux, only root can then attach a debugger.
pub(crate) fn forbid() -> std::io::Result<()> {
    setrlimit(
        Resource::Core,
        Rlimit {
            current: Some(0),
            maximum: Some(0),
        },
    )?;

    // Another process can raise the limit, so the process is also marked as not dumpable.
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(())
}
