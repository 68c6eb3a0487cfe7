//! Which files an edge holds, and which of them goes first when the disk is full. For [`super::cache`], under its lock.

use std::collections::{BTreeMap, HashMap, HashSet};

use cluster::id::AssetId;

use super::cache::Name;

/// Assets of which it is remembered that they were forgotten, and as of when.
const FORGOTTEN: usize = 20_000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Index {
    assets: HashMap<AssetId, Kept>,
    /// By use, the longest ago first: what is held for whoever came by, and what is kept warm.
    loose: Order,
    warm: Order,
    uses: u64,
    pinned: HashSet<AssetId>,
    /// Pinned assets of which a file is gone.
    lost: HashSet<AssetId>,
    /// What was fetched of them before that Entry must not be kept.
    forgotten: HashMap<AssetId, u64>,
}

#[derive(Debug, Default)]
struct Order {
    by_use: BTreeMap<u64, (AssetId, Name)>,
    bytes: u64,
}

#[derive(Debug)]
struct Kept {
    /// As of which Entry its oldest file was fetched.
    entry: u64,
    files: HashMap<Name, Held>,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    bytes: u64,
    used: u64,
}

impl Order {
    fn add(&mut self, asset: AssetId, name: Name, held: Held) {
        self.by_use.insert(held.used, (asset, name));
        self.bytes += held.bytes;
    }

    fn remove(&mut self, held: Held) {
        if self.by_use.remove(&held.used).is_some() {
            self.bytes -= held.bytes;
        }
    }
}

impl Index {
    fn order(&mut self, asset: AssetId) -> &mut Order {
        if self.pinned.contains(&asset) { &mut self.warm } else { &mut self.loose }
    }

    /// Notes a file that was fetched as of `entry`, unless the asset has an older one already.
    pub(super) fn add(&mut self, asset: AssetId, entry: u64, name: Name, bytes: u64) {
        self.take(asset, name);
        self.uses += 1;
        let held = Held { bytes, used: self.uses };
        let kept = self.assets.entry(asset).or_insert_with(|| Kept { entry, files: HashMap::new() });
        kept.files.insert(name, held);
        self.order(asset).add(asset, name, held);
    }

    /// A file was used. Whether it is here.
    pub(super) fn touch(&mut self, asset: AssetId, name: Name) -> bool {
        let used = self.uses + 1;
        let Some(held) = self.assets.get_mut(&asset).and_then(|kept| kept.files.get_mut(&name)) else {
            return false;
        };
        let before = std::mem::replace(held, Held { used, ..*held });
        let now = *held;
        self.uses = used;
        let order = self.order(asset);
        order.remove(before);
        order.add(asset, name, now);
        true
    }

    /// Whether the file was here.
    pub(super) fn remove(&mut self, asset: AssetId, name: Name) -> bool {
        let was_here = self.take(asset, name);
        if was_here && self.pinned.contains(&asset) {
            self.lost.insert(asset);
        }
        was_here
    }

    fn take(&mut self, asset: AssetId, name: Name) -> bool {
        let Some(held) = self.assets.get_mut(&asset).and_then(|kept| kept.files.remove(&name)) else {
            return false;
        };
        self.order(asset).remove(held);
        true
    }

    /// Forgets an asset; what was fetched of it before `entry` is not to be kept any more. Gives as of when it was held, and
    /// the files.
    pub(super) fn forget(&mut self, asset: AssetId, entry: u64) -> Option<(u64, Vec<Name>)> {
        if self.forgotten.len() >= FORGOTTEN {
            self.forgotten.clear();
        }
        self.forgotten.insert(asset, entry);
        let kept = self.assets.remove(&asset)?;
        for held in kept.files.values() {
            self.order(asset).remove(*held);
        }
        if self.pinned.contains(&asset) {
            self.lost.insert(asset);
        }
        Some((kept.entry, kept.files.into_keys().collect()))
    }

    pub(super) fn is_forgotten(&self, asset: AssetId, entry: u64) -> bool {
        self.forgotten.get(&asset).is_some_and(|forgotten| entry < *forgotten)
    }

    /// These are kept warm from now on. Gives those that have lost a file while they were.
    pub(super) fn pin(&mut self, assets: HashSet<AssetId>) -> HashSet<AssetId> {
        let before = std::mem::replace(&mut self.pinned, assets);
        let changed: Vec<AssetId> = before.symmetric_difference(&self.pinned).copied().collect();
        for asset in changed {
            let Some(kept) = self.assets.get(&asset) else { continue };
            let (from, to) = if self.pinned.contains(&asset) {
                (&mut self.loose, &mut self.warm)
            } else {
                (&mut self.warm, &mut self.loose)
            };
            for (name, held) in &kept.files {
                from.remove(*held);
                to.add(asset, *name, *held);
            }
        }
        std::mem::take(&mut self.lost)
    }

    /// As of which Entry an asset is held.
    pub(super) fn entry(&self, asset: AssetId) -> Option<u64> {
        self.assets.get(&asset).map(|kept| kept.entry)
    }

    /// The same, when this file of it is here.
    pub(super) fn entry_of(&self, asset: AssetId, name: Name) -> Option<u64> {
        self.assets.get(&asset).filter(|kept| kept.files.contains_key(&name)).map(|kept| kept.entry)
    }

    pub(super) fn has(&self, asset: AssetId, name: Name) -> bool {
        self.entry_of(asset, name).is_some()
    }

    /// What goes first.
    pub(super) fn oldest(&self) -> Option<(AssetId, Name)> {
        self.loose.by_use.values().next().or_else(|| self.warm.by_use.values().next()).copied()
    }

    pub(super) fn held(&self) -> impl Iterator<Item = (AssetId, u64)> {
        self.assets.iter().map(|(asset, kept)| (*asset, kept.entry))
    }

    /// Bytes of all files.
    pub(super) fn bytes(&self) -> u64 {
        self.loose.bytes + self.warm.bytes
    }

    /// Bytes of what is kept warm.
    pub(super) fn warm_bytes(&self) -> u64 {
        self.warm.bytes
    }
}
