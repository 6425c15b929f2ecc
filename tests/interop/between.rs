//! From one server to the other.

use crate::house::House;
use crate::servers::Kind;
use crate::stories::{at_server, no_strays};
use crate::trees::{LARGE, bytes, plant};

#[test]
fn mv_goes_round_the_webdav_servers() {
    round(&[Kind::Rclone, Kind::WsgidavDigest, Kind::Apache]);
}

#[test]
fn mv_goes_round_s3_and_webdav_servers() {
    round(&[Kind::Rclone, Kind::RcloneS3, Kind::WsgidavBasic, Kind::Moto]);
}

/// A file and a tree are moved from each server to the next, and back to the first.
fn round(kinds: &[Kind]) {
    let Some(mut house) = House::over(kinds) else {
        return;
    };
    let empty = kinds.iter().all(|kind| kind.has_empty_directories());
    plant(&house.beside("src/tree"), empty);
    std::fs::write(house.beside("src/film.bin"), bytes(LARGE, 5)).unwrap();
    let first = kinds[0];
    house.sh(&format!("cp -r \"$OUT/src\" {}/all", first.name()));
    house.sync();
    for (from, to) in kinds.iter().zip(kinds.iter().cycle().skip(1)) {
        let (source, target) = (from.name(), to.name());
        house.sh(&format!(
            "mkdir {target}/new
             mv {source}/all/film.bin {target}/new/film.bin
             mv {source}/all/tree {target}/new/
             rmdir {source}/all
             mv {target}/new {target}/all"
        ));
        house.sync();
        house.sh(&format!("diff -r \"$OUT/src\" {target}/all"));
        at_server(&house, *to, "src", "all");
        assert_eq!(house.server(*from).entries(), Vec::<String>::new());
        no_strays(&house, *to);
    }
    house.forget();
    house.sh(&format!("diff -r \"$OUT/src\" {}/all", first.name()));
}
