//! A recorded day of changes, replayed through server and agent: after each one the agent holds what
//! Neutron's reply says.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may panic")]

mod common;

use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::time::Duration;

use flate2::read::GzDecoder;
use secgroup_rpc::sync::{Agent, AgentConfig, AgentId, Server};
use secgroup_rpc::{
    Direction, Family, Info, IpSpec, Limits, Member, Message, PortRange, Protocol, Rule, Uuid, read_json,
    read_value,
};

const NOW: Duration = Duration::ZERO;
const ME: AgentId = AgentId(1);

/// What happened, and what an agent with these devices is told after it.
struct Step {
    op: String,
    devices: Vec<Uuid>,
    info: Info,
}

/// What was sent for one step.
#[derive(Debug, Default)]
struct Cost {
    syncs: usize,
    /// Bytes to the agent.
    bytes: usize,
}

struct Replay {
    server: Server,
    agent: Agent,
}

impl Replay {
    fn start(first: &Step) -> Self {
        let mut server = Server::new(7);
        server.replace(first.info.clone());
        let agent = Agent::new(AgentConfig::default(), first.devices.iter().copied());
        let mut replay = Self { server, agent };
        replay.exchange();
        assert_eq!(replay.agent.info(), first.info);
        replay
    }

    /// Applies a step at the server, and at the agent the change of its own ports, if any.
    fn step(&mut self, step: &Step, before: &Step) -> Cost {
        self.server.replace(step.info.clone());
        if step.devices != before.devices {
            self.agent.set_devices(step.devices.iter().copied());
        }
        let cost = self.exchange();
        assert_eq!(self.agent.info(), step.info, "{}", step.op);
        cost
    }

    fn exchange(&mut self) -> Cost {
        let mut cost = Cost::default();
        loop {
            let to_server = self.agent.poll_transmit(NOW);
            if let Some(message) = &to_server {
                cost.syncs += 1;
                self.server.handle(ME, message).unwrap();
            }
            let mut is_quiet = to_server.is_none();
            while let Some((_, message)) = self.server.poll_transmit() {
                is_quiet = false;
                cost.bytes += message.len();
                self.agent.handle(NOW, &message).unwrap();
            }
            if is_quiet {
                return cost;
            }
        }
    }
}

fn replay(steps: &[Step]) -> Vec<Cost> {
    let mut replay = Replay::start(&steps[0]);
    steps.windows(2).map(|pair| replay.step(&pair[1], &pair[0])).collect()
}

fn filter_of(message: Message) -> Info {
    let Message::Info(mut info) = message else { panic!("{} instead of a reply", message.kind()) };
    info.strip();
    info.normalize();
    info
}

fn recorded() -> Option<Vec<Step>> {
    let file = std::fs::File::open(common::shared()?.join("churn-200.jsonl.gz")).ok()?;
    let step = |line: String| {
        let value = read_value(line.as_bytes(), &Limits::default()).unwrap();
        let json: serde_json::Value = serde_json::to_value(&value).unwrap();
        let devices = json["devices"].as_array().unwrap().iter();
        Step {
            op: json["op"].as_str().unwrap().to_owned(),
            devices: devices.map(|id| id.as_str().unwrap().parse().unwrap()).collect(),
            info: filter_of(read_json(json["info"].to_string().as_bytes(), &Limits::default()).unwrap()),
        }
    };
    Some(BufReader::new(GzDecoder::new(file)).lines().map(|line| step(line.unwrap())).collect())
}

/// Changes of every kind on our own message of two ports.
fn own() -> Vec<Step> {
    let first = filter_of(common::message(&common::own().join("two-ports.compact.json")));
    let mut info = first.clone();
    let mut steps = Vec::new();
    let mut note = |op: &str, info: &mut Info| {
        info.normalize();
        let devices = info.devices.iter().map(|device| device.id).collect();
        steps.push(Step { op: op.to_owned(), devices, info: info.clone() });
    };
    note("start", &mut info);
    let far = Ipv4Addr::new(198, 51, 100, 77);
    info.members[0].v4.as_mut().unwrap().addresses.push(far);
    note("far port added", &mut info);
    info.groups[0].rules.push(Rule {
        protocol: Some(Protocol::TCP),
        ports: PortRange::single(8080),
        ..Rule::any(Direction::Ingress, Family::V4)
    });
    note("rule added", &mut info);
    let pair = Member {
        address: IpSpec::Net("203.0.113.0/28".parse().unwrap()),
        mac: Some("fa:16:3e:00:00:09".parse().unwrap()),
    };
    info.members[0].v4.as_mut().unwrap().others.push(pair);
    note("far port address pair set", &mut info);
    let gone = info.devices.pop().unwrap();
    note("own port deleted", &mut info);
    info.members[0].v4.as_mut().unwrap().addresses.retain(|address| *address != far);
    note("far port deleted", &mut info);
    info.devices.push(gone);
    info.groups[0].rules = first.groups[0].rules.clone();
    note("own port added, rule deleted", &mut info);
    steps
}

#[test]
fn every_kind_of_change_reaches_the_agent() {
    let costs = replay(&own());
    let one_member = &costs[0];
    assert!(one_member.syncs == 0 && one_member.bytes <= 16, "{one_member:?}");
}

#[test]
fn the_recorded_churn_replays_to_the_recorded_states() {
    let Some(steps) = recorded() else {
        println!("skipped: ../shared/fixtures/neutron/churn-200.jsonl.gz not found");
        return;
    };
    assert_eq!(steps.len(), 41);
    let costs = replay(&steps);
    for (step, cost) in steps[1..].iter().zip(&costs) {
        println!("{:>5} bytes  {}", cost.bytes, step.op);
        // Only an agent whose own ports changed asks; all else is told in a delta.
        assert!(cost.syncs == 0 || step.op.starts_with("own port"), "{}: {cost:?}", step.op);
        if ["far port added", "far port deleted"].contains(&step.op.as_str()) {
            assert!(cost.bytes <= 16, "{}: {cost:?}", step.op);
        }
    }
    let bytes: usize = costs.iter().map(|cost| cost.bytes).sum();
    // Neutron's agent fetches a reply of 42 kB or more for each.
    assert!(bytes < 4000, "{bytes} bytes for {} changes", costs.len());
}
