//! Replicas that crash, sleep, see old things and have wrong clocks, in a cluster that is emptied and overwritten:
//! whatever happens, whoever calls by a bundle that was in place for long enough gets through.

use std::time::{Duration, SystemTime};

use base64::{Engine, engine::general_purpose::STANDARD};
use proptest::prelude::*;
use serde_json::json;

use super::{
    Lifetimes,
    authority::{Authority, service_names},
    bundle::{Bundles, Configuration, Kind},
    replica::{Moment, Replica},
    state::{Data, Stage, State, Step, Trust},
};

const NAME: &str = "esc-injector.esc.svc";
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// How late an API server may be with a bundle.
const PROPAGATION: Duration = MINUTE;

/// How far a replica's clock may be off.
const SKEW: i64 = 4 * 60;

const REPLICAS: usize = 3;

fn lifetimes() -> Lifetimes {
    Lifetimes { authority: 400 * HOUR, ..Lifetimes::default() }
}

#[derive(Debug, Clone)]
enum Event {
    /// A replica reads everything.
    Look(usize),
    /// It does what it then decides, however long after.
    Act(usize),
    /// Both at once, which is how it mostly is.
    Round(usize),
    Crash(usize),
    /// The API server can't be reached from it, or can again.
    Cut(usize, bool),
    Pass(Duration),
    /// For so many times ten minutes, every replica does its rounds.
    Busy(u32),
    /// Somebody empties the Secret, and a replica that has just looked sees it.
    Emptied(usize),
    /// Somebody puts a bundle of the past, or none, into the first configuration.
    Overwritten(usize),
}

fn event() -> impl Strategy<Value = Event> {
    let replica = || 0..REPLICAS;
    prop_oneof![
        8 => replica().prop_map(Event::Round),
        3 => replica().prop_map(Event::Look),
        3 => replica().prop_map(Event::Act),
        1 => replica().prop_map(Event::Crash),
        1 => (replica(), any::<bool>()).prop_map(|(replica, cut)| Event::Cut(replica, cut)),
        2 => (1_u64..120).prop_map(|seconds| Event::Pass(Duration::from_secs(seconds))),
        4 => (1_u32..40).prop_map(|minutes| Event::Pass(MINUTE * minutes)),
        4 => (1_u32..40).prop_map(|hours| Event::Pass(HOUR * hours)),
        4 => (1_u32..9).prop_map(Event::Busy),
        1 => replica().prop_map(Event::Emptied),
        1 => (0_usize..20).prop_map(Event::Overwritten),
    ]
}

/// What a replica read, and when.
struct Seen {
    before: SystemTime,
    secret: (u64, Data),
    configurations: [(u64, String); 2],
}

struct Node {
    replica: Replica,
    skew: i64,
    seen: Option<Seen>,
    cut: bool,
    /// Whether callers got through when it was last checked.
    serves: bool,
}

struct World {
    now: SystemTime,
    secret: (u64, Data),
    /// Version and bundle of both configurations.
    configurations: [(u64, String); 2],
    /// Every bundle that was in the first one, and until when.
    published: Vec<(String, Option<SystemTime>)>,
    nodes: Vec<Node>,
}

fn replica() -> Replica {
    Replica::new(service_names("esc-injector", "esc"), lifetimes())
}

fn skewed(now: SystemTime, skew: i64) -> SystemTime {
    let by = Duration::from_secs(skew.unsigned_abs());
    if skew < 0 { now - by } else { now + by }
}

impl World {
    fn new(age: Option<u32>, skews: &[i64]) -> Self {
        let now = SystemTime::UNIX_EPOCH + 500_000 * HOUR;
        let data = age.map_or_else(Data::new, |hours| {
            Trust::of(Authority::generate(now - HOUR * hours, &lifetimes()).unwrap()).data()
        });
        let node = |&skew| Node { replica: replica(), skew, seen: None, cut: false, serves: false };
        Self {
            now,
            secret: (1, data),
            configurations: [(1, String::new()), (1, String::new())],
            published: Vec::new(),
            nodes: skews.iter().map(node).collect(),
        }
    }

    fn apply(&mut self, event: &Event) -> Result<(), TestCaseError> {
        match *event {
            Event::Look(node) => self.look(node),
            Event::Act(node) => self.act(node),
            Event::Round(node) => self.round(node),
            Event::Crash(node) => {
                let node = &mut self.nodes[node];
                (node.replica, node.seen, node.serves) = (replica(), None, false);
            }
            Event::Cut(node, cut) => self.nodes[node].cut = cut,
            Event::Pass(time) => self.now += time,
            Event::Busy(times) => {
                for _ in 0..times {
                    for node in 0..REPLICAS {
                        self.round(node);
                        self.check()?;
                    }
                    self.now += 10 * MINUTE;
                    self.check()?;
                }
            }
            Event::Emptied(node) => {
                if !self.nodes[node].cut && State::parse(&self.secret.1) != State::Empty {
                    self.round(node);
                    let before = self.secret.1.clone();
                    self.secret = (self.secret.0 + 1, Data::new());
                    self.round(node);
                    assert!(State::parse(&before) == State::parse(&self.secret.1), "not put back");
                }
            }
            Event::Overwritten(which) => {
                let past = self.published.get(which).map(|(bundle, _)| bundle.clone()).unwrap_or_default();
                self.configurations[0] = (self.configurations[0].0 + 1, past.clone());
                self.publish(past);
                // Whom this keeps out is not the replicas' fault; whom it lets in they have to keep.
                for node in 0..REPLICAS {
                    self.nodes[node].serves &= self.is_trusted(node);
                }
            }
        }
        self.check()
    }

    fn publish(&mut self, bundle: String) {
        if let Some((_, until)) = self.published.last_mut() {
            *until = Some(self.now);
        }
        self.published.push((bundle, None));
    }

    /// Whether callers get through to a replica by every bundle that an API server may know now.
    fn is_trusted(&self, node: usize) -> bool {
        let now = self.now;
        let is_known = |until: &Option<SystemTime>| until.is_none_or(|until| until + PROPAGATION >= now);
        let mut known = self.published.iter().filter(|(_, until)| is_known(until)).peekable();
        let leaf = self.nodes[node].replica.leaf();
        known.peek().is_some()
            && known.all(|(bundle, _)| leaf.is_some_and(|leaf| leaf.is_trusted(bundle.as_bytes(), NAME, now)))
    }

    fn look(&mut self, node: usize) {
        let node = &mut self.nodes[node];
        if !node.cut && node.seen.is_none() {
            node.seen = Some(Seen {
                before: skewed(self.now, node.skew),
                secret: self.secret.clone(),
                configurations: self.configurations.clone(),
            });
        }
    }

    fn act(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        let now = skewed(self.now, node.skew);
        if node.cut {
            node.seen = None;
            node.replica.carry_on(now).unwrap();
            return;
        }
        let Some(seen) = node.seen.take() else { return };
        let state = State::parse(&seen.secret.1);
        let bundles = Bundles(
            Kind::ALL.into_iter().zip(&seen.configurations).map(|(kind, c)| configuration(kind, c)).collect(),
        );
        let moment = Moment { before: seen.before, after: now };
        match node.replica.look(&state, Some(&bundles), moment).unwrap() {
            Step::Write(_, trust) => {
                if self.secret.0 == seen.secret.0 {
                    self.secret = (self.secret.0 + 1, trust.data());
                    node.replica.wrote(*trust);
                }
            }
            Step::Publish(bundle) => {
                for place in 0..2 {
                    let there = &mut self.configurations[place];
                    if there.0 == seen.configurations[place].0 && there.1 != bundle {
                        *there = (there.0 + 1, bundle.clone());
                        if place == 0 {
                            self.publish(bundle.clone());
                        }
                    }
                }
            }
            Step::Wait(_) => {}
            Step::Stuck(damage) => panic!("{damage}"),
        }
    }

    fn round(&mut self, node: usize) {
        self.nodes[node].seen = None;
        self.look(node);
        self.act(node);
    }

    /// Callers who got through, to a replica with a leaf that is good, get through now.
    fn check(&mut self) -> Result<(), TestCaseError> {
        for index in 0..REPLICAS {
            let trusted = self.is_trusted(index);
            let node = &mut self.nodes[index];
            let end = node.replica.leaf().and_then(|leaf| leaf.certificate().not_after());
            if end.is_some_and(|end| end > self.now) {
                prop_assert!(trusted || !node.serves, "replica {index} is not trusted any more");
            }
            // One whose leaf has ended was away for a day.
            node.serves = trusted;
        }
        Ok(())
    }

    fn is_at_rest(&self) -> bool {
        let State::Kept { trust, untidy: false } = State::parse(&self.secret.1) else { return false };
        trust.stage == Stage::Stable
            && self.configurations.iter().all(|(_, bundle)| *bundle == trust.bundle())
            && self.nodes.iter().all(|node| {
                node.replica
                    .leaf()
                    .is_some_and(|leaf| leaf.is_trusted(trust.bundle().as_bytes(), NAME, self.now))
            })
    }
}

fn configuration(kind: Kind, (version, bundle): &(u64, String)) -> Configuration {
    let entry = |name| json!({"name": name, "clientConfig": {"caBundle": STANDARD.encode(bundle)}});
    let webhooks: Vec<_> = kind.entries().iter().map(entry).collect();
    let metadata = json!({"name": "x", "uid": "u", "resourceVersion": version.to_string()});
    Configuration::parse(kind, &json!({"metadata": metadata, "webhooks": webhooks})).unwrap()
}

proptest! {
    // Each case makes dozens of keys.
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn whoever_got_through_goes_on_to_get_through_and_every_change_ends(
        // Near its change, mostly: in between nothing happens.
        age in proptest::option::weighted(0.9, 290_u32..330),
        skews in proptest::collection::vec(-SKEW..=SKEW, REPLICAS),
        events in proptest::collection::vec(event(), 1..100),
    ) {
        let mut world = World::new(age, &skews);
        for event in &events {
            world.apply(event)?;
        }
        // The troubles end, and so does whatever was begun.
        for node in &mut world.nodes {
            (node.cut, node.seen) = (false, None);
        }
        for _ in 0..400 {
            for node in 0..REPLICAS {
                world.round(node);
                world.check()?;
            }
            if world.is_at_rest() {
                return Ok(());
            }
            world.apply(&Event::Pass(10 * MINUTE))?;
        }
        prop_assert!(false, "it does not come to rest");
    }
}

/// A world with an authority of this age, in which all replicas serve.
fn settled(age: u32) -> World {
    let mut world = World::new(Some(age), &[0; REPLICAS]);
    // Enough to publish and no more, and for API servers to hear of it.
    for event in [Event::Round(0), Event::Round(1), Event::Round(2), Event::Pass(2 * MINUTE)] {
        world.apply(&event).unwrap();
    }
    assert!(world.nodes.iter().all(|node| node.serves));
    world
}

fn play(world: &mut World, events: &[Event]) {
    for event in events {
        world.apply(event).unwrap();
    }
}

#[test]
fn a_replica_that_is_cut_off_while_authorities_change_makes_no_leaf_of_the_former_one() {
    let mut world = settled(300);
    play(&mut world, &[Event::Pass(19 * HOUR), Event::Busy(1), Event::Cut(2, true), Event::Pass(2 * HOUR)]);
    play(&mut world, &[Event::Busy(8)]);
    let State::Kept { trust, .. } = State::parse(&world.secret.1) else { panic!("nothing is kept") };
    assert!(matches!(trust.stage, Stage::Retiring { since: Some(_), .. }));
    // Its leaf is due, and would be trusted for now; by its end the former authority is forgotten.
    play(&mut world, &[Event::Pass(15 * HOUR), Event::Act(2), Event::Pass(9 * HOUR), Event::Busy(3)]);
    assert!(!world.nodes[2].serves);
    // Back again, it serves again.
    play(&mut world, &[Event::Cut(2, false), Event::Busy(1)]);
    assert!(world.is_at_rest());
}

#[test]
fn nobody_moves_to_a_new_authority_while_an_api_server_may_believe_an_overwritten_bundle() {
    let mut world = settled(321);
    // Introduced, published, stamped, and promoted after the wait; nobody has a leaf of the new authority yet.
    play(&mut world, &[Event::Round(0), Event::Round(0), Event::Round(0)]);
    play(&mut world, &[Event::Pass(21 * MINUTE), Event::Round(0)]);
    let State::Kept { trust, .. } = State::parse(&world.secret.1) else { panic!("nothing is kept") };
    assert!(matches!(trust.stage, Stage::Retiring { since: None, .. }));
    // Before the stamp, and after it: the bundle of the former authority alone is there for a moment.
    for _ in 0..2 {
        play(&mut world, &[Event::Overwritten(0)]);
        for _ in 0..4 {
            play(&mut world, &[Event::Round(0), Event::Round(1), Event::Round(2)]);
        }
        assert!(world.nodes.iter().all(|node| node.serves));
    }
    play(&mut world, &[Event::Busy(4)]);
    let is_new = |node: &Node| node.replica.leaf().is_some_and(|leaf| leaf.is_of(trust.current.root()));
    assert!(world.nodes.iter().all(|node| node.serves && is_new(node)));
}

#[test]
fn nobody_is_promoted_while_an_api_server_may_believe_an_overwritten_bundle() {
    let mut world = settled(321);
    // Introduced, published, stamped, and the wait is over.
    play(&mut world, &[Event::Round(0), Event::Round(0), Event::Round(0), Event::Pass(21 * MINUTE)]);
    let State::Kept { trust, .. } = State::parse(&world.secret.1) else { panic!("nothing is kept") };
    assert!(matches!(trust.stage, Stage::Introducing { since: Some(_), .. }));
    // Something puts the bundle of the former authority alone back, and all replicas do all that they can.
    play(&mut world, &[Event::Overwritten(0)]);
    for _ in 0..5 {
        play(&mut world, &[Event::Round(0), Event::Round(1), Event::Round(2)]);
    }
    assert!(world.nodes.iter().all(|node| node.serves));
    play(&mut world, &[Event::Busy(4)]);
    let State::Kept { trust, .. } = State::parse(&world.secret.1) else { panic!("nothing is kept") };
    assert!(matches!(trust.stage, Stage::Retiring { .. }));
}
