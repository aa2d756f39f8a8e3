//! Any bytes: decoding never panics, and what it accepts is the one encoding of its value.
#![no_main]

use libfuzzer_sys::fuzz_target;
use secgroup_rpc::{Limits, Message};

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits { members: 1 << 14, rules: 1 << 12, values: 1 << 14, text: 1 << 18, ..Limits::default() };
    if let Ok(message) = Message::decode(bytes, &limits) {
        assert_eq!(message.encode(), bytes);
    }
    // Without the canonical check other encodings come through; their values must still code well.
    if let Ok(mut message) = Message::decode(bytes, &Limits { canonical: false, ..limits }) {
        message.normalize();
        let again = Message::decode(&message.encode(), &Limits::default());
        assert_eq!(again.as_ref(), Ok(&message));
    }
});
