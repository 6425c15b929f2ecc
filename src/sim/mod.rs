//! Simulators of the providers, each a strict loopback server written from its protocol
//! sheet, and the kit they share. They check the drivers, so they import none of them, nor
//! the drivers' algorithms and HTTP client.
//!
//! | file | what is in it |
//! |---|---|
//! | [`content`](Blob) | immutable contents: bytes, synthetic, pieces |
//! | [`digest`](HashKind) | their hashes, computed here |
//! | [`recorder`](Recorder) | received bytes, kept cheaply |
//! | [`inventory`](Inventory) | what a provider already has |
//! | [`tree`](Tree) | the files of an account |
//! | [`account`](Account) | an account and the gate its requests pass |
//! | [`body`](send) | content in and out: ranges, counting, faults |
//! | `form` | `multipart/form-data` as it streams in |
//! | [`meters`](Meters), [`faults`](Faults), [`clock`](Clock), [`rate`](Rates) | as they say |
//! | [`oss`] | Aliyun OSS as 115, PikPak and others use it |
//! | [`simulator`](Simulator) | what a provider implements |
//! | [`server`](World), [`admin`], [`wire`] | a running world, its HTTP doors, its connections |
//! | one folder per provider | the simulators |

mod account;
mod admin;
pub mod aliyundrive_open;
mod baidu_netdisk;
mod body;
pub mod clock;
mod cloud189;
mod clouddrive2;
mod content;
mod digest;
mod faults;
mod form;
pub mod guangya;
mod inventory;
mod lark_drive;
mod meters;
pub mod oss;
pub mod pan115_open;
mod pan123_open;
pub mod pikpak;
mod quark_uc;
mod rate;
mod recorder;
mod s3;
mod server;
mod simulator;
mod tree;
mod webdav;
mod wire;
mod xunlei;

use std::sync::Arc;

pub use account::{Account, Knobs, dropped};
pub use body::{Range, ReceiveError, parse_range, receive, send, set};
pub use clock::Clock;
pub use content::Blob;
pub use digest::{HashKind, hex, md5_hex, sha1_hex};
pub use faults::{Fault, FaultKind, Faults};
pub use inventory::Inventory;
pub use meters::{Meters, Stat};
pub use rate::Rates;
pub use recorder::Recorder;
pub use server::{SeedSource, World, WorldOptions};
pub use simulator::{Ids, Kit, SimProfile, Simulator, SimulatorInfo};
pub use tree::{Node, Tree};

/// Every simulator there is.
pub static SIMULATORS: &[SimulatorInfo] = &[
    pan115_open::INFO,
    aliyundrive_open::INFO,
    pan123_open::INFO,
    pikpak::INFO,
    baidu_netdisk::INFO,
    cloud189::INFO,
    quark_uc::QUARK,
    quark_uc::UC,
    xunlei::INFO,
    guangya::INFO,
    lark_drive::INFO,
    clouddrive2::INFO,
    webdav::INFO,
    s3::INFO,
];

/// Starts a world of the simulators that the options name.
///
/// # Errors
/// An unknown provider key, or no loopback port.
pub fn start(options: &WorldOptions) -> anyhow::Result<Arc<World>> {
    World::start(SIMULATORS, options)
}
