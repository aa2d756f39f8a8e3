//! The switch on bare metal, or shown on a host.
//!
//! `cargo build --release -p firmware --target thumbv7em-none-eabi` links it without std and without an
//! allocator: the proof that nothing needs them. `cargo run -p firmware` plays a few frames through it:
//!
//! ```text
//! a broadcast after reset            leaves ports {1, 2, 3, 4}
//! the answer                         leaves ports {0}
//! VLANs on, over RRCP                is consumed
//! the same broadcast                 leaves ports {4}
//! the same answer                    leaves ports {}
//! ```
//!
//! (The vendor's VLAN table isolates all ports but the last from each other.)
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(not(target_os = "none"))]
mod host;

#[cfg(not(target_os = "none"))]
fn main() {
    host::run(&mut std::io::stdout().lock()).unwrap_or_else(|error| {
        eprintln!("firmware: {error}");
        std::process::exit(1);
    });
}

/// What a board support package would call: frames come from its MAC, and go there.
#[cfg(target_os = "none")]
mod bare {
    use core::hint::black_box;
    use core::time::Duration;

    use firmware::{FRAME_LEN, Switch};
    use rrcp::MacAddr6;
    use vlan_table::PortId;

    #[panic_handler]
    fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
        loop {}
    }

    /// The entry point. Without a MAC driver, the optimizer must believe that frames come and go.
    #[allow(unsafe_code)] // the linker looks for this name
    #[unsafe(no_mangle)]
    extern "C" fn _start() -> ! {
        let mac = MacAddr6::new(0x02, 0, 0, 0, 0, 0x5C);
        let Some(mut switch) = Switch::new(mac, black_box(1)) else { loop {} };
        let mut ticks = 0u64;
        loop {
            let now = Duration::from_millis(ticks);
            let (port, frame) = black_box((PortId::new(0), [0u8; FRAME_LEN]));
            if let Some(port) = port {
                black_box(switch.receive(now, port, &frame, |port, frame| _ = black_box((port, frame))));
            }
            switch.tick(now, |port, frame| _ = black_box((port, frame)));
            ticks += 1;
        }
    }
}
