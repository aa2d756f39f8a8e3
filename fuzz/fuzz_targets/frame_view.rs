//! Any bytes: the view never panics, and what it says about tags agrees with the editor.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vlan_table::{FrameMut, FrameView};

fuzz_target!(|input: (u8, Vec<u8>)| {
    let (max_tags, mut bytes) = input;
    let Ok(view) = FrameView::new(&bytes, usize::from(max_tags)) else { return };
    assert_eq!(view.tags().len(), view.tag_count());
    assert_eq!(view.tags().next(), view.outer_tag());
    assert_eq!(view.payload_offset() + view.payload().len(), bytes.len());
    let (copy, outer) = (bytes.clone(), view.outer_tag());

    let mut frame = FrameMut::new(&mut bytes, 0).expect("a view accepted it");
    if max_tags > 0 {
        assert_eq!(frame.outer_tag(), outer);
    }
    if let Some(tag) = frame.pop_tag() {
        frame.push_tag(tag).expect("popping left the room");
        assert_eq!(frame.as_bytes(), copy);
    }
});
