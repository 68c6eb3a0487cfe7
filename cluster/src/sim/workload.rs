//! Clients that change a few assets at once, through whichever node they find leading, and write down what they hear.

use std::time::Duration;

use super::chance::Chance;
use super::history::{Call, Heard, History, Model};
use super::node::Node;
use super::world::World;
use crate::actor::Actor;
use crate::cluster::ProposeError;
use crate::cluster::requests::Waiting;
use crate::command::{
    AccessCommand, AssetCommand, AssetPatch, ClusterCommand, Command, KeyHolder, PasswordHash,
    SealedClusterKey, SecretHash, WrappedKey,
};
use crate::entry::Request;
use crate::id::{ApplicationId, AssetId, BlobId, NodeId, SessionId, UserId};
use crate::state::State;

/// Assets there are. Few, so that clients meet.
const KEYS: u64 = 5;
/// How long a client looks for a node that leads before it gives a call up.
const TRIES: u32 = 40;
/// How long the person stays signed in.
const SIGNED_IN_MS: u64 = 20 * 24 * 3_600_000;
pub(super) const APPLICATION: ApplicationId = ApplicationId([1; 16]);
const USER: UserId = UserId([2; 16]);
const SESSION: SessionId = SessionId([3; 16]);

fn asset(key: u8) -> AssetId {
    AssetId([key; 16])
}

/// The person all clients sign in as.
pub(super) fn person() -> Actor {
    Actor::user(USER, SESSION)
}

/// What a new cluster is told before clients come.
pub(super) fn beginnings(founder: NodeId, now_ms: u64) -> Vec<(Actor, Command)> {
    let password =
        PasswordHash("$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaGhhc2g".to_owned());
    let sealed = [KeyHolder::Node(founder), KeyHolder::Recovery]
        .into_iter()
        .map(|holder| SealedClusterKey { holder, sealed: vec![7; 80] })
        .collect();
    let initialise = ClusterCommand::Initialise {
        cluster_id: [9; 16],
        node: founder,
        node_name: "first".to_owned(),
        site: "first".to_owned(),
        node_public_key: [1; 32],
        recovery_public_key: [2; 32],
        sealed,
    };
    let claim = AccessCommand::Claim {
        user: USER,
        username: "ada".to_owned(),
        password_hash: password,
        application: APPLICATION,
        application_name: "Films".to_owned(),
    };
    let session = AccessCommand::CreateSession {
        session: SESSION,
        user: USER,
        secret_hash: SecretHash([4; 32]),
        expires_ms: now_ms + SIGNED_IN_MS,
        user_agent: "a client".to_owned(),
    };
    vec![
        (Actor::system(founder), initialise.into()),
        (Actor::anonymous(None, "claim"), claim.into()),
        (Actor::system(founder), session.into()),
    ]
}

/// One client.
pub(super) struct Client {
    pub(super) number: u64,
    pub(super) world: World,
    pub(super) history: History,
    pub(super) chance: Chance,
    /// Who it believes to lead.
    pub(super) leader: Option<NodeId>,
}

/// What came of one attempt at one node.
enum Attempt {
    Heard(Heard),
    /// It was not carried out: try elsewhere.
    Elsewhere,
    /// Nobody knows.
    Open,
}

impl Client {
    /// Works until the world says that it is enough.
    pub(super) async fn run(mut self) {
        let mut made = 0;
        while !self.world.is_enough() {
            made += 1;
            let key = u8::try_from(self.chance.below(KEYS) + 1).unwrap_or(1);
            let call = self.choose(self.number * 1_000_000 + made);
            self.carry_out(key, call).await;
            let pause = self.chance.between(1, 120);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    fn choose(&mut self, title: u64) -> Call {
        match self.chance.below(100) {
            0..15 => Call::Create(title),
            15..50 => Call::Rename(title),
            50..58 => Call::Trash,
            58..65 => Call::Restore,
            65..67 => Call::Purge,
            _ => Call::Read,
        }
    }

    /// One call, tried at node after node until one of them takes it.
    pub(super) async fn carry_out(&mut self, key: u8, call: Call) -> Heard {
        let waiting = (call != Call::Read).then(|| self.world.requests().begin());
        let request = waiting.as_ref().map(Waiting::request);
        // The call's number in the history, once a try of it may have been carried out.
        let mut open = None;
        for _ in 0..TRIES {
            let Some(node) = self.world.node_for(self.leader.take(), &mut self.chance) else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let number = open.unwrap_or_else(|| self.history.begin(key, call));
            let attempt = self.attempt(&node, key, call, request).await;
            let client = self.number;
            match attempt {
                Attempt::Heard(heard) => {
                    self.history.end(number, heard);
                    if heard == Heard::Done {
                        self.world.promise();
                    }
                    self.leader = Some(node.id);
                    self.world.note(format_args!("client {client} {call:?} of {key} heard {heard:?}"));
                    return heard;
                }
                Attempt::Open => {
                    open = Some(number);
                    self.world.note(format_args!("client {client} {call:?} of {key} heard nothing"));
                    if self.chance.percent(30) {
                        return Heard::Nothing;
                    }
                }
                Attempt::Elsewhere => {
                    if open.is_none() {
                        self.history.withdraw(number);
                    }
                    tokio::time::sleep(Duration::from_millis(self.chance.between(5, 60))).await;
                }
            }
        }
        Heard::Nothing
    }

    async fn attempt(&mut self, node: &Node, key: u8, call: Call, request: Option<Request>) -> Attempt {
        if call == Call::Read {
            return match node.linearizable().await {
                Ok(state) => Attempt::Heard(Heard::Saw(seen(&state, key))),
                Err(error) => self.not_taken(&error, true),
            };
        }
        match node.propose(person(), command(key, call), request).await {
            Ok(_) => Attempt::Heard(Heard::Done),
            Err(ProposeError::Refused(refusal)) => Attempt::Heard(Heard::Refused(refusal.code())),
            Err(error) => self.not_taken(&error, false),
        }
    }

    /// What a client makes of an answer that is none.
    fn not_taken(&mut self, error: &ProposeError, is_read: bool) -> Attempt {
        match error {
            ProposeError::OutcomeUnknown if !is_read => Attempt::Open,
            ProposeError::NotLeader { leader } => {
                self.leader = *leader;
                Attempt::Elsewhere
            }
            _ => Attempt::Elsewhere,
        }
    }

    /// Reads every asset, so that what is there at the end is part of the history.
    pub(super) async fn look_at_all(&mut self) {
        for key in 1..=KEYS {
            self.carry_out(u8::try_from(key).unwrap_or(1), Call::Read).await;
        }
    }

    /// One change that must go through.
    pub(super) async fn one_more(&mut self) -> Heard {
        self.carry_out(u8::MAX, Call::Create(u64::MAX)).await
    }
}

fn command(key: u8, call: Call) -> Command {
    let asset = asset(key);
    let command = match call {
        Call::Create(title) => AssetCommand::Create {
            asset,
            application: APPLICATION,
            title: title.to_string(),
            file_name: "film.mp4".to_owned(),
            media_type: "video/mp4".to_owned(),
            declared_length: None,
            wrapped_key: WrappedKey::from(vec![key; 60]),
            key_epoch: 1,
            original: BlobId([key; 16]),
        },
        Call::Rename(title) => AssetCommand::Describe {
            asset,
            patch: AssetPatch { title: Some(title.to_string()), ..AssetPatch::default() },
        },
        Call::Trash => AssetCommand::Trash { asset },
        Call::Restore => AssetCommand::Restore { asset },
        // A read is no command; this one would be refused.
        Call::Purge | Call::Read => AssetCommand::Purge { asset },
    };
    command.into()
}

fn seen(state: &State, key: u8) -> Model {
    let id = asset(key);
    match state.asset(id) {
        Some(found) => {
            let title = found.title.parse().unwrap_or(0);
            if found.is_live() { Model::Live(title) } else { Model::Trashed(title) }
        }
        None if state.tombstone(id).is_some() => Model::Gone,
        None => Model::Absent,
    }
}
