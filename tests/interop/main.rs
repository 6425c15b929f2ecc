//! Real mounts over real servers that nobody here wrote: rclone, wsgidav, Apache, moto. `.ci/run`
//! installs them and names their directory in `PANFUSE_PEERS`; without that variable those of the
//! PATH are used, and a test whose server is not there says so and passes.
//!
//! | file | what is in it |
//! |---|---|
//! | `peers` | where the programs of the servers are |
//! | `servers` | servers that are started, asked, and stopped |
//! | `wire` | a forwarder between the two that counts payload |
//! | `house` | the program in a HOME of its own, mounted over servers |
//! | `trees` | what is copied, and how it is compared |
//! | `stories` | what is done with each server |
//! | `dav`, `s3` | the stories, server by server |
//! | `between` | from one server to the other |

mod between;
mod dav;
mod house;
mod peers;
mod s3;
mod servers;
mod stories;
mod trees;
mod wire;
