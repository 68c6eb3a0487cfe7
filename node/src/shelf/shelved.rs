//! The hot cache itself: a map in least-recently-used order under one short lock.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use bytes::Bytes;
use tokio::sync::OnceCell;

/// A piece: which Blob, and from which byte of it. A sealed or acknowledged range of a Blob never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShelfKey {
    /// The Blob's id.
    pub blob: [u8; 16],
    /// Where the piece begins.
    pub offset: u64,
}

/// A cache of `Bytes` that never holds more than its capacity once loads have settled.
#[derive(Debug, Clone)]
pub struct Shelf {
    inner: Arc<Mutex<Inner>>,
    capacity: usize,
}

#[derive(Debug, Default)]
struct Inner {
    pieces: HashMap<ShelfKey, Piece>,
    by_use: BTreeMap<u64, ShelfKey>,
    clock: u64,
    held: usize,
}

#[derive(Debug)]
struct Piece {
    cell: Arc<OnceCell<Bytes>>,
    used: u64,
    counted: usize,
}

impl Shelf {
    /// A shelf for at most `capacity` bytes.
    pub fn new(capacity: usize) -> Self {
        Self { inner: Arc::default(), capacity }
    }

    /// The largest piece worth keeping; larger ones are streamed instead.
    pub fn largest_piece(&self) -> usize {
        self.capacity / 8
    }

    /// The piece of `key`, loaded by `load` unless it is here or on its way.
    pub async fn get<E, F, L>(&self, key: ShelfKey, load: L) -> Result<Bytes, E>
    where
        L: FnOnce() -> F,
        F: Future<Output = Result<Bytes, E>>,
    {
        let cell = self.touch(key);
        let loaded = cell.get_or_try_init(load).await.cloned();
        match &loaded {
            Ok(bytes) => self.settle(key, &cell, bytes.len()),
            Err(_) => self.forget_if_empty(key, &cell),
        }
        loaded
    }

    /// Drops every piece of one Blob: after a purge nothing of it stays in memory.
    pub fn forget_blob(&self, blob: [u8; 16]) {
        let mut inner = self.lock();
        let keys: Vec<ShelfKey> = inner.pieces.keys().filter(|key| key.blob == blob).copied().collect();
        for key in keys {
            inner.remove(key);
        }
    }

    /// Bytes held now.
    pub fn held(&self) -> usize {
        self.lock().held
    }

    fn touch(&self, key: ShelfKey) -> Arc<OnceCell<Bytes>> {
        let mut inner = self.lock();
        inner.clock += 1;
        let now = inner.clock;
        let fresh = Piece { cell: Arc::default(), used: now, counted: 0 };
        let piece = inner.pieces.entry(key).or_insert(fresh);
        let before = std::mem::replace(&mut piece.used, now);
        let cell = piece.cell.clone();
        inner.by_use.remove(&before);
        inner.by_use.insert(now, key);
        cell
    }

    /// Counts a loaded piece once and makes room for it.
    fn settle(&self, key: ShelfKey, cell: &Arc<OnceCell<Bytes>>, length: usize) {
        let mut inner = self.lock();
        let Some(piece) = inner.pieces.get_mut(&key) else { return };
        if !Arc::ptr_eq(&piece.cell, cell) || piece.counted == length {
            return;
        }
        piece.counted = length;
        inner.held += length;
        while inner.held > self.capacity {
            let Some(oldest) = inner.oldest_counted() else { return };
            inner.remove(oldest);
        }
    }

    fn forget_if_empty(&self, key: ShelfKey, cell: &Arc<OnceCell<Bytes>>) {
        let mut inner = self.lock();
        let ours =
            inner.pieces.get(&key).is_some_and(|piece| Arc::ptr_eq(&piece.cell, cell) && !cell.initialized());
        // The map, `cell` and nobody else: no other caller is waiting to take the load over.
        if ours && Arc::strong_count(cell) == 2 {
            inner.remove(key);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // The map stays whole at every step, so a panic elsewhere does not spoil it.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn oldest_counted(&self) -> Option<ShelfKey> {
        self.by_use.values().find(|key| self.pieces.get(key).is_some_and(|piece| piece.counted > 0)).copied()
    }

    fn remove(&mut self, key: ShelfKey) {
        if let Some(piece) = self.pieces.remove(&key) {
            self.by_use.remove(&piece.used);
            self.held -= piece.counted;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering;

    fn key(offset: u64) -> ShelfKey {
        ShelfKey { blob: [1; 16], offset }
    }

    async fn put(shelf: &Shelf, offset: u64, length: usize) -> Bytes {
        let load = || async move { Ok::<_, Infallible>(Bytes::from(vec![0; length])) };
        shelf.get(key(offset), load).await.unwrap()
    }

    #[tokio::test]
    async fn never_holds_more_than_its_capacity_and_drops_the_least_used() {
        let shelf = Shelf::new(100);
        for offset in 0..10 {
            put(&shelf, offset, 30).await;
            put(&shelf, 0, 30).await;
            assert!(shelf.held() <= 100);
        }
        let missed = AtomicUsize::new(0);
        let again = |offset| {
            shelf.get(key(offset), || async {
                missed.fetch_add(1, Ordering::Relaxed);
                Ok::<_, Infallible>(Bytes::from(vec![0; 30]))
            })
        };
        again(0).await.unwrap();
        again(9).await.unwrap();
        assert_eq!(missed.load(Ordering::Relaxed), 0);
        again(3).await.unwrap();
        assert_eq!(missed.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_piece_larger_than_the_shelf_is_served_but_not_kept() {
        let shelf = Shelf::new(100);
        assert_eq!(put(&shelf, 0, 500).await.len(), 500);
        assert_eq!(shelf.held(), 0);
    }

    #[tokio::test]
    async fn many_who_ask_at_once_cause_one_load() {
        let shelf = Shelf::new(1000);
        let loads = Arc::new(AtomicUsize::new(0));
        let gate = Arc::new(tokio::sync::Notify::new());
        let asking: Vec<_> = (0..50)
            .map(|_| {
                let (shelf, loads, gate) = (shelf.clone(), loads.clone(), gate.clone());
                tokio::spawn(async move {
                    let load = || async {
                        loads.fetch_add(1, Ordering::SeqCst);
                        gate.notified().await;
                        Ok::<_, Infallible>(Bytes::from_static(b"piece"))
                    };
                    shelf.get(key(0), load).await.unwrap()
                })
            })
            .collect();
        gate.notify_one();
        for one in asking {
            assert_eq!(one.await.unwrap(), "piece");
        }
        assert_eq!(loads.load(Ordering::SeqCst), 1);
        assert_eq!(shelf.held(), 5);
    }

    #[tokio::test]
    async fn a_failed_load_is_tried_again_by_the_next() {
        let shelf = Shelf::new(100);
        assert_eq!(shelf.get(key(0), || async { Err::<Bytes, _>("gone") }).await, Err("gone"));
        assert_eq!(put(&shelf, 0, 3).await.len(), 3);
        assert_eq!(shelf.held(), 3);
    }

    #[tokio::test]
    async fn a_purged_blob_leaves_nothing() {
        let shelf = Shelf::new(100);
        put(&shelf, 0, 10).await;
        put(&shelf, 1, 10).await;
        shelf.forget_blob([1; 16]);
        assert_eq!(shelf.held(), 0);
    }
}
