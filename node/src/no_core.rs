//! A crash must leave no core file: it would hold keys and pictures in clear.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Forbids core files of this process and of everything it starts, whatever the limits were, and other processes of the
/// same user to look into its memory.
///
/// # Errors
/// What the system says.
pub fn forbid() -> std::io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}
