//! Servers and agents around a RabbitMQ that the test starts.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may panic")]

mod common;

use std::path::Path;
use std::process::{Command, Stdio};

use common::{PATIENCE, cloud, group, member, missing, port, rabbit, watched};
use sg_bus::credentials::Made;
use sg_bus::rabbit::Rabbit;
use sg_bus::transport::{Transport, amqp::Amqp};
use sg_bus::{server, state};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_and_a_delta_reach_two_agents_through_rabbitmq() {
    let Some(rabbit) = rabbit().await else { return };
    let transport = Amqp::new(&rabbit.uri()).unwrap();
    let (server, _task) = server::start(cloud(1, 4, 2), transport.serve().await.unwrap());
    let mut even = watched(&transport, "even", vec![port(0), port(2)]).await;
    let mut odd = watched(&transport, "odd", vec![port(1)]).await;

    let known = server.with(|server| (server.info_for([port(0), port(2)]), server.info_for([port(1)])));
    let (of_even, of_odd) = known.await.unwrap();
    even.reaches(&of_even).await;
    odd.reaches(&of_odd).await;

    let changed = server.with(|server| {
        server.add_member(group(0), member(0xFF));
        server.add_member(group(1), member(0xFE));
        (server.info_for([port(0), port(2)]), server.info_for([port(1)]), server.counters().heals)
    });
    let (of_even, of_odd, heals) = changed.await.unwrap();
    even.reaches(&of_even).await;
    odd.reaches(&of_odd).await;
    let counters = server.with(|server| server.counters()).await.unwrap();
    assert_eq!((counters.heals, counters.deltas), (heals, 2), "the changes came as deltas");
    even.applied_nothing_twice();
    odd.applied_nothing_twice();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_whose_queue_is_gone_is_forgotten_and_the_others_are_not() {
    let Some(rabbit) = rabbit().await else { return };
    let transport = Amqp::new(&rabbit.uri()).unwrap();
    let (server, _task) = server::start(cloud(1, 4, 2), transport.serve().await.unwrap());
    let mut stays = watched(&transport, "stays", vec![port(0)]).await;
    let mut goes = watched(&transport, "goes", vec![port(2)]).await;
    for (agent, device) in [(&mut stays, port(0)), (&mut goes, port(2))] {
        let known = server.with(move |server| server.info_for([device])).await.unwrap();
        agent.reaches(&known).await;
    }
    assert_eq!(server.counters().await.unwrap().1, 2);
    drop(goes);
    // The broker may still hold the queue of a connection that just ended: change until it does not.
    let forgotten = async {
        for low in 1000.. {
            server.with(move |server| server.add_member(group(0), member(low))).await.unwrap();
            tokio::time::sleep(server::LINGER * 4).await;
            if server.counters().await.unwrap().1 == 1 {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, forgotten).await.unwrap();
    let known = server.with(|server| server.info_for([port(0)])).await.unwrap();
    stays.reaches(&known).await;
}

/// The command, trusting whom this file says.
fn sg_bus(authority: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sg-bus"));
    command.args(arguments).env("SSL_CERT_FILE", authority).env_remove("SSL_CERT_DIR");
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_is_reached_over_tls_by_its_name_and_with_the_right_password_alone() {
    let made = Made::new(&["localhost".into()]).unwrap();
    let Some(rabbit) = Rabbit::start_with_tls(&made).await.unwrap() else {
        return missing("rabbitmq-server");
    };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let stranger = Made::new(&["localhost".into()]).unwrap().authority;
    for (name, text) in
        [("ca.pem", made.authority), ("other.pem", stranger), ("devices", port(1).to_string())]
    {
        std::fs::write(at(name), text).unwrap();
    }
    let known = cloud(1, 4, 2);
    state::write(at("state.sg").as_ref(), &known.info()).unwrap();
    let (right, wrong) = (rabbit.tls_uri("localhost"), rabbit.tls_uri("127.0.0.1"));
    let authority = at("ca.pem");
    let mut serving = sg_bus(authority.as_ref(), &["server", "--state", &at("state.sg"), "--amqp", &right])
        .spawn()
        .unwrap();
    let filter = at("filter.sg");
    let follow = |uri| {
        ["agent", "--once", "--devices", &at("devices"), "--filter", &filter, "--amqp", uri].map(String::from)
    };
    let agent = |authority: &str, uri| {
        let arguments = follow(uri);
        sg_bus(authority.as_ref(), &arguments.each_ref().map(String::as_str))
    };
    let intruder = right.replace("guest:guest@", "guest:guess@");
    for (authority, uri, why) in [
        (&authority, &wrong, "certificate"),
        (&at("other.pem"), &right, "certificate"),
        (&authority, &intruder, "ACCESS_REFUSED"),
    ] {
        let mut refused = agent(authority, uri).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = std::io::BufRead::lines(std::io::BufReader::new(refused.stdout.take().unwrap()));
        let line = lines.next().unwrap().unwrap();
        refused.kill().unwrap();
        refused.wait().unwrap();
        assert!(line.starts_with("no server:") && line.contains(why), "{line}");
    }
    let ended = agent(&authority, &right).output().unwrap();
    serving.kill().unwrap();
    serving.wait().unwrap();
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(state::read(filter.as_ref()).unwrap(), known.info_for([port(1)]));
}
