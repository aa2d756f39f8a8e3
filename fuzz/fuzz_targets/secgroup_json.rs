//! Any text: reading JSON never panics, and a message that was read is written and coded faithfully.
#![no_main]

use libfuzzer_sys::fuzz_target;
use secgroup_rpc::{Limits, Message, read_json, to_json};

fuzz_target!(|text: &[u8]| {
    let limits = Limits::default();
    let Ok(mut message) = read_json(text, &limits) else { return };
    message.normalize();
    let mut again = read_json(to_json(&message).as_bytes(), &limits).expect("what we wrote");
    again.normalize();
    assert_eq!(to_json(&again), to_json(&message));
    let decoded = Message::decode(&message.encode(), &limits);
    assert_eq!(decoded.as_ref(), Ok(&message));
});
