//! Server and agents: what a change costs, and what every fault comes to.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may panic")]

mod sync {
    pub(crate) mod net;
}

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use secgroup_rpc::sync::{Agent, AgentConfig, AgentId, Handled, Server, SyncError, named_devices};
use secgroup_rpc::{
    Device, Direction, Family, Info, IpSpec, List, Member, MemberSet, Members, Message, Remote, Rule, Uuid,
};
use sync::net::{Faults, Network};

const NOW: Duration = Duration::ZERO;
const ME: AgentId = AgentId(1);
const PORT: Uuid = Uuid([1; 16]);
const GROUP: Uuid = Uuid([2; 16]);

fn bare(address: impl Into<IpAddr>) -> Member {
    Member { address: IpSpec::Host(address.into()), mac: None }
}

fn v4(low: u16) -> Member {
    bare(Ipv4Addr::from(0x0A00_0000 | u32::from(low)))
}

fn device(id: Uuid, groups: &[Uuid]) -> Device {
    Device {
        groups: groups.iter().copied().collect::<List<_, 2>>(),
        ..Device::new(id, "fa:16:3e:00:00:01".parse().unwrap())
    }
}

/// A rule that admits the members of `group`.
fn admit(group: Uuid) -> Rule {
    Rule { remote: Some(Remote::Group(group)), ..Rule::any(Direction::Ingress, Family::V4) }
}

/// A server with one port in one group of `members` members that admits itself.
fn server(members: u16) -> Server {
    let mut server = Server::new(0xE90C);
    let addresses = (0..members).map(|low| Ipv4Addr::from(0x0A00_0000 + u32::from(low) * 61)).collect();
    server.set_members(MemberSet {
        v4: Some(Members { addresses, ..Members::default() }),
        ..MemberSet::new(GROUP)
    });
    server.set_rules(GROUP, vec![admit(GROUP)]);
    server.set_device(device(PORT, &[GROUP]));
    server
}

fn synced(server: &mut Server) -> Agent {
    let mut agent = Agent::new(AgentConfig::default(), [PORT]);
    exchange(server, &mut agent, NOW);
    assert_eq!(agent.info(), server.info_for([PORT]));
    agent
}

/// Delivers everything in both directions until nothing is due; how many bytes the server sent.
fn exchange(server: &mut Server, agent: &mut Agent, now: Duration) -> usize {
    let mut bytes = 0;
    for _ in 0..10 {
        while let Some(message) = agent.poll_transmit(now) {
            server.handle(ME, &message).unwrap();
        }
        while let Some((_, message)) = server.poll_transmit() {
            bytes += message.len();
            agent.handle(now, &message).unwrap();
        }
    }
    bytes
}

fn next(server: &mut Server) -> Vec<u8> {
    server.poll_transmit().unwrap().1
}

#[test]
fn one_member_more_or_less_costs_at_most_sixteen_bytes() {
    let mut server = server(1000);
    let mut agent = synced(&mut server);
    for low in [0x0001, 0x7FFF, 0xEE00, 0xFFFF] {
        server.add_member(GROUP, v4(low));
        let message = next(&mut server);
        assert!(message.len() <= 16, "adding {low}: {} bytes", message.len());
        assert!(matches!(agent.handle(NOW, &message), Ok(Handled::Applied(_))));
        server.remove_member(GROUP, v4(low));
        let message = next(&mut server);
        assert!(message.len() <= 14, "removing {low}: {} bytes", message.len());
        assert!(matches!(agent.handle(NOW, &message), Ok(Handled::Applied(_))));
    }
    assert_eq!(agent.info(), server.info_for([PORT]));
}

#[test]
fn an_ipv6_member_with_an_address_from_its_mac_costs_at_most_sixteen_bytes_too() {
    let mut server = server(0);
    let slaac = |low: u32| Ipv6Addr::from(0x2001_0DB8_0000_0000_F816_3EFF_FE00_0000 | u128::from(low));
    let addresses = (0..1000).map(|number| slaac(number * 16_001)).collect();
    server.set_members(MemberSet {
        v4: Some(Members::default()),
        v6: Some(Members { addresses, ..Members::default() }),
        ..MemberSet::new(GROUP)
    });
    let mut agent = synced(&mut server);
    server.add_member(GROUP, bare(slaac(8_000_000)));
    let message = next(&mut server);
    assert!(message.len() <= 16, "{} bytes", message.len());
    agent.handle(NOW, &message).unwrap();
    assert_eq!(agent.info(), server.info_for([PORT]));
}

#[test]
fn changes_coalesce_into_one_delta_and_opposite_ones_cancel() {
    let mut server = server(100);
    let mut agent = synced(&mut server);
    (0x8000..0x8010).for_each(|low| server.add_member(GROUP, v4(low)));
    let message = next(&mut server);
    assert!(message.len() < 60 && server.poll_transmit().is_none());
    agent.handle(NOW, &message).unwrap();

    server.add_member(GROUP, v4(0x9000));
    server.remove_member(GROUP, v4(0x9000));
    server.remove_member(GROUP, v4(0x8000));
    server.add_member(GROUP, v4(0x8000));
    assert!(server.poll_transmit().is_none());
    assert_eq!(server.counters().cancelled, 1);
    assert_eq!(agent.info(), server.info_for([PORT]));
}

#[test]
fn only_agents_that_care_are_told() {
    let mut server = server(10);
    let mut agent = synced(&mut server);
    let (port, group) = (Uuid([7; 16]), Uuid([8; 16]));
    server.set_device(device(port, &[group]));
    server.set_rules(group, vec![admit(group)]);
    server.add_member(group, v4(1));
    assert!(server.poll_transmit().is_none());

    // Now the rules of the agent's group name the other one.
    server.set_rules(GROUP, vec![admit(GROUP), admit(group)]);
    exchange(&mut server, &mut agent, NOW);
    assert!(agent.member_set(group).is_some() && agent.device(port).is_none());
    assert_eq!(agent.info(), server.info_for([PORT]));

    // And no longer.
    server.set_rules(GROUP, vec![admit(GROUP)]);
    exchange(&mut server, &mut agent, NOW);
    assert!(agent.member_set(group).is_none());
}

#[test]
fn a_lost_delta_is_noticed_by_the_next_and_healed_in_one_exchange() {
    let mut server = server(100);
    let mut agent = synced(&mut server);
    server.add_member(GROUP, v4(0x8000));
    drop(next(&mut server));
    server.add_member(GROUP, v4(0x8001));
    assert_eq!(agent.handle(NOW, &next(&mut server)), Ok(Handled::Early));
    assert!(agent.poll_transmit(NOW).is_none(), "it may only be late");
    let later = agent.poll_timeout();
    let heal = exchange(&mut server, &mut agent, later);
    assert_eq!(agent.info(), server.info_for([PORT]));
    let set = Info { members: vec![agent.member_set(GROUP).unwrap().clone()], ..Info::default() };
    let alone = Message::Info(set).encode().len();
    assert!(heal < alone + 40, "the set alone takes {alone} bytes, the heal {heal}");
    assert_eq!(agent.counters().syncs, 2);
}

#[test]
fn a_late_delta_needs_no_exchange() {
    let mut server = server(100);
    let mut agent = synced(&mut server);
    let messages: Vec<_> = (0x8000..0x8004)
        .map(|low| {
            server.add_member(GROUP, v4(low));
            next(&mut server)
        })
        .collect();
    for late in [3, 1, 2] {
        assert_eq!(agent.handle(NOW, &messages[late]), Ok(Handled::Early));
    }
    assert!(matches!(agent.handle(NOW, &messages[0]), Ok(Handled::Applied(keys)) if keys.len() == 4));
    assert_eq!(agent.handle(NOW, &messages[2]), Ok(Handled::Duplicate));
    assert_eq!((agent.info(), agent.counters().syncs), (server.info_for([PORT]), 1));
}

#[test]
fn the_loss_of_the_last_delta_is_found_by_a_check_after_silence() {
    let mut server = server(100);
    let mut agent = synced(&mut server);
    server.add_member(GROUP, v4(0x8000));
    drop(next(&mut server));
    let silence = agent.poll_timeout();
    assert_eq!(silence, AgentConfig::default().keepalive);
    exchange(&mut server, &mut agent, silence);
    assert_eq!(agent.info(), server.info_for([PORT]));
    assert_eq!(agent.counters().checks, 1);

    // Without a loss the check costs two bytes.
    let silence = agent.poll_timeout();
    assert_eq!(exchange(&mut server, &mut agent, silence), 2);
}

#[test]
fn every_truncation_and_every_flipped_bit_of_a_delta_leaves_the_state_as_it_was() {
    let mut server = server(300);
    let agent = synced(&mut server);
    server.add_member(GROUP, v4(0x8000));
    server.add_member(GROUP, v4(0x8123));
    server.set_device(device(PORT, &[GROUP, Uuid([9; 16])]));
    let message = next(&mut server);
    let before = agent.info();
    for cut in 0..message.len() {
        let mut agent = agent.clone();
        assert!(agent.handle(NOW, &message[..cut]).is_err(), "cut at {cut}");
        assert_eq!(agent.info(), before);
        assert!(agent.poll_transmit(NOW).is_some(), "a sync is due");
    }
    for bit in 0..message.len() * 8 {
        let (mut agent, mut flipped) = (agent.clone(), message.clone());
        flipped[bit / 8] ^= 1 << (bit % 8);
        // A bit that no filter needs, such as the shape of members in JSON, may be either.
        let expected = match agent.handle(NOW, &flipped) {
            Ok(Handled::Applied(_)) => server.info_for([PORT]),
            _ => before.clone(),
        };
        assert_eq!(agent.info(), expected, "bit {bit}");
    }
}

#[test]
fn a_restarted_agent_that_remembers_is_sent_the_difference_only() {
    let mut server = server(1000);
    let agent = synced(&mut server);
    let remembered = agent.info();
    server.add_member(GROUP, v4(0x8000));
    server.set_device(Device { port_security: Some(false), ..device(PORT, &[GROUP]) });

    let mut restarted = Agent::restore(AgentConfig::default(), [PORT], remembered);
    assert!(!restarted.is_synced());
    exchange(&mut server, &mut restarted, NOW);
    assert!(restarted.is_synced());
    assert_eq!(restarted.info(), server.info_for([PORT]));
    let mut unchanged = Agent::restore(AgentConfig::default(), [PORT], restarted.info());
    assert!(exchange(&mut server, &mut unchanged, NOW) < 20);
}

#[test]
fn a_restarted_server_with_the_same_model_sends_next_to_nothing() {
    let mut first = server(1000);
    let mut agent = synced(&mut first);
    let mut second = Server::new(0x5EC0);
    second.replace(first.info());
    let silence = agent.poll_timeout();
    assert!(exchange(&mut second, &mut agent, silence) < 25);
    second.add_member(GROUP, v4(0x8000));
    exchange(&mut second, &mut agent, silence);
    assert_eq!(agent.info(), second.info_for([PORT]));
}

#[test]
fn deltas_of_another_servers_stream_are_ignored() {
    let (mut ours, mut theirs) = (server(10), Server::new(0x0BAD));
    theirs.replace(ours.info());
    let mut agent = synced(&mut ours);
    let mut other = synced(&mut theirs);
    theirs.add_member(GROUP, v4(0x8000));
    let foreign = next(&mut theirs);
    assert_eq!(agent.handle(NOW, &foreign), Ok(Handled::Stale));
    assert!(agent.poll_transmit(NOW).is_none());
    assert!(other.handle(NOW, &foreign).is_ok());
    assert_eq!(agent.info(), ours.info_for([PORT]));
}

#[test]
fn an_agent_that_slept_through_more_changes_than_are_kept_gets_the_set() {
    let mut server = server(10);
    let mut agent = synced(&mut server);
    for round in 0..3 {
        (0..5000).for_each(|low| server.add_member(GROUP, v4(low * 3 + round)));
    }
    exchange(&mut server, &mut agent, NOW);
    assert_eq!(agent.info(), server.info_for([PORT]));
}

#[test]
fn a_newer_agent_is_answered_in_our_format_and_unknown_extensions_are_skipped() {
    let mut server = server(10);
    let mut agent = Agent::new(AgentConfig::default(), [PORT]);
    let mut newer = agent.poll_transmit(NOW).unwrap();
    newer[0] = newer[0] & 0x0F | 7 << 4;
    newer.extend([0x2A, 3, 1, 2, 3]);
    server.handle(ME, &newer).unwrap();
    let mut heal = next(&mut server);
    heal.extend([0x80, 0x01, 0]);
    assert!(matches!(agent.handle(NOW, &heal), Ok(Handled::Applied(_))));

    server.add_member(GROUP, v4(0x8000));
    let mut delta = next(&mut server);
    delta.extend([5, 2, 0xFF, 0xFF]);
    assert!(matches!(agent.handle(NOW, &delta), Ok(Handled::Applied(_))));
    assert_eq!(agent.info(), server.info_for([PORT]));

    delta[0] = delta[0] & 0x0F | 2 << 4;
    assert_eq!(agent.handle(NOW, &delta), Err(SyncError::Version { found: 2, newest: 1 }));
}

#[test]
fn a_message_cannot_make_the_state_larger_than_the_limits() {
    // Reading a set counts its addresses twice, in the pool and in the set.
    let mut server = server(100);
    let mut config = AgentConfig::default();
    config.limits.members = 200;
    let mut agent = Agent::new(config, [PORT]);
    exchange(&mut server, &mut agent, NOW);
    let mut low = 0xFFFF;
    let refused = loop {
        server.add_member(GROUP, v4(low));
        low -= 1;
        match agent.handle(NOW, &next(&mut server)) {
            Ok(_) => assert_eq!(agent.info(), server.info_for([PORT])),
            Err(error) => break error,
        }
    };
    assert_eq!(refused, SyncError::Limit { what: "members", limit: 200 });
    assert_eq!(agent.member_set(GROUP).unwrap().len(), 200);
}

#[test]
fn a_sync_that_gets_no_answer_is_repeated_with_growing_pauses() {
    let mut agent = Agent::new(AgentConfig::default(), [PORT]);
    let mut sent = Vec::new();
    let mut now = NOW;
    for _ in 0..8 {
        assert!(agent.poll_transmit(now).is_some());
        assert!(agent.poll_transmit(now).is_none());
        sent.push(now.as_secs());
        now = agent.poll_timeout();
    }
    assert_eq!(sent, [0, 1, 3, 7, 15, 31, 61, 91]);
}

/// A million changes (fewer in a debug build) over a network that loses, repeats, delays, cuts and
/// corrupts, between two servers' restarts and the agents' own.
#[test]
fn any_faults_end_in_equal_states_with_bounded_traffic() {
    let changes = std::env::var("CHANGES").map_or(20_000, |changes| changes.parse().unwrap());
    let report = Network::new(0x5EED, Faults::HEAVY).run(changes);
    println!("{report:#?}");
    assert!(report.applied > 0 && report.refused > 0 && report.restarts > 0);
    assert!(report.bytes_per_change() < 400.0, "{} bytes", report.bytes_per_change());

    let calm = Network::new(0x5EED, Faults::NONE).run(changes / 10);
    assert_eq!((calm.refused, calm.syncs), (0, calm.agents as u64));
}

#[test]
fn addresses_stay_a_set_whatever_happens() {
    let mut server = server(0);
    let mut agent = synced(&mut server);
    let mut expected = BTreeSet::new();
    for step in 0..2000u32 {
        let low = (step.wrapping_mul(2_654_435_761) >> 20) as u16;
        if expected.insert(low) {
            server.add_member(GROUP, v4(low));
        } else {
            expected.remove(&low);
            server.remove_member(GROUP, v4(low));
        }
        if step % 7 == 0 {
            exchange(&mut server, &mut agent, NOW);
        }
    }
    exchange(&mut server, &mut agent, NOW);
    let held: Vec<_> = agent.member_set(GROUP).unwrap().members(Family::V4).collect();
    assert_eq!(held, expected.into_iter().map(v4).collect::<Vec<_>>());
}

#[test]
fn the_devices_of_a_sync_can_be_told_without_a_server() {
    let mut agent = Agent::new(AgentConfig::default(), [PORT, GROUP]);
    let sync = agent.poll_transmit(NOW).unwrap();
    assert_eq!(named_devices(&sync), Ok(Some(vec![PORT, GROUP])));
    let mut server = server(3);
    let mut agent = synced(&mut server);
    let check = agent.poll_transmit(Duration::from_secs(30)).unwrap();
    assert_eq!(named_devices(&check), Ok(None));
    let heal = {
        let mut agent = Agent::new(AgentConfig::default(), [PORT]);
        server.handle(ME, &agent.poll_transmit(NOW).unwrap()).unwrap();
        next(&mut server)
    };
    assert!(matches!(named_devices(&heal), Err(SyncError::Kind { .. })));
}
