//! What holds whatever the transport is, tried within the process.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may panic")]

mod common;

use std::time::Duration;

use common::{PATIENCE, cloud, config, device, group, member, port, watched};
use secgroup_rpc::sync::Agent;
use sg_bus::server;
use sg_bus::transport::{FromServer, Transport, mem::Mem};
use tokio::time::{Instant, timeout};

#[tokio::test]
async fn an_agent_gets_only_the_groups_that_its_devices_name() {
    let mem = Mem::default();
    let (server, _task) = server::start(cloud(1, 12, 4), mem.serve().await.unwrap());
    let mut agent = watched(&mem, "one", vec![port(1), port(5)]).await;
    let known = server.with(|server| server.info_for([port(1), port(5)])).await.unwrap();
    agent.reaches(&known).await;
    assert_eq!(known.devices.len(), 2);
    assert_eq!(known.groups.iter().map(|group| group.id).collect::<Vec<_>>(), [group(1)]);
    assert_eq!(known.members.iter().map(|set| set.id).collect::<Vec<_>>(), [group(1)]);

    // Changes elsewhere are not told to it at all.
    let sent = server.counters().await.unwrap().0.sent;
    server.with(|server| server.add_member(group(2), member(77))).await.unwrap();
    tokio::time::sleep(server::LINGER * 10).await;
    assert_eq!(server.counters().await.unwrap().0.sent, sent);

    // A port that moves into another group brings that group along.
    let moved = server.with(|server| {
        server.set_device(device(5, &[group(3)]));
        server.info_for([port(1), port(5)])
    });
    let moved = moved.await.unwrap();
    agent.reaches(&moved).await;
    assert!(moved.group(group(3)).is_some());

    // And devices that the agent drops take theirs along.
    agent.devices.send_replace(vec![port(1)]);
    let rest = server.with(|server| server.info_for([port(1)])).await.unwrap();
    agent.reaches(&rest).await;
    agent.applied_nothing_twice();
}

#[tokio::test]
async fn an_agent_that_does_not_read_costs_a_bounded_queue_and_then_a_heal() {
    let mem = Mem::default();
    let (server, _task) = server::start(cloud(1, 4, 2), mem.serve().await.unwrap());
    let mut other = watched(&mem, "diligent", vec![port(0)]).await;
    let mut slow = mem.join(&"slow".parse().unwrap()).await.unwrap();
    let mut agent = Agent::new(config(), [port(0)]);
    slow.outbox.send(agent.poll_transmit(Duration::ZERO).unwrap()).await.unwrap();

    let mut low = 1000;
    let given_up = async {
        while server.counters().await.unwrap().0.given_up == 0 {
            low += 1;
            server.with(move |server| server.add_member(group(0), member(low))).await.unwrap();
            tokio::time::sleep(server::LINGER).await;
        }
    };
    timeout(PATIENCE, given_up).await.unwrap();
    let known = server.with(|server| server.info_for([port(0)])).await.unwrap();
    other.reaches(&known).await;
    // Nothing more is kept for it from here on.
    server.with(|server| server.add_member(group(0), member(1))).await.unwrap();
    let known = server.with(|server| server.info_for([port(0)])).await.unwrap();
    other.reaches(&known).await;
    assert_eq!(server.counters().await.unwrap().1, 1, "only the diligent agent can be reached");

    // It wakes up: what waited is a few hundred messages, then a check finds out, and a heal mends.
    let start = Instant::now();
    let heals = server.with(|server| server.counters().heals).await.unwrap();
    let woken = async {
        while agent.info() != known {
            let due = start + agent.poll_timeout();
            tokio::select! {
                said = slow.inbox.recv() => if let FromServer::Said(bytes) = said.unwrap() {
                    _ = agent.handle(start.elapsed(), &bytes);
                },
                () = tokio::time::sleep_until(due) => {}
            }
            while let Some(bytes) = agent.poll_transmit(start.elapsed()) {
                slow.outbox.send(bytes).await.unwrap();
            }
        }
    };
    timeout(PATIENCE, woken).await.unwrap();
    assert_eq!(server.with(|server| server.counters().heals).await.unwrap(), heals + 1);
    assert!(agent.counters().deltas <= 3 * sg_bus::transport::QUEUE as u64, "{:?}", agent.counters());
}

#[tokio::test]
async fn agents_follow_to_the_next_server_and_keep_their_filter_meanwhile() {
    let mem = Mem::default();
    let (first, task) = server::start(cloud(1, 6, 2), mem.serve().await.unwrap());
    let mut agents = Vec::new();
    for number in 0..3 {
        agents.push(watched(&mem, "agent", vec![port(number), port(number + 3)]).await);
    }
    for (number, agent) in (0..).zip(&mut agents) {
        let known = first.with(move |server| server.info_for([port(number), port(number + 3)]));
        agent.reaches(&known.await.unwrap()).await;
    }
    task.abort();
    _ = task.await;
    // The next one knows a little more.
    let mut next = cloud(2, 6, 2);
    next.add_member(group(0), member(500));
    let (second, _task) = server::start(next, mem.serve().await.unwrap());
    for (number, agent) in (0..).zip(&mut agents) {
        let known = second.with(move |server| server.info_for([port(number), port(number + 3)]));
        agent.reaches(&known.await.unwrap()).await;
        agent.applied_nothing_twice();
        let log = agent.log.lock().unwrap();
        assert!(log.applied.iter().all(|state| state.devices.len() == 2), "never less than all");
    }
}
