//! Several stores joined by a network in this process, with faults by seed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cluster::blob::{BlobKind, BlobName};
use cluster::disk::{SimulatedDisk, StopFlag, Survival};
use cluster::id::{AssetId, BlobId, NodeId};
use cluster::keyring::DataKey;
use cluster::net::{Message, Net, NetError, Serve, Service};
use cluster::placement::Candidate;
use cluster::state::Holders;
use cluster::store::{BlobReader, BlobWriter, Blobs, BlobsConfig, Level};
use cluster::transfer::{BlobService, Map, Replicas, Standing};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

pub const ASSET: AssetId = AssetId([1; 16]);
pub const BLOB: BlobId = BlobId([2; 16]);
pub const NAME: BlobName = BlobName { asset: ASSET, blob: BLOB };
const ROOMY: u64 = 1 << 32;

pub fn content(length: usize) -> Bytes {
    (0..length).map(|at| (at * 131 % 253) as u8).collect::<Vec<u8>>().into()
}

/// What goes wrong between nodes.
#[derive(Debug, Default)]
struct Faults {
    /// Calls from the first to the second are lost.
    cut: BTreeSet<(NodeId, NodeId)>,
    /// One call in so many is lost, half of them after they were carried out.
    lose_one_in: Option<u32>,
    delay: BTreeMap<NodeId, Duration>,
}

/// The network: calls go to the service of the node, or come to grief.
#[derive(Debug)]
pub struct Wires {
    services: Mutex<BTreeMap<NodeId, Arc<BlobService>>>,
    faults: Mutex<Faults>,
    chance: Mutex<Xoshiro256PlusPlus>,
    /// Calls under way to each node now, and the most there were.
    under_way: Mutex<BTreeMap<NodeId, (u32, u32)>>,
    /// All calls to each node so far.
    calls: Mutex<BTreeMap<NodeId, u32>>,
}

/// One node's end of it.
#[derive(Debug)]
struct End {
    node: NodeId,
    wires: Arc<Wires>,
}

impl Wires {
    pub fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self {
            services: Mutex::default(),
            faults: Mutex::default(),
            chance: Mutex::new(Xoshiro256PlusPlus::seed_from_u64(seed)),
            under_way: Mutex::default(),
            calls: Mutex::default(),
        })
    }

    /// The most calls that were under way to a node at once.
    pub fn most_under_way(&self, to: NodeId) -> u32 {
        self.under_way.lock().unwrap().get(&to).map_or(0, |(_, most)| *most)
    }

    /// The calls to a node so far.
    pub fn calls(&self, to: NodeId) -> u32 {
        self.calls.lock().unwrap().get(&to).copied().unwrap_or(0)
    }

    fn begin_call(self: &Arc<Self>, to: NodeId) -> Call {
        *self.calls.lock().unwrap().entry(to).or_default() += 1;
        let mut under_way = self.under_way.lock().unwrap();
        let (now, most) = under_way.entry(to).or_default();
        *now += 1;
        *most = (*now).max(*most);
        Call { to, wires: Arc::clone(self) }
    }

    pub fn cut(&self, from: NodeId, to: NodeId) {
        self.faults.lock().unwrap().cut.insert((from, to));
    }

    pub fn heal(&self) {
        *self.faults.lock().unwrap() = Faults::default();
    }

    pub fn lose_one_in(&self, number: u32) {
        self.faults.lock().unwrap().lose_one_in = Some(number);
    }

    pub fn delay(&self, to: NodeId, by: Duration) {
        self.faults.lock().unwrap().delay.insert(to, by);
    }

    /// A node's way out.
    pub fn end(self: &Arc<Self>, node: NodeId) -> Arc<dyn Net> {
        Arc::new(End { node, wires: Arc::clone(self) })
    }

    /// A node's way in.
    pub fn connect(&self, node: NodeId, service: Arc<BlobService>) {
        self.services.lock().unwrap().insert(node, service);
    }

    pub fn disconnect(&self, node: NodeId) {
        self.services.lock().unwrap().remove(&node);
    }

    pub fn chance(&self, below: u32) -> u32 {
        self.chance.lock().unwrap().random_range(0..below)
    }
}

/// A call as long as it is under way.
struct Call {
    to: NodeId,
    wires: Arc<Wires>,
}

impl Drop for Call {
    fn drop(&mut self) {
        if let Some((now, _)) = self.wires.under_way.lock().unwrap().get_mut(&self.to) {
            *now -= 1;
        }
    }
}

#[async_trait]
impl Net for End {
    async fn call(
        &self,
        to: NodeId,
        service: Service,
        message: Message,
        deadline: Duration,
    ) -> Result<Message, NetError> {
        assert_eq!(service, Service::Blob);
        let _call = self.wires.begin_call(to);
        let found = self.wires.services.lock().unwrap().get(&to).cloned();
        let (cut, lossy, delay) = {
            let faults = self.wires.faults.lock().unwrap();
            let lossy = faults.lose_one_in;
            (faults.cut.contains(&(self.node, to)), lossy, faults.delay.get(&to).copied())
        };
        let Some(found) = found.filter(|_| !cut) else {
            return Err(NetError::Unreachable { node: to, reason: "it is cut off".to_owned() });
        };
        if let Some(delay) = delay {
            tokio::time::sleep(delay.min(deadline)).await;
            if delay > deadline {
                return Err(NetError::TimedOut(to));
            }
        }
        let lost = lossy.is_some_and(|one_in| self.wires.chance(one_in) == 0);
        if lost && self.wires.chance(2) == 0 {
            return Err(NetError::Lost(to));
        }
        let answer = found.serve(self.node, message).await;
        if lost {
            return Err(NetError::Lost(to));
        }
        answer.map_err(|reason| NetError::Refused { node: to, reason })
    }
}

/// Who is where, and who holds what: State in small.
#[derive(Debug)]
pub struct Sites {
    pub sites: BTreeMap<NodeId, String>,
    pub holders: Mutex<Holders>,
    /// Whether State has the asset, and how it has the Blob.
    pub knows: bool,
    pub standing: Mutex<Standing>,
}

impl Sites {
    /// With these holders of everything, as State knows them.
    pub fn of(sites: BTreeMap<NodeId, String>, holders: Holders) -> Self {
        Self { sites, holders: Mutex::new(holders), knows: true, standing: Mutex::new(Standing::Unknown) }
    }
}

impl Map for Sites {
    fn holders(&self, _: AssetId) -> Holders {
        *self.holders.lock().unwrap()
    }

    fn knows(&self, _: AssetId) -> bool {
        self.knows
    }

    fn standing(&self, _: BlobName) -> Standing {
        *self.standing.lock().unwrap()
    }

    fn site_of(&self, node: NodeId) -> Option<String> {
        self.sites.get(&node).cloned()
    }

    fn candidates(&self) -> Vec<Candidate> {
        let candidate = |(node, site): (&NodeId, &String)| Candidate {
            node: *node,
            site: site.clone(),
            weight: 100,
            active: true,
            level: Level::Fine,
            alive: true,
        };
        self.sites.iter().map(candidate).collect()
    }
}

/// A node: its disk, its store and its end of the network.
#[derive(Debug, Clone)]
pub struct Node {
    pub disk: SimulatedDisk,
    pub replicas: Replicas,
}

/// Several nodes.
#[derive(Debug)]
pub struct World {
    pub wires: Arc<Wires>,
    pub map: Arc<Sites>,
    pub nodes: BTreeMap<NodeId, Node>,
    pub key: DataKey,
}

impl World {
    /// Nodes 1, 2, ... at the given sites; the first `holding` of them hold everything.
    pub fn new(seed: u64, sites: &[&str], holding: usize) -> Self {
        let wires = Wires::new(seed);
        let named = (1..).map(NodeId).zip(sites.iter().map(|site| (*site).to_owned()));
        let sites: BTreeMap<NodeId, String> = named.collect();
        let holders: Vec<NodeId> = sites.keys().copied().take(holding).collect();
        let map = Arc::new(Sites::of(sites, Holders::of(&holders).unwrap()));
        let mut world = Self { wires, map, nodes: BTreeMap::new(), key: DataKey::random().unwrap() };
        for id in world.map.sites.keys().copied().collect::<Vec<_>>() {
            world.start(id, SimulatedDisk::new(ROOMY));
        }
        world
    }

    pub fn three() -> Self {
        Self::new(1, &["a", "b", "c"], 3)
    }

    /// A node begins, or begins again, on a disk.
    pub fn start(&mut self, id: NodeId, disk: SimulatedDisk) {
        let map = Arc::clone(&self.map);
        self.start_believing(id, disk, map);
    }

    /// The same, for a node that believes something else of who holds what.
    pub fn start_believing(&mut self, id: NodeId, disk: SimulatedDisk, map: Arc<Sites>) {
        let blobs = Blobs::open(Arc::new(disk.clone()), StopFlag::new(), BlobsConfig::default()).unwrap();
        let replicas = Replicas::new(id, blobs, self.wires.end(id), map);
        self.wires.connect(id, replicas.service());
        self.nodes.insert(id, Node { disk, replicas });
    }

    /// A node loses power, and what was not synced with it.
    pub fn crash(&mut self, id: NodeId, survival: Survival) -> SimulatedDisk {
        self.wires.disconnect(id);
        let gone = self.nodes.remove(&id).unwrap();
        gone.disk.after_power_cut(survival)
    }

    /// A node loses power and comes back.
    pub fn restart(&mut self, id: NodeId, survival: Survival) {
        let disk = self.crash(id, survival);
        self.start(id, disk);
    }

    pub fn at(&self, number: u64) -> &Node {
        &self.nodes[&NodeId(number)]
    }

    pub async fn create(&self, number: u64) -> BlobWriter {
        let replicas = &self.at(number).replicas;
        replicas.create(ASSET, BLOB, BlobKind::Rendition, 1, &self.key).await.unwrap()
    }

    pub async fn reader(&self, number: u64) -> BlobReader {
        self.at(number).replicas.reader(ASSET, BLOB, &self.key).await.unwrap()
    }

    /// All bytes of the Blob as a node reads them.
    pub async fn read_all(&self, number: u64) -> Bytes {
        whole(&self.reader(number).await).await
    }

    /// Waits until a node has a file of the Blob with this ending.
    pub async fn file_at(&self, number: u64, ending: &str) -> PathBuf {
        for _ in 0..1_000 {
            let files = self.at(number).disk.files();
            if let Some(path) = files.into_iter().find(|path| path.extension().is_some_and(|e| e == ending)) {
                return path;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("node {number} has no .{ending} file: {:?}", self.at(number).disk.files());
    }

    /// How many nodes have a whole, sealed copy.
    pub async fn good_copies(&self) -> usize {
        let mut good = 0;
        for node in self.nodes.values() {
            good += usize::from(node.replicas.verify(NAME).await.is_ok());
        }
        good
    }

    /// The sealed file of a node.
    pub async fn sealed_bytes(&self, number: u64) -> Vec<u8> {
        let path = self.file_at(number, "blob").await;
        self.at(number).disk.contents(&path).unwrap()
    }
}

pub async fn whole(reader: &BlobReader) -> Bytes {
    let mut all = Vec::new();
    while (all.len() as u64) < reader.length() {
        let piece = reader.read(all.len() as u64, 1 << 20).await.unwrap();
        assert!(!piece.is_empty());
        all.extend_from_slice(&piece);
    }
    all.into()
}
