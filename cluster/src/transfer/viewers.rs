//! Viewers who are being sent something by this node: what others fetch in the background waits for them.

use std::time::Duration;

use tokio::sync::watch;

/// The longest that somebody waits who fetches in the background: what many watch must be repaired, too.
const LONGEST: Duration = Duration::from_millis(100);

/// So many answers are on their way. Clones are the same count.
#[derive(Debug, Clone)]
pub struct Viewers {
    served: watch::Sender<usize>,
}

/// One answer that is on its way, until this is dropped.
#[derive(Debug)]
pub struct Served(watch::Sender<usize>);

impl Default for Viewers {
    fn default() -> Self {
        Self { served: watch::Sender::new(0) }
    }
}

impl Viewers {
    /// An answer begins.
    #[must_use]
    pub fn serve(&self) -> Served {
        self.served.send_modify(|served| *served += 1);
        Served(self.served.clone())
    }

    /// Waits until nobody is being sent anything, for a while.
    pub(super) async fn let_pass(&self) {
        let mut served = self.served.subscribe();
        // A count that never gets to nothing is no reason to wait for ever.
        let _ = tokio::time::timeout(LONGEST, served.wait_for(|served| *served == 0)).await;
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.0.send_modify(|served| *served -= 1);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn viewers_are_let_pass_but_not_for_ever() {
        let viewers = Viewers::default();
        let began = Instant::now();
        viewers.let_pass().await;
        assert_eq!(began.elapsed(), Duration::ZERO, "nobody is there");
        let (first, second) = (viewers.serve(), viewers.serve());
        let ends = async {
            tokio::time::sleep(Duration::from_millis(30)).await;
            drop(first);
            tokio::time::sleep(Duration::from_millis(10)).await;
            drop(second);
        };
        tokio::join!(viewers.let_pass(), ends);
        assert_eq!(began.elapsed(), Duration::from_millis(40), "both were let pass");
        let _third = viewers.serve();
        viewers.let_pass().await;
        assert_eq!(began.elapsed(), Duration::from_millis(40) + LONGEST);
    }
}
