//! Real mounts. They need `/dev/fuse` and the right to mount; without it they say so and pass.
//!
//! | file | what is tested |
//! |---|---|
//! | `cloud` | what every test starts from: two local drives under one mount |
//! | `basic` | what programs do every day |
//! | `dead` | a daemon that was killed leaves a mount that the next one heals |
//! | `exec` | programs that start others while they have files open |
//! | `guards` | guards as real programs meet them |

mod basic;
mod cloud;
mod dead;
mod exec;
mod guards;
