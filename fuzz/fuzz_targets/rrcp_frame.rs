//! Any bytes: the codec never panics, what parses can be emitted and parses to the same, and neither
//! client nor device is led astray.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use rrcp::client::{Client, Config};
use rrcp::device::{DEVICE_FRAME_LEN, Device, Identity, RegisterSpace, Verdict};
use rrcp::wire::{ChipId, RegisterAddress, VendorId};
use rrcp::{FrameView, MacAddr6, Message, PortId, Tag};

/// Every register reads as its address.
struct Registers;

impl RegisterSpace for Registers {
    fn read(&mut self, register: RegisterAddress) -> Option<u32> {
        Some(register.0.into())
    }

    fn write(&mut self, _: RegisterAddress, _: u32) {}
}

fuzz_target!(|input: (u8, u8, Vec<u8>)| {
    let (max_tags, tags, mut bytes) = input;
    // Left alone, nearly every input would be another protocol's.
    for tag in 0..tags % 4 {
        overwrite(&mut bytes, 12 + 4 * usize::from(tag), [0x81, 0x00]);
    }
    if tags < 0xF0 {
        overwrite(&mut bytes, 12 + 4 * usize::from(tags % 4), [0x88, 0x99]);
    }
    round_trip(&bytes, usize::from(max_tags % 5));
    ask_device(&bytes);
    tell_client(&mut bytes);
});

fn overwrite(bytes: &mut [u8], at: usize, with: [u8; 2]) {
    if let Some(room) = bytes.get_mut(at..at + 2) {
        room.copy_from_slice(&with);
    }
}

fn round_trip(bytes: &[u8], max_tags: usize) {
    let Ok(view) = FrameView::new(bytes, max_tags) else { return };
    let (frame, tags) = (view.to_frame(), view.tags().collect::<Vec<Tag>>());
    assert!(!view.to_string().is_empty());
    let mut out = vec![0; frame.emitted_len(tags.len())];
    assert_eq!(frame.emit(&tags, &mut out), Ok(out.len()));
    let again = FrameView::new(&out, max_tags).expect("what was emitted parses");
    assert!(again.tags().eq(tags));
    match (frame.message, again.message()) {
        (Message::Unknown(kept), Message::Unknown(padded)) => {
            assert!(padded.payload().starts_with(kept.payload()));
        }
        (Message::CpuTag(kept), Message::CpuTag(padded)) => {
            assert!(padded.as_bytes().starts_with(kept.as_bytes()));
        }
        (said, same) => assert_eq!(said, same),
    }
}

fn ask_device(bytes: &[u8]) {
    // The address that the frame is for, if it has one: every rule of the device can be reached.
    let mac = bytes.first_chunk::<6>().copied().unwrap_or([0x52, 0x54, 0x4C, 1, 2, 3]);
    let mut device = Device::new(Identity::new(MacAddr6::from(mac), ChipId(1), VendorId(2)));
    let (port, mut out) = (PortId::new(3).expect("a small number"), [0; DEVICE_FRAME_LEN]);
    let verdict = device.handle_frame(port, bytes, &mut Registers, &mut out);
    if let Verdict::Answer(answer) | Verdict::AnswerAndRelay(answer) = verdict {
        let view = FrameView::new(answer, 2).expect("answers parse");
        assert!(view.dst().is_unicast(), "{view}");
    }
    let mut relayed = bytes.to_vec();
    if device.mark_uplink(port, &mut relayed) {
        assert!(!device.mark_uplink(port, &mut relayed), "marked once");
    }
}

fn tell_client(bytes: &mut [u8]) {
    let station = MacAddr6::new(2, 0, 0, 0, 0, 1);
    if let Some(dst) = bytes.first_chunk_mut() {
        *dst = station.into_array();
    }
    let mut client = Client::<8>::new(Config::new(station), 1);
    client.scan(Duration::ZERO).expect("it is idle");
    client.handle_frame(Duration::ZERO, bytes);
    client.handle_frame(Duration::ZERO, bytes);
    let counters = client.counters();
    assert_eq!(counters.accepted + counters.ignored_total(), 2);
}
