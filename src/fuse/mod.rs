//! Thin kernel adapter: translates requests, decides nothing.
//!
//! fuser carries the protocol; mounting and unmounting are our own (its teardown may unmount a
//! stranger's mount on the same path, facts/fuse.md A).
//!
//! | file | what is in it |
//! |---|---|
//! | `mounted` | [`Mounted`]: a mount from start to stop |
//! | `options` | [`MountOptions`]: what `-o` says |
//! | `mount_point` | checks of the mount point, healing a dead mount, unmounting |
//! | `mountinfo` | what `/proc/self/mountinfo` says |
//! | `attach` | `mount(2)` for root, `fusermount3` for users |
//! | `kernel` | the system calls the standard library does not have |
//! | `adapter` | requests of the kernel to [`crate::vfs::Vfs`], answers back |
//! | `replies` | results as answers of the protocol |
//! | `listing` | readdir and readdirplus |
//! | `answer` | running a request to its answer: deadline, interrupted callers |
//! | `convert` | attributes, times, names, errnos, flags |
//! | `notify` | what the kernel must forget, told from threads of its own |

mod adapter;
mod answer;
mod attach;
mod convert;
mod kernel;
mod listing;
mod mount_point;
mod mounted;
mod mountinfo;
mod notify;
mod options;
mod replies;

pub use kernel::xattr;
pub use mount_point::{MountPointError, check, is_mounted, unmount};
pub use mounted::{MountError, Mounted};
pub use options::{MountOptions, OptionError};
