//! Core dumps: a dump of this process would hold every secret in clear, so none is made.

use rustix::process::{Resource, Rlimit, setrlimit};

/// Switches core dumps off for this process and those that it starts. On Linux, only root can attach a debugger then.
pub(crate) fn forbid() -> std::io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    // A limit can be lifted from outside.
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(())
}
