//! WebDAV servers (sheet generic_backends, 7.1): rclone has checksums and times and is careless,
//! wsgidav is strict, Apache redirects and calls its ETags weak.

use crate::servers::Kind;
use crate::stories;

macro_rules! stories_with {
    ($server:ident, $kind:expr) => {
        mod $server {
            use super::*;

            #[test]
            fn a_tree_goes_in_and_comes_out_unharmed() {
                stories::tree($kind);
            }

            #[test]
            fn names_and_contents_change_there_as_here() {
                stories::changes($kind);
            }

            #[test]
            fn rsync_finds_nothing_to_do_the_second_time() {
                stories::rsync($kind);
            }
        }
    };
}

pub(crate) use stories_with;

stories_with!(rclone, Kind::Rclone);
stories_with!(wsgidav_basic, Kind::WsgidavBasic);
stories_with!(wsgidav_digest, Kind::WsgidavDigest);
stories_with!(apache, Kind::Apache);
