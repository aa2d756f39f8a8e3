//! Servers, agents and brokers that fail, from a seed: filters never open, nothing is applied twice,
//! and in the end everyone holds what is true.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may panic")]

mod common;

use std::time::Duration;

use common::rabbit;
use sg_bus::cloud::Cloud;
use sg_bus::soak::{Fault, Keeps, Options, run};
use sg_bus::transport::{amqp::Amqp, any::Any, mem::Mem};

const fn ms(number: u64) -> Duration {
    Duration::from_millis(number)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn within_a_process_every_seed_ends_in_step() {
    for seed in 1..=3 {
        let cloud = Cloud { ports: 60, hosts: 12, groups: 4 };
        let mut options =
            Options { cloud, servers: 1, rate: 200, length: ms(3000), faults: Vec::new(), seed };
        options.faults = Fault::plan(&options, ms(300), false);
        let report = run(&Any::Mem(Mem::default()), None, &options, |_| {}).await;
        let report = report.unwrap_or_else(|error| panic!("seed {seed}: {error:#}"));
        assert!(report.servers_killed > 0 && report.agents_restarted > 0, "{report:?}");
        assert!(report.deltas > 0 && report.heals > 0 && report.wired > 12, "{report:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_and_many_agents_survive_the_loss_of_a_server_and_of_the_broker() {
    let Some(mut rabbit) = rabbit().await else { return };
    let transport = Any::Amqp(Amqp::new(&rabbit.uri()).unwrap());
    let faults = vec![
        (ms(1000), Fault::KillServer(0)),
        (ms(2500), Fault::RestartAgent(3, Keeps::Nothing)),
        (ms(3000), Fault::RestartBroker),
        (ms(3500), Fault::RestartAgent(5, Keeps::Filter)),
        (ms(4000), Fault::KillServer(1)),
    ];
    let cloud = Cloud { ports: 90, hosts: 30, groups: 6 };
    let options = Options { cloud, servers: 2, rate: 50, length: ms(6000), faults, seed: 42 };
    let report = run(&transport, Some(&mut rabbit), &options, |_| {}).await.unwrap();
    assert_eq!((report.servers_killed, report.broker_restarts), (2, 1), "{report:?}");
    assert_eq!(report.agents_restarted, 2, "{report:?}");
    assert!(report.deltas > 0 && report.wired > 30, "{report:?}");
}
