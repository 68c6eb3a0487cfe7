//! Where a viewer is sent: a pure decision from State's site map and from what this node knows of the others' health, and
//! the content steering manifest (RFC 8216bis, section 7) that tells it to players.
//!
//! The playlists name no host: `.` is the pathway of whichever node gave the main playlist, and every other site is a
//! clone of it with other addresses. So players that know no steering see one plain presentation.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cluster::Cluster;
use cluster::command::SiteNetwork;
use cluster::id::{AssetId, NodeId};
use cluster::state::NodeState;
use serde::Serialize;

use crate::edge::{Contact, Contacts};

/// How often a player asks again, in seconds: a site that comes back or is drained is noticed within this time. One that
/// dies is left at once, at the first request it does not answer.
const ASK_AGAIN_S: u64 = 10;
/// The pathway of the node that gave the main playlist.
const HERE: &str = ".";

/// A node that can serve viewers now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Which.
    pub node: NodeId,
    /// Where it stands.
    pub site: String,
    /// Where people reach it: `host:port`.
    pub address: String,
    /// How far it is from this node.
    pub round_trip: Duration,
    /// It has a copy of what is watched.
    pub holds: bool,
    /// An edge: made for viewers, and so the first of its site.
    pub is_edge: bool,
}

/// The best place of each site, nearest site first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// One of each site that has a healthy node; never empty, for this node is one.
    pub places: Vec<Place>,
    /// The site map names the viewer's network, so the first place is meant and not guessed.
    pub is_mapped: bool,
}

impl Route {
    /// Decides for one viewer. `me` is among `places`; `spread` differs from View to View, so that the viewers of a site
    /// share its nodes.
    pub fn choose(
        client: Option<IpAddr>,
        me: NodeId,
        map: &[SiteNetwork],
        places: &[Place],
        spread: u64,
    ) -> Self {
        let near = sites_near(client, map);
        let own = places.iter().find(|place| place.node == me).map(|place| place.site.as_str());
        let mut sites: Vec<&str> = places.iter().map(|place| place.site.as_str()).collect();
        sites.sort_unstable();
        sites.dedup();
        let distance = |site: &str| {
            let of_site = places.iter().filter(|place| place.site == site);
            of_site.map(|place| place.round_trip).min().unwrap_or(Duration::MAX)
        };
        sites.sort_by_key(|site| {
            let named = near.iter().position(|near| near == site).unwrap_or(usize::MAX);
            (named, Some(*site) != own, distance(site))
        });
        let best = |site: &&str| {
            let of_site = places.iter().filter(|place| place.site == *site);
            of_site.min_by_key(|place| {
                (place.node != me, !place.is_edge, !place.holds, Reverse(share(spread, place.node)))
            })
        };
        let chosen: Vec<Place> = sites.iter().filter_map(best).cloned().collect();
        let is_mapped = chosen.first().is_some_and(|first| near.contains(&first.site.as_str()));
        Self { places: chosen, is_mapped }
    }

    /// Where the viewer should begin, when that is another site and the site map says so.
    pub fn elsewhere(&self, own_site: &str) -> Option<&Place> {
        self.places.first().filter(|first| self.is_mapped && first.site != own_site)
    }

    /// The steering manifest of one View, as the node at `own_site` gives it.
    pub fn manifest(&self, own_site: &str, view: &str, names: &Names) -> SteeringManifest {
        let id = |place: &Place| {
            if place.site == own_site { HERE.to_owned() } else { pathway_id(&place.site) }
        };
        let others = self.places.iter().filter(|place| place.site != own_site);
        SteeringManifest {
            version: 1,
            ttl: ASK_AGAIN_S,
            priority: self.places.iter().map(id).collect(),
            clones: others
                .map(|place| PathwayClone {
                    base: HERE,
                    id: pathway_id(&place.site),
                    replacement: Replacement::of(place, view, names),
                })
                .collect(),
        }
    }
}

/// The sites the map names for this address, nearest first: by the longest prefix, then by distance.
fn sites_near(client: Option<IpAddr>, map: &[SiteNetwork]) -> Vec<&str> {
    let Some(client) = client.map(|address| address.to_canonical()) else { return Vec::new() };
    let mut matching: Vec<&SiteNetwork> =
        map.iter().filter(|entry| entry.network.contains(&client)).collect();
    matching.sort_by_key(|entry| (Reverse(entry.network.prefix_len()), entry.round_trip_ms, &entry.site));
    let mut sites: Vec<&str> = Vec::new();
    for entry in matching {
        if !sites.contains(&entry.site.as_str()) {
            sites.push(&entry.site);
        }
    }
    sites
}

/// A weight that is different for each View and node, and the same on every node that is asked (rendezvous hashing).
fn share(spread: u64, node: NodeId) -> u64 {
    let mut mixed = spread ^ node.0.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// A site's name as a pathway id, which may have letters, digits and `. - _` only. Names that had to be changed get
/// a number that tells them apart.
fn pathway_id(site: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !site.is_empty() && site.chars().all(plain) {
        return site.to_owned();
    }
    let kept: String = site.chars().map(|c| if plain(c) { c } else { '_' }).collect();
    let number = site.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{kept}.{number:016x}")
}

/// What a player reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SteeringManifest {
    #[serde(rename = "VERSION")]
    version: u8,
    #[serde(rename = "TTL")]
    ttl: u64,
    #[serde(rename = "PATHWAY-PRIORITY")]
    priority: Vec<String>,
    #[serde(rename = "PATHWAY-CLONES", skip_serializing_if = "Vec::is_empty")]
    clones: Vec<PathwayClone>,
}

impl SteeringManifest {
    /// As it goes over the wire.
    pub fn to_json(&self) -> Bytes {
        serde_json::to_vec(self).expect("text and numbers are JSON").into()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct PathwayClone {
    #[serde(rename = "BASE-ID")]
    base: &'static str,
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "URI-REPLACEMENT")]
    replacement: Replacement,
}

/// Each playlist by its address: a host alone would not do, for nodes may listen on different ports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Replacement {
    #[serde(rename = "PER-VARIANT-URIS")]
    variants: BTreeMap<String, String>,
    #[serde(rename = "PER-RENDITION-URIS", skip_serializing_if = "BTreeMap::is_empty")]
    renditions: BTreeMap<String, String>,
}

impl Replacement {
    fn of(place: &Place, view: &str, names: &Names) -> Self {
        let at = |folder: &str, name: &String| {
            (name.clone(), format!("https://{}/play/{view}/{folder}{name}/index.m3u8", place.address))
        };
        let audio = names.audio.iter().map(|name| at("", name));
        Self {
            variants: names.variants.iter().map(|name| at("", name)).collect(),
            renditions: audio.chain(names.subtitles.iter().map(|name| at("subs/", name))).collect(),
        }
    }
}

/// The names that stay of what a main playlist lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// Its variants.
    pub variants: Vec<String>,
    /// Its audio tracks.
    pub audio: Vec<String>,
    /// Its subtitles.
    pub subtitles: Vec<String>,
}

/// The nodes that can serve this asset to people now: this one, and those that answer it, take part and are reachable by
/// people; and the edges that were heard here lately. `me` is whoever the viewer is at, a node or an edge. Of a cluster with
/// one site that is of no use, and the list is short.
pub fn places(cluster: &Cluster, edges: &Contacts, asset: AssetId, me: NodeId) -> Vec<Place> {
    let (state, asked) = (cluster.state(), cluster.node_id());
    let holders = state.holders(asset);
    let serves = |node: &cluster::state::Node| {
        let can = node.state == NodeState::Active && !node.public_address.is_empty();
        node.id == me || (can && (node.id == asked || cluster.peers().is_alive(node.id)))
    };
    let place = |node: &cluster::state::Node| Place {
        node: node.id,
        site: node.site.clone(),
        address: node.public_address.clone(),
        round_trip: match cluster.peers().report(node.id) {
            Some(report) if node.id != asked => report.round_trip,
            _ => Duration::ZERO,
        },
        holds: holders.contains(node.id),
        is_edge: false,
    };
    let edge = |edge: &Arc<cluster::state::Edge>| {
        let contact = edges.of(edge.id);
        let serves = contact.as_ref().is_some_and(Contact::serves) && !edge.public_address.is_empty();
        let round_trip_us = contact.map_or(0, |contact| contact.report.round_trip_us);
        (serves || edge.id == me).then(|| Place {
            node: edge.id,
            site: edge.site.clone(),
            address: edge.public_address.clone(),
            round_trip: Duration::from_micros(round_trip_us.into()),
            holds: false,
            is_edge: true,
        })
    };
    let nodes = state.nodes().filter(|node| serves(node)).map(|node| place(node));
    nodes.chain(state.edges().filter_map(edge)).collect()
}

/// Whether there is more than one site to play from.
pub fn reaches_far(cluster: &Cluster, edges: &Contacts, asset: AssetId) -> bool {
    let places = places(cluster, edges, asset, cluster.node_id());
    places.iter().any(|place| place.site != places[0].site)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(node: u64, site: &str, round_trip_ms: u64, holds: bool) -> Place {
        Place {
            node: NodeId(node),
            site: site.to_owned(),
            address: format!("n{node}.example:443"),
            round_trip: Duration::from_millis(round_trip_ms),
            holds,
            is_edge: false,
        }
    }

    fn entry(network: &str, site: &str, round_trip_ms: Option<u32>) -> SiteNetwork {
        SiteNetwork { network: network.parse().unwrap(), site: site.to_owned(), round_trip_ms }
    }

    fn sites(client: &str, map: &[SiteNetwork], places: &[Place]) -> Vec<String> {
        let route = Route::choose(client.parse().ok(), NodeId(1), map, places, 7);
        route.places.into_iter().map(|place| place.site).collect()
    }

    #[test]
    fn the_edge_of_a_site_is_its_first_place_and_whoever_is_at_a_node_stays_with_it() {
        let edge = Place { is_edge: true, ..place(9, "b", 20, false) };
        let places = [place(1, "a", 0, true), place(2, "b", 20, true), edge];
        let map = [entry("10.2.0.0/16", "b", None)];
        let route = |me| Route::choose("10.2.0.1".parse().ok(), NodeId(me), &map, &places, 7);
        assert_eq!(route(1).elsewhere("a").map(|place| place.node), Some(NodeId(9)));
        assert_eq!(route(2).places[0].node, NodeId(2));
        assert_eq!(route(9).places[0].node, NodeId(9));
    }

    #[test]
    fn the_nearest_site_comes_first_and_the_unknown_stay_here() {
        let places = [place(1, "a", 0, true), place(2, "b", 20, true), place(3, "c", 5, true)];
        let map = [
            entry("10.0.0.0/8", "b", None),
            entry("10.7.0.0/16", "c", None),
            entry("2001:db8::/32", "b", Some(40)),
            entry("2001:db8::/32", "c", Some(9)),
            entry("192.0.2.0/24", "gone", None),
        ];
        for (client, expected) in [
            ("10.1.2.3", ["b", "a", "c"]),
            ("10.7.0.9", ["c", "b", "a"]),
            ("::ffff:10.7.0.9", ["c", "b", "a"]),
            ("2001:db8::1", ["c", "b", "a"]),
            // Nobody is at the site that is meant, or the network is not known: this site, then the nearest to it.
            ("192.0.2.1", ["a", "c", "b"]),
            ("203.0.113.1", ["a", "c", "b"]),
            ("", ["a", "c", "b"]),
        ] {
            assert_eq!(sites(client, &map, &places), expected, "{client}");
        }
    }

    #[test]
    fn only_what_the_map_says_sends_a_viewer_elsewhere() {
        let places = [place(1, "a", 0, true), place(2, "b", 20, true)];
        let map = [entry("10.0.0.0/8", "b", None), entry("192.0.2.0/24", "gone", None)];
        let route = |client: &str| Route::choose(client.parse().ok(), NodeId(1), &map, &places, 7);
        assert_eq!(route("10.0.0.1").elsewhere("a").map(|place| place.node), Some(NodeId(2)));
        assert_eq!(route("10.0.0.1").elsewhere("b"), None, "there already");
        assert_eq!(route("192.0.2.1").elsewhere("a"), None);
        assert_eq!(route("203.0.113.1").elsewhere("a"), None);
    }

    #[test]
    fn within_a_site_holders_serve_and_share_the_viewers() {
        let mut places = vec![place(1, "a", 0, false), place(2, "b", 9, false)];
        places.extend((3..=5).map(|node| place(node, "b", 9, true)));
        let map = [entry("10.0.0.0/8", "b", None)];
        let first = |spread| {
            let route = Route::choose("10.0.0.1".parse().ok(), NodeId(1), &map, &places, spread);
            route.places[0].node
        };
        let mut viewers = std::collections::BTreeMap::<NodeId, u32>::new();
        (0..900).for_each(|view| *viewers.entry(first(view)).or_default() += 1);
        assert_eq!(viewers.keys().copied().collect::<Vec<_>>(), [NodeId(3), NodeId(4), NodeId(5)]);
        assert!(viewers.values().all(|count| (200..400).contains(count)), "{viewers:?}");
        assert_eq!(first(5), first(5));
        // At its own site a node serves itself, holder or not: the way is the shortest.
        let here = Route::choose(None, NodeId(2), &map, &places, 1);
        assert_eq!(here.places[0].node, NodeId(2));
    }

    #[test]
    fn the_manifest_names_the_giver_by_a_dot_and_clones_the_others() {
        let places = [place(1, "a", 0, true), place(2, "Zürich 2", 20, true)];
        let map = [entry("10.0.0.0/8", "Zürich 2", None)];
        let route = Route::choose("10.0.0.1".parse().ok(), NodeId(1), &map, &places, 7);
        let zurich = pathway_id("Zürich 2");
        let names = Names {
            variants: vec!["v720".to_owned()],
            audio: vec!["a0".to_owned()],
            subtitles: vec!["s0".to_owned()],
        };
        let text = serde_json::to_value(route.manifest("a", "TOKEN", &names)).unwrap();
        assert_eq!(
            text,
            serde_json::json!({
                "VERSION": 1,
                "TTL": 10,
                "PATHWAY-PRIORITY": [zurich, "."],
                "PATHWAY-CLONES": [{
                    "BASE-ID": ".", "ID": zurich, "URI-REPLACEMENT": {
                        "PER-VARIANT-URIS": { "v720": "https://n2.example:443/play/TOKEN/v720/index.m3u8" },
                        "PER-RENDITION-URIS": {
                            "a0": "https://n2.example:443/play/TOKEN/a0/index.m3u8",
                            "s0": "https://n2.example:443/play/TOKEN/subs/s0/index.m3u8",
                        },
                    }
                }],
            })
        );
        assert!(zurich.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)), "{zurich}");
        assert_ne!(pathway_id("Zürich 2"), pathway_id("Zørich 2"));
        assert_eq!(pathway_id("s-1"), "s-1");
    }
}
