//! Any registers, written over MDIO or as text: settings or an error; settings survive the registers, and
//! the table made of them classifies any frame without a panic.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use vlan_table::chip::registers::Image;
use vlan_table::chip::{Model, Table};
use vlan_table::{Header, PortId};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    model: u8,
    /// PHY, register, value.
    writes: Vec<(u8, u8, u16)>,
    dump: &'a str,
    /// Ingress port and bytes.
    frames: Vec<(u16, &'a [u8])>,
}

fuzz_target!(|input: Input<'_>| {
    let model = Model::ALL[usize::from(input.model) % Model::ALL.len()];
    let mut image = Image::parse(input.dump, model).unwrap_or(Image::after_reset(model));
    for (phy, register, value) in input.writes {
        image.mdio_write(model, phy, register, value);
    }
    let text = image.dump(model).to_string();
    let reread = Image::parse(&text, model).expect("a dump can be read");
    assert_eq!(reread.to_config(model), image.to_config(model));

    let Ok(config) = image.to_config(model) else { return };
    let before = image;
    image.apply(&config);
    assert_eq!(image, before, "settings read from registers change none of them");
    let table = Table::new(config).expect("the settings were checked");
    for (port, bytes) in input.frames {
        let (Some(port), Ok(header)) = (PortId::new(port), Header::read(bytes)) else { continue };
        let Ok(frame) = table.classify(port, &header) else { continue };
        assert!(!frame.reachable.contains(port) && frame.members.is_subset(&frame.reachable));
        let mut left = frame.members;
        for (action, group) in table.copies(&frame, left) {
            assert!(group.iter().all(|port| table.egress(&frame, port) == action));
            left = left.difference(group);
        }
        assert!(left.is_empty());
    }
});
