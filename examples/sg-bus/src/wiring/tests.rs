use super::*;
use secgroup_rpc::sync::AgentId;
use std::time::Duration;

const HOST: AgentId = AgentId(1);
const CONFIG: AgentConfig = AgentConfig { retry: Duration::from_secs(1), keepalive: Duration::from_secs(10) };

fn id(number: u8) -> Uuid {
    Uuid([number; 16])
}

fn port(number: u8, vlan: u32) -> Port {
    Port {
        id: id(number),
        mac: [0xFA, 0x16, 0x3E, 0, 0, number].into(),
        network: Network {
            id: id(0xA0),
            kind: NetworkKind::Vlan,
            physical_network: Some("physnet1".into()),
            segmentation_id: Some(vlan),
        },
        addresses: vec!["192.0.2.7".parse().unwrap(), "2001:db8::7".parse().unwrap()],
        admin_state_up: true,
        filtered: true,
    }
}

fn agent(devices: &[u8]) -> Agent {
    let mut agent = Agent::new(CONFIG, "compute-01".parse().unwrap(), []);
    agent.set_devices(devices.iter().map(|number| id(*number)));
    agent
}

fn server(ports: &[Port]) -> Server {
    let mut server = Server::new(7);
    server.replace(ports.to_vec());
    server
}

/// Everything that is due, in both directions, until nobody says more.
fn exchange(server: &mut Server, agent: &mut Agent, now: Duration) -> Vec<Handled> {
    let mut handled = Vec::new();
    loop {
        let asked = agent.poll_transmit(now);
        if let Some(bytes) = &asked {
            server.handle(HOST, bytes).unwrap();
        }
        let told = server.poll_transmit();
        if let Some((_, bytes)) = &told {
            handled.push(agent.handle(now, bytes).unwrap());
        }
        if asked.is_none() && told.is_none() {
            return handled;
        }
    }
}

fn holds(agent: &Agent, ports: &[Port]) -> bool {
    agent.ports().eq(ports)
}

#[test]
fn an_agent_gets_what_its_devices_name_and_then_what_changes() {
    let mut server = server(&[port(1, 100), port(2, 100), port(3, 100)]);
    let mut agent = agent(&[1, 3, 9]);
    assert!(!agent.is_synced());
    assert_eq!(exchange(&mut server, &mut agent, Duration::ZERO), [Handled::Applied(vec![id(1), id(3)])]);
    assert!(holds(&agent, &[port(1, 100), port(3, 100)]) && agent.is_synced());

    server.set_port(port(3, 200));
    server.set_port(port(2, 200));
    assert_eq!(exchange(&mut server, &mut agent, Duration::ZERO), [Handled::Applied(vec![id(3)])]);
    server.remove_port(id(1));
    server.set_port(port(9, 300));
    assert_eq!(exchange(&mut server, &mut agent, Duration::ZERO), [Handled::Applied(vec![id(1), id(9)])]);
    assert!(holds(&agent, &[port(3, 200), port(9, 300)]));
}

#[test]
fn changes_coalesce_and_opposite_ones_cancel() {
    let mut server = server(&[port(1, 100)]);
    let mut agent = agent(&[1]);
    exchange(&mut server, &mut agent, Duration::ZERO);
    server.set_port(port(1, 200));
    server.set_port(port(1, 100));
    assert_eq!(server.poll_transmit(), None);
    server.set_port(port(1, 200));
    server.set_port(port(1, 300));
    assert_eq!(exchange(&mut server, &mut agent, Duration::ZERO).len(), 1);
    assert!(holds(&agent, &[port(1, 300)]));
}

#[test]
fn nothing_is_applied_twice() {
    let mut server = server(&[port(1, 100)]);
    let mut agent = agent(&[1]);
    let question = agent.poll_transmit(Duration::ZERO).unwrap();
    server.handle(HOST, &question).unwrap();
    let (_, answer) = server.poll_transmit().unwrap();
    assert_eq!(agent.handle(Duration::ZERO, &answer).unwrap(), Handled::Applied(vec![id(1)]));
    assert_eq!(agent.handle(Duration::ZERO, &answer).unwrap(), Handled::Ignored);
    server.set_port(port(1, 200));
    let (_, change) = server.poll_transmit().unwrap();
    assert_eq!(agent.handle(Duration::ZERO, &change).unwrap(), Handled::Applied(vec![id(1)]));
    assert_eq!(agent.handle(Duration::ZERO, &change).unwrap(), Handled::Ignored);
    // The same whole again, as another server would send it: an answer, but no change.
    let mut other = Server::new(8);
    other.set_port(port(1, 200));
    agent.set_devices([id(1)]);
    assert_eq!(exchange(&mut other, &mut agent, Duration::ZERO), [Handled::Applied(vec![])]);
}

#[test]
fn a_lost_change_shows_at_the_next_or_after_silence() {
    let mut server = server(&[port(1, 100)]);
    let mut agent = agent(&[1]);
    exchange(&mut server, &mut agent, Duration::ZERO);
    server.set_port(port(1, 200));
    server.poll_transmit().unwrap();
    server.set_port(port(1, 300));
    let handled = exchange(&mut server, &mut agent, Duration::ZERO);
    assert_eq!(handled, [Handled::OutOfStep, Handled::Applied(vec![id(1)])]);
    assert!(holds(&agent, &[port(1, 300)]));

    server.set_port(port(1, 400));
    server.poll_transmit().unwrap();
    assert!(agent.poll_transmit(Duration::from_secs(9)).is_none());
    let handled = exchange(&mut server, &mut agent, Duration::from_secs(10));
    assert_eq!(handled, [Handled::Applied(vec![id(1)])]);
    let handled = exchange(&mut server, &mut agent, Duration::from_secs(20));
    assert_eq!(handled, [Handled::Settled], "silence costs an answer without ports");
}

#[test]
fn a_server_that_does_not_know_takes_nothing_away() {
    let mut agent = Agent::new(CONFIG, "compute-01".parse().unwrap(), [port(1, 100)]);
    agent.set_devices([id(1)]);
    let handled = exchange(&mut Server::silent(), &mut agent, Duration::ZERO);
    assert_eq!(handled, [Handled::Nothing]);
    assert!(holds(&agent, &[port(1, 100)]) && !agent.is_synced());
}

#[test]
fn changes_of_a_server_that_was_left_are_ignored() {
    let (mut old, mut new) = (server(&[port(1, 100)]), Server::new(8));
    new.set_port(port(1, 200));
    let mut agent = agent(&[1]);
    exchange(&mut old, &mut agent, Duration::ZERO);
    agent.set_devices([id(1)]);
    exchange(&mut new, &mut agent, Duration::ZERO);
    old.set_port(port(1, 300));
    let (_, change) = old.poll_transmit().unwrap();
    assert_eq!(agent.handle(Duration::ZERO, &change).unwrap(), Handled::Ignored);
    assert!(holds(&agent, &[port(1, 200)]));
}

#[test]
fn unanswered_questions_are_repeated_with_growing_pauses() {
    let mut agent = agent(&[1]);
    let mut asked = Vec::new();
    for second in 0..=40 {
        if agent.poll_transmit(Duration::from_secs(second)).is_some() {
            asked.push(second);
        }
    }
    assert_eq!(asked, [0, 1, 3, 7, 15, 25, 35]);
}

#[test]
fn what_is_no_message_is_refused_and_changes_nothing() {
    let mut server = server(&[port(1, 100)]);
    let mut agent = agent(&[1]);
    let question = agent.poll_transmit(Duration::ZERO).unwrap();
    for cut in 0..question.len() {
        assert!(server.handle(HOST, &question[..cut]).is_err(), "cut at {cut}");
    }
    server.handle(HOST, &question).unwrap();
    let (_, answer) = server.poll_transmit().unwrap();
    for cut in 0..answer.len() {
        assert!(agent.handle(Duration::ZERO, &answer[..cut]).is_err(), "cut at {cut}");
    }
    assert!(holds(&agent, &[]));
    agent.handle(Duration::ZERO, &answer).unwrap();
    let deep = ["{\"whole\":".repeat(10_000), "}".repeat(10_000)].concat();
    assert!(agent.handle(Duration::ZERO, deep.as_bytes()).is_err());
    let many: Vec<_> = (0..=16_384u32).map(|number| Uuid::from_bits(number.into()).to_string()).collect();
    let many = serde_json::json!({"ask": {"nonce": 1, "host": "h", "devices": many}}).to_string();
    assert!(matches!(server.handle(HOST, many.as_bytes()), Err(WiringError::Devices(16_385))));
    assert!(holds(&agent, &[port(1, 100)]));
}

#[test]
fn unknown_fields_and_types_stop_nobody() {
    let mut agent = agent(&[1, 2]);
    agent.poll_transmit(Duration::ZERO).unwrap();
    let mut first = serde_json::to_value(port(1, 100)).unwrap();
    first["speed"] = 10.into();
    let mut second = serde_json::to_value(port(2, 100)).unwrap();
    second["network"]["type"] = "geneve".into();
    let whole = serde_json::json!({"whole": {"nonce": 1, "new": [], "at": {"stream": 1, "number": 0},
        "ports": [first, second]}});
    agent.handle(Duration::ZERO, whole.to_string().as_bytes()).unwrap();
    let kinds: Vec<_> = agent.ports().map(|port| port.network.kind).collect();
    assert_eq!(kinds, [NetworkKind::Vlan, NetworkKind::Other]);
}

#[test]
fn forgotten_agents_cost_nothing() {
    let mut server = server(&[port(1, 100)]);
    let mut agent = agent(&[1]);
    exchange(&mut server, &mut agent, Duration::ZERO);
    server.forget(HOST);
    server.set_port(port(1, 200));
    assert_eq!(server.poll_transmit(), None);
    assert!(format!("{server:?}").contains("concerned: {}"));
}

#[test]
fn what_messages_cost() {
    let ports: Vec<_> = (1..=20).map(|number| port(number, 100)).collect();
    let mut server = server(&ports);
    let mut agent = agent(&(1..=20).collect::<Vec<_>>());
    let question = agent.poll_transmit(Duration::ZERO).unwrap();
    server.handle(HOST, &question).unwrap();
    let (_, whole) = server.poll_transmit().unwrap();
    server.set_port(port(1, 200));
    let (_, change) = server.poll_transmit().unwrap();
    let sizes = [question.len(), whole.len(), change.len()];
    // The README's figures: 20 devices asked for, 20 ports told, one of them changed.
    println!("{sizes:?}");
    assert!(sizes[0] < 1000 && sizes[1] < 8000 && sizes[2] < 500, "{sizes:?}");
}

/// Two servers that know the same, an agent that talks to either, and a way that loses and repeats.
#[test]
fn random_losses_and_repetitions_end_in_step_and_apply_nothing_twice() {
    for seed in 0..50 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut servers = [1, 2].map(Server::new);
        let mut agent = agent(&[1, 2, 3]);
        let mut now = Duration::ZERO;
        let mut to_agent: Vec<Vec<u8>> = Vec::new();
        for step in 0..400 {
            let is_quiet = step >= 300;
            now += Duration::from_millis(300);
            if !is_quiet && random.bool() {
                let (number, vlan) = (random.u8(1..6), random.u32(100..104));
                let goes = random.u8(..4) == 0;
                for server in &mut servers {
                    if goes { server.remove_port(id(number)) } else { server.set_port(port(number, vlan)) }
                }
            }
            let is_lost = |random: &mut fastrand::Rng| !is_quiet && random.u8(..5) == 0;
            // Which server hears the agent changes now and then.
            if let Some(bytes) = agent.poll_transmit(now).filter(|_| !is_lost(&mut random)) {
                servers[usize::from(random.u8(..8) == 0)].handle(HOST, &bytes).unwrap();
            }
            for server in &mut servers {
                while let Some((_, bytes)) = server.poll_transmit() {
                    let copies = if is_lost(&mut random) { 0 } else { 1 + usize::from(random.u8(..8) == 0) };
                    to_agent.extend(std::iter::repeat_n(bytes, copies));
                }
            }
            for bytes in to_agent.drain(..) {
                let before: Vec<_> = agent.ports().cloned().collect();
                if let Handled::Applied(changed) = agent.handle(now, &bytes).unwrap() {
                    assert_eq!(changed.is_empty(), holds(&agent, &before), "seed {seed}, step {step}");
                }
            }
        }
        let truth: Vec<_> = (1..=3).filter_map(|number| servers[0].port(id(number)).cloned()).collect();
        assert!(holds(&agent, &truth), "seed {seed}");
    }
}
