//! A port of the dummy datapath: a Unix stream of big-endian lengths and frames.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;

/// Our end of a port.
#[derive(Debug)]
pub(crate) struct Stream {
    socket: UnixStream,
    received: Vec<u8>,
}

impl Stream {
    pub(crate) fn new(socket: UnixStream) -> Self {
        socket.set_nonblocking(true).unwrap();
        Self { socket, received: Vec::new() }
    }

    pub(crate) fn send(&mut self, frame: &[u8]) {
        let mut message = u16::try_from(frame.len()).unwrap().to_be_bytes().to_vec();
        message.extend_from_slice(frame);
        self.socket.write_all(&message).unwrap();
    }

    /// The whole frames that have arrived; `None` if there are none.
    pub(crate) fn frames(&mut self) -> Option<Vec<Vec<u8>>> {
        let mut chunk = [0; 65_536];
        loop {
            match self.socket.read(&mut chunk) {
                Ok(0) => panic!("ovs-vswitchd closed a port"),
                Ok(read) => self.received.extend_from_slice(&chunk[..read]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("reading from a port: {error}"),
            }
        }
        let mut frames = Vec::new();
        while let Some((length, rest)) = self.received.split_first_chunk() {
            let Some(frame) = rest.get(..usize::from(u16::from_be_bytes(*length))) else { break };
            frames.push(frame.to_vec());
            self.received.drain(..2 + frames.last().map_or(0, Vec::len));
        }
        (!frames.is_empty()).then_some(frames)
    }
}
