//! Servers and agents over TLS: who gets in, and who does not.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may panic")]

mod common;

use std::time::Duration;

use common::{PATIENCE, Watched, cloud, group, member, port, watched};
use sg_bus::credentials::{Made, Token, acceptor, connector};
use sg_bus::server::{self, ServerHandle};
use sg_bus::transport::tcp::{Side, Tcp, serve_on};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;

const WRONG: &str = "a-token-of-somebody-else";

/// A server for `localhost`, and what its agents know.
struct Place {
    made: Made,
    address: String,
    handle: ServerHandle,
    _task: JoinHandle<()>,
}

impl Place {
    async fn new() -> Self {
        let made = Made::new(&["localhost".into()]).unwrap();
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap().to_string();
        let tls = acceptor(made.certificate.as_bytes(), made.key.as_bytes()).unwrap();
        let end = serve_on(socket, tls, Token::new(&made.token).unwrap());
        let (handle, task) = server::start(cloud(1, 8, 4), end);
        Self { made, address, handle, _task: task }
    }

    /// An agent's side that trusts `authority`, expects `name` and says `token`.
    fn side(&self, authority: &str, name: &str, token: &str) -> Tcp {
        let tls = connector(authority.as_bytes()).unwrap();
        let side = Side::Agent(tls, Some(name.into()));
        Tcp { addresses: vec![self.address.clone()], token: Token::new(token).unwrap(), side }
    }

    fn right(&self) -> Tcp {
        self.side(&self.made.authority, "localhost", &self.made.token)
    }

    /// A connection that has introduced itself, for what no agent of ours would send.
    async fn raw(&self) -> TlsStream<TcpStream> {
        let tls = connector(self.made.authority.as_bytes()).unwrap();
        let stream = TcpStream::connect(&self.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = tls.connect(name, stream).await.unwrap();
        let hello = format!("sg-bus 1\nraw\n{}", self.made.token);
        send(&mut stream, hello.len() as u32, hello.as_bytes()).await;
        let mut welcome = [0; 11];
        stream.read_exact(&mut welcome).await.unwrap();
        assert_eq!(&welcome[4..], b"welcome");
        stream
    }

    /// The server still serves.
    async fn serves(&self) {
        let mut agent = watched(&self.right(), "still-there", vec![port(1)]).await;
        let known = self.handle.with(|server| server.info_for([port(1)])).await.unwrap();
        agent.reaches(&known).await;
    }
}

async fn send(stream: &mut TlsStream<TcpStream>, len: u32, bytes: &[u8]) {
    stream.write_all(&len.to_le_bytes()).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream.flush().await.unwrap();
}

/// Waits until the agent lost the server for a reason that says `expected`.
async fn is_refused(agent: &Watched, expected: &str) {
    let refused = async {
        loop {
            if let Some(why) = agent.log.lock().unwrap().lost.first() {
                return why.clone();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let why = tokio::time::timeout(PATIENCE, refused).await.unwrap();
    assert!(why.contains(expected), "{why}");
    assert_eq!(agent.log.lock().unwrap().connected, 0);
}

#[tokio::test]
async fn snapshots_and_deltas_travel_over_tls() {
    let place = Place::new().await;
    let mut agent = watched(&place.right(), "one", vec![port(0), port(5)]).await;
    let known = place.handle.with(|server| server.info_for([port(0), port(5)])).await.unwrap();
    agent.reaches(&known).await;
    for low in 1000..1020 {
        let changed = place.handle.with(move |server| {
            server.add_member(group(0), member(low));
            server.info_for([port(0), port(5)])
        });
        agent.reaches(&changed.await.unwrap()).await;
    }
    assert_eq!(place.handle.with(|server| server.counters().heals).await.unwrap(), 1);
    agent.applied_nothing_twice();
}

#[tokio::test]
async fn a_wrong_token_is_refused() {
    let place = Place::new().await;
    let intruder = watched(&place.side(&place.made.authority, "localhost", WRONG), "x", vec![port(0)]).await;
    is_refused(&intruder, "wrong token").await;
    assert_eq!(place.handle.counters().await.unwrap().0.requests, 0);
}

#[tokio::test]
async fn a_server_with_another_name_is_refused() {
    let place = Place::new().await;
    let other = place.side(&place.made.authority, "server.example.org", &place.made.token);
    is_refused(&watched(&other, "x", vec![port(0)]).await, "not valid for name").await;
}

#[tokio::test]
async fn a_server_of_another_authority_is_refused() {
    let place = Place::new().await;
    let other = Made::new(&["localhost".into()]).unwrap();
    let other = place.side(&other.authority, "localhost", &place.made.token);
    is_refused(&watched(&other, "x", vec![port(0)]).await, "certificate").await;
}

#[tokio::test]
async fn oversize_and_senseless_frames_cost_the_connection_and_nothing_else() {
    let place = Place::new().await;
    let mut rest = Vec::new();
    // A length beyond the bound: hung up on at once.
    let mut stream = place.raw().await;
    send(&mut stream, u32::MAX, b"").await;
    let hung_up = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await.unwrap();
    assert!(hung_up.is_err() || rest.is_empty());
    // No message: refused and counted, and the connection may go on.
    let mut stream = place.raw().await;
    send(&mut stream, 5, b"\xFFjunk").await;
    let counted = async {
        while place.handle.counters().await.unwrap().0.refused == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, counted).await.unwrap();
    place.serves().await;
}

#[tokio::test]
async fn an_introduction_without_end_is_refused() {
    let place = Place::new().await;
    let tls = connector(place.made.authority.as_bytes()).unwrap();
    let stream = TcpStream::connect(&place.address).await.unwrap();
    let mut stream = tls.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
    send(&mut stream, 1 << 20, &[b'x'; 4096]).await;
    let mut rest = Vec::new();
    _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await.unwrap();
    assert_eq!(rest, b"");
    place.serves().await;
}
