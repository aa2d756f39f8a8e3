//! A few frames through the switch, told line by line.

use core::time::Duration;
use std::io::{self, Write};

use firmware::{Fate, Switch};
use rrcp::wire::{Access, AuthKey, Cookie, Op, RegisterAddress, Rrcp};
use rrcp::{Frame, MacAddr6, Message};
use vlan_table::PortId;
use vlan_table::chip::Model;
use vlan_table::chip::registers::{Field, Image};

const SWITCH: MacAddr6 = MacAddr6::new(0x02, 0, 0, 0, 0, 0x5C);
const HOSTS: [MacAddr6; 2] = [MacAddr6::new(2, 0, 0, 0, 0, 1), MacAddr6::new(2, 0, 0, 0, 0, 2)];

pub(crate) fn run(out: &mut impl Write) -> io::Result<()> {
    let mut switch = Switch::new(SWITCH, 1).ok_or_else(|| io::Error::other("the reset state is invalid"))?;
    let [left, right] = HOSTS;
    let broadcast = frame(MacAddr6::broadcast(), left);
    let answer = frame(left, right);
    tell(out, &mut switch, "a broadcast after reset", 0, &broadcast)?;
    tell(out, &mut switch, "the answer", 1, &answer)?;

    // PHY0.18 with DisVLAN cleared: its data first, then the access itself.
    let mut image = Image::after_reset(Model::RTL8305SC);
    image.write(Field::VLAN_ENABLE, 1);
    let word = image.get(0, 0, 18).unwrap_or_default();
    for (register, data) in [(0x0501, word.into()), (0x0500, 1 << 14 | 18)] {
        let set = Op::Set(Access { register: RegisterAddress(register), data, cookie: Cookie([0; 8]) });
        let message = Message::Rrcp(Rrcp { key: AuthKey::DEFAULT, op: set });
        let mut bytes = [0; 60];
        Frame { dst: SWITCH, src: left, message }.emit(&[], &mut bytes).map_err(io::Error::other)?;
        if register == 0x0500 {
            tell(out, &mut switch, "VLANs on, over RRCP", 0, &bytes)?;
        } else {
            switch.receive(Duration::ZERO, PORT_0, &bytes, |_, _| {});
        }
    }
    tell(out, &mut switch, "the same broadcast", 0, &broadcast)?;
    tell(out, &mut switch, "the same answer", 1, &answer)
}

const PORT_0: PortId = PortId::new(0).unwrap();

fn tell(out: &mut impl Write, switch: &mut Switch, what: &str, port: u16, frame: &[u8]) -> io::Result<()> {
    let port = PortId::new(port).unwrap_or(PORT_0);
    match switch.receive(Duration::from_secs(1), port, frame, |_, _| {}) {
        Fate::Forwarded(ports) => writeln!(out, "{what:<35}leaves ports {ports:?}"),
        Fate::Consumed => writeln!(out, "{what:<35}is consumed"),
        Fate::Dropped(reason) => writeln!(out, "{what:<35}is dropped: {reason}"),
        Fate::Refused => writeln!(out, "{what:<35}is refused"),
    }
}

/// The shortest frame of some experiment (EtherType 0x88B5).
fn frame(dst: MacAddr6, src: MacAddr6) -> Vec<u8> {
    let mut frame = [dst.into_array(), src.into_array()].concat();
    frame.extend([0x88, 0xB5]);
    frame.resize(60, 0);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_story_is_the_one_in_the_documentation() {
        let mut told = Vec::new();
        run(&mut told).unwrap();
        let story = include_str!("main.rs").lines().filter_map(|line| line.strip_prefix("//! "));
        let story: Vec<_> =
            story.skip_while(|line| *line != "```text").skip(1).take_while(|l| *l != "```").collect();
        assert_eq!(String::from_utf8(told).unwrap().lines().collect::<Vec<_>>(), story);
    }
}
