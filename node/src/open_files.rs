//! Every connection is an open file, and so is every Blob that is read or written: the usual soft limit of 1,024 would end
//! a node long before its own limits do.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Lets this process open as many files as the system allows it at most.
///
/// # Errors
/// What the system says.
pub fn allow_all() -> std::io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?)
}
