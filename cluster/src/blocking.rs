//! The one door to work that blocks: files, mostly.

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
