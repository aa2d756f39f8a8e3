//! Client and devices over a network that loses, doubles and delays frames, in virtual time.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::time::Duration;

use macaddr::MacAddr6;
use proptest::prelude::*;
use rrcp::PortId;
use rrcp::client::{
    CLIENT_FRAME_LEN, Client, Config, Consent, Event, Failure, StartError, Switch, Topology, Write,
};
use rrcp::device::{DEVICE_FRAME_LEN, Device, Identity, RegisterSpace, Verdict};
use rrcp::wire::{AuthKey, ChipId, RegisterAddress, VendorId};

const STATION: MacAddr6 = MacAddr6::new(2, 0, 0, 0, 0, 1);
const VLAN_CONTROL: RegisterAddress = RegisterAddress::VLAN_CONTROL;

#[derive(Default)]
struct Registers(BTreeMap<u16, u32>);

impl RegisterSpace for Registers {
    fn read(&mut self, register: RegisterAddress) -> Option<u32> {
        self.0.get(&register.0).copied()
    }

    fn write(&mut self, register: RegisterAddress, data: u32) {
        self.0.insert(register.0, data);
    }
}

/// A switch and where it hangs.
struct Node {
    device: Device,
    registers: Registers,
    /// Its port that faces the station.
    up: u16,
    /// The node above and its port that faces this one; `None`: the station itself.
    above: Option<(usize, u16)>,
}

fn mac(index: u8) -> MacAddr6 {
    MacAddr6::new(0x52, 0x54, 0x4C, 0, 0, index)
}

/// What the cable to the station does to one frame: copies that arrive, each after a delay in ms.
type Fate = Vec<u64>;

struct Network {
    client: Client,
    nodes: Vec<Node>,
    now: Duration,
    fates: Vec<Fate>,
    frames: usize,
    /// Frames under way: when, to the station or from it, bytes.
    flying: Vec<(Duration, bool, Vec<u8>)>,
    events: Vec<Event>,
}

impl Network {
    /// `above[i]` is the node that node `i` hangs on by its port `i`.
    fn new(above: &[Option<usize>], fates: Vec<Fate>) -> Self {
        let node = |(index, above): (usize, &Option<usize>)| Node {
            device: Device::new(Identity::new(mac(index as u8), ChipId(index as u16), VendorId(7))),
            registers: Registers::default(),
            up: 10 + index as u16,
            above: above.map(|above| (above, index as u16)),
        };
        Self {
            client: Client::new(Config::new(STATION), 42),
            nodes: above.iter().enumerate().map(node).collect(),
            now: Duration::ZERO,
            fates,
            frames: 0,
            flying: vec![],
            events: vec![],
        }
    }

    /// Runs until the operation of the client is over, and returns its last event.
    fn run(&mut self) -> Event {
        for _ in 0..10_000 {
            self.drain();
            if !self.client.is_busy() {
                // What is still under way arrives late.
                return *self.events.last().unwrap();
            }
            let arrival = self.flying.iter().map(|(at, ..)| *at).min();
            let due = self.client.poll_timeout().unwrap();
            self.now = self.now.max(arrival.map_or(due, |arrival| arrival.min(due)));
            match self.flying.iter().position(|(at, ..)| *at <= self.now) {
                Some(arrived) => {
                    let (_, to_station, bytes) = self.flying.remove(arrived);
                    if to_station {
                        self.client.handle_frame(self.now, &bytes);
                    } else {
                        self.enter(0, self.nodes[0].up, &bytes);
                    }
                }
                None => self.client.handle_timeout(self.now),
            }
        }
        panic!("the operation does not end");
    }

    fn drain(&mut self) {
        let mut buffer = [0; CLIENT_FRAME_LEN];
        while let Some(frame) = self.client.poll_transmit(&mut buffer) {
            let frame = frame.to_vec();
            self.fly(false, &frame);
        }
        self.events.extend(std::iter::from_fn(|| self.client.poll_event()));
    }

    fn fly(&mut self, to_station: bool, bytes: &[u8]) {
        let fate = self.fates.get(self.frames).cloned().unwrap_or(vec![1]);
        self.frames += 1;
        let copies =
            fate.iter().map(|delay| (self.now + Duration::from_millis(*delay), to_station, bytes.to_vec()));
        self.flying.extend(copies);
    }

    /// A frame enters node `index` from above; it floods down, answers travel up.
    fn enter(&mut self, index: usize, ingress: u16, bytes: &[u8]) {
        let mut out = [0; DEVICE_FRAME_LEN];
        let Node { device, registers, .. } = &mut self.nodes[index];
        let (answer, relay) =
            match device.handle_frame(PortId::new(ingress).unwrap(), bytes, registers, &mut out) {
                Verdict::Answer(answer) => (Some(answer.to_vec()), false),
                Verdict::AnswerAndRelay(answer) => (Some(answer.to_vec()), true),
                Verdict::Relay => (None, true),
                Verdict::Written { .. } | Verdict::Drop(_) => (None, false),
            };
        if let Some(answer) = answer {
            self.towards_station(index, answer);
        }
        if relay {
            let below = |node: &Node| node.above.is_some_and(|(above, _)| above == index);
            for below in (0..self.nodes.len()).filter(|i| below(&self.nodes[*i])).collect::<Vec<_>>() {
                self.enter(below, self.nodes[below].up, bytes);
            }
        }
    }

    fn towards_station(&mut self, mut index: usize, mut answer: Vec<u8>) {
        while let Some((above, port)) = self.nodes[index].above {
            self.nodes[above].device.mark_uplink(PortId::new(port).unwrap(), &mut answer);
            index = above;
        }
        self.fly(true, &answer);
    }
}

#[test]
fn one_hello_finds_the_whole_tree_and_its_links() {
    // 0 at the station; 1 and 2 below it; 3 below 1; 4 below 3
    let above = [None, Some(0), Some(0), Some(1), Some(3)];
    let mut network = Network::new(&above, vec![]);
    network.client.scan(network.now).unwrap();
    assert_eq!(network.run(), Event::ScanDone { answers: 10, dropped: 0 });
    let switches: Vec<Switch> = network
        .events
        .iter()
        .filter_map(|event| if let Event::Found(switch) = event { Some(*switch) } else { None })
        .collect();
    assert_eq!(switches.len(), 5);
    for switch in &switches {
        let index = usize::from(switch.reply.chip.0);
        assert_eq!((switch.mac, switch.reply.downlink_port), (mac(index as u8), 10 + index as u8));
        let uplink = above[index].map(|above| (mac(above as u8), index as u8));
        assert_eq!(switch.reply.uplink(), uplink);
    }
    let topology = Topology::new(&switches);
    assert_eq!(topology.roots().map(|switch| switch.mac).collect::<Vec<_>>(), [mac(0)]);
    assert_eq!(topology.below(mac(0)).count(), 2);
    let depths: BTreeMap<_, _> = switches.iter().map(|s| (s.reply.chip.0, topology.depth(s))).collect();
    assert_eq!(depths.into_values().collect::<Vec<_>>(), [0, 1, 1, 2, 3]);
}

#[test]
fn a_ring_of_links_has_a_bounded_depth() {
    let mut network = Network::new(&[None, Some(0), Some(1)], vec![]);
    network.client.scan(network.now).unwrap();
    network.run();
    let mut switches: Vec<Switch> = network
        .events
        .iter()
        .filter_map(|event| if let Event::Found(switch) = event { Some(*switch) } else { None })
        .collect();
    // The network lies: the first hangs on the last.
    switches[0].reply.uplink_mac = switches[2].mac;
    let topology = Topology::new(&switches);
    assert_eq!(topology.roots().count(), 0);
    assert!(switches.iter().all(|switch| topology.depth(switch) <= 3));
}

#[test]
fn a_changed_key_locks_out_a_client_that_does_not_know_it() {
    let mut network = Network::new(&[None], vec![]);
    let change = Write::new(RegisterAddress::AUTH_KEY, 0xBEEF);
    let refused = network.client.set(network.now, mac(0), change, Consent::Safe);
    assert!(matches!(refused, Err(StartError::Dangerous { .. })));
    network.client.set(network.now, mac(0), change, Consent::Dangerous).unwrap();
    assert!(matches!(network.run(), Event::Written { data: 0xBEEF, attempts: 1, .. }));
    network.client.get(network.now, mac(0), RegisterAddress::CHIP_ID).unwrap();
    assert!(matches!(network.run(), Event::Value { .. }));

    network.client = Client::new(Config::new(STATION), 43);
    network.client.get(network.now, mac(0), RegisterAddress::CHIP_ID).unwrap();
    assert_eq!(network.run(), Event::Failed(Failure::NoAnswer { sends: 11 }));
    network.client = Client::new(Config { key: AuthKey(0xBEEF), ..Config::new(STATION) }, 44);
    network.client.get(network.now, mac(0), RegisterAddress::CHIP_ID).unwrap();
    assert!(matches!(network.run(), Event::Value { .. }));
}

#[test]
fn a_lost_set_is_found_by_its_read_back_and_sent_again() {
    // The set is lost; its read passes.
    let mut network = Network::new(&[None], vec![vec![]]);
    network.client.set(network.now, mac(0), Write::new(VLAN_CONTROL, 0x11), Consent::Safe).unwrap();
    assert_eq!(network.run(), Event::Written { register: VLAN_CONTROL, data: 0x11, attempts: 2 });
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        4 => Just(vec![1]),
        3 => Just(vec![]),
        2 => (0_u64..50, 0_u64..1500).prop_map(|(first, second)| vec![first, second]),
        2 => (0_u64..2000).prop_map(|late| vec![late]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the network does: operations end in bounded time, a value is one that the register
    /// had, and "written" means that it is written.
    #[test]
    fn what_the_client_says_is_true_on_a_bad_network(
        fates in prop::collection::vec(fate(), 0..200),
        writes in prop::collection::vec(any::<u16>(), 1..6),
    ) {
        let mut network = Network::new(&[None], fates);
        for data in writes {
            let started = network.now;
            network.client.set(network.now, mac(0), Write::new(VLAN_CONTROL, data), Consent::Safe).unwrap();
            let event = network.run();
            let held = network.nodes[0].registers.0.get(&VLAN_CONTROL.0).copied();
            match event {
                Event::Written { data: read, .. } => {
                    prop_assert_eq!(read, u32::from(data));
                    prop_assert_eq!(held, Some(u32::from(data)));
                }
                Event::Failed(_) => {}
                other => prop_assert!(false, "{other:?}"),
            }
            // Three attempts of eleven reads, 600 ms each at most.
            prop_assert!(network.now - started <= Duration::from_millis(3 * 11 * 600));
            // A set that is still under way would undo a later one, and no client could know.
            network.flying.clear();
        }
    }
}
