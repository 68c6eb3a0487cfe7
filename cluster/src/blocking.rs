//! The one door to work that blocks: files, mostly.

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::JoinError;

/// Runs `work` apart from the async threads. It always runs to its end, even if the caller goes away. In a simulated
/// world it runs at once, so that the order of things is the seed's alone, and its syncs are waited for afterwards.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JoinError> {
    #[cfg(feature = "sim")]
    if crate::sim::is_here() {
        let done = work();
        crate::sim::rest().await;
        return Ok(done);
    }
    tokio::task::spawn_blocking(work).await
}

/// Runs `work`, which waits for the disk now and then, where it is called. What else waits on this thread goes on
/// elsewhere meanwhile, where there are threads for it: no heartbeat is late for one file.
pub(crate) fn in_place<T>(work: impl FnOnce() -> T) -> T {
    let here = Handle::try_current().map(|here| here.runtime_flavor());
    if matches!(here, Ok(RuntimeFlavor::MultiThread)) { tokio::task::block_in_place(work) } else { work() }
}
